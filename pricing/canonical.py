"""One text for each table, so that its hash means the same on every machine.

CSV in UTF-8 with `\\n`: header, the published columns in their order, rows in text order of their keys (so slot 10
comes before slot 2), floats shortest with a decimal point, `true` and `false`, nothing for null, lists with `;`,
times ISO 8601 with `Z`. Result files are written in this very text: `sha256sum awards.csv` gives its hash.
"""

import hashlib
import io
from collections.abc import Mapping

import msgspec
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import MARKET_TABLES, RESULT_TABLES, Column, Table

Written = Mapping[str, "WrittenTable"]


class WrittenTable(msgspec.Struct, frozen=True, eq=False):
    """A table in its one text: written once, it serves the hash of the table and the leaves of its bids alike.

    rows   in the order of the text
    text   UTF-8, header first
    """

    rows: pl.DataFrame
    text: bytes

    @property
    def hash(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()


def write_table(table: Table, frame: pl.DataFrame) -> WrittenTable:
    """Put a frame that has the table's columns into its text; further columns are left out."""
    rows = frame.sort([pl.col(name).cast(pl.String) for name in table.key])
    text = io.BytesIO()
    rows.select(_as_text(column) for column in table.columns).write_csv(text)
    return WrittenTable(rows, text.getvalue())


def canonical_text(table: Table, frame: pl.DataFrame) -> str:
    """The CSV text of a frame that has the table's columns; further columns are left out."""
    return write_table(table, frame).text.decode()


def write_result_tables(clearing: Clearing) -> dict[str, WrittenTable]:
    """Each result table, by name."""
    frames = clearing.tables()
    return {table.name: write_table(table, frames[table.name]) for table in RESULT_TABLES}


def write_book_tables(book: MarketBook) -> dict[str, WrittenTable]:
    """Each table of a book that has rows, by name, and a transfer table even without any."""
    frames = book.tables()
    said = {name for name, frame in frames.items() if frame.height or name in ("offers", "bids", "transfer")}
    return {table.name: write_table(table, frames[table.name]) for table in MARKET_TABLES if table.name in said}


def hashes_of(written: Written) -> dict[str, str]:
    """Hash of each table, by name."""
    return {name: table.hash for name, table in written.items()}


def result_hashes(clearing: Clearing) -> dict[str, str]:
    """Hash of each result table, by name."""
    return hashes_of(write_result_tables(clearing))


def book_hashes(book: MarketBook) -> dict[str, str]:
    """Hash of each table of a book that `write_book_tables` writes, by name."""
    return hashes_of(write_book_tables(book))


def _as_text(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    if column.kind == "list":
        return cell.list.join(";")
    if column.kind == "time":
        fraction = pl.when(cell.dt.microsecond() != 0).then(cell.dt.strftime(".%6f")).otherwise(pl.lit(""))
        return pl.concat_str(cell.dt.strftime("%Y-%m-%dT%H:%M:%S"), fraction, pl.lit("Z")).alias(column.name)
    return cell
