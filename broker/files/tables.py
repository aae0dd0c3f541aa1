"""One table from one file, CSV or Parquet, as the columns declared for it.

Every cell that is not what its column says becomes a fault with its row and column. A missing column takes
its default; in CSV an empty cell is null and `""` is an empty text or list.
"""

import csv
import io
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from broker.files.faults import Findings
from contracts.terms.tables import Column, Table

PATTERNS = {
    "int": r"^[+-]?[0-9]+$",
    "float": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "bool": r"^(?i:true|false)$",
    "time": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|\+00:00)$",
}
WOULD_DO = {
    "text": "a text",
    "int": "a whole number, e.g. 1500000",
    "float": "a number, e.g. 2.5",
    "bool": "true or false",
    "time": "a time in UTC, e.g. 2026-03-01T09:00:00Z",
    "list": "texts joined by `;`",
}
SUFFIXES = (".parquet", ".csv")


def table_path(directory: Path, table: Table) -> Path | None:
    """The file a table is kept in, Parquet before CSV; None when there is neither."""
    return next((path for suffix in SUFFIXES if (path := directory / f"{table.name}{suffix}").is_file()), None)


def read_table(path: Path, table: Table, *, findings: Findings, slots: int | None = None) -> pl.DataFrame:
    """The declared columns of a file, typed, defaults filled in, in the order of the file.

    `slots` stands for the default `=slots`. Faults and left-out columns go to `findings`; a frame is returned in
    any case, empty when the file cannot be read at all.
    """
    raw = _raw(path, findings)
    return table.empty() if raw is None else typed_columns(raw, table, path=path, findings=findings, slots=slots)


def typed_columns(raw: pl.DataFrame, table: Table, *, path: Path, findings: Findings, slots: int | None = None) -> pl.DataFrame:
    """The declared columns of some rows of a file; rows of faults are counted from the first of them."""
    known = {column.name for column in table.columns}
    for name in (name for name in raw.columns if name not in known):
        findings.warn(f"file {path.name}: column {name} is not one of the table and is left out")
    filled = raw.select(name for name in raw.columns if name in known)
    for column in table.columns:
        filled = _with_column(filled, column, path=path, findings=findings, slots=slots)
    return filled.select(list(table.schema))


def _raw(path: Path, findings: Findings) -> pl.DataFrame | None:
    """The file as it is: every CSV cell a text, Parquet as typed."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        lengths = _row_lengths(path, findings)
        if lengths is None:
            return None
        frame = pl.read_csv(path, infer_schema=False)
        if 0 not in lengths:
            return frame
        filled = [row for row, length in enumerate(lengths) if length]
        return frame if len(filled) == frame.height else frame[filled]
    except PolarsError as error:
        findings.fault(f"the file cannot be read ({str(error).splitlines()[0]})", file=path.name, would_do=f"a {path.suffix[1:]} table")
        return None


def _row_lengths(path: Path, findings: Findings) -> list[int] | None:
    """Cells of each row, 0 for a blank line; None unless the file is UTF-8 with as many cells in every row as names in the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if '"' in text or "\r" in text:
            rows = csv.reader(io.StringIO(text, newline=""))
            header = next(rows, [])
            lengths = [len(row) for row in rows]
        else:  # nothing is quoted: a comma is a comma
            first, *lines = text.removesuffix("\n").split("\n")
            header = first.split(",") if first else []
            lengths = [line.count(",") + 1 if line else 0 for line in lines]
    except (UnicodeDecodeError, csv.Error) as error:
        findings.fault(f"the file is not CSV in UTF-8 ({error})", file=path.name, would_do="UTF-8 text with commas")
        return None
    twice = sorted({name for name in header if header.count(name) > 1})
    if not header or twice:
        what = f"names column {twice[0]} twice" if twice else "is empty"
        findings.fault(f"the header {what}", file=path.name, row=0, would_do="each column once")
        return None
    if set(lengths) <= {0, len(header)}:
        return lengths
    ragged = [number for number, length in enumerate(lengths, start=1) if length not in (0, len(header))]
    for number in ragged:
        findings.fault(
            "the row has not one cell a column",
            file=path.name,
            row=number,
            found=f"{lengths[number - 1]} cells",
            would_do=f"{len(header)} cells",
        )
    return None if ragged else lengths


def _with_column(frame: pl.DataFrame, column: Column, *, path: Path, findings: Findings, slots: int | None) -> pl.DataFrame:
    if column.name in frame.columns:
        cells = _typed(frame[column.name], column, path=path, findings=findings)
        _check_cells(cells, column, path=path, findings=findings)
        unsaid = column.kind == "list" and not column.nullable
        return frame.with_columns(cells.fill_null(pl.Series([[]], dtype=column.dtype)) if unsaid else cells)
    if column.required:
        findings.fault("the column is missing", file=path.name, column=column.name, would_do=WOULD_DO[column.kind])
    return frame.with_columns(_default(column, slots).alias(column.name))


