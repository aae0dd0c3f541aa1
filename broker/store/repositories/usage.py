"""Usage records, every revision kept, taken in by the thousand; and what was set aside of what came.

A batch travels to a temporary table by COPY, sorted, and is merged from there in one statement. What a record says is
compared with what is there column by column, so there is nothing beside the record that could disagree with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
from asyncpg.exceptions import RestrictViolationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.ports import Merged
from broker.services.usage_views import AsideRecord
from broker.store.copying import TIME, copy_text, driver
from broker.store.rows import SetAsideRow
from contracts.ledger_tables import USAGE
from contracts.terms.errors import PeriodFrozen
from contracts.terms.time import iso
from contracts.usage import CONTENT, UsageRecord

COLUMNS = tuple(USAGE.schema)
KEY = ("usage_id", "rev")
ARRIVING = "usage_arriving"
SPANS = "usage_spans"
FROZEN_PAST = "nothing_arrives_in_a_frozen_past"
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
CREATE = f"""CREATE TEMPORARY TABLE {ARRIVING} ("row" integer, usage_id text, rev integer, lease_id text, start timestamptz,
    "end" timestamptz, accelerator_seconds bigint, status text, received_at timestamptz) ON COMMIT DROP"""
# In the order they were sorted in before they came, so that two batches with the same keys wait for each other, not for ever.
MERGE = f"INSERT INTO usage_records ({NAMES}) SELECT {NAMES} FROM {ARRIVING} ON CONFLICT DO NOTHING"
DIFFERS = ", ".join(f'CASE WHEN a."{name}" <> u."{name}" THEN \'{name}\' END' for name in CONTENT)
# Looked up one by one: left to itself the planner reads all that was ever reported to compare ten thousand with it.
CONFLICTS = f"""SELECT * FROM (SELECT a."row", concat_ws(';', {DIFFERS}) AS differs
    FROM {ARRIVING} a JOIN LATERAL (SELECT * FROM usage_records WHERE usage_id = a.usage_id AND rev = a.rev LIMIT 1) u ON true) AS copies
    WHERE differs <> '' """
TAKE_TURNS = """SELECT pg_advisory_xact_lock(hashtextextended(provider_id, 0)) FROM
    (SELECT DISTINCT provider_id FROM leases WHERE id = ANY($1::text[]) ORDER BY provider_id) AS providers"""
LEASES = """SELECT id, (extract(epoch FROM starts_at) * 1000000)::bigint, (extract(epoch FROM ends_at) * 1000000)::bigint
    FROM leases WHERE id = ANY($1::text[]) AND ($2::text IS NULL OR provider_id = $2)"""
SLOTS = """SELECT lease_id, (extract(epoch FROM slot_start) * 1000000)::bigint, (extract(epoch FROM slot_end) * 1000000)::bigint, quantity
    FROM lease_slots WHERE lease_id = ANY($1::text[]) AND slot_start < $3 AND slot_end > $2 ORDER BY slot_start"""
WITHIN = f"""SELECT u.usage_id, u.rev, u.lease_id, (extract(epoch FROM u.start) * 1000000)::bigint, u.accelerator_seconds
    FROM {SPANS} s JOIN usage_records u ON u.lease_id = s.lease_id AND u.start >= s.span_start AND u."end" <= s.span_end
    WHERE NOT EXISTS (SELECT FROM usage_records n WHERE n.usage_id = u.usage_id AND n.rev > u.rev)"""


class _EarlyArrival(msgspec.Struct, frozen=True):
    """What the database says of a record it refused: its detail, as JSON."""

    usage_id: str
    received_at: datetime
    frozen_until: datetime


class UsageRepository:
    """What meters reported, by usage id and revision."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, records: list[UsageRecord]) -> int:
        """Keep records that need no judging; returns how many were new. Copies with another content are set aside.

        Raises PeriodFrozen as `merge` does.
        """
        rows = [{name: getattr(record, name) for name in COLUMNS} for record in records]
        batch = pl.DataFrame(rows, schema=USAGE.schema).with_row_index("row")
        merged = await self.merge(batch)
        reason, by = pl.lit("other_content").alias("reason"), pl.lit("grid").alias("reported_by")
        await self.set_aside(merged.conflicts.select(*COLUMNS, reason, by))
        return merged.new

    async def leased(self, batch: pl.DataFrame, *, provider_id: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The leases a batch names (a provider's own, where one is named), and their slots in the batch's time."""
        connection = await driver(self._session)
        ids = batch["lease_id"].unique(maintain_order=True).to_list()
        await connection.fetch(TAKE_TURNS, ids)
        leases = await connection.fetch(LEASES, ids, provider_id)
        slots = await connection.fetch(SLOTS, [row[0] for row in leases], batch["start"].min(), batch["end"].max())
        return (
            _columns(leases, {"lease_id": pl.String(), "starts_at": TIME, "ends_at": TIME}),
            _columns(slots, {"lease_id": pl.String(), "slot_start": TIME, "slot_end": TIME, "quantity": pl.Int64()}),
        )

    async def within(self, spans: pl.DataFrame) -> pl.DataFrame:
        """The records in force of some leases that lie wholly in a span."""
        connection = await driver(self._session)
        await connection.execute(
            f"CREATE TEMPORARY TABLE {SPANS} (lease_id text, span_start timestamptz, span_end timestamptz) ON COMMIT DROP"
        )
        await copy_text(self._session, SPANS, frame=spans)
        found = await connection.fetch(WITHIN)
        await connection.execute(f"DROP TABLE {SPANS}")
        schema = {"usage_id": pl.String(), "rev": pl.Int64(), "lease_id": pl.String(), "start": TIME, "accelerator_seconds": pl.Int64()}
        return _columns(found, schema)

    async def merge(self, batch: pl.DataFrame) -> Merged:
        """Keep the records of a batch that are new; of several copies of one the least content, the others conflict.

        Raises PeriodFrozen where one of them says it arrived before a moment whose knowledge is settled.
        """
        if batch.is_empty():
            return Merged(new=0, conflicts=batch.with_columns(differs=pl.lit("")))
        rows = batch.sort(KEY)
        again = _again(rows)
        if again.any():  # only then does it matter which of them is first
            rows = batch.sort(*KEY, *CONTENT, "row")
        first, twice = rows.filter(~again), rows.filter(again)
        connection = await driver(self._session)
        await connection.execute(CREATE)
        await copy_text(self._session, ARRIVING, frame=first.select("row", *COLUMNS))
        with _frozen_past_named():
            new = int((await connection.execute(MERGE)).rpartition(" ")[2])
        if twice.height:
            await copy_text(self._session, ARRIVING, frame=twice.select("row", *COLUMNS))
        found = await connection.fetch(CONFLICTS) if new < rows.height else []
        await connection.execute(f"DROP TABLE {ARRIVING}")
        differs = _columns(found, {"row": pl.UInt32(), "differs": pl.String()})
        return Merged(new=new, conflicts=batch.join(differs, on="row", maintain_order="left"))

    async def set_aside(self, batch: pl.DataFrame) -> None:
        """Keep records that are not counted, each once for a reason. Raises PeriodFrozen as `merge` does."""
        if batch.is_empty():
            return
        names = ", ".join(f'"{name}"' for name in batch.columns)
        connection = await driver(self._session)
        await connection.execute(f"CREATE TEMPORARY TABLE aside_arriving ON COMMIT DROP AS SELECT {names} FROM usage_set_aside LIMIT 0")
        await copy_text(self._session, "aside_arriving", frame=batch)
        with _frozen_past_named():
            await connection.execute(f"INSERT INTO usage_set_aside ({names}) SELECT {names} FROM aside_arriving ON CONFLICT DO NOTHING")
        await connection.execute("DROP TABLE aside_arriving")

    async def aside(self, reported_by: str | None, *, after: int, limit: int) -> list[AsideRecord]:
        """What was set aside (of one reporter, or of all) after a number, in order of arrival."""
        statement = select(SetAsideRow).where(col(SetAsideRow.id) > after).order_by(col(SetAsideRow.id)).limit(limit)
        if reported_by is not None:
            statement = statement.where(col(SetAsideRow.reported_by) == reported_by)
        rows = await self._session.scalars(statement)
        return [AsideRecord(**{name: getattr(row, name) for name in AsideRecord.__struct_fields__}) for row in rows]


@contextmanager
def _frozen_past_named() -> Iterator[None]:
    """The database's refusal of what would change a frozen period, as the market's. A batch that met a freeze on its way finds it so."""
    try:
        yield
    except RestrictViolationError as error:
        if error.constraint_name != FROZEN_PAST:
            raise
        early = msgspec.json.decode(error.detail, type=_EarlyArrival)
        arrived, until = iso(early.received_at), iso(early.frozen_until)
        raise PeriodFrozen(
            f"usage {early.usage_id} arrived at {arrived}, and what was known until {until} is frozen; sent again it arrives now, and is"
            " billed in the next period",
            usage_id=early.usage_id,
            found=arrived,
            frozen_until=until,
            would_do=f"the same batch again, after {until}",
        ) from error


def _again(rows: pl.DataFrame) -> pl.Series:
    """Of rows sorted by key, whether each has one of the same key before it."""
    same = (pl.col("usage_id") == pl.col("usage_id").shift(1)) & (pl.col("rev") == pl.col("rev").shift(1))
    return rows.select(same.fill_null(value=False).alias("again")).to_series()


def _columns(records: list[Any], schema: dict[str, Any]) -> pl.DataFrame:
    """Fetched rows as a frame; times come as microseconds since 1970."""
    parts = zip(*records, strict=True) if records else [()] * len(schema)
    return pl.DataFrame(
        [
            pl.Series(name, list(values), dtype=pl.Int64() if dtype == TIME else dtype).cast(dtype)
            for (name, dtype), values in zip(schema.items(), parts, strict=True)
        ]
    )
