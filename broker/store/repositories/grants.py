"""Grant tranches: what was given and approved, and what a close posts about it."""

import asyncio

from broker.store.repositories.acts import ActRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.settlements import ClosedPeriod, SettlementRepository
from broker.store.unit_of_work import WorkSession
from contracts.acts import CORRECTION
from contracts.grants import REASONS, MonthUnits, Tranche, approved_tranches, standings, tranche_entries, units_by_month
from contracts.journal import JournalEntry
from contracts.terms.hardware import HardwareClass
from contracts.usage import read_usage


class GrantRepository:
    """The tranches of one market."""

    def __init__(self, session: WorkSession, hardware: list[HardwareClass]) -> None:
        self._session = session
        self._hardware = hardware

    async def entries(self, closed: ClosedPeriod) -> list[JournalEntry]:
        """What tranches come to with this close, less what earlier closes have posted."""
        by_account: dict[str, list[Tranche]] = {}
        for tranche in approved_tranches(await ActRepository(self._session).histories(CORRECTION.kind)):
            by_account.setdefault(tranche.account_id, []).append(tranche)
        posted = await JournalRepository(self._session).by_subject("tranche") if by_account else {}
        found: list[JournalEntry] = []
        for account_id, tranches in sorted(by_account.items()):
            known = standings(tranches, await self._months(account_id, closed))
            for tranche in tranches:
                before = {kind: posted.get((kind, tranche.id), 0) for kind in REASONS}
                found += tranche_entries(tranche, known[tranche.id], posted=before, period=closed.period, at=closed.closes_at)
        return found

    async def _months(self, account_id: str, closed: ClosedPeriod) -> list[MonthUnits]:
        """What an account used in every month up to a close, as the settlement reads it."""
        settlements = SettlementRepository(self._session)
        periods = [*(each for each in await settlements.closed() if each.period < closed.period), closed]
        book = await settlements.book(periods, self._hardware, account_id=account_id)
        reading = await asyncio.to_thread(lambda: read_usage(book.usage, leases=book.leases, periods=book.periods))
        return units_by_month(reading.changes, book)
