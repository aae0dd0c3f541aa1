"""What many readers are shown at once, worked out once: kept for a minute of market time, and only while its cycle is the last.

A page of charts costs some twenty statements and most of its time before it is written; a hundred readers of the same class in the
same minute see the same charts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT_MAX = 64


class KeptMinute(Generic[T]):
    """A few of the things worked out last, by what they depend on; those of another cycle or minute are dropped."""

    def __init__(self) -> None:
        self._when: Hashable = None
        self._kept: dict[Hashable, T] = {}
        self._turn = asyncio.Lock()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, cycle: str, now: datetime) -> T:
        """What is kept under a key, or what `make` gives: whoever comes meanwhile waits for it. What it raises is not kept."""
        when = (cycle, now.replace(second=0, microsecond=0))
        if when == self._when and key in self._kept:
            return self._kept[key]
        async with self._turn:
            if when != self._when:
                self._when, self._kept = when, {}
            if key not in self._kept:
                made = await make()
                if len(self._kept) == KEPT_MAX:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = made
            return self._kept[key]
