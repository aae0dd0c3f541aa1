"""What happened lately to those who listen, from the tables that say so anyway."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.accounts import PROVIDER
from broker.store.repositories.leases import LeaseMove, notice_of
from broker.store.rows import CycleRow, LeaseEventRow, LeaseRow, QuoteRow
from contracts.happenings import LONGEST_AWAY, CycleNotice, QuoteNotice, cycle_message, quote_message
from contracts.webhooks import Message, lease_message


class HappeningReader:
    """Reads what some parties are told."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def since(self, moment: datetime, owners: Collection[str], *, now: datetime) -> list[Message]:
        """What happened to some parties from a moment on, in order of time and id. Leases that ended a day before it move no more."""
        found = [*await self._leases(moment, owners), *await self._quotes(moment, owners, now=now), *await self._cycles(moment, owners)]
        return sorted(found, key=lambda message: (message.at, message.id))

    async def _leases(self, moment: datetime, owners: Collection[str]) -> list[Message]:
        providers = [owner.removeprefix(PROVIDER) for owner in owners if owner.startswith(PROVIDER)]
        statement = (
            select(LeaseRow, LeaseEventRow)
            .join(LeaseEventRow, col(LeaseEventRow.lease_id) == col(LeaseRow.id))
            .where(
                or_(col(LeaseRow.account_id).in_(owners), col(LeaseRow.provider_id).in_(providers)),
                col(LeaseRow.ends_at) >= moment - LONGEST_AWAY,
                col(LeaseEventRow.at) >= moment,
            )
        )
        told = []
        for lease, event in await self._session.execute(statement):
            move = msgspec.convert((lease.id, event.state, event.at, event.reason, event.closed_by), LeaseMove)
            _, notice = notice_of(lease, event.sequence, move=move)
            if lease.account_id in owners:
                whole = msgspec.structs.replace(notice, lease_id=lease.continues or lease.id)
                told.append(lease_message(lease.account_id, whole, part_id=lease.id))
            if lease.provider_id in providers:
                told.append(lease_message(f"{PROVIDER}{lease.provider_id}", notice, part_id=lease.id))
        return told

    async def _quotes(self, moment: datetime, owners: Collection[str], *, now: datetime) -> list[Message]:
        statement = select(QuoteRow).where(
            col(QuoteRow.account_id).in_(owners),
            col(QuoteRow.state).in_(("open", "expired")),
            col(QuoteRow.expires_at) >= moment,
            col(QuoteRow.expires_at) <= now,
        )
        return [quote_message(row.account_id, _notice(row)) for row in await self._session.scalars(statement)]

    async def _cycles(self, moment: datetime, owners: Collection[str]) -> list[Message]:
        columns = [getattr(CycleRow, name) for name in CycleNotice.__struct_fields__]
        statement = select(*columns).where(col(CycleRow.applied_at) >= moment)
        notices = [CycleNotice(**row) for row in (await self._session.execute(statement)).mappings()]
        return [cycle_message(owner, notice) for notice in notices for owner in owners]


def _notice(row: QuoteRow) -> QuoteNotice:
    facts = {name: getattr(row, name) for name in QuoteNotice.__struct_fields__ if name != "quote_id"}
    return QuoteNotice(quote_id=row.id, **facts)
