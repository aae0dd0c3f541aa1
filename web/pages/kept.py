"""What many readers are shown at once, worked out once, and kept only for a moment.

Most of what a page costs is spent before and while it is written; a hundred readers of the same class in the same minute see the same
charts, and a hundred readers of one search, none of them signed in, the same page.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT_MAX = 64


class Kept(Generic[T]):
    """A few of the things worked out last, by what they depend on; those of another moment are dropped."""

    def __init__(self) -> None:
        self._moment: Hashable = None
        self._kept: dict[Hashable, T] = {}
        self._turns: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, moment: Hashable) -> T:
        """What is kept under a key, or what `make` gives: whoever comes meanwhile waits for it. What it raises is not kept.

        moment  while it is the same, what is kept may be shown: a cycle and a minute, a second
        """
        if moment != self._moment:
            self._moment, self._kept, self._turns = moment, {}, {}
        kept, turns = self._kept, self._turns
        if key in kept:
            return kept[key]
        async with turns.setdefault(key, asyncio.Lock()):
            if key not in kept:
                made = await make()
                if len(kept) == KEPT_MAX:
                    del kept[next(iter(kept))]
                kept[key] = made
                turns.pop(key, None)
            return kept[key]
