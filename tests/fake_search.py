"""The book in memory: the offers a reader has, all of them live."""

import msgspec
import polars as pl

from broker.clock import Clock
from broker.services.book_view import SCHEMA, BookView, book_view
from broker.services.offers import OfferReader, OfferService
from broker.services.search import SearchService


class ReadBook:
    """A view of what a reader has, made each time."""

    def __init__(self, reader: OfferReader) -> None:
        self._reader = reader

    async def current(self) -> BookView:
        standing = {"state": "live", "reason": "", "carbon_g": None}
        rows = [msgspec.structs.asdict(record) | standing for record in await self._reader.current()]
        return book_view(pl.DataFrame(rows, schema=SCHEMA))


def fake_search(offers: OfferService, reader: OfferReader, clock: Clock) -> SearchService:
    """A search over what a reader has."""
    return SearchService(ReadBook(reader), offers, reader=reader, clock=clock)
