"""What a search makes of free hours: which offers have the quantity free at the tier in all hours that are asked for, and when else."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

import msgspec
import numpy as np

from broker.services.search_views import FreeSpan, SearchQuery
from pricing.arrays import Bools, Ints
from pricing.free_hours import FreeHours


class Room(Protocol):
    """Where the present free hours are to be had."""

    async def current(self) -> FreeHours:
        """Free hours as they stand."""
        ...

    def rows(self, offer_ids: Iterable[str], found: FreeHours) -> Ints:
        """(O,) where each offer of a book stands among those that have hours; -1 where it does not."""
        ...


class Joined:
    """Remembers the last such rows: a book and its free hours are shared by many searches."""

    def __init__(self) -> None:
        self._last: tuple[Iterable[str], FreeHours, Ints] | None = None

    def rows(self, offer_ids: Iterable[str], found: FreeHours) -> Ints:
        """(O,) where each offer of a book stands among those that have hours; -1 where it does not."""
        if self._last is None or self._last[0] is not offer_ids or self._last[1] is not found:
            places = {offer_id: place for place, offer_id in enumerate(found.offer_ids)}
            rows = np.array([places.get(offer_id, -1) for offer_id in offer_ids], dtype=np.int64)
            self._last = (offer_ids, found, rows)
        return self._last[2]


class FreeAsked(msgspec.Struct, frozen=True, eq=False):
    """Free hours as one search asks for them: `count` slots from `first` on."""

    found: FreeHours
    tier: str
    quantity: int
    first: int
    count: int

    def enough(self, rows: Ints, quantities: Ints) -> Bools:
        """(O,) whether each offer has the quantity free in all the hours; one that nobody may book (row -1) has not.

        Of an offer that has fewer at all (`quantities` (O,)) the whole of it counts: that it is too small is another demand's to say.
        """
        least = np.append(self.found.least(self.tier, first=self.first, count=self.count), -1)
        found: Bools = least[rows] >= np.minimum(quantities, self.quantity)
        return found

    def spans(self, offer_id: str, *, most: int) -> list[FreeSpan]:
        """When an offer has the quantity free, or all it has, which is `most`; in order."""
        row = self._row(offer_id)
        runs = self.found.runs(row, self.tier, quantity=min(most, self.quantity)) if row is not None else []
        grid = self.found.grid
        return [FreeSpan(start=grid.period(first).start, end=grid.period(end - 1).end) for first, end in runs]

    def said(self, offer_id: str, *, most: int) -> str:
        """When an offer that is not free in the hours would be, for as long: the quantity, or all it has."""
        if self._row(offer_id) is None:
            return "not for sale now"
        length = self.count * (self.found.grid.period(0).end - self.found.grid.start)
        later = next((span.start for span in self.spans(offer_id, most=most) if span.end - span.start >= length), None)
        return f"free for as long from {later:%d %b %H:%M} UTC" if later else "free for as long in no hours that may be quoted"

    def _row(self, offer_id: str) -> int | None:
        """Where an offer stands among those that are for sale at all."""
        ids = self.found.offer_ids
        row = bisect_left(ids, offer_id)
        return row if row < len(ids) and ids[row] == offer_id else None


def free_asked(query: SearchQuery, found: FreeHours) -> FreeAsked:
    """What a query asks of free hours. Raises BadInput for hours that have passed or are too far ahead."""
    first, count = found.slots(query.free_from, hours=query.free_hours or 1)
    return FreeAsked(found=found, tier=query.tier, quantity=query.quantity, first=first, count=count)
