"""What an account's spend is worked out from."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.spending import Bought
from broker.store.repositories.budgets import BudgetRepository
from broker.store.repositories.projects import ProjectRepository
from broker.store.repositories.settlements import ClosedPeriod, SettlementRepository
from broker.store.rows import BidRow, LeaseRow, PlanRow
from contracts.periods import PeriodStanding
from contracts.settlement_book import SettlementBook
from contracts.terms.accounts import Project
from contracts.terms.hardware import HardwareClass
from contracts.terms.time import Period


class SpendRepository:
    """Reading one account."""

    def __init__(self, session: AsyncSession, hardware: list[HardwareClass]) -> None:
        self._session = session
        self._hardware = hardware

    async def usage_of(self, account_id: str, periods: Sequence[tuple[PeriodStanding, datetime]]) -> SettlementBook:
        """Its book over these periods, each as known at a moment."""
        known = [ClosedPeriod(period=each.period, month=each.month, closes_at=until, status=each.state) for each, until in periods]
        return await SettlementRepository(self._session).book(known, self._hardware, account_id=account_id)

    async def plan_names(self) -> dict[str, str]:
        """What plans are called, by id."""
        return {row.id: row.name for row in await self._session.scalars(select(PlanRow).order_by(col(PlanRow.id)))}

    async def ahead(self, account_id: str, *, since: datetime, until: datetime) -> dict[str, int]:
        """What its lease slots that begin in a span come to at their rates, micros by project."""
        return await BudgetRepository(self._session).agreed(account_id, Period(start=since, end=until), now=since)

    async def projects(self, account_id: str) -> list[Project]:
        """Its projects by name, without the default one."""
        return await ProjectRepository(self._session).of_account(account_id)

    async def leases(self, account_id: str) -> dict[str, Bought]:
        """What each part of its leases was bought for."""
        first = func.coalesce(LeaseRow.continues, LeaseRow.id)
        statement = select(LeaseRow.id, first, BidRow.project_id).join(BidRow, col(BidRow.id) == col(LeaseRow.bid_id))
        rows = await self._session.execute(statement.where(col(LeaseRow.account_id) == account_id))
        return {part_id: Bought(lease_id, project_id) for part_id, lease_id, project_id in rows}
