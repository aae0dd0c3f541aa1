"""Offers from gpuhunt: the rows of its library, live, and the CSV files it publishes, one a provider.

A row is one price of one instance type at one location, in dollars an hour, on demand or spot. Its names leave the memory to a
column of its own: an A100 of 80 GB is `A100` and `80`.
"""

import importlib
import logging
from collections.abc import Iterable
from typing import Any, Protocol

import polars as pl

from broker.feeds.accelerator_names import NAMES
from broker.feeds.adapters.offering import nothing, offered, unread_rows
from broker.feeds.adapters.places import country_of
from broker.feeds.adapters.prices import Parsed, Terms
from broker.feeds.adapters.sheet import number, read_sheet
from contracts.terms.errors import BadInput

COLUMNS = ("instance_name", "location", "price", "gpu_count", "gpu_name", "gpu_memory", "spot")
FIGURES = ("price", "gpu_count", "gpu_memory")
CURRENCY = "USD"
LIBRARY = "gpuhunt"


class Item(Protocol):
    """What is read of a row of the library (`CatalogItem`)."""

    provider: str
    instance_name: str
    location: str
    price: float
    gpu_count: int
    gpu_name: str | None
    gpu_memory: float | None
    spot: bool


def fetch(provider: str) -> list[Any]:
    """What the library finds now at one provider; its providers and their credentials are its own matter.

    Raises BadInput where the library is not installed, or has nothing to say. Needs the network.
    """
    # It logs a page of traces for every file it cannot get; one sentence says it too.
    logging.getLogger(LIBRARY).setLevel(logging.CRITICAL)
    try:
        library = importlib.import_module(LIBRARY)
    except ImportError as error:
        raise BadInput("gpuhunt is not installed", would_do=f"pip install {LIBRARY}, or a file it has published") from error
    try:
        found: list[Any] = library.query(provider=[provider])
    except Exception as error:  # other people's code over other people's networks: late, not fatal
        raise BadInput("gpuhunt gave nothing", found=f"{type(error).__name__}: {error}", would_do="a file it has published") from error
    return found


def parse(payload: bytes, terms: Terms) -> Parsed:
    """Offers and rejections from one published file; whose it is, is in its name and is given as `terms.provider`. Never raises."""
    sheet = read_sheet(payload, COLUMNS)
    if sheet.fault:
        return nothing(sheet.fault)
    flag = pl.col("spot").str.to_lowercase().replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    table = sheet.frame.with_columns(flag.alias("spot"), *(number(name) for name in FIGURES), provider=pl.lit(terms.provider))
    unsaid = [(row, "neither spot nor on demand", "") for row in table.filter(pl.col("spot").is_null())["row"]]
    return _offered(table.filter(pl.col("spot").is_not_null()), terms, unread=unread_rows([*sheet.unread, *unsaid]))


def parse_items(items: Iterable[Item], terms: Terms) -> Parsed:
    """The same from rows of the library."""
    facts = ("provider", *COLUMNS)
    kinds = {name: pl.Float64() if name in FIGURES else pl.Boolean() if name == "spot" else pl.String() for name in facts}
    rows = [[getattr(item, name) for name in facts] for item in items]
    table = pl.DataFrame(rows, schema=kinds, orient="row", strict=False)
    return _offered(table.with_row_index("row").with_columns(pl.col("spot").fill_null(value=False)), terms, unread=None)


def _offered(table: pl.DataFrame, terms: Terms, *, unread: pl.DataFrame | None) -> Parsed:
    places = [country_of(provider, place) for provider, place in table.select("provider", "location").iter_rows()]
    names = [_name(name, memory) for name, memory in table.select("gpu_name", "gpu_memory").iter_rows()]
    prices = table.with_columns(
        pl.Series("country_code", places, dtype=pl.String),
        pl.Series("accelerator", names, dtype=pl.String),
        row=pl.col("row").cast(pl.Int64),
        firm=~pl.col("spot"),
        region="location",
        zone=pl.lit(None, pl.String),
        instance_type="instance_name",
        accelerator_raw="gpu_name",
        accelerator_count="gpu_count",
        currency=pl.lit(CURRENCY),
    )
    return offered(prices, terms, unread=unread)


def _name(name: str | None, memory: float | None) -> str | None:
    """The name with its memory where that makes two boards of one name."""
    sized = f"{name}-{memory:g}GB" if memory is not None else name
    return sized if sized in NAMES else name
