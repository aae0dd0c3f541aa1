"""The live book: one view of all offers in memory, swapped for a newer one while the old one is being read.

The store says whether anything was announced since, and what. A small book is brought up to date before the answer, so that what was
acknowledged is found at once; a large one beside it, several times a second while anybody looks, and readers go on with the one they
have. Now and then all of it is read anew, for what no feed tells: imported offers, the carbon of another hour.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import msgspec
import polars as pl

from broker.clock import Clock
from broker.services import sifting
from broker.services.book_view import BookView, book_view, updated
from broker.services.search_facts import Kept
from broker.store.repositories.feed import CHANGES_KEPT
from broker.store.repositories.searching import BookReader
from broker.store.unit_of_work import Sessions, unit_of_work

SMALL = 5_000
# A large book that is younger is shown as it is; between the two its successor is begun; an older one is waited for.
YOUNG, FRESH = timedelta(milliseconds=300), timedelta(seconds=1)
LONGEST = timedelta(seconds=30)


class Read(msgspec.Struct, frozen=True):
    """A view, the revisions of the feeds it has, and when these were asked for."""

    view: BookView
    revisions: Mapping[str, int]
    at: datetime


class LiveBook:
    """The present view, and the making of the next.

    beside   what searches read beside it, forgotten when a cycle is applied, and when all of the book is read anew
    """

    def __init__(self, sessions: Sessions, *, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._read: Read | None = None
        self._whole_at = clock.now()
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[BookView]] = {}
        self._cycle: int | None = None
        self.beside = Kept()

    async def current(self) -> BookView:
        """The book as it stands; a large one as it stood a second ago, at most."""
        read, now = self._read, self._clock.now()
        if read is None:
            return await self._once("whole", self.refresh)
        small = len(read.view) <= SMALL
        if now - self._whole_at >= LONGEST:
            whole = self._once("whole", self.refresh)
            if small:
                return await whole
        if not small:
            # The store is asked once for everybody: no reader waits for it while the book is fresh.
            age = now - read.at
            making = self._once("changes", self.catch_up) if age >= YOUNG else None
            return read.view if making is None or age < FRESH else await making
        async with unit_of_work(self._sessions) as work:
            token = await self._told(BookReader(work))
        return read.view if token == read.view.token else await self._once("changes", self.catch_up)

    async def _told(self, reader: BookReader) -> int:
        """The number that changes whenever a feed does; what is kept beside is forgotten when a cycle has been applied."""
        token, cycle = await reader.told()
        if cycle != self._cycle:
            self.beside.forget()
            self._cycle = cycle
        return token

    async def refresh(self) -> BookView:
        """Read all of the store, and swap that in with what has changed meanwhile."""
        now = self._clock.now()
        async with unit_of_work(self._sessions) as work:
            reader = BookReader(work)
            revisions, frame = await reader.revisions(), await reader.frame(now)
        view = await asyncio.to_thread(_whole, frame, token=sum(revisions.values()))
        async with self._turn:
            self._read = await self._caught_up(Read(view, revisions, now))
            self._whole_at = now
            self.beside.forget()
        return self._read.view

    async def catch_up(self) -> BookView:
        """Read what feeds have changed since, and swap the view with that in."""
        async with self._turn:
            assert self._read is not None, "there is a book to catch up"
            self._read = await self._caught_up(self._read)
        return self._read.view

    async def _caught_up(self, read: Read) -> Read:
        now = self._clock.now()
        async with unit_of_work(self._sessions) as work:
            reader = BookReader(work)
            await self._told(reader)
            revisions = await reader.revisions()
            if revisions == read.revisions:
                return msgspec.structs.replace(read, at=now)
            since = read.revisions if _is_told(read.revisions, revisions) else None
            gone = await reader.changed(since) if since is not None else []
            frame = await reader.frame(now, since=since) if gone or since is None else None
        token = sum(revisions.values())
        if since is None and frame is not None:
            return Read(await asyncio.to_thread(_whole, frame, token=token), revisions, now)
        if frame is None:
            return Read(msgspec.structs.replace(read.view, token=token), revisions, now)
        return Read(await asyncio.to_thread(updated, read.view, frame, gone=gone, token=token), revisions, now)

    def _once(self, name: str, make: Callable[[], Awaitable[BookView]]) -> asyncio.Task[BookView]:
        """The making of a view: one at a time, however many ask."""
        task = self._tasks.get(name)
        if task is None or task.done():
            task = self._tasks[name] = asyncio.ensure_future(make())
        return task


def _whole(frame: pl.DataFrame, *, token: int) -> BookView:
    """The view of all of the store; what searches of a large one run on is compiled before the first of them."""
    view = book_view(frame, token=token)
    if len(view) > sifting.SMALL:
        sifting.be_compiled()
    return view


def _is_told(since: Mapping[str, int], revisions: Mapping[str, int]) -> bool:
    """Whether the store still says what was changed between these revisions and those."""
    return since.keys() <= revisions.keys() and all(0 <= now - since.get(feed, 0) <= CHANGES_KEPT for feed, now in revisions.items())
