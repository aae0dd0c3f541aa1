"""Ceilings, and what counts against them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.budgets import Budget
from broker.store.repositories.webhooks import WebhookRepository
from broker.store.rows import BidRow, BudgetRow, JournalEntryRow, PostingRow
from contracts.terms.time import Period
from contracts.webhooks import Message

# What the store writes where a ceiling is of no project: a primary key has no null.
WHOLE = ""
AGREED = text("""
    SELECT b.project_id, round(sum(s.rate_micros * s.quantity * extract(epoch FROM s.slot_end - s.slot_start)::numeric / 3600))
    FROM lease_slots s JOIN leases l ON l.id = s.lease_id JOIN bids b ON b.id = l.bid_id
    WHERE l.account_id = :account AND s.slot_start >= :since AND s.slot_start < :until
        AND (s.slot_end <= :now OR l.state IN ('awarded', 'provisioning', 'active'))
    GROUP BY b.project_id ORDER BY b.project_id""")


class BudgetRepository:
    """Ceilings by account and project."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def budgets(self, account_id: str) -> list[Budget]:
        """An account's ceilings: its own, and those of its projects by id."""
        statement = select(BudgetRow).where(col(BudgetRow.account_id) == account_id).order_by(col(BudgetRow.project_id))
        rows = await self._session.scalars(statement, execution_options={"populate_existing": True})
        return [
            Budget(**{name: getattr(row, name) for name in Budget.__struct_fields__} | {"project_id": row.project_id or None})
            for row in rows
        ]

    async def put(self, budget: Budget) -> None:
        """Set a ceiling in place of the one before."""
        values = msgspec.structs.asdict(budget) | {"project_id": budget.project_id or WHOLE}
        key = [col(BudgetRow.account_id), col(BudgetRow.project_id)]
        await self._session.execute(insert(BudgetRow).values(values).on_conflict_do_update(index_elements=key, set_=values))

    async def drop(self, account_id: str, project_id: str | None) -> None:
        """Take a ceiling away."""
        of = (col(BudgetRow.account_id) == account_id, col(BudgetRow.project_id) == (project_id or WHOLE))
        await self._session.execute(delete(BudgetRow).where(*of))

    async def agreed(self, account_id: str, span: Period, *, now: datetime) -> dict[str, int]:
        """What slots of leases that begin in a span come to, micros by project: those of leases in force, and those that are over."""
        bounds = {"account": account_id, "since": span.start, "until": span.end, "now": now}
        return {project_id: int(micros) for project_id, micros in await self._session.execute(AGREED, bounds)}

    async def held(self, account_id: str) -> dict[str, int]:
        """What open bids hold, micros by project."""
        statement = (
            select(BidRow.project_id, func.sum(PostingRow.amount_micros))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .join(BidRow, col(BidRow.id) == col(JournalEntryRow.subject))
            .where(col(JournalEntryRow.kind) == "bid_hold", col(JournalEntryRow.state) == "pending")
            .where(col(PostingRow.account) == "hold", col(PostingRow.party) == account_id)
            .group_by(col(BidRow.project_id))
        )
        return {project_id: int(micros) for project_id, micros in await self._session.execute(statement)}

    async def tell(self, messages: Sequence[Message]) -> None:
        """Tell the account, each message once; nothing is written for who is told of nothing."""
        webhooks = WebhookRepository(self._session)
        owners = await webhooks.owners()
        await webhooks.tell([each for each in messages if each.owner in owners])
