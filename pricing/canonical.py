"""One text for each table, so that its hash means the same on every machine.

CSV in UTF-8 with `\\n`: header, the published columns in their order, rows in text order of their keys (so slot 10
comes before slot 2), floats shortest with a decimal point, `true` and `false`, nothing for null, lists with `;`,
times ISO 8601 with `Z`. Result files are written in this very text: `sha256sum awards.csv` gives its hash.
"""

import hashlib

import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import MARKET_TABLES, RESULT_TABLES, Column, Table


def canonical_text(table: Table, frame: pl.DataFrame) -> str:
    """The CSV text of a frame that has the table's columns; further columns are left out."""
    keys = [pl.col(name).cast(pl.String) for name in table.key]
    return frame.sort(keys).select(_as_text(column) for column in table.columns).write_csv()


def table_hash(table: Table, frame: pl.DataFrame) -> str:
    """SHA-256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical_text(table, frame).encode()).hexdigest()


def result_hashes(clearing: Clearing) -> dict[str, str]:
    """Hash of each result table, by name."""
    frames = clearing.tables()
    return {table.name: table_hash(table, frames[table.name]) for table in RESULT_TABLES}


def book_hashes(book: MarketBook) -> dict[str, str]:
    """Hash of each table of a book that has rows, and of a transfer table even without any."""
    frames = book.tables()
    said = {name for name, frame in frames.items() if frame.height or name in ("offers", "bids", "transfer")}
    return {table.name: table_hash(table, frames[table.name]) for table in MARKET_TABLES if table.name in said}


def _as_text(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    if column.kind == "list":
        return cell.list.join(";")
    if column.kind == "time":
        fraction = pl.when(cell.dt.microsecond() != 0).then(cell.dt.strftime(".%6f")).otherwise(pl.lit(""))
        return pl.concat_str(cell.dt.strftime("%Y-%m-%dT%H:%M:%S"), fraction, pl.lit("Z")).alias(column.name)
    return cell
