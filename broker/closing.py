"""Closing a month: read the live ledger, settle it, check that everything adds up, write it down once.

The books of a closed period never change: what arrives later is settled in the next one. Running a close
again finds it done; dying half way leaves nothing, for all of it is one transaction.
"""

from datetime import datetime
from hashlib import sha256

import msgspec

from broker.files.settlement import month_files
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.settlements import ClosedPeriod, SettlementRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.close import CloseRecord, close_record
from contracts.settlement import Settlement, settle
from contracts.terms.errors import ClearingFailed
from contracts.terms.hardware import HardwareClass
from contracts.terms.time import month_of


class CloseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a close did.

    files    the settlement directory it was settled from, name → content: anyone may settle it again and compare the hash
    """

    closed: ClosedPeriod
    files: dict[str, bytes]
    settlement: Settlement
    record: CloseRecord


class PeriodClose:
    """Closes the months of one market, in order."""

    def __init__(self, sessions: Sessions, hardware: list[HardwareClass]) -> None:
        self._sessions = sessions
        self._hardware = hardware

    async def run(self, month_start: datetime, *, closes_at: datetime) -> CloseReport:
        """Close the month that begins then with what is known at `closes_at`; a closed month is settled again from its own knowledge.

        Raises ClearingFailed when a reconciliation is off, or when a month that was closed comes out otherwise now:
        nothing is written then.
        """
        async with unit_of_work(self._sessions) as work:
            settlements, journal = SettlementRepository(work), JournalRepository(work)
            periods = await settlements.closed()
            closed = next((p for p in periods if p.month.start == month_start), None)
            if closed is None:
                closed = ClosedPeriod(period=len(periods) + 1, month=month_of(month_start), closes_at=closes_at, status="finalised")
                periods = [*periods, closed]
            book = await settlements.book(periods[: closed.period], self._hardware)
            settlement = settle(book)
            files = month_files(book, await settlements.providers())
            inputs = {name.removesuffix(".csv"): sha256(content).hexdigest() for name, content in files.items()}
            record = close_record(settlement, inputs=inputs)
            if not record.holds:
                off = "; ".join(f"{line.name}: {line.difference}" for line in record.reconciliations if line.difference)
                raise ClearingFailed(f"the close does not add up: {off}", period=closed.period)
            await _as_before(settlements, closed, record=record)
            await settlements.keep(closed, settlement, record=record)
            await journal.add_many(list(settlement.entries))
            await journal.void(await journal.award_holds_over(closed.month.end))
        return CloseReport(closed=closed, files=files, settlement=settlement, record=record)


async def _as_before(settlements: SettlementRepository, closed: ClosedPeriod, *, record: CloseRecord) -> None:
    """A closed period never changes. Raises ClearingFailed when it would."""
    stored = await settlements.record(closed.period)
    if stored is not None and stored.outputs != record.outputs:
        changed = ", ".join(name for name, digest in record.outputs.items() if stored.outputs.get(name) != digest)
        raise ClearingFailed(f"period {closed.period} is closed and would come out otherwise now: {changed}", period=closed.period)
