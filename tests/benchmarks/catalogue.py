"""Searching the same rows by two programs: `python -m tests.benchmarks.catalogue ROWS QUERIES`. The last line is JSON.

gpuhunt loads its catalogue as it always does, from zip files at an address (here files of this machine), and answers `query`; ours is
the book by the column behind the service that answers `/v1/search`. Both are asked for the same: two kinds of accelerator, memory,
number, a price at most, not spot, of one kind of instance. Ours sorts, pages, counts facets and says why the rest is left out; what
is found must be the same number. CPU seconds of the whole process count, every thread of it.
"""

import asyncio
import os
import random
import sys
import tempfile
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from gpuhunt import AcceleratorVendor, Catalog, CatalogItem
from gpuhunt._internal import storage
from gpuhunt._internal.catalog import OFFLINE_PROVIDERS
from rich.console import Console

from broker.clock import FixedClock
from broker.feeds.adapters import gpuhunt as hunted
from broker.feeds.adapters.prices import Terms
from broker.services.book_view import SCHEMA, BookView, book_view
from broker.services.offers import OfferRecord, OfferService, TransferRate
from broker.services.search import SearchService
from broker.services.search_views import SearchQuery
from broker.world.catalogue import hardware_classes
from contracts.terms.time import utc
from tests.benchmarks.spent import cpu_seconds
from tests.fake_search import WholeRoom

NOW = utc("2027-01-04T00:00:00Z")
BOARDS = (("H100", 80.0), ("A100", 80.0), ("A100", 40.0), ("L40S", 48.0), ("L4", 24.0), ("MI300X", 192.0), ("V100", 16.0), ("A10", 24.0))
COUNTRIES = ("DE", "FR", "NL", "FI", "US", "CA", "JP", "GB")
COUNTS = (1, 2, 4, 8)
TURN = 10


def rows(count: int) -> list[CatalogItem]:
    """So many items of a fixed draw, spread over the providers the library loads; the price of eight accelerators is eight times one's."""
    draw = random.Random(20_270_104)
    return [_item(number, draw) for number in range(count)]


def _item(number: int, draw: random.Random) -> CatalogItem:
    name, memory = BOARDS[draw.randrange(len(BOARDS))]
    held = COUNTS[draw.randrange(len(COUNTS))]
    return CatalogItem(
        provider=OFFLINE_PROVIDERS[number % len(OFFLINE_PROVIDERS)],
        instance_name=f"{name.lower()}-{held}x-{number}",
        location=COUNTRIES[draw.randrange(len(COUNTRIES))],
        price=round(held * draw.randrange(100, 500) / 100, 2),
        cpu=16 * held,
        memory=128.0 * held,
        gpu_count=held,
        gpu_name=name,
        gpu_memory=memory,
        spot=draw.random() < 0.3,
        disk_size=None,
        gpu_vendor=AcceleratorVendor.AMD if name.startswith("MI") else AcceleratorVendor.NVIDIA,
    )


def loaded(items: list[CatalogItem], folder: Path) -> Catalog:
    """The library's catalogue, loaded by itself from files as it publishes them."""
    for provider in OFFLINE_PROVIDERS:
        (folder / provider / "1").mkdir(parents=True)
        (folder / provider / "version").write_text("1")
        storage.dump([item for item in items if item.provider == provider], str(folder / "rows.csv"))
        with zipfile.ZipFile(folder / provider / "1" / "catalog.zip", "w") as archive:
            archive.write(folder / "rows.csv", f"{provider}.csv")
    os.environ["GPUHUNT_CATALOG_URL"] = folder.as_uri()
    catalog = Catalog(balance_resources=False, auto_reload=False)
    catalog.load()
    return catalog


class Fixed:
    """A book that does not change, and a reader with nothing to add."""

    def __init__(self, view: BookView) -> None:
        self._view = view

    async def current(self) -> BookView:
        """The book."""
        return self._view

    async def latencies(self, place: str) -> dict[str, float]:
        """None are known."""
        return {}

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        """Nothing has to move."""
        return {}

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        """Nothing was sold yet."""
        return {}


class NoReader(Fixed):
    """The same reader for the slow reading, which is not asked here."""

    async def current(self) -> list[OfferRecord]:  # type: ignore[override]
        """Nobody reads offer by offer."""
        return []


def searching(items: list[CatalogItem]) -> SearchService:
    """Our search over the same rows, by way of the adapter."""
    parsed = hunted.parse_items(items, Terms(hardware=hardware_classes(), slots=24))
    assert parsed.rejected.is_empty(), parsed.rejected
    standing = {"provider_name": pl.col("provider"), "source": pl.lit("gpuhunt"), "observed_at": pl.lit(NOW), "state": pl.lit("live")}
    frame = parsed.offers.with_columns(**standing, reason=pl.lit(""), carbon_g=pl.lit(None, pl.Float64)).select(list(SCHEMA))
    view = book_view(frame)
    reader = NoReader(view)
    clock = FixedClock(NOW)
    offers = OfferService(reader, clock, catalogue=hardware_classes(), currency="USD")
    return SearchService(Fixed(view), offers, reader=reader, clock=clock, room=WholeRoom(reader, clock))


# An A100 does 0.31547 reference hours an hour; rates are whole cents, so half a cent above 2.50 decides nothing.
QUERY = SearchQuery(
    hardware=["A100-80"],
    memory_gb_min=79.0,
    quantity=8,
    countries=list(COUNTRIES),
    tier="standard",
    rate_max_micros=int(2_505_000 / 0.31547),
)


async def race(catalog: Catalog, service: SearchService, *, queries: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each of our searches and of each of theirs, on one loop as a broker runs them.

    They take turns of a few queries each, so that neither pays in every query for the caches the other has filled.
    """
    ours, theirs = [], []
    for first in range(0, queries, TURN):
        for _ in range(first, min(first + TURN, queries)):
            before = cpu_seconds()
            items = catalog.query(gpu_vendor="nvidia", gpu_name="A100", min_gpu_memory=79, min_gpu_count=8, spot=False, max_price=8 * 2.505)
            theirs.append(cpu_seconds() - before)
        for _ in range(first, min(first + TURN, queries)):
            before = cpu_seconds()
            answered = await service.search(QUERY)
            ours.append(cpu_seconds() - before)
            assert answered.found == len(items), f"we find {answered.found}, they find {len(items)}"
    return ours, theirs


def main(count: int, queries: int) -> dict[str, float]:
    """CPU seconds of one query of either, the median; and how many times ours is faster."""
    items = rows(count)
    with tempfile.TemporaryDirectory() as folder:
        catalog = loaded(items, Path(folder))
    ours, theirs = asyncio.run(race(catalog, searching(items), queries=queries))
    return {"ours": float(np.median(ours)), "gpuhunt": float(np.median(theirs)), "ratio": float(np.median(theirs) / np.median(ours))}


if __name__ == "__main__":
    told = main(int(sys.argv[1]), int(sys.argv[2]))
    Console(width=1000).print(msgspec.json.encode({"cpu_seconds": told["ours"], **told}).decode(), highlight=False)
