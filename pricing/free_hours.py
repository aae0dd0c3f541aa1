"""Which hours of each offer are free: what a quote would find there, for every offer and every slot ahead at once.

A quote is the promise; this is what it would say now, of a whole book, so that a search can leave out what is let already.
"""

from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from contracts.terms.time import SlotGrid, iso
from pricing.arrays import Bools, Ints
from pricing.pools import gather, room

Room = npt.NDArray[np.int32]


class FreeHours(msgspec.Struct, frozen=True, eq=False):
    """What could be had of each offer of a book, slot by slot.

    grid       the T slots
    offer_ids  (O,) ascending
    room       (3, T, O) accelerators at guaranteed, standard and spot; at most what an int32 holds, which no offer reaches
    """

    grid: SlotGrid
    offer_ids: list[str]
    room: Room

    def slots(self, start: datetime | None, *, hours: int) -> tuple[int, int]:
        """The first of the slots that so many hours touch, and how many they are; from the first slot on where nobody says.

        Raises BadInput for a start that has passed, and for hours beyond the last slot.
        """
        length = self.grid.period(0).end - self.grid.start
        begin = (start or self.grid.start) - self.grid.start
        first, end = begin // length, -(-(begin + timedelta(hours=hours)) // length)
        if first < 0:
            raise BadInput("the first slot has begun", found=iso(self.grid.start + begin), would_do=iso(self.grid.start))
        if end > self.grid.slots:
            last = iso(self.grid.start + self.grid.slots * length)
            raise BadInput(f"free hours are known for {self.grid.slots} slots ahead", found=hours, would_do=f"hours that end by {last}")
        return first, end - first

    def least(self, tier: str, *, first: int, count: int) -> Ints:
        """Accelerators (O,) free in every one of `count` slots from `first` on."""
        found: Ints = self.room[TIERS.index(tier), first : first + count].min(axis=0).astype(np.int64)
        return found

    def runs(self, row: int, tier: str, *, quantity: int) -> list[tuple[int, int]]:
        """The stretches of slots, first and end, in which one offer has `quantity` free, in order."""
        enough = self.room[TIERS.index(tier), :, row] >= quantity
        edges = np.flatnonzero(np.diff(_framed(enough).astype(np.int8)))
        return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def free_hours(book: MarketBook) -> FreeHours:
    """The free hours of the offers of a book, whose bids do not matter. Raises BadInput for a rate too large to clear."""
    supply = gather(book)
    most = np.iinfo(np.int32).max
    by_tier = np.minimum(room(supply), most).astype(np.int32).transpose(2, 1, 0)
    return FreeHours(grid=book.rules.grid, offer_ids=supply.offer_ids, room=np.ascontiguousarray(by_tier))


def _framed(enough: Bools) -> Bools:
    """The same with a no at either end, so that every stretch has a beginning and an end."""
    framed: Bools = np.pad(enough, 1)
    return framed
