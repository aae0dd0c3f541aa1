"""What earlier cycles tell: how prices moved, when the market was full, and how often a limit would have been enough."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Protocol

import msgspec

from broker.services.market_views import CycleView, PriceView
from contracts.terms.money import BASIS_POINTS

DAY = timedelta(days=1)
WEEK_DAYS = 7
CYCLES_LOOKED_AT = 6


class Priced(Protocol):
    """What is read of one group of prices added up."""

    @property
    def slot_start(self) -> datetime | None:
        """Its slot, where slots were told apart."""
        ...

    @property
    def tier(self) -> str | None:
        """Its tier, where tiers were told apart."""
        ...

    @property
    def sold(self) -> int:
        """Accelerator-slots sold."""
        ...

    @property
    def offered(self) -> int:
        """Accelerator-slots offered."""
        ...

    @property
    def rate_micros(self) -> int:
        """Volume-weighted mean."""
        ...


class Moves(msgspec.Struct, frozen=True, kw_only=True):
    """How the price of a class and tier moved, hundredths of a per cent; null where it did not trade then."""

    day_bps: int | None
    week_bps: int | None


class SlotLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How full a class was in one slot: accelerators sold, of those offered."""

    slot_start: datetime
    sold: int
    offered: int


class Chance(msgspec.Struct, frozen=True, kw_only=True):
    """What limit would have been enough lately.

    needed  the least limit that would have, micros per reference hour, fee included: one a slot that sold, the oldest auction first
    cycles  auctions looked at
    """

    needed: list[int]
    cycles: int

    def enough(self, limit_micros: int) -> int:
        """In how many of the slots a limit would have been enough."""
        return sum(needed <= limit_micros for needed in self.needed)

    def limit_micros(self, percent: int) -> int | None:
        """The least limit that would have been enough in so many of a hundred slots (1 to 100); None where nothing sold."""
        return sorted(self.needed)[-(-percent * len(self.needed) // 100) - 1] if self.needed else None


def busiest_range(prices: list[PriceView]) -> tuple[int, int] | None:
    """The range of prices that would have cleared the pool that sold most just as it did; None where nothing sold."""
    most = max((price for price in prices if price.sold), key=lambda price: (price.sold, price.pool), default=None)
    return None if most is None else (most.rate_low_micros, most.rate_high_micros)


def number_before(cycle: CycleView, days: int, *, gate_interval: timedelta) -> int:
    """The number of the cycle whose gate was so many days earlier.

    A market that is younger than that has no such number: it is below 1.
    """
    return cycle.number - days * max(1, round(DAY / gate_interval))


def loads(cycles: Sequence[Sequence[Priced]]) -> list[SlotLoad]:
    """How full each slot was, by time; of a slot that several cycles sold, what the first given says."""
    found: dict[datetime, SlotLoad] = {}
    for totals in cycles:
        for total in totals:
            if total.slot_start is not None and total.slot_start not in found:
                found[total.slot_start] = SlotLoad(slot_start=total.slot_start, sold=total.sold, offered=total.offered)
    return [found[slot] for slot in sorted(found)]


def chance(cycles: Sequence[Mapping[str, Sequence[Priced]]], worth: Mapping[str, Fraction], *, tier: str, fee_bps: int) -> Chance:
    """What limit would have been enough at a tier, given cycles newest first; a slot that sold several classes counts once.

    worth  reference hours an hour of each class is worth. A limit leaves room for the fee; moving data is left out, as it differs by site
    """
    needed = []
    for classes in reversed(cycles):
        least: dict[datetime, int] = {}
        for hardware, totals in classes.items():
            for total in totals:
                if total.tier == tier and total.sold and total.slot_start is not None:
                    limit = math.ceil(total.rate_micros * (BASIS_POINTS + fee_bps) / (BASIS_POINTS * worth[hardware]))
                    least[total.slot_start] = min(limit, least.get(total.slot_start, limit))
        needed += [least[slot] for slot in sorted(least)]
    return Chance(needed=needed, cycles=len(cycles))