def _default(column: Column, slots: int | None) -> pl.Expr:
    default = column.default
    if default == "=slots":
        return pl.lit(slots, dtype=column.dtype)
    if isinstance(default, str) and default.startswith("="):
        return pl.col(default[1:])
    if column.kind == "list":
        return pl.lit([], dtype=column.dtype)
    return pl.lit(default, dtype=column.dtype)


def _typed(cells: pl.Series, column: Column, *, path: Path, findings: Findings) -> pl.Series:
    """The cells in the column's type; what does not fit is a fault and becomes null."""
    if cells.dtype == pl.Null:
        return cells.cast(column.dtype)
    if cells.dtype == pl.String:
        typed = _parsed(cells, column)
        unread = cells.is_not_null() & (cells != "") & typed.is_null()
    elif fits(cells.dtype, column):
        typed = cells.cast(column.dtype, strict=False)
        unread = cells.is_not_null() & typed.is_null()
    else:
        findings.fault(
            f"the column is not of kind {column.kind}",
            file=path.name,
            column=column.name,
            found=str(cells.dtype),
            would_do=f"the type {column.dtype}",
        )
        return pl.Series(column.name, [None] * len(cells), dtype=column.dtype)
    for row in unread.arg_true():
        _cell_fault(findings, f"the cell is not {_a(column.kind)}", place=(path, row, column), found=str(cells[row]))
    return typed


def fits(dtype: pl.DataType, column: Column) -> bool:
    """Whether a Parquet type can hold the column's kind as it is."""
    if column.kind == "int":
        return dtype.is_integer()
    if column.kind == "float":
        return dtype.is_numeric()
    if column.kind == "time":
        return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    if column.kind == "list":
        return dtype in (pl.List(pl.String), pl.List(pl.Null))
    return dtype in (column.dtype, pl.Categorical, pl.Enum)


def _parsed(cells: pl.Series, column: Column) -> pl.Series:
    """Texts in the column's type; an unreadable one is null, an empty one is null where that is allowed."""
    if column.kind == "text":
        return cells.set(cells == "", None) if column.nullable else cells
    if column.kind == "list":
        names = cells.str.split(";")
        return pl.select(pl.when(cells == "").then(pl.lit([], dtype=column.dtype)).otherwise(names).alias(column.name)).to_series()
    fitting = cells.set(~cells.str.contains(PATTERNS[column.kind]).fill_null(value=False), None)
    if column.kind == "bool":
        return fitting.str.to_lowercase() == "true"
    if column.kind == "time":
        return fitting.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    return fitting.cast(column.dtype, strict=False)


def _check_cells(cells: pl.Series, column: Column, *, path: Path, findings: Findings) -> None:
    """Empty cells, numbers below the least, and words that are not among those allowed."""
    already = {fault.row for fault in findings.faults if fault.file == path.name and fault.column == column.name}
    if not column.nullable and column.kind != "list" and None not in already:
        for row in cells.is_null().arg_true():
            if row + 1 not in already:
                _cell_fault(findings, "the cell is empty", place=(path, row, column))
    if column.kind == "float":
        for row in (~cells.is_finite()).fill_null(value=False).arg_true():
            _cell_fault(findings, "the cell is no finite number", place=(path, row, column), found=str(cells[row]))
    if column.minimum is not None:
        for row in (cells < column.minimum).fill_null(value=False).arg_true():
            _cell_fault(findings, f"the cell is below {column.minimum}", place=(path, row, column), found=str(cells[row]))
    if column.one_of:
        for row in (~cells.is_in(list(column.one_of))).fill_null(value=False).arg_true():
            _cell_fault(findings, "the cell is none of the words known here", place=(path, row, column), found=str(cells[row]))


def _cell_fault(findings: Findings, message: str, *, place: tuple[Path, int, Column], found: str | None = None) -> None:
    path, row, column = place
    would_do = ", ".join(column.one_of[:-1]) + f" or {column.one_of[-1]}" if column.one_of else WOULD_DO[column.kind]
    if column.minimum is not None:
        would_do = f"{would_do}, at least {column.minimum}"
    findings.fault(message, file=path.name, row=row + 1, column=column.name, found=found, would_do=would_do)


def _a(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "bool": "true or false", "time": "a time in UTC"}.get(kind, f"a {kind}")
