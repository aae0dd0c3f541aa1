"""What quotes need of the timetable and of a store, as structs and protocols."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from contracts.terms.bids import Bid
from contracts.terms.orders import MarketBook, MarketRules
from contracts.terms.quotes import Quote, QuotePolicy
from contracts.terms.time import Period


class QuoteRules(msgspec.Struct, frozen=True, kw_only=True):
    """The timetable as quotes see it, and what they keep to.

    slots      how many ahead may be quoted
    next_gate  moment → the first gate after it
    over       span → the rules of its slots
    new_id     makes an id nobody has
    """

    currency: str
    slot_seconds: int
    slots: int
    fee_bps: int
    next_gate: Callable[[datetime], datetime]
    over: Callable[[Period], MarketRules]
    new_id: Callable[[], str]
    policy: QuotePolicy = QuotePolicy()

    @property
    def slot(self) -> timedelta:
        """Length of a slot."""
        return timedelta(seconds=self.slot_seconds)


class ShelfPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where one offer stands, and its current version."""

    site: str
    hardware: str
    version: int


class HeldAt(msgspec.Struct, frozen=True):
    """Whose holds count: those of quotes open at a moment, but one."""

    now: datetime
    apart_from: str | None = None


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What one wish may be served from.

    book      its only bid, and offers with what leases and open quotes leave
    versions  offer_id → the version the book has
    last      pool → its last price at the tier, micros per accelerator-hour
    """

    book: MarketBook
    versions: dict[str, int]
    last: Mapping[str, int]


class Quotes(Protocol):
    """Where quotes are kept, and the turns of those who ask."""

    async def take_turn(self, hardware: Sequence[str]) -> None:
        """Until the transaction ends, be the only one that holds or takes these classes; a cycle waits to read its book."""
        ...

    async def being_cleared(self, span: Period) -> bool:
        """Whether a cycle that has read its book decides about slots of a span."""
        ...

    async def place(self, offer_id: str) -> ShelfPlace | None:
        """Where an offer stands; None when it is withdrawn or was never there."""
        ...

    async def facts(self, offer_id: str, *, version: int | None = None) -> dict[str, object] | None:
        """What one version of an offer says, or the current one, which then stays so until the transaction ends."""
        ...

    async def shelf(self, rules: MarketRules, bid: Bid, *, site: str | None, held: HeldAt) -> Shelf:
        """What one wish may be served from, at one site or at any."""
        ...

    async def add(self, quote: Quote) -> None:
        """Keep a new quote."""
        ...

    async def quote(self, quote_id: str, *, locked: bool = False) -> Quote:
        """One quote. Raises NotFound."""
        ...

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Quote]:
        """An account's quotes by id, or those held last first; those after a given one. Raises NotFound when that is no quote."""
        ...

    async def open_count(self, account_id: str, now: datetime) -> int:
        """How many quotes an account holds."""
        ...

    async def close(self, quote: Quote) -> None:
        """Write what may change of a quote: its state."""
        ...

    async def expire(self, now: datetime) -> int:
        """Mark the quotes whose time is over; returns how many."""
        ...
