"""What to report: seconds in which a lease's accelerators were held ready for it, slot by slot; the rest of a slot failed.

A record's id derives from lease and start, so that a slot told twice is told once. A slot is told when it is over, from spans
that say when what was seen; spans come from the cluster, which outlives the agent.
"""

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from broker.agent.cluster import Hold
from broker.services.access_views import Delivery, DeliverySlot
from broker.services.usage_views import UsageReport
from contracts.terms.ids import derived_id

SECOND = timedelta(seconds=1)
# Longer than the broker waits for a meter's word.
KEPT_FOR = timedelta(days=8)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A lease held ready at a quantity from `start`, and seen to be so up to `end`."""

    lease_id: str
    quantity: int
    start: datetime
    end: datetime


def seen(spans: Sequence[Span], holds: Iterable[Hold], *, now: datetime) -> tuple[Span, ...]:
    """The spans once these holds have been seen: ready ones reach to now, whoever began them; by lease, quantity and start.

    A hold that was lost and made again is ready since another moment, so its span is another.
    """
    kept = {(span.lease_id, span.quantity, span.start): span for span in spans if span.end > now - KEPT_FOR}
    for hold in holds:
        if hold.state == "ready" and hold.since is not None and hold.since <= now:
            key = (hold.lease_id, hold.quantity, hold.since)
            end = max(now, kept[key].end) if key in kept else now
            kept[key] = Span(lease_id=hold.lease_id, quantity=hold.quantity, start=hold.since, end=end)
    return tuple(kept[key] for key in sorted(kept))


def reports(delivery: Delivery, spans: Sequence[Span], *, now: datetime) -> list[UsageReport]:
    """The records of those slots of a lease that are over and not metered yet, in order of time."""
    after = delivery.metered_until
    over = [slot for slot in delivery.slots if slot.end <= now and (after is None or slot.end > after)]
    mine = [span for span in spans if span.lease_id == delivery.lease_id]
    return [report for slot in over for report in _of_slot(delivery.lease_id, slot, spans=mine)]


def _of_slot(lease_id: str, slot: DeliverySlot, *, spans: Sequence[Span]) -> list[UsageReport]:
    """Delivered and failed records, in turn, that fill the slot."""
    held = _merged([each for each in (_within(span, slot) for span in spans if span.quantity == slot.quantity) if each is not None])
    moments = [slot.start, *(moment for span in held for moment in span), slot.end]
    told = []
    for number, (start, end) in enumerate(itertools.pairwise(moments)):
        if end > start:
            report = UsageReport(
                usage_id=derived_id("use", lease_id, start.isoformat()),
                lease_id=lease_id,
                start=start,
                end=end,
                accelerator_seconds=slot.quantity * ((end - start) // SECOND),
                status="delivered" if number % 2 else "provider_failed",
            )
            told.append(report)
    return told


def _within(span: Span, slot: DeliverySlot) -> tuple[datetime, datetime] | None:
    """The whole seconds of a slot that a span covers."""
    late = max(span.start - slot.start, timedelta(0))
    early = min(span.end, slot.end) - slot.start
    first, last = slot.start - (-late // SECOND) * SECOND, slot.start + (early // SECOND) * SECOND
    return (first, last) if last > first else None


def _merged(held: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Spans of time in order, those that touch or overlap as one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(held):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
