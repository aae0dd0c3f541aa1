"""What searches read beside the book, kept between them: what sites traded at, how far they are, what moving data takes.

It changes with a cycle that is applied, or an import; whoever keeps the book hears of that, and forgets. So a search of a book in
memory asks the store nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from broker.services.offers import TransferRate


class SearchFacts(Protocol):
    """What a search reads beside the book."""

    async def latencies(self, place: str) -> dict[str, float]:
        """Measured round-trip time from a place, milliseconds by site."""
        ...

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        """Moving data out of a country, by destination."""
        ...

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        """Volume-weighted price of the last applied cycle by (site, hardware, firm), where something was sold."""
        ...


class Kept:
    """What was read since something was last forgotten; callers name places and countries, so only so much of it is kept."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._found: dict[tuple[str, str], Any] = {}

    def forget(self) -> None:
        """Read everything anew, also what is being read just now."""
        self._found = {}

    def over(self, reader: SearchFacts) -> SearchFacts:
        """The same facts, read only where they are not kept yet."""
        return _KeptFacts(reader, self)

    async def read(self, key: tuple[str, str], read: Callable[[str], Awaitable[Any]]) -> Any:
        """What is kept under a name and a word, or else what is read of the word."""
        found = self._found
        if key in found:
            return found[key]
        value = await read(key[1])
        if len(found) < self._most:
            found[key] = value
        return value


class _KeptFacts:
    def __init__(self, reader: SearchFacts, kept: Kept) -> None:
        self._reader = reader
        self._kept = kept

    async def latencies(self, place: str) -> dict[str, float]:
        found: dict[str, float] = await self._kept.read(("latencies", place), self._reader.latencies)
        return found

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        found: dict[str, TransferRate] = await self._kept.read(("transfers", from_country), self._reader.transfers)
        return found

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        found: dict[tuple[str, str, bool], int] = await self._kept.read(("last_rates", tier), self._reader.last_rates)
        return found
