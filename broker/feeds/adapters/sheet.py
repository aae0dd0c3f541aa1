"""CSV bytes as a frame of texts, whatever the bytes are: what cannot be read is said, row by row or of the whole.

Read with the plain reader of the standard library: it is row by row, so one bad row costs one row.
"""

import csv
import io
from collections.abc import Iterator, Sequence

import msgspec
import polars as pl

Unread = tuple[int, str, str]


class Sheet(msgspec.Struct, frozen=True, eq=False):
    """What was read.

    frame    `row` (from 0, the header not counted) and the columns asked for, all texts, an empty cell null
    unread   rows that could not be read: number, reason, detail
    fault    why nothing could be read at all; empty when something could
    """

    frame: pl.DataFrame
    unread: list[Unread]
    fault: str = ""


def read_sheet(payload: bytes, columns: Sequence[str], *, optional: Sequence[str] = ()) -> Sheet:
    """The columns asked for; an optional one that is not there is null. Blank lines are no rows. Never raises."""
    wanted = [*columns, *optional]
    try:
        lines = csv.reader(io.StringIO(payload.decode("utf-8-sig"), newline=""))
        header = next(lines, [])
    except (UnicodeDecodeError, csv.Error) as error:
        return _nothing(wanted, f"it is not CSV in UTF-8: {error}")
    missing = [name for name in columns if header.count(name) != 1] + [name for name in optional if header.count(name) > 1]
    if missing:
        return _nothing(wanted, f"it has not one column `{missing[0]}`; what would do has {', '.join(columns)}")
    rows, unread = _rows(lines, len(header))
    places = {name: header.index(name) for name in wanted if name in header}
    cells = {
        name: [row[places[name]] or None for _, row in rows] if name in places else pl.repeat(None, len(rows), dtype=pl.String, eager=True)
        for name in wanted
    }
    schema = {"row": pl.Int64(), **dict.fromkeys(wanted, pl.String())}
    return Sheet(pl.DataFrame({"row": [number for number, _ in rows], **cells}, schema=schema), unread)


def _rows(lines: Iterator[list[str]], width: int) -> tuple[list[tuple[int, list[str]]], list[Unread]]:
    """Rows with as many cells as the header, by number; and the others."""
    rows: list[tuple[int, list[str]]] = []
    unread: list[Unread] = []
    number = 0
    while True:
        try:
            row = next(lines)
        except StopIteration:
            return rows, unread
        except csv.Error as error:
            unread.append((number, "not CSV", str(error)))
            number += 1
            continue
        if not row:
            continue
        if len(row) == width:
            rows.append((number, row))
        else:
            unread.append((number, "not one cell a column", f"{len(row)} cells for {width} columns"))
        number += 1


def _nothing(columns: Sequence[str], fault: str) -> Sheet:
    return Sheet(pl.DataFrame(schema={"row": pl.Int64(), **dict.fromkeys(columns, pl.String())}), [], fault)


def number(name: str) -> pl.Expr:
    """A column of texts as figures; what is no figure is null."""
    return pl.col(name).str.strip_chars().cast(pl.Float64, strict=False).alias(name)
