"""Frames in and out of tables through COPY, inside the session's own transaction.

Rows travel as CSV, which Polars and PostgreSQL both write faster than Python makes tuples. Null and the empty string
stay apart (null is an empty cell, text is always quoted), times keep their microsecond, floats come back as they went.
PostgreSQL's own errors (`asyncpg.PostgresError`) come through as they are: a row that does not fit fails the whole copy.
"""

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    cast,
    extract,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable, DropTable
from sqlalchemy.sql import ColumnElement
from sqlmodel import AutoString, SQLModel

TIME = pl.Datetime("us", "UTC")
TEXTS = pl.List(pl.String)
MICROSECONDS = 1_000_000
HEX_MARK = "\\x"
MUCH_BYTES = 1_000_000


async def merge(session: AsyncSession, row: type[SQLModel], *, frame: pl.DataFrame) -> int:
    """Append the rows whose key the table does not hold yet; returns how many those were.

    Doing it twice writes once. Of rows with one key the table's stays, then the frame's first. Keys are inserted in
    order, so that two merges of the same keys wait for each other instead of for ever. Columns may come in any order.
    Raises ValueError for a column the table has not, or of a type that does not travel.
    """
    if frame.is_empty():
        return 0
    table = _table(row, frame)
    columns = [Column(name, table.c[name].type) for name in frame.columns]
    arrival = Column("arrival", BigInteger)
    incoming = Table(f"incoming_{table.name}", MetaData(), *columns, arrival, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")
    await session.execute(CreateTable(incoming))
    await copy_text(session, incoming.name, frame=frame.with_row_index(arrival.name))
    keys = [incoming.c[key.name] for key in table.primary_key if key.name in frame.columns]
    found = select(*(incoming.c[name] for name in frame.columns)).order_by(*keys, incoming.c.arrival)
    statement = insert(table).from_select(frame.columns, found).on_conflict_do_nothing()
    written: Any = await session.execute(statement)
    await session.execute(DropTable(incoming))
    return int(written.rowcount)


async def copy_text(session: AsyncSession, table: str, *, frame: pl.DataFrame) -> None:
    """Send a frame to a table of any kind, temporary ones too; its columns are named as the table's.

    Raises ValueError for a column of a type that does not travel.
    """
    cells = frame.select(_departing(name, dtype) for name, dtype in frame.schema.items())
    data = cells.write_csv(include_header=False, quote_style="non_numeric", datetime_format="%Y-%m-%d %H:%M:%S%.6f+00").encode()
    connection = await driver(session)
    await connection.copy_to_table(table, source=io.BytesIO(data), columns=frame.columns, format="csv")


async def copy_out(session: AsyncSession, statement: Select[*tuple[Any, ...]]) -> pl.DataFrame:
    """The result of a query as a frame, columns named and typed by the query: add an ORDER BY where order matters.

    Whole numbers are Int64, times UTC microseconds, lists of text List(String), JSON its text. Raises ValueError for
    a column of another type.
    """
    columns = list(statement.selected_columns)
    schema = {str(column.key): _arriving(column) for column in columns}
    cells = [_cell(column, schema[str(column.key)]) for column in columns]
    query = statement.with_only_columns(*cells, maintain_column_froms=True)
    dialect = (await session.connection()).dialect
    sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    buffer = io.BytesIO()
    connection = await driver(session)
    await connection.copy_from_query(sql, output=buffer, format="csv")
    if not buffer.tell():
        return pl.DataFrame(schema=schema)
    # A large result is read beside the loop: a hundred thousand offers take a fifth of a second, and other requests are answered meanwhile.
    return await asyncio.to_thread(_read, buffer, schema) if buffer.tell() > MUCH_BYTES else _read(buffer, schema)


def _read(buffer: io.BytesIO, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    texts = pl.read_csv(buffer.getvalue(), has_header=False, schema={name: _travelling(dtype) for name, dtype in schema.items()})
    return texts.select(_arrived(name, dtype) for name, dtype in schema.items())


def _table(row: type[SQLModel], frame: pl.DataFrame) -> Table:
    table: Table = row.__table__  # type: ignore[attr-defined]
    unknown = [name for name in frame.columns if name not in table.c]
    if unknown:
        raise ValueError(f"table {table.name} has no column {', '.join(unknown)}")
    return table


async def driver(session: AsyncSession) -> Any:
    """asyncpg's connection under a session, pending rows written, its transaction begun."""
    await session.flush()
    connection = await session.connection()
    # SQLAlchemy begins the transaction with its first statement; a COPY before that would commit by itself.
    await connection.execute(text("SELECT 1"))
    return (await connection.get_raw_connection()).driver_connection


def _departing(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as PostgreSQL reads it from CSV."""
    column = pl.col(name)
    if dtype == TEXTS:
        element = pl.element().str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        quoted = pl.when(pl.element().is_null()).then(pl.lit("NULL")).otherwise(pl.format('"{}"', element))
        return (pl.lit("{") + column.list.eval(quoted).list.join(",") + pl.lit("}")).alias(name)
    if dtype == pl.Binary:
        return (pl.lit(HEX_MARK) + column.bin.encode("hex")).alias(name)
    if dtype == TIME or dtype.is_integer() or dtype.is_float() or dtype in {pl.String, pl.Boolean, pl.Categorical, pl.Enum}:
        return column
    raise ValueError(f"column {name} cannot be copied: {dtype} does not travel (a time must be {TIME})")


def _arriving(column: ColumnElement[Any]) -> pl.DataType:
    """The type a column of a query has in a frame."""
    kinds: list[tuple[type, pl.DataType]] = [
        (Boolean, pl.Boolean()),
        (Integer, pl.Int64()),
        (Float, pl.Float64()),
        (DateTime, TIME),
        (ARRAY, TEXTS),
        (LargeBinary, pl.Binary()),
        (JSONB, pl.String()),
        (String, pl.String()),
        (AutoString, pl.String()),
    ]
    found = next((dtype for kind, dtype in kinds if isinstance(column.type, kind)), None)
    if found is None:
        raise ValueError(f"column {column.key} cannot be copied: {column.type} does not travel; cast it")
    return found


def _cell(column: ColumnElement[Any], dtype: pl.DataType) -> ColumnElement[Any]:
    """A column as Polars reads it from CSV."""
    if dtype == TIME:
        return cast(extract("epoch", column) * MICROSECONDS, BigInteger).label(str(column.key))
    if dtype == TEXTS:
        return func.to_json(column).label(str(column.key))
    if dtype == pl.Boolean:
        return cast(column, String).label(str(column.key))
    if dtype == pl.Binary:
        return func.encode(column, "hex").label(str(column.key))
    return column


def _travelling(dtype: pl.DataType) -> pl.DataType:
    if dtype == TIME:
        return pl.Int64()
    return pl.String() if dtype in {TEXTS, pl.Binary()} else dtype


def _arrived(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == TIME:
        return column.cast(TIME)
    if dtype == TEXTS:
        return column.str.json_decode(TEXTS)
    return column.str.decode("hex") if dtype == pl.Binary else column
