"""The live book: one view of all offers in memory, swapped for a newer one while the old one is being read.

The store says whether anything was announced since; if so the next view is made. A small book is made before the answer, so that
what was acknowledged is found at once; a large one is made beside it, while readers go on with the one they have.
"""

import asyncio
from datetime import timedelta

from broker.clock import Clock
from broker.services.book_view import BookView, book_view
from broker.store.repositories.searching import BookReader
from broker.store.unit_of_work import Sessions, unit_of_work

SMALL = 5_000
LONGEST = timedelta(seconds=30)


class LiveBook:
    """The present view, and the making of the next."""

    def __init__(self, sessions: Sessions, *, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._view: BookView | None = None
        self._made_at = clock.now()
        self._next: asyncio.Task[BookView] | None = None

    async def current(self) -> BookView:
        """The book as it stands; a large one as it stood when the view before was being made."""
        view = self._view
        if view is None:
            return await self._making()
        async with unit_of_work(self._sessions) as work:
            token = await BookReader(work).token()
        old = self._clock.now() - self._made_at >= LONGEST
        if token == view.token and not old:
            return view
        making = self._making()
        return await making if view.frame.height <= SMALL else view

    def _making(self) -> asyncio.Task[BookView]:
        """The making of the next view: one at a time, however many ask."""
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self.refresh())
        return self._next

    async def refresh(self) -> BookView:
        """Read the store and swap the view in."""
        now = self._clock.now()
        async with unit_of_work(self._sessions) as work:
            reader = BookReader(work)
            token, frame = await reader.token(), await reader.frame(now)
        self._view = await asyncio.to_thread(book_view, frame, token=token)
        self._made_at = now
        return self._view
