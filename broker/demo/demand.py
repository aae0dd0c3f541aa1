"""Who comes to the gate: the buyers of the shipped world, and the same buyers again on later gates.

What changes from gate to gate is a function of (seed, bid, gate), so a broker that was killed meets the
same buyers again.
"""

import hashlib
from datetime import datetime, timedelta

import msgspec

from contracts.terms.bids import Bid, BidRequest
from contracts.terms.ids import derived_id
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.time import SlotGrid

RETURN_PER_MILLE = 350
LIMIT_SWING_PERCENT = 12
SHARED = set(BidRequest.__struct_fields__) - {"window_start", "window_end", "hardware", "project"}


def first_bids(book: MarketBook) -> list[Bid]:
    """The bids of a book as buyers enter them: windows in time instead of slots."""
    return [_bid(row, book.rules.grid) for row in book.bids.iter_rows(named=True)]


def returning_bids(bids: list[Bid], *, gate_at: datetime, shift: timedelta, seed: int) -> list[Bid]:
    """About a third of these bids again, `shift` later, with limits up to 12 % higher or lower and ids of their own."""
    return [
        _again(bid, gate_at=gate_at, shift=shift, seed=seed)
        for bid in bids
        if _draw(seed, bid.id, gate_at=gate_at, what="come") % 1000 < RETURN_PER_MILLE
    ]


def _bid(row: dict[str, object], grid: SlotGrid) -> Bid:
    facts = {name: row[name] for name in SHARED}
    first, end = int(str(row["slot_first"])), int(str(row["slot_end"]))
    factors = [str(text).rsplit(":", 1) for text in msgspec.convert(row["hardware"], list[str])]
    request = msgspec.convert(
        facts
        | {
            "window_start": grid.period(first).start,
            "window_end": grid.period(end - 1).end,
            "hardware": {name: float(factor) for name, factor in factors},
        },
        BidRequest,
    )
    return Bid(
        id=str(row["bid_id"]),
        account_id=str(row["buyer"]),
        entered_at=msgspec.convert(row["entered_at"], datetime),
        request=request,
        hours_left=request.hours,
    )


def _again(bid: Bid, *, gate_at: datetime, shift: timedelta, seed: int) -> Bid:
    percent = 100 - LIMIT_SWING_PERCENT + _draw(seed, bid.id, gate_at=gate_at, what="limit") % (2 * LIMIT_SWING_PERCENT + 1)
    limits = {
        f"limit_{tier}_micros": half_up(limit * percent, 100) if limit is not None else None for tier, limit in bid.request.limits.items()
    }
    request = msgspec.structs.replace(
        bid.request, window_start=bid.request.window_start + shift, window_end=bid.request.window_end + shift, **limits
    )
    minutes = _draw(seed, bid.id, gate_at=gate_at, what="minute") % 180
    return Bid(
        id=derived_id("bid", bid.id, gate_at.isoformat()),
        account_id=bid.account_id,
        entered_at=gate_at - timedelta(minutes=minutes + 1),
        request=request,
        hours_left=request.hours,
    )


def _draw(seed: int, bid_id: str, *, gate_at: datetime, what: str) -> int:
    text = f"{seed}:{bid_id}:{gate_at.isoformat()}:{what}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
