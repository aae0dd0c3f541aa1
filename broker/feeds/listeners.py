"""Who listens to what the broker says of its own accord: a queue for each stream that is open. A party is a provider, or an account.

What is said here is a convenience. Every reply is in the answer to the batch it answers, and every state can be asked for; a
listener who is too slow is let go rather than waited for, and comes again.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec

WAITING_MAX = 1_000


class Told(msgspec.Struct, frozen=True):
    """One event of a stream: its name, its JSON, and where a listener stands that has heard it, in a stream that can be gone on with."""

    event: str
    data: bytes
    position: str = ""


class Listeners:
    """The open streams of this process, by party."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[Told | None]]] = {}

    def tell(self, party: str, told: Sequence[Told]) -> None:
        """Say something to everybody who listens to a party; who has not kept up is let go."""
        for queue in tuple(self._queues.get(party, ())):
            if queue.qsize() + len(told) > WAITING_MAX:
                self._queues[party].discard(queue)
                queue.put_nowait(None)
            else:
                for each in told:
                    queue.put_nowait(each)

    def count(self, party: str) -> int:
        """How many streams a party has open."""
        return len(self._queues.get(party, ()))

    def parties(self) -> frozenset[str]:
        """Those that listen."""
        return frozenset(party for party, queues in self._queues.items() if queues)

    def let_go(self) -> None:
        """End every stream."""
        for queues in self._queues.values():
            for queue in queues:
                queue.put_nowait(None)

    async def listen(self, party: str, *, patience: float, before: Sequence[Told] = ()) -> AsyncGenerator[Told | None, None]:
        """What was said before and what is said from now on; None after so many seconds of silence, so that the line is seen to be open."""
        queue: asyncio.Queue[Told | None] = asyncio.Queue()
        for each in before:
            queue.put_nowait(each)
        queues = self._queues.setdefault(party, set())
        queues.add(queue)
        try:
            while True:
                try:
                    told = await asyncio.wait_for(queue.get(), patience)
                except TimeoutError:
                    yield None
                    continue
                if told is None:
                    return
                yield told
        finally:
            queues.discard(queue)
