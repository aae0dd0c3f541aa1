"""What the market shows everyone: prices now, the curve behind them, cycles and their proofs.

Everything here is read from the last *applied* cycle. A cycle whose certificate failed is never shown as a
price; the market keeps its last result and says how old it is.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Annotated, Literal, Protocol

import msgspec
import polars as pl

from broker.clock import Clock
from broker.services.indication import Indication, Indications
from broker.services.market_past import (
    CYCLES_LOOKED_AT,
    DAY,
    WEEK_DAYS,
    Chance,
    Moves,
    SlotLoad,
    busiest_range,
    chance,
    loads,
    number_before,
)
from broker.services.market_views import (
    CertificateView,
    CheckView,
    ClassPrice,
    Curve,
    CurveStep,
    CycleView,
    GateView,
    MarketNow,
    PriceView,
    RegionPrice,
    SlotPrice,
    gate_mark,
)
from broker.services.market_watch import CLEARING, Pulse, Signs
from broker.services.views import Page
from contracts.terms.clearing import Certificate
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.orders import MarketBook
from pricing.curves import curve_steps

GRACE = timedelta(minutes=2)
PRICES_MAX = 500


class PriceTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of one group of pools and slots, added up.

    weighted        Σ rate × sold, micros × accelerator-slots; exact
    sold, offered   accelerator-slots; what a pool offers is counted once, not once a tier
    lowest, highest rates of what traded, or of what is on offer where nothing did
    """

    hardware: str
    tier: str | None = None
    country: str | None = None
    slot_start: datetime | None = None
    weighted: int
    sold: int
    offered: int
    sold_any_tier: int
    lowest_micros: int
    highest_micros: int
    sites: int

    @property
    def rate_micros(self) -> int:
        """Volume-weighted mean, rounded once; the lowest rate on offer where nothing traded."""
        return half_up(self.weighted, self.sold) if self.sold else self.lowest_micros


class PriceFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which published prices: everything absent means all of them. Without a cycle, the last applied one."""

    cycle: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    hardware: str | None = None
    country: str | None = None
    site: str | None = None
    tier: Literal["guaranteed", "standard", "spot"] | None = None
    slot_start: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class MarketReader(Protocol):
    """What the market pages read. Cycles come newest first."""

    async def cycles(self, *, before: int | None = None, limit: int = 50, applied_only: bool = False) -> list[CycleView]:
        """Cycles by number, newest first, those before a given one."""
        ...

    async def cycle(self, number: int) -> CycleView:
        """One cycle by number. Raises NotFound."""
        ...

    async def signs(self) -> Signs:
        """What tells that the market has changed, in one question."""
        ...

    async def totals(self, cycle_id: str, by: tuple[str, ...], *, hardware: str | None = None) -> list[PriceTotal]:
        """Prices added up by some of hardware, tier, country and slot_start, in that order."""
        ...

    async def prices(self, cycle: CycleView, chosen: PriceFilter, *, after: tuple[str, str, str] | None) -> list[PriceView]:
        """Published prices by pool, slot and tier, those after a given key."""
        ...

    async def book(self, cycle_id: str) -> MarketBook | None:
        """What the cycle saw; None when it was not kept."""
        ...

    async def certificate(self, cycle_id: str) -> Certificate | None:
        """The cycle's certificate; None before it is applied."""
        ...


