"""Who listens to what the broker says of its own accord: a queue for each stream that is open.

What is said here is a convenience. Every reply is in the answer to the batch it answers, and every state can be asked for; a
listener who is too slow is let go rather than waited for, and comes again.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

WAITING_MAX = 1_000


class Told(msgspec.Struct, frozen=True):
    """One event of a stream: its name and its JSON."""

    event: str
    data: bytes


class Listeners:
    """The open streams of this process, by provider."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[Told | None]]] = {}

    def tell(self, provider_id: str, told: Sequence[Told]) -> None:
        """Say something to everybody who listens to a provider's feed; who has not kept up is let go."""
        for queue in tuple(self._queues.get(provider_id, ())):
            if queue.qsize() + len(told) > WAITING_MAX:
                self._queues[provider_id].discard(queue)
                queue.put_nowait(None)
            else:
                for each in told:
                    queue.put_nowait(each)

    def count(self, provider_id: str) -> int:
        """How many listen to a provider's feed."""
        return len(self._queues.get(provider_id, ()))

    async def listen(self, provider_id: str, *, patience: float) -> AsyncIterator[Told | None]:
        """What is said from now on; None after so many seconds of silence, so that the line is seen to be open."""
        queue: asyncio.Queue[Told | None] = asyncio.Queue()
        queues = self._queues.setdefault(provider_id, set())
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
