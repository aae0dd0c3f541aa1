"""Doors of leases, and what their providers have to deliver."""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.access_views import Access
from broker.store.repositories.leases import LeaseRepository
from broker.store.rows import AccessRow, LeaseRow, LeaseSlotRow, UsageRow
from contracts.terms.leases import HOLDING, IN_FORCE, Lease

# Who has not said within a week what became of a slot is not waited for.
OWED_FOR = timedelta(days=7)


class AccessRepository:
    """Doors by lease."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def to_deliver(self, provider_id: str, *, now: datetime, after: str, limit: int) -> list[Lease]:
        """A provider's leases that are in force, that still hold slots, or that owe a meter's word for one; by id, after a given one."""
        slot = (col(LeaseSlotRow.lease_id) == col(LeaseRow.id), col(LeaseSlotRow.quantity) > 0)
        holds = exists().where(*slot, col(LeaseSlotRow.slot_end) > now)
        metered = exists().where(col(UsageRow.lease_id) == col(LeaseSlotRow.lease_id), col(UsageRow.start) == col(LeaseSlotRow.slot_start))
        over = (col(LeaseSlotRow.slot_end) <= now, col(LeaseSlotRow.slot_end) > now - OWED_FOR)
        owes = exists().where(*slot, *over, ~metered)
        due = or_(col(LeaseRow.state).in_(IN_FORCE), col(LeaseRow.state).in_(HOLDING) & holds, (col(LeaseRow.state) != "completed") & owes)
        statement = select(col(LeaseRow.id)).where(col(LeaseRow.provider_id) == provider_id, col(LeaseRow.id) > after, due)
        ids = list(await self._session.scalars(statement.order_by(col(LeaseRow.id)).limit(limit)))
        return await LeaseRepository(self._session).some(ids)

    async def metered_until(self, lease_ids: list[str]) -> dict[str, datetime]:
        """End of the last usage record, by lease."""
        latest = select(UsageRow.lease_id, func.max(UsageRow.end)).where(col(UsageRow.lease_id).in_(lease_ids))
        found = await self._session.execute(latest.group_by(col(UsageRow.lease_id)))
        return {row[0]: row[1] for row in found}

    async def doors(self, lease_ids: list[str]) -> dict[str, Access]:
        """The open doors of some leases, by lease."""
        rows = await self._session.scalars(select(AccessRow).where(col(AccessRow.lease_id).in_(lease_ids)))
        return {row.lease_id: Access(endpoint=row.endpoint, protocol=row.protocol, token=row.token) for row in rows}

    async def open(self, lease_id: str, access: Access, *, at: datetime) -> None:
        """Open a door, or move it elsewhere: the token of the first time stays."""
        row = {"lease_id": lease_id, "endpoint": access.endpoint, "protocol": access.protocol, "token": access.token, "opened_at": at}
        moved = {"endpoint": access.endpoint, "protocol": access.protocol}
        statement = insert(AccessRow).values(row).on_conflict_do_update(index_elements=["lease_id"], set_=moved)
        await self._session.execute(statement)

    async def forget_over(self, now: datetime) -> int:
        """Erase the tokens of leases that are over; returns how many."""
        lives = exists().where(
            col(LeaseSlotRow.lease_id) == col(AccessRow.lease_id), col(LeaseSlotRow.slot_end) > now, col(LeaseSlotRow.quantity) > 0
        )
        ended = select(col(LeaseRow.id)).where(
            col(LeaseRow.id) == col(AccessRow.lease_id), col(LeaseRow.state).in_(("failed", "completed"))
        )
        gone = delete(AccessRow).where(or_(~lives, ended.exists())).returning(col(AccessRow.lease_id))
        return len(list(await self._session.scalars(gone)))
