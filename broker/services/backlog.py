"""How much may be on its way in at once.

A batch that is being read and merged holds memory and a connection. Beyond a bound a sender is told to wait, which costs
nothing and loses nothing: reports are idempotent. The bound is one process's; every process has its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.terms.errors import TooBusy

BATCHES_MAX = 8
RETRY_AFTER_SECONDS = 1


class Backlog:
    """Batches under way, at most so many."""

    def __init__(self, batches_max: int = BATCHES_MAX) -> None:
        self._batches_max = batches_max
        self._batches = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A place for one batch while the block runs. Raises TooBusy when all are taken."""
        if self._batches >= self._batches_max:
            raise TooBusy(
                f"{self._batches} batches are being taken in, which is as many as there is room for; send this one again",
                retry_after=RETRY_AFTER_SECONDS,
            )
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1
