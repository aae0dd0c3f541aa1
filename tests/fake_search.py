"""The book in memory: the offers a reader has, all of them live."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.clock import Clock
from broker.services.book_view import SCHEMA, BookView, book_view
from broker.services.free_hours import Joined
from broker.services.offers import OfferReader, OfferService
from broker.services.search import SearchService
from contracts.terms.time import seconds_grid
from pricing.free_hours import FreeHours

HOURS = 24


class ReadBook:
    """A view of what a reader has, made each time."""

    def __init__(self, reader: OfferReader) -> None:
        self._reader = reader

    async def current(self) -> BookView:
        standing = {"state": "live", "reason": "", "carbon_g": None}
        rows = [msgspec.structs.asdict(record) | standing for record in await self._reader.current()]
        return book_view(pl.DataFrame(rows, schema=SCHEMA))


class WholeRoom(Joined):
    """A day from the next hour on in which everything is free, less what is said to be taken: (3, T) by offer."""

    def __init__(self, reader: OfferReader, clock: Clock, taken: Mapping[str, npt.NDArray[np.int32]] | None = None) -> None:
        super().__init__()
        self._reader = reader
        self._clock = clock
        self._taken = taken or {}

    async def current(self) -> FreeHours:
        records = sorted(await self._reader.current(), key=lambda record: record.offer_id)
        start = self._clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        room = np.zeros((3, HOURS, len(records)), dtype=np.int32)
        for row, record in enumerate(records):
            room[:, :, row] = record.quantity - self._taken.get(record.offer_id, 0)
        grid = seconds_grid(start, slot_seconds=3600, slots=HOURS)
        return FreeHours(grid=grid, offer_ids=[record.offer_id for record in records], room=room)


def fake_search(offers: OfferService, reader: OfferReader, clock: Clock) -> SearchService:
    """A search over what a reader has."""
    return SearchService(ReadBook(reader), offers, reader=reader, clock=clock, room=WholeRoom(reader, clock))
