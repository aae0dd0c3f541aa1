"""Ceilings, and what counts against them."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.budgets import Budget
from broker.store.rows import BudgetRow, JournalEntryRow, PostingRow
from contracts.terms.time import Period

AGREED = text("""
    SELECT coalesce(sum(s.rate_micros * s.quantity * extract(epoch FROM s.slot_end - s.slot_start)::numeric / 3600), 0)
    FROM lease_slots s JOIN leases l ON l.id = s.lease_id
    WHERE l.account_id = :account AND s.slot_start >= :since AND s.slot_start < :until
        AND (s.slot_end <= :now OR l.state IN ('awarded', 'provisioning', 'active'))""")


class BudgetRepository:
    """Ceilings by account."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def budget(self, account_id: str) -> Budget | None:
        """An account's ceiling."""
        row = await self._session.get(BudgetRow, account_id, populate_existing=True)
        return Budget(**{name: getattr(row, name) for name in Budget.__struct_fields__}) if row else None

    async def put(self, budget: Budget) -> None:
        """Set a ceiling in place of the one before."""
        values = msgspec.structs.asdict(budget)
        statement = insert(BudgetRow).values(values)
        await self._session.execute(statement.on_conflict_do_update(index_elements=[col(BudgetRow.account_id)], set_=values))

    async def drop(self, account_id: str) -> None:
        """Take a ceiling away."""
        await self._session.execute(delete(BudgetRow).where(col(BudgetRow.account_id) == account_id))

    async def agreed(self, account_id: str, span: Period, *, now: datetime) -> int:
        """What slots of leases that begin in a span come to, micros: those of leases in force, and those that are over."""
        bounds = {"account": account_id, "since": span.start, "until": span.end, "now": now}
        micros: int = round((await self._session.execute(AGREED, bounds)).scalar_one())
        return micros

    async def held(self, account_id: str) -> int:
        """What open bids hold, micros."""
        statement = (
            select(func.coalesce(func.sum(PostingRow.amount_micros), 0))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(JournalEntryRow.kind) == "bid_hold", col(JournalEntryRow.state) == "pending")
            .where(col(PostingRow.account) == "hold", col(PostingRow.party) == account_id)
        )
        return int((await self._session.scalars(statement)).one())
