"""The free hours of the market's offers, as they stand: what leases and open quotes leave of each, slot by slot.

Read only when somebody asks. Of a small market before every answer, so that what was let a moment ago is not shown; of a large one
beside it, every few seconds: its quotes are the promise.
"""

import asyncio
from datetime import datetime, timedelta

from broker.clock import Clock
from broker.cycle import Timetable
from broker.services.free_hours import Joined
from broker.store.repositories.book import BookRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.time import EPOCH, Period
from pricing.free_hours import FreeHours, free_hours

SMALL = 5_000
YOUNG = timedelta(seconds=10)


class LiveRoom(Joined):
    """The present free hours, and the reading of the next."""

    def __init__(self, sessions: Sessions, *, clock: Clock, timetable: Timetable) -> None:
        super().__init__()
        self._sessions = sessions
        self._clock = clock
        self._timetable = timetable
        self._found: FreeHours | None = None
        self._at = EPOCH
        self._reading: asyncio.Task[FreeHours] | None = None

    async def current(self) -> FreeHours:
        """Free hours of every slot that may be quoted; of a large market as they were ten seconds ago, at most."""
        now, found = self._clock.now(), self._found
        if found is not None and len(found.offer_ids) > SMALL and now - self._at < YOUNG and found.grid.start >= now:
            return found
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read(now))
        return await asyncio.shield(self._reading)

    async def _read(self, now: datetime) -> FreeHours:
        slot = timedelta(seconds=self._timetable.slot_seconds)
        start = EPOCH + -((EPOCH - now) // slot) * slot
        rules = self._timetable.over(Period(start, start + slot * self._timetable.slots))
        async with unit_of_work(self._sessions) as work:
            book = await BookRepository(work).supply(rules, now=now)
        self._found, self._at = await asyncio.to_thread(free_hours, book), now
        return self._found