class MarketService:
    """Reading the market."""

    def __init__(
        self,
        market: MarketReader,
        clock: Clock,
        *,
        currency: str,
        gate_interval: timedelta | None,
        indications: Indications | None = None,
    ) -> None:
        self._market = market
        self._clock = clock
        self._currency = currency
        self._gate_interval = gate_interval
        self._indications = indications or Indications(currency)

    async def now(self) -> MarketNow:
        """Headline prices of the last applied cycle, against the cycle before."""
        now = self._clock.now()
        applied = await self._market.cycles(limit=2, applied_only=True)
        latest, previous = (*applied, None, None)[:2]
        current = await self._market.totals(latest.cycle_id, ("hardware", "tier")) if latest else []
        before = await self._market.totals(previous.cycle_id, ("hardware", "tier")) if previous else []
        rates = {(total.hardware, total.tier): total.rate_micros for total in before if total.sold}
        applied_at = latest.applied_at if latest else None
        return MarketNow(
            as_of=now,
            currency=self._currency,
            cycle=latest,
            previous=previous,
            next_gate_at=self._next_gate(latest.gate_at if latest else None, now),
            age_seconds=max(0, int((now - applied_at).total_seconds())) if applied_at else None,
            stale=bool(latest and self._gate_interval and now > latest.gate_at + self._gate_interval + GRACE),
            prices=[_class_price(total, latest, previous=rates.get((total.hardware, total.tier))) for total in current if latest],
        )

    async def gate(self) -> GateView:
        """The next gate; nothing is scheduled before the first cycle."""
        now = self._clock.now()
        newest = next(iter(await self._market.cycles(limit=1)), None)
        is_done = newest is None or newest.applied_at is not None
        latest = newest if is_done else next(iter(await self._market.cycles(limit=1, applied_only=True)), None)
        gate_at = self._next_gate(latest.gate_at if latest else None, now)
        first = gate_at + (latest.start - latest.gate_at) if gate_at and latest else None
        end = first + (latest.end - latest.start) if first and latest else None
        return GateView(
            as_of=now,
            next_gate_at=gate_at,
            seconds_left=int((gate_at - now).total_seconds()) if gate_at else None,
            first_slot_at=first,
            last_slot_end=end,
            clock_runs=self._clock.runs,
            phase="clearing" if newest is not None and newest.status in CLEARING else "open",
        )

    def indication(self) -> Indication:
        """What the next gate would clear at if it closed now; nothing while that may not be told."""
        return self._indications.at(self._clock.now())

    async def pulse(self) -> Pulse:
        """The marks of what everybody is shown."""
        now = self._clock.now()
        signs = await self._market.signs()
        gate_at = self._next_gate(signs.gate_at, now)
        left = int((gate_at - now).total_seconds()) if gate_at and not self._clock.runs else None
        return Pulse(
            cycle=str(signs.cycle or 0),
            gate=gate_mark("clearing" if signs.clearing else "open", gate_at, seconds_left=left),
            indication=self._indications.at(now).mark,
            book=str(signs.revision),
        )

    async def curve(self, hardware: str, slot: datetime | None = None) -> Curve:
        """Supply and demand of a class in one slot of the last applied cycle; without a slot, the one that sold most.

        Raises NotFound before the first cycle, for a class nobody offers and for a slot outside the cycle.
        """
        cycle = await self._latest()
        by_slot = {total.slot_start: total for total in await self._market.totals(cycle.cycle_id, ("slot_start",), hardware=hardware)}
        if not by_slot:
            raise NotFound(f"nobody offers {hardware} in cycle {cycle.number}", hardware=hardware, cycle=cycle.number)
        length = timedelta(seconds=cycle.slot_seconds)
        slots = [cycle.start + length * index for index in range(cycle.slots)]
        chosen = slot or max(by_slot.values(), key=lambda total: total.sold).slot_start or slots[0]
        if chosen not in slots:
            raise NotFound(f"no slot of cycle {cycle.number} starts at {chosen.isoformat()}", hardware=hardware, cycle=cycle.number)
        book = await self._market.book(cycle.cycle_id)
        if book is None:
            raise NotFound(f"the book of cycle {cycle.number} was not kept", cycle=cycle.number)
        total = by_slot.get(chosen)
        steps = _steps(curve_steps(book, hardware, slot=slots.index(chosen)))
        sold, rate = (total.sold, total.rate_micros if total.sold else None) if total else (0, None)
        at_slot = PriceFilter(hardware=hardware, slot_start=chosen, limit=PRICES_MAX)
        low, high = busiest_range(await self._market.prices(cycle, at_slot, after=None)) or (None, None)
        return Curve(
            hardware=hardware,
            cycle_number=cycle.number,
            currency=self._currency,
            slot_start=chosen,
            slot_end=chosen + length,
            slots=slots,
            steps=steps,
            clearing_rate_micros=rate,
            clearing_quantity=sold,
            range_low_micros=low,
            range_high_micros=high,
        )

    async def regions(self, hardware: str, tier: str | None = None) -> list[RegionPrice]:
        """The price of a class by country, cheapest first; of one tier, or of all together. Raises NotFound before the first cycle."""
        cycle = await self._latest()
        groups = ("country",) if tier is None else ("tier", "country")
        found = await self._market.totals(cycle.cycle_id, groups, hardware=hardware)
        totals = [total for total in found if tier in (None, total.tier)]
        regions = [
            RegionPrice(
                country=total.country,
                rate_micros=total.rate_micros,
                traded=total.sold > 0,
                sold_hours=_hours(total.sold, cycle),
                offered_hours=_hours(total.offered, cycle),
                sites=total.sites,
            )
            for total in totals
        ]
        return sorted(regions, key=lambda region: (region.rate_micros, region.country or ""))

    async def slots(self, hardware: str) -> list[SlotPrice]:
        """The price of a class by slot and tier. Raises NotFound before the first cycle."""
        cycle = await self._latest()
        totals = await self._market.totals(cycle.cycle_id, ("tier", "slot_start"), hardware=hardware)
        return [
            SlotPrice(
                slot_start=total.slot_start,
                tier=total.tier or "",
                rate_micros=total.rate_micros,
                traded=total.sold > 0,
                sold=total.sold,
                offered=total.offered,
            )
            for total in totals
            if total.slot_start is not None
        ]

    async def moves(self, hardware: str, tier: str) -> Moves:
        """How the price of a class and tier moved on the day and on the week. Raises NotFound before the first cycle."""
        latest = await self._latest()
        now = await self._rate(latest, hardware, tier=tier)
        day, week = [await self._rate(await self._before(latest, days), hardware, tier=tier) for days in (1, WEEK_DAYS)]
        return Moves(day_bps=_moved(now, day), week_bps=_moved(now, week))

    async def loads(self, hardware: str) -> list[SlotLoad]:
        """How full a class was, slot by slot, in the last cycle of each of the last seven days. Raises NotFound before the first cycle."""
        latest = await self._latest()
        cycles = [latest, *[await self._before(latest, days) for days in range(1, WEEK_DAYS)]]
        return loads(
            [await self._market.totals(cycle.cycle_id, ("slot_start",), hardware=hardware) for cycle in cycles if cycle is not None]
        )

    async def chance(self, worth: Mapping[str, Fraction], tier: str, *, fee_bps: int) -> Chance:
        """What limit would have been enough lately for any of some classes, by reference hours an hour of each is worth."""
        cycles = await self._market.cycles(limit=CYCLES_LOOKED_AT, applied_only=True)
        by = ("tier", "slot_start")
        sold = [{name: await self._market.totals(cycle.cycle_id, by, hardware=name) for name in worth} for cycle in cycles]
        return chance(sold, worth, tier=tier, fee_bps=fee_bps)

    async def prices(self, chosen: PriceFilter) -> Page[PriceView]:
        """Published prices of one cycle by pool, slot and tier. Raises NotFound."""
        cycle = await self._latest() if chosen.cycle is None else await self._market.cycle(chosen.cycle)
        after = _price_key(chosen.cursor) if chosen.cursor else None
        found = await self._market.prices(cycle, msgspec.structs.replace(chosen, limit=chosen.limit + 1), after=after)
        page = found[: chosen.limit]
        more = len(found) > len(page)
        cursor = f"{page[-1].pool}~{page[-1].slot_start.isoformat()}~{page[-1].tier}" if more else None
        return Page(items=page, next_cursor=cursor)

    async def cycles(self, *, before: int | None = None, limit: int = 50) -> Page[CycleView]:
        """Cycles, newest first; the cursor of the next page is the last number shown."""
        found = await self._market.cycles(before=before, limit=limit + 1)
        page = found[:limit]
        return Page(items=page, next_cursor=str(page[-1].number) if len(found) > limit else None)

    async def certificate(self, number: int) -> CertificateView:
        """The proof of one cycle. Raises NotFound for a cycle that has none."""
        cycle = await self._market.cycle(number)
        certificate = await self._market.certificate(cycle.cycle_id)
        if certificate is None:
            raise NotFound(f"cycle {number} has no certificate: it has not been applied", cycle=number)
        facts = {name: getattr(certificate, name) for name in CertificateView.__struct_fields__ if hasattr(certificate, name)}
        checks = [CheckView(name=check.name, holds=check.holds, finding=check.finding) for check in certificate.checks]
        return CertificateView(**{**facts, "checks": checks}, cycle_number=number)

    async def _latest(self) -> CycleView:
        applied = await self._market.cycles(limit=1, applied_only=True)
        if not applied:
            raise NotFound("the market has not cleared yet; prices appear after the first gate")
        return applied[0]

    async def _before(self, cycle: CycleView, days: int) -> CycleView | None:
        """The last cycle applied so many days earlier, or before; None for a market that was not there."""
        number = number_before(cycle, days, gate_interval=self._gate_interval or DAY)
        found = await self._market.cycles(before=number + 1, limit=1, applied_only=True) if number > 0 else []
        return found[0] if found else None

    async def _rate(self, cycle: CycleView | None, hardware: str, *, tier: str) -> int | None:
        totals = await self._market.totals(cycle.cycle_id, ("hardware", "tier"), hardware=hardware) if cycle else []
        return next((total.rate_micros for total in totals if total.tier == tier and total.sold), None)

    def _next_gate(self, latest: datetime | None, now: datetime) -> datetime | None:
        if latest is None or self._gate_interval is None:
            return None
        passed = max(0, (now - latest) // self._gate_interval)
        return latest + (passed + 1) * self._gate_interval


def _class_price(total: PriceTotal, cycle: CycleView, *, previous: int | None) -> ClassPrice:
    comparable = previous if total.sold and previous else None
    return ClassPrice(
        hardware=total.hardware,
        tier=total.tier or "",
        rate_micros=total.rate_micros,
        rate_lowest_micros=total.lowest_micros,
        rate_highest_micros=total.highest_micros,
        previous_rate_micros=comparable,
        change_bps=half_up((total.rate_micros - comparable) * BASIS_POINTS, comparable) if comparable else None,
        traded=total.sold > 0,
        sold_hours=_hours(total.sold, cycle),
        left_hours=_hours(total.offered - total.sold_any_tier, cycle),
        sites=total.sites,
    )


def _moved(now: int | None, before: int | None) -> int | None:
    return half_up((now - before) * BASIS_POINTS, before) if now is not None and before else None


def _hours(accelerator_slots: int, cycle: CycleView) -> float:
    return accelerator_slots * cycle.slot_seconds / 3600


def _steps(frame: pl.DataFrame) -> list[CurveStep]:
    return [
        CurveStep(side=side, rate_micros=rate, quantity_from=first, quantity_to=last)
        for side, rate, first, last in frame.select("side", "price_micros", "quantity_from", "quantity_to").iter_rows()
    ]


def _price_key(cursor: str) -> tuple[str, str, str]:
    parts = cursor.split("~")
    try:
        datetime.fromisoformat(parts[1])
    except (ValueError, IndexError) as error:
        raise BadInput("the cursor is not one we gave", found=cursor, would_do="next_cursor of the page before") from error
    return parts[0], parts[1], parts[-1]
