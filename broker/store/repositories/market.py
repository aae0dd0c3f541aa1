"""Reading cycles, what they published and what they saw."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Numeric, case, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.market import PriceFilter, PriceTotal
from broker.services.market_views import CycleView, PriceView
from broker.services.market_watch import CLEARING, Signs
from broker.store.books import decode_book
from broker.store.rows import CycleRow, FeedSessionRow, PriceRow
from contracts.terms.clearing import Certificate
from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook

GROUPS = ("hardware", "tier", "country", "slot_start")


class MarketRepository:
    """The reading side of cycles and prices."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def cycles(self, *, before: int | None = None, limit: int = 50, applied_only: bool = False) -> list[CycleView]:
        """Cycles by number, newest first, those before a given one."""
        statement = select(*CYCLE_COLUMNS).order_by(col(CycleRow.number).desc()).limit(limit)
        if before is not None:
            statement = statement.where(col(CycleRow.number) < before)
        if applied_only:
            statement = statement.where(col(CycleRow.applied_at).is_not(None))
        return [_cycle(*row) for row in await self._session.execute(statement)]

    async def cycle(self, number: int) -> CycleView:
        """One cycle by number. Raises NotFound."""
        statement = select(*CYCLE_COLUMNS).where(col(CycleRow.number) == number)
        row = (await self._session.execute(statement)).first()
        if row is None:
            raise NotFound(f"there is no cycle {number}", cycle=number)
        return _cycle(*row)

    async def signs(self) -> Signs:
        """What tells that the market has changed, in one question."""
        newest_first = col(CycleRow.number).desc()
        applied = select(CycleRow).where(col(CycleRow.applied_at).is_not(None)).order_by(newest_first).limit(1)
        statement = select(
            applied.with_only_columns(col(CycleRow.number)).scalar_subquery(),
            applied.with_only_columns(col(CycleRow.gate_at)).scalar_subquery(),
            select(col(CycleRow.status)).order_by(newest_first).limit(1).scalar_subquery(),
            select(func.coalesce(func.sum(FeedSessionRow.revision), 0)).scalar_subquery(),
        )
        cycle, gate_at, status, revision = (await self._session.execute(statement)).one()
        return Signs(cycle=cycle, gate_at=gate_at, clearing=status in CLEARING, revision=int(revision))

    async def totals(self, cycle_id: str, by: tuple[str, ...], *, hardware: str | None = None) -> list[PriceTotal]:
        """Prices added up by some of hardware, tier, country and slot_start, in that order.

        A pool publishes a row for each tier with the same `offered`, so what is offered is first reduced to
        one figure a pool and slot; sums of rate × sold are NUMERIC, as they may pass 63 bits.
        """
        wanted = [name for name in GROUPS if name in by]
        pool_slot = (col(PriceRow.pool), col(PriceRow.slot_start))
        rows = select(
            *(getattr(PriceRow, name) for name in ("hardware", "tier", "country", "slot_start", "pool", "site", "sold", "rate_micros")),
            func.sum(PriceRow.sold).over(partition_by=pool_slot).label("sold_any_tier"),
            func.max(PriceRow.offered).over(partition_by=pool_slot).label("offered"),
            # With tiers apart every row counts its pool; with tiers together only the first of them does.
            func.row_number().over(partition_by=pool_slot, order_by=col(PriceRow.tier)).label("place"),
        ).where(col(PriceRow.cycle_id) == cycle_id)
        if hardware is not None:
            rows = rows.where(col(PriceRow.hardware) == hardware)
        table = rows.subquery()
        once = 1 if "tier" in wanted else case((table.c.place == 1, 1), else_=0)
        traded, any_rate = case((table.c.sold > 0, table.c.rate_micros)), table.c.rate_micros
        statement = select(
            *(table.c[name] for name in wanted),
            func.sum(cast(table.c.rate_micros, Numeric) * table.c.sold),
            func.sum(table.c.sold),
            func.sum(table.c.offered * once),
            func.sum(table.c.sold_any_tier * once),
            func.coalesce(func.min(traded), func.min(any_rate)),
            func.coalesce(func.max(traded), func.max(any_rate)),
            func.count(table.c.site.distinct()),
            func.min(table.c.hardware),
        ).group_by(*(table.c[name] for name in wanted))
        statement = statement.order_by(*(table.c[name] for name in wanted))
        return [_total(wanted, list(row)) for row in await self._session.execute(statement)]

    async def prices(self, cycle: CycleView, chosen: PriceFilter, *, after: tuple[str, str, str] | None) -> list[PriceView]:
        """Published prices by pool, slot and tier, those after a given key."""
        statement = select(PriceRow).where(col(PriceRow.cycle_id) == cycle.cycle_id)
        for name in ("hardware", "country", "site", "tier", "slot_start"):
            if (value := getattr(chosen, name)) is not None:
                statement = statement.where(getattr(PriceRow, name) == value)
        key = (col(PriceRow.pool), col(PriceRow.slot_start), col(PriceRow.tier))
        if after is not None:
            statement = statement.where(tuple_(*key) > (after[0], datetime.fromisoformat(after[1]), after[2]))
        rows = await self._session.scalars(statement.order_by(*key).limit(chosen.limit))
        return [_price(row, cycle.number) for row in rows]

    async def book(self, cycle_id: str) -> MarketBook | None:
        """What the cycle saw; None when it was not kept."""
        data = (await self._session.scalars(select(col(CycleRow.book)).where(col(CycleRow.id) == cycle_id))).first()
        return decode_book(data) if data else None

    async def certificate(self, cycle_id: str) -> Certificate | None:
        """The cycle's certificate; None before it is applied."""
        found = (await self._session.scalars(select(col(CycleRow.certificate)).where(col(CycleRow.id) == cycle_id))).first()
        return msgspec.convert(found, Certificate) if found else None


CYCLE_COLUMNS = [
    getattr(CycleRow, name)
    for name in ("id", "number", "status", "gate_at", "start", "slots", "slot_seconds", "applied_at", "finding", "certificate")
]


def _cycle(*facts: object) -> CycleView:
    named = dict(
        zip(("cycle_id", "number", "status", "gate_at", "start", "slots", "slot_seconds", "applied_at", "finding"), facts[:-1], strict=True)
    )
    proof = msgspec.convert(facts[-1], Certificate) if facts[-1] and named["applied_at"] else None
    view = msgspec.convert(
        {**named, "end": named["start"], "gap": proof.gap if proof else None, "certified": proof.holds if proof else None}, CycleView
    )
    return msgspec.structs.replace(view, end=view.start + view.slots * timedelta(seconds=view.slot_seconds))


def _total(wanted: list[str], row: list[object]) -> PriceTotal:
    groups = dict(zip(wanted, row, strict=False))
    weighted, sold, offered, sold_any_tier, lowest, highest, sites, hardware = row[len(wanted) :]
    figures = {
        "weighted": weighted,
        "sold": sold,
        "offered": offered,
        "sold_any_tier": sold_any_tier,
        "lowest_micros": lowest,
        "highest_micros": highest,
        "sites": sites,
    }
    return PriceTotal(**{"hardware": hardware, **groups, **{name: int(figure) for name, figure in figures.items()}})  # type: ignore[call-overload]


def _price(row: PriceRow, number: int) -> PriceView:
    facts = {name: getattr(row, name) for name in PriceView.__struct_fields__ if name != "cycle_number"}
    return PriceView(**facts, cycle_number=number)
