"""Usage records, every revision kept."""

import hashlib

import msgspec
import polars as pl
from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.copying import merge
from broker.store.rows import UsageRow
from contracts.ledger_tables import USAGE
from contracts.terms.errors import KeyReused
from contracts.usage import UsageRecord

CONTENT = ("lease_id", "start", "end", "accelerator_seconds", "status")


class UsageRepository:
    """What meters reported, by usage id and revision."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, records: list[UsageRecord]) -> int:
        """Keep new records; returns how many were new. Raises KeyReused when a known (usage_id, rev) comes with another content."""
        if not records:
            return 0
        rows = {(record.usage_id, record.rev): _row(record) for record in records}
        schema = USAGE.schema | {"digest": pl.Binary()}
        new = await merge(self._session, UsageRow, frame=pl.DataFrame(list(rows.values()), schema=schema))
        if new < len(rows):
            await self._refuse_conflicts(rows)
        return new

    async def _refuse_conflicts(self, rows: dict[tuple[str, int], dict[str, object]]) -> None:
        keys = tuple_(col(UsageRow.usage_id), col(UsageRow.rev))
        for known in await self._session.scalars(select(UsageRow).where(keys.in_(list(rows)))):
            if known.digest != rows[known.usage_id, known.rev]["digest"]:
                raise KeyReused(
                    "this usage record is known with another content; a correction needs a higher rev",
                    usage_id=known.usage_id,
                    rev=known.rev,
                )


def _row(record: UsageRecord) -> dict[str, object]:
    facts = {name: getattr(record, name) for name in record.__struct_fields__}
    content = msgspec.json.encode([facts[name] for name in CONTENT])
    return facts | {"digest": hashlib.sha256(content).digest()}
