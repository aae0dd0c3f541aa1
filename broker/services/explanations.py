"""Why a buyer's bid got what it got: what each clause removed, what giving way would find, and at what price."""

import asyncio
from datetime import datetime
from typing import Protocol

import msgspec

from broker.services.ports import Bids
from broker.services.views import Caller
from contracts.terms.clearing import Clearing
from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook
from pricing.explain import Explanation, explain, sentences


class ClearedBook(msgspec.Struct, frozen=True, kw_only=True):
    """What one applied cycle saw and decided."""

    cycle_number: int
    gate_at: datetime
    book: MarketBook
    clearing: Clearing


class ClearedBooks(Protocol):
    """The books of applied cycles, kept as they were cleared."""

    async def last_with(self, bid_id: str) -> ClearedBook | None:
        """The last applied cycle that had a bid in its book; None when none had, or its book was not kept."""
        ...


class BidExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """An explanation at the prices of one cycle: in figures, and in sentences for people."""

    bid_id: str
    cycle_number: int
    explanation: Explanation
    sentences: list[str]


class ExplanationService:
    """Explains a caller's own bids; nobody else's, since the book is secret."""

    def __init__(self, bids: Bids, books: ClearedBooks) -> None:
        self._bids = bids
        self._books = books

    async def bid(self, bid_id: str, caller: Caller) -> BidExplanation:
        """Explain a bid at the last cycle it took part in. Raises NotFound for another's bid, and before its first gate."""
        bid = await self._bids.bid(bid_id)
        if bid.account_id != caller.account_id:
            # Another account's bid is answered like one that does not exist: the book is secret.
            raise NotFound(f"no bid has the id {bid_id}", bid_id=bid_id)
        cleared = await self._books.last_with(bid_id)
        if cleared is None:
            raise NotFound(f"bid {bid_id} has not been through a gate yet; it is explained after the next", bid_id=bid_id)
        # A large book takes a while to read: the market goes on answering meanwhile.
        found = await asyncio.to_thread(explain, cleared.book, bid_id, clearing=cleared.clearing)
        return BidExplanation(bid_id=bid_id, cycle_number=cleared.cycle_number, explanation=found, sentences=sentences(found))
