"""One look at the market a second for everybody who reads it live, however many there are.

What is told is a pulse: the marks of what a page shows. A reader compares them with what it has and fetches what differs, so a
pulse that was missed costs nothing; the next one says the same. Nobody listening, nobody looks.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

import msgspec
import structlog

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
# A busy feed changes the book many times a second: what follows the book is told once in so many looks.
BOOK_LOOKS = 10
# What a cycle is called between its gate and its end.
CLEARING = ("open", "clearing")


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What tells that the market has changed.

    cycle, gate_at  of the last applied cycle; None before the first
    clearing        whether a gate has closed whose cycle is not done
    revision        how often feeds have changed the book
    """

    cycle: int | None
    gate_at: datetime | None
    clearing: bool
    revision: int


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """Marks of what is shown: another mark, another thing to show.

    cycle       number of the last applied cycle; 0 before the first
    gate        the phase and the next gate, and how long until it where the market's clock is moved by hand
    indication  when the indicative prices were worked out; `none` without any
    book        how often feeds have changed the book
    """

    cycle: str
    gate: str
    indication: str
    book: str


class MarketWatch:
    """The shared look of one process.

    look  the pulse as it is now: one question to the store
    tick  waits until it is time for the next look
    """

    def __init__(self, look: Callable[[], Awaitable[Pulse]], *, tick: Callable[[], Awaitable[None]] | None = None) -> None:
        self._look = look
        self._tick = tick or _a_second
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._pulse: Pulse | None = None
        self._news = asyncio.Event()
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._listeners

    async def listen(self, *, patience: float) -> AsyncGenerator[Pulse | None, None]:
        """The pulse as it is, then each that differs; None after so many seconds of silence, so that the line is seen to be open.

        Ends when the market does, and when the store cannot be asked: whoever still wants to know comes again.
        """
        self._listeners += 1
        seen: Pulse | None = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        watching = self._task
        try:
            while not (self._closed or watching.done()):
                if self._pulse is not None and self._pulse != seen:
                    seen = self._pulse
                    yield seen
                    continue
                try:
                    await asyncio.wait_for(self._news.wait(), patience)
                except TimeoutError:
                    yield None
        finally:
            self._listeners -= 1
            if not self._listeners:
                watching.cancel()

    def close(self) -> None:
        """End every stream: the market closes."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._tell()

    async def _watch(self) -> None:
        looks = 0
        try:
            while True:
                pulse = await self._look()
                if self._pulse is not None and looks % BOOK_LOOKS:
                    pulse = msgspec.structs.replace(pulse, book=self._pulse.book)
                looks += 1
                if pulse != self._pulse:
                    self._pulse = pulse
                    self._tell()
                await self._tick()
        except Exception as fault:  # noqa: BLE001 (whatever it is, streams end and their readers come again)
            log.warning("nobody could look at the market", fault=repr(fault))
        finally:
            # The next who listens begins with a look of its own, not with what was so when the last one left.
            self._pulse = None
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


async def _a_second() -> None:
    await asyncio.sleep(LOOK_SECONDS)
