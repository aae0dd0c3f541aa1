"""From awards to obligations: which leases a clearing makes, and what is left of each bid."""

import msgspec
import polars as pl

from contracts.terms.bids import Bid
from contracts.terms.clearing import Cycle
from contracts.terms.ids import derived_id
from contracts.terms.leases import Lease, LeaseSlot

HOURS_FLOOR = 1e-9


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
