"""What happens to parties, told to those of them that listen: one look at the store for all of them.

The store is what is looked at, and not this process, so that a listener hears of what another process did. Nobody listening,
nobody looks. A stream may end at any time: whoever comes back says what it heard last.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

import structlog

from broker.clock import Clock
from broker.feeds.listeners import Listeners, Told
from contracts.happenings import LONGEST_AWAY, OVERLAP, position
from contracts.webhooks import Message

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
Look = Callable[[datetime, frozenset[str]], Awaitable[list[Message]]]


class Happenings:
    """The listeners of one process.

    look  what happened from a moment on to some parties, in order
    tick  waits until it is time for the next look
    """

    def __init__(self, look: Look, *, clock: Clock, tick: Callable[[], Awaitable[None]] | None = None) -> None:
        self._look = look
        self._clock = clock
        self._tick = tick or _a_second
        self._listeners = Listeners()
        self._known: dict[str, datetime] = {}
        self._looked_at = clock.now()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def count(self, owner: str) -> int:
        """How many streams a party has open."""
        return self._listeners.count(owner)

    async def listen(self, owner: str, *, after: datetime | None = None, patience: float) -> AsyncGenerator[Told | None, None]:
        """What happens to a party from now on, or since it last heard of something; None after so many seconds of silence.

        Of a day at most: what was missed longer ago the lists say.
        """
        now = self._clock.now()
        since = now - OVERLAP if after is None else max(after - OVERLAP, now - LONGEST_AWAY)
        missed = await self._look(since, frozenset({owner}))
        if self._closed:
            return
        # Who listens already hears of it now; the new listener does not, unless it has been away.
        self._spread(missed)
        if self._task is None or self._task.done():
            self._looked_at = now
            self._task = asyncio.create_task(self._watch())
        stream = self._listeners.listen(owner, patience=patience, before=[_told(each) for each in missed] if after is not None else ())
        try:
            async for told in stream:
                yield told
        finally:
            await stream.aclose()
            if not self._listeners.parties():
                self._rest()

    def close(self) -> None:
        """End every stream: the market closes."""
        self._closed = True
        self._rest()
        self._listeners.let_go()

    def _rest(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        try:
            while True:
                await self._tick()
                since, self._looked_at = self._looked_at - OVERLAP, self._clock.now()
                self._spread(await self._look(since, self._listeners.parties()))
                self._known = {name: at for name, at in self._known.items() if at >= since}
        except Exception as fault:  # noqa: BLE001 (whatever it is, streams end and their readers come again)
            log.warning("nobody could look at what happened", fault=repr(fault))
            self._listeners.let_go()

    def _spread(self, messages: list[Message]) -> None:
        """Tell what nobody was told yet."""
        for message in messages:
            if message.id not in self._known:
                self._known[message.id] = message.at
                self._listeners.tell(message.owner, [_told(message)])


def _told(message: Message) -> Told:
    return Told(message.kind, message.body, position(message))


async def _a_second() -> None:
    await asyncio.sleep(LOOK_SECONDS)
