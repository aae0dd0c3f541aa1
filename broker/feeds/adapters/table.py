"""Offers from a table of public price lists: one row an instance type, with an on-demand price and perhaps an interruptible one."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from broker.feeds.adapters.offering import nothing, offered, unread_rows
from broker.feeds.adapters.prices import Parsed, Terms
from broker.feeds.adapters.sheet import number, read_sheet
from contracts.terms.errors import BadInput

COLUMNS: Mapping[str, pl.DataType] = {
    "provider": pl.String(),
    "region": pl.String(),
    "country_code": pl.String(),
    "zone": pl.String(),
    "instance_type": pl.String(),
    "accelerator": pl.String(),
    "accelerator_count": pl.Float64(),
    "price_per_hour": pl.Float64(),
    "spot_price_per_hour": pl.Float64(),
    "currency": pl.String(),
    "accelerator_raw": pl.String(),
}
FIGURES = tuple(name for name, kind in COLUMNS.items() if kind == pl.Float64())


def parse(payload: bytes, terms: Terms) -> Parsed:
    """Offers and rejections from the table as CSV. Never raises: of what is no table the `fault` says why."""
    sheet = read_sheet(payload, tuple(COLUMNS))
    if sheet.fault:
        return nothing(sheet.fault)
    return _offered(sheet.frame.with_columns(number(name) for name in FIGURES), terms, unread=unread_rows(sheet.unread))


def parse_frame(frame: pl.DataFrame, terms: Terms) -> Parsed:
    """The same from a frame that has kinds of its own, as Parquet has."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        return nothing(f"it has no column `{missing[0]}`; what would do has {', '.join(COLUMNS)}")
    try:
        typed = frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    except PolarsError as error:
        return nothing(f"a column is of another kind: {str(error).splitlines()[0]}")
    return _offered(typed.with_row_index("row"), terms, unread=None)


def read_frame(path: Path) -> pl.DataFrame:
    """The table in a Parquet file. Raises BadInput for a file that is not one."""
    try:
        return pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        raise BadInput("the price list cannot be read", file=path.name, found=str(error), would_do="a Parquet table") from error


def _offered(table: pl.DataFrame, terms: Terms, *, unread: pl.DataFrame | None) -> Parsed:
    on_demand = table.with_columns(pl.col("row").cast(pl.Int64), firm=pl.lit(value=True), price="price_per_hour")
    spot = on_demand.filter(pl.col("spot_price_per_hour").is_not_null()).with_columns(firm=pl.lit(value=False), price="spot_price_per_hour")
    return offered(pl.concat([on_demand, spot]), terms, unread=unread)
