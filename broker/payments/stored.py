"""The collector's ledger in the store: entries of payments beside those of settlements."""

from broker.store.repositories.journal import JournalRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.journal import JournalEntry


class StoredLedger:
    """Writes entries to the journal, one transaction a call."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def write(self, entries: list[JournalEntry]) -> int:
        """Write entries, each once; returns how many were new."""
        async with unit_of_work(self._sessions) as work:
            return await JournalRepository(work).add_many(entries)
