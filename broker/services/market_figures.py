"""What is worked out of a cleared cycle for everybody: the parts of its prices, the carbon of its hours; and messages that cannot wait.

A cycle does not change, so what was worked out of the last one is kept until the next is applied; messages are kept for seconds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Literal, Protocol

import msgspec
import polars as pl

from broker.clock import Clock
from broker.services.market_views import CycleView
from contracts.terms.errors import NotFound
from contracts.terms.hardware import REFERENCE_CLASS, HardwareClass, factor
from contracts.terms.orders import MarketBook
from pricing.price_parts import carbon_bought, price_parts

MESSAGES_SECONDS = 10.0
MESSAGES_MAX = 50
# Classes of a cycle, more than any market has: what strangers make up must not fill the memory.
KEPT_MAX = 500
LOOKED_BACK = timedelta(days=1)
LOOKED_AHEAD = timedelta(days=7)
MessageKind = Literal["outage", "reclaimed", "silent", "quarantined", "withdrawn", "maintenance", "cycle_failed"]


class PriceSplit(msgspec.Struct, frozen=True, kw_only=True):
    """The mean price of a class at a tier, and the four parts that add up to it, micros per accelerator-hour.

    power_micros     what energy costs there and then
    machine_micros   what else providers wanted
    scarcity_micros  paid beyond that, since not all could be served at it
    headroom_micros  the premium of the tier
    sold             accelerator-slots
    """

    tier: str
    sold: int
    rate_micros: int
    power_micros: int
    machine_micros: int
    scarcity_micros: int
    headroom_micros: int


class CountryCarbon(msgspec.Struct, frozen=True, kw_only=True):
    """Carbon of what a cycle sold of one class in one country.

    grams            of CO2 a reference hour; null where nobody knows
    reference_hours  bought whose carbon is known
    hours_unknown    reference hours whose power zone nobody knows
    """

    country: str | None
    grams: float | None
    reference_hours: float
    hours_unknown: float


class MarketMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Something that changes what can be bought. It names no buyer and no lease.

    kind          outage, reclaimed: leases broke off, or were called back · silent, quarantined, withdrawn: offers nobody is sold
                  maintenance: a window in which offers cannot be booked · cycle_failed: a gate that left the last prices standing
    at            when it happened, or begins
    until         when it ends, where that is known
    accelerators  offers have, where it is about offers
    """

    kind: MessageKind
    at: datetime
    until: datetime | None = None
    provider: str | None = None
    site: str | None = None
    hardware: str | None = None
    accelerators: int | None = None


class FiguresReader(Protocol):
    """The store's side."""

    async def awarded(self, cycle: CycleView) -> pl.DataFrame:
        """What a cycle awarded, buyers left out: offer_id, slot, tier, rate_micros, quantity."""
        ...

    async def pool_prices(self, cycle: CycleView, hardware: str) -> pl.DataFrame:
        """Published prices of a class: pool, slot, tier, rate_micros."""
        ...

    async def messages(self, now: datetime, *, since: datetime, until: datetime) -> Sequence[MarketMessage]:
        """What happened since, or will until, the latest first."""
        ...


class CycleReader(Protocol):
    """What else is read of a cycle."""

    async def cycles(self, *, before: int | None = None, limit: int = 50, applied_only: bool = False) -> list[CycleView]:
        """Cycles by number, newest first."""
        ...

    async def book(self, cycle_id: str) -> MarketBook | None:
        """What the cycle saw; None when it was not kept."""
        ...


class FigureMemory:
    """What was worked out of the last cycle, and the last messages: shared by all requests of a process.

    factors  reference hours an accelerator-hour of each class is worth
    turn     one works something out at a time: who comes meanwhile finds it done
    """

    def __init__(self, hardware: Sequence[HardwareClass], *, watch: Callable[[], float] = monotonic) -> None:
        self.factors = factors_of(hardware)
        self.turn = asyncio.Lock()
        self.splits: dict[tuple[str, str], list[PriceSplit]] = {}
        self.carbon: dict[tuple[str, str], list[CountryCarbon]] = {}
        self._watch = watch
        self._messages: tuple[float, list[MarketMessage]] | None = None

    def of(self, cycle_id: str) -> None:
        """Forget what was worked out of any other cycle, and all of it where it has become too much."""
        kept = {*self.splits, *self.carbon}
        if len(kept) >= KEPT_MAX or any(key[0] != cycle_id for key in kept):
            self.splits, self.carbon = {}, {}

    @property
    def messages(self) -> list[MarketMessage] | None:
        """The messages, if they were read seconds ago."""
        if self._messages is None or self._watch() - self._messages[0] >= MESSAGES_SECONDS:
            return None
        return self._messages[1]

    @messages.setter
    def messages(self, found: list[MarketMessage]) -> None:
        self._messages = (self._watch(), found)


