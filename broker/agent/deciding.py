"""Which leases to hold accelerators for, which to let go of, and what to tell the broker: from what is owed and what is held."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from broker.agent.cluster import Hold, Want
from broker.agent.metering import Span
from broker.services.access_views import Delivery, DeliverySlot
from contracts.terms.leases import HOLDING, IN_FORCE

NEVER_STARTED = "the grid never had it ready"
NO_ROOM = "the cluster has no room for it"


class Patience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How early to prepare, and how long to hope.

    lead_seconds   before a slot begins its accelerators are asked for, so that they are there when it does
    room_seconds   a lease whose slot is under way and for which we have seen nothing ready for so long has failed
    """

    lead_seconds: int = 20
    room_seconds: int = 120


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent sees of its cluster, and remembers to have seen; `begun` is since when it looks."""

    holds: tuple[Hold, ...]
    spans: tuple[Span, ...]
    begun: datetime


class Loss(NamedTuple):
    """A lease that cannot be delivered, and why."""

    lease_id: str
    reason: str


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now.

    start, stop    holds to begin and to let go of
    open           leases whose slot is under way and whose accelerators are ready
    provisioning   leases being prepared
    completed      leases delivered to their end, every slot of them metered
    failed         leases to give up
    """

    start: tuple[Want, ...] = ()
    stop: tuple[Want, ...] = ()
    open: tuple[str, ...] = ()
    provisioning: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    failed: tuple[Loss, ...] = ()


def steps(deliveries: Sequence[Delivery], sight: Sight, *, now: datetime, patience: Patience) -> Steps:
    """What to do now, each list by lease id. A hold for what nobody is owed is let go of, whoever began it."""
    by_id = {each.lease_id: each for each in deliveries}
    held = {Want(hold.lease_id, hold.quantity): hold for hold in sight.holds}
    wanted = {Want(each.lease_id, slot.quantity) for each in deliveries for slot in _due(each, now=now, patience=patience)}
    under_way = {Want(each.lease_id, slot.quantity) for each in deliveries if (slot := slot_at(each, now)) is not None}
    ready = {want.lease_id for want in under_way & wanted if want in held and held[want].state == "ready"}
    lost = _lost([each for each in deliveries if each.lease_id not in ready], sight, now=now, patience=patience)
    given_up = {each.lease_id for each in lost}
    return Steps(
        start=tuple(sorted(want for want in wanted - held.keys() if want.lease_id not in given_up)),
        stop=tuple(sorted(want for want, hold in held.items() if want not in wanted or hold.state == "lost" or want.lease_id in given_up)),
        open=tuple(sorted(ready - given_up)),
        provisioning=tuple(sorted({want.lease_id for want in wanted if by_id[want.lease_id].state == "awarded"} - given_up)),
        completed=tuple(each.lease_id for each in deliveries if each.state == "active" and _is_over(each, now) and _is_metered(each)),
        failed=lost,
    )


def slot_at(delivery: Delivery, now: datetime) -> DeliverySlot | None:
    """The slot of a lease that is under way."""
    return next((slot for slot in delivery.slots if slot.start <= now < slot.end), None)


def _due(delivery: Delivery, *, now: datetime, patience: Patience) -> list[DeliverySlot]:
    """The slots to hold accelerators for: the one under way, and one that is about to begin."""
    lead = timedelta(seconds=patience.lead_seconds)
    return [slot for slot in delivery.slots if slot.start - lead <= now < slot.end] if delivery.state in HOLDING else []


def _last_seen(spans: Sequence[Span]) -> dict[str, datetime]:
    last: dict[str, datetime] = {}
    for span in spans:
        last[span.lease_id] = max(span.end, last.get(span.lease_id, span.end))
    return last


def _lost(unready: Sequence[Delivery], sight: Sight, *, now: datetime, patience: Patience) -> tuple[Loss, ...]:
    """Of the leases that have nothing ready, those that are beyond hope."""
    last, lost = _last_seen(sight.spans), []
    for each in unready:
        slot = slot_at(each, now)
        if each.state not in IN_FORCE:
            continue
        if slot is not None:
            since = max(slot.start, sight.begun, last.get(each.lease_id, slot.start))
            if now - since > timedelta(seconds=patience.room_seconds):
                lost.append(Loss(each.lease_id, NO_ROOM))
        elif each.state != "active" and _is_over(each, now) and _is_metered(each):
            lost.append(Loss(each.lease_id, NEVER_STARTED))
    return tuple(lost)


def _is_over(delivery: Delivery, now: datetime) -> bool:
    return all(slot.end <= now for slot in delivery.slots)


def _is_metered(delivery: Delivery) -> bool:
    return all(delivery.metered_until is not None and slot.end <= delivery.metered_until for slot in delivery.slots)
