"""From awards to obligations: which leases a clearing makes, and what is left of each bid."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import polars as pl

from contracts.terms.bids import Bid
from contracts.terms.clearing import Cycle
from contracts.terms.errors import NotPermitted, WindowClosed, WrongState
from contracts.terms.ids import derived_id
from contracts.terms.leases import IN_FORCE, Lease, LeaseSlot

HOURS_FLOOR = 1e-9
TIERS_IN_TURN = ("guaranteed", "standard", "spot")
RECLAIM_NOTICE = timedelta(minutes=30)


class Place(msgspec.Struct, frozen=True):
    """Where an offer runs and who answers for it."""

    provider_id: str
    site: str
    hardware: str


def leases_of(cycle: Cycle, awards: pl.DataFrame, *, places: dict[str, Place], holders: dict[str, str]) -> list[Lease]:
    """One lease per bid, offer and tier, with a slot for each award; ids derive from the cycle, so twice is once.

    awards   the public table `awards`
    places   offer_id → where it runs
    holders  bid_id → account
    """
    grid = cycle.grid
    leases = []
    for (bid_id, offer_id, tier), rows in awards.sort("bid_id", "offer_id", "tier", "slot").group_by(
        ["bid_id", "offer_id", "tier"], maintain_order=True
    ):
        spans = [grid.period(slot) for slot in rows["slot"]]
        slots = tuple(
            LeaseSlot(start=span.start, end=span.end, quantity=quantity, rate_micros=rate)
            for span, quantity, rate in zip(spans, rows["quantity"], rows["rate_micros"], strict=True)
        )
        place = places[str(offer_id)]
        leases.append(
            Lease(
                id=derived_id("lse", cycle.id, str(bid_id), str(offer_id), str(tier)),
                cycle_id=cycle.id,
                bid_id=str(bid_id),
                account_id=holders[str(bid_id)],
                provider_id=place.provider_id,
                offer_id=str(offer_id),
                site=place.site,
                hardware=place.hardware,
                tier=str(tier),
                state="awarded",
                slots=slots,
            )
        )
    return leases


def after_award(bid: Bid, hours: float) -> Bid:
    """The bid once a clearing gave it some hours; filled when nothing is left. Raises ValueError for more than it asked."""
    if hours > bid.hours_left + HOURS_FLOOR:
        raise ValueError(f"bid {bid.id} was awarded {hours} hours, {bid.hours_left} were left")
    left = max(0.0, bid.hours_left - hours)
    return msgspec.structs.replace(bid, hours_left=left, status="filled" if left <= HOURS_FLOOR else "open")


def reopened(bid: Bid, hours: float) -> Bid:
    """The bid once some hours it was awarded were not delivered: they are wanted again."""
    return msgspec.structs.replace(bid, hours_left=min(bid.request.hours, bid.hours_left + hours), status="open")


def ended(bid: Bid) -> Bid:
    """The bid once its window has passed: partial with some hours, expired with none."""
    return msgspec.structs.replace(bid, status="partial" if bid.hours_left < bid.request.hours else "expired")


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease that broke off still owes its holder.

    rest   the slots that had not begun; they are served elsewhere, at no more than their old rate, before anything else is
    """

    lease: Lease
    rest: tuple[LeaseSlot, ...]

    @property
    def cap_micros(self) -> int:
        """The most the rest may cost, per accelerator-hour: what it did cost."""
        return max(slot.rate_micros for slot in self.rest)

    def still_ahead(self, now: datetime) -> "Failover | None":
        """What of it has not begun by now; None when nothing is left."""
        rest = tuple(slot for slot in self.rest if slot.start >= now)
        return msgspec.structs.replace(self, rest=rest) if rest else None


def in_turn(failovers: Sequence[Failover]) -> list[Failover]:
    """Who is served first: the better tier, then the earlier start, then the lease's id; the shed order read backwards."""
    return sorted(failovers, key=lambda each: (TIERS_IN_TURN.index(each.lease.tier), each.rest[0].start, each.lease.id))


def continued(failover: Failover, offer_id: str, *, place: Place, rate_micros: int) -> Lease:
    """The rest of a lease on another offer: a lease of its own for who delivers and bills it, the old one for its holder."""
    lease = failover.lease
    return msgspec.structs.replace(
        lease,
        id=derived_id("lse", lease.id, "continued"),
        cycle_id=None,
        provider_id=place.provider_id,
        offer_id=offer_id,
        site=place.site,
        hardware=place.hardware,
        state="awarded",
        slots=tuple(msgspec.structs.replace(slot, rate_micros=rate_micros) for slot in failover.rest),
        continues=lease.continues or lease.id,
    )


def hours_of(slots: Sequence[LeaseSlot]) -> float:
    """Accelerator-hours of some slots."""
    return sum(slot.quantity * (slot.end - slot.start).total_seconds() / 3600 for slot in slots)


def check_reclaim(lease: Lease, deadline: datetime, *, now: datetime) -> None:
    """Whether a provider may have a lease back from a deadline on.

    Raises NotPermitted for a tier nothing but a failure displaces, WrongState for a lease that has ended, WindowClosed for
    less notice than the lease states.
    """
    if lease.tier != "spot":
        raise NotPermitted(f"a {lease.tier} lease is not called back; only a failure ends it early", lease_id=lease.id, tier=lease.tier)
    if lease.state not in IN_FORCE:
        raise WrongState(f"a lease that is {lease.state} cannot be called back", lease_id=lease.id, state=lease.state)
    if deadline < now + RECLAIM_NOTICE:
        minutes = RECLAIM_NOTICE // timedelta(minutes=1)
        raise WindowClosed(f"a lease is called back with {minutes} minutes' notice", deadline=deadline.isoformat(), notice_minutes=minutes)