class MarketFigures:
    """Works them out, once."""

    def __init__(self, reader: FiguresReader, market: CycleReader, *, memory: FigureMemory, clock: Clock) -> None:
        self._reader = reader
        self._market = market
        self._memory = memory
        self._clock = clock

    async def split(self, hardware: str) -> list[PriceSplit]:
        """The price of a class by tier, taken apart, the best tier first. Raises NotFound before the first cycle and without its book."""
        cycle = await self._latest()
        async with self._memory.turn:
            if (known := self._memory.splits.get((cycle.cycle_id, hardware))) is not None:
                return known
            book, awarded = await self._book(cycle), await self._reader.awarded(cycle)
            prices = await self._reader.pool_prices(cycle, hardware)
            # Too long for the loop that answers everybody.
            frame = await asyncio.to_thread(price_parts, book, prices=prices, awarded=awarded, hardware=hardware)
            found = [PriceSplit(**row) for row in frame.iter_rows(named=True)]
            self._memory.of(cycle.cycle_id)
            self._memory.splits[cycle.cycle_id, hardware] = found
            return found

    async def carbon(self, hardware: str) -> list[CountryCarbon]:
        """Carbon of what the last cycle sold of a class by country, the cleanest first. Raises NotFound as `split` does."""
        cycle = await self._latest()
        async with self._memory.turn:
            if (known := self._memory.carbon.get((cycle.cycle_id, hardware))) is not None:
                return known
            book, awarded = await self._book(cycle), await self._reader.awarded(cycle)
            worth = {name: each for name, each in self._memory.factors.items() if name == hardware}
            frame = await asyncio.to_thread(carbon_bought, book, awarded=awarded, factors=worth)
            found = [_carbon(**row) for row in frame.iter_rows(named=True)]
            found.sort(key=lambda each: (each.grams is None, each.grams or 0.0, each.country or ""))
            self._memory.of(cycle.cycle_id)
            self._memory.carbon[cycle.cycle_id, hardware] = found
            return found

    async def messages(self) -> list[MarketMessage]:
        """What happened in the last day, and maintenance of the next seven, the latest first; at most ten seconds old."""
        if (known := self._memory.messages) is not None:
            return known
        now = self._clock.now()
        found = list(await self._reader.messages(now, since=now - LOOKED_BACK, until=now + LOOKED_AHEAD))[:MESSAGES_MAX]
        self._memory.messages = found
        return found

    async def _latest(self) -> CycleView:
        applied = await self._market.cycles(limit=1, applied_only=True)
        if not applied:
            raise NotFound("the market has not cleared yet; prices appear after the first gate")
        return applied[0]

    async def _book(self, cycle: CycleView) -> MarketBook:
        book = await self._market.book(cycle.cycle_id)
        if book is None:
            raise NotFound(f"the book of cycle {cycle.number} was not kept", cycle=cycle.number)
        return book


def factors_of(hardware: Sequence[HardwareClass]) -> Mapping[str, Decimal]:
    """Reference hours an accelerator-hour of each class is worth at its peak; none where the reference class is not traded."""
    reference = next((each.tflops for each in hardware if each.name == REFERENCE_CLASS), None)
    return {each.name: factor(each.tflops, reference) for each in hardware} if reference else {}


def _carbon(*, country: str | None, reference_hours: float, grams: float, hours_unknown: float) -> CountryCarbon:
    return CountryCarbon(
        country=country,
        grams=grams / reference_hours if reference_hours else None,
        reference_hours=reference_hours,
        hours_unknown=hours_unknown,
    )
