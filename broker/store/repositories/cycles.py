"""Cycles: opening, claiming, and writing down what a clearing decided, once."""

from datetime import datetime

import msgspec
import polars as pl
from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.copying import copy_out, merge
from broker.store.rows import AwardRow, CycleRow, OfferRow, OutcomeRow, PriceRow, ReceiptRow
from contracts.terms.clearing import Certificate, Clearing, Cycle, clearing_of
from contracts.terms.errors import NotFound, StaleToken
from contracts.terms.ids import derived_id
from contracts.terms.tables import AWARDS, OUTCOMES, PRICES, RECEIPTS


class CycleRepository:
    """Cycles by number; their results by key."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def open(self, gate_at: datetime, *, start: datetime, slots: int, slot_seconds: int) -> Cycle:
        """The cycle of a gate; the same one however often it is opened."""
        highest = (await self._session.scalars(select(func.max(CycleRow.number)))).one()
        fresh = {
            "id": _id_at(gate_at),
            "number": (highest or 0) + 1,
            "gate_at": gate_at,
            "start": start,
            "slots": slots,
            "slot_seconds": slot_seconds,
            "status": "open",
            "token": 0,
            "finding": "",
        }
        await self._session.execute(insert(CycleRow).values(fresh).on_conflict_do_nothing(index_elements=["id"]))
        return await self.cycle(str(fresh["id"]))

    async def cycle(self, cycle_id: str) -> Cycle:
        """One cycle. Raises NotFound."""
        return _cycle(await self._row(cycle_id))

    async def at_gate(self, gate_at: datetime) -> Cycle | None:
        """The cycle of a gate, or None when it was never opened."""
        row = await self._session.get(CycleRow, _id_at(gate_at))
        return _cycle(row) if row else None

    async def claim(self, cycle_id: str, book: bytes) -> Cycle:
        """Take over a cycle that is not applied yet: a higher token, the book this run has read. Raises StaleToken when it is applied."""
        row = await self._row(cycle_id, locked=True)
        if row.status == "applied":
            raise StaleToken("this cycle is applied already", cycle_id=cycle_id)
        row.token, row.status, row.book = row.token + 1, "clearing", book
        await self._session.flush()
        return _cycle(row)

    async def fence(self, cycle: Cycle) -> None:
        """Lock the cycle for its run. Raises StaleToken when another run has taken over."""
        row = await self._row(cycle.id, locked=True)
        if row.token != cycle.token or row.status != "clearing":
            raise StaleToken(
                f"cycle {row.number} is {row.status} under token {row.token}, this run held {cycle.token}",
                cycle_id=cycle.id,
                token=row.token,
            )

    async def fail(self, cycle: Cycle, finding: str) -> None:
        """Close a cycle whose clearing may not be applied; the market keeps its last result."""
        await self.fence(cycle)
        row = await self._row(cycle.id)
        row.status, row.finding = "failed", finding
        await self._session.flush()

    async def apply(self, cycle: Cycle, clearing: Clearing, *, certificate: Certificate, at: datetime) -> None:
        """Write the four result tables and mark the cycle applied; ids derive from the cycle, so twice writes once."""
        await merge(self._session, AwardRow, frame=_award_rows(cycle, clearing.awards))
        prices = _keyed(cycle, clearing.prices, columns=list(PRICES.schema))
        await merge(self._session, PriceRow, frame=prices.join(await self._countries(), left_on="pool", right_on="offer_id", how="left"))
        await merge(self._session, OutcomeRow, frame=_keyed(cycle, clearing.outcomes, columns=list(OUTCOMES.schema)))
        await merge(self._session, ReceiptRow, frame=_keyed(cycle, clearing.receipts, columns=list(RECEIPTS.schema)))
        row = await self._row(cycle.id)
        row.status, row.applied_at, row.certificate = "applied", at, msgspec.to_builtins(certificate)
        await self._session.flush()

    async def latest_applied(self) -> Cycle | None:
        """The last cycle that was applied."""
        statement = select(CycleRow).where(col(CycleRow.status) == "applied").order_by(col(CycleRow.number).desc()).limit(1)
        row = (await self._session.scalars(statement)).first()
        return _cycle(row) if row else None

    async def cycles(self) -> list[Cycle]:
        """Every cycle, by number."""
        return [_cycle(row) for row in await self._session.scalars(select(CycleRow).order_by(col(CycleRow.number)))]

    async def certificate(self, cycle_id: str) -> Certificate | None:
        """The certificate of an applied cycle."""
        row = await self._row(cycle_id)
        return msgspec.convert(row.certificate, Certificate) if row.certificate else None

    async def book(self, cycle_id: str) -> bytes | None:
        """The book the latest run of a cycle read."""
        return (await self._row(cycle_id)).book

    async def clearing(self, cycle: Cycle) -> Clearing:
        """The result of an applied cycle as the public tables."""
        frames = {}
        for row, table in ((AwardRow, AWARDS), (PriceRow, PRICES), (OutcomeRow, OUTCOMES), (ReceiptRow, RECEIPTS)):
            stored = ["slot_start" if name == "slot" else name for name in table.schema]
            statement = select_columns(*(col(getattr(row, name)) for name in stored)).where(col(row.cycle_id) == cycle.id)
            frame = await copy_out(self._session, statement)
            numbered = frame.join(_slot_starts(cycle), on="slot_start") if "slot_start" in stored else frame
            frames[table.name] = numbered.select(list(table.schema)).cast(table.schema).sort(table.key)  # type: ignore[arg-type]
        return clearing_of(frames)

    async def _countries(self) -> pl.DataFrame:
        """Where each offer as last told, and so each pool that is named after it, stands."""
        statement = select(OfferRow.id, OfferRow.country).order_by(col(OfferRow.id), col(OfferRow.version))
        rows = list({row[0]: tuple(row) for row in await self._session.execute(statement)}.values())
        return pl.DataFrame(rows, schema={"offer_id": pl.String, "country": pl.String}, orient="row")

    async def _row(self, cycle_id: str, *, locked: bool = False) -> CycleRow:
        row = await self._session.get(CycleRow, cycle_id, with_for_update=locked, populate_existing=locked)
        if row is None:
            raise NotFound(f"no cycle has the id {cycle_id}", cycle_id=cycle_id)
        return row


def _id_at(gate_at: datetime) -> str:
    return derived_id("cyc", gate_at.isoformat())


def _cycle(row: CycleRow) -> Cycle:
    return Cycle(**{name: getattr(row, name) for name in Cycle.__struct_fields__})


def _slot_starts(cycle: Cycle) -> pl.DataFrame:
    starts = [cycle.grid.period(slot).start for slot in range(cycle.slots)]
    return pl.DataFrame(
        {"slot": range(cycle.slots), "slot_start": starts}, schema={"slot": pl.Int64, "slot_start": pl.Datetime("us", "UTC")}
    )


def _keyed(cycle: Cycle, frame: pl.DataFrame, *, columns: list[str]) -> pl.DataFrame:
    keyed = frame.select(pl.lit(cycle.id).alias("cycle_id"), *columns)
    return keyed.join(_slot_starts(cycle), on="slot").drop("slot") if "slot" in columns else keyed


def _award_rows(cycle: Cycle, awards: pl.DataFrame) -> pl.DataFrame:
    ids = [derived_id("awd", cycle.id, *key) for key in awards.select("bid_id", "offer_id", "slot", "tier").iter_rows()]
    return _keyed(cycle, awards, columns=list(AWARDS.schema)).with_columns(pl.Series("id", ids, dtype=pl.String))
