"""Columns of plain Python values into a table, in PostgreSQL's binary COPY format.

For rows that are Python's anyway, a few thousand at a time: nothing is quoted, escaped or parsed on the way, and a value that comes
again in its column is packed once. Frames travel by `broker.store.copying`.
"""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, repeat
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Float, Integer, LargeBinary, Table
from sqlmodel import SQLModel

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
TEXT_OID = 25
SIZE = struct.Struct(">i").pack
Pack = Callable[[Any], bytes]


async def copy_columns(connection: Any, row: type[SQLModel], *, columns: Mapping[str, Sequence[Any]]) -> None:
    """Append rows, given by the column, through `broker.store.copying.driver`; a list of text is a tuple.

    Raises KeyError for a column the table has not, struct.error for a number it cannot hold.
    """
    assert len({len(values) for values in columns.values()}) == 1, "columns are of one length"
    table: Table = row.__table__  # type: ignore[attr-defined]
    cells = [map(_Cells(_pack_of(table.c[name].type)).__getitem__, values) for name, values in columns.items()]
    data = b"".join(chain([HEADER], chain.from_iterable(zip(repeat(struct.pack(">h", len(columns))), *cells)), [END]))
    await connection.copy_to_table(table.name, source=io.BytesIO(data), columns=list(columns), format="binary")


class _Cells(dict[Any, bytes]):
    """A column's values as cells, their length before their bytes; each is packed when it first comes."""

    def __init__(self, pack: Pack) -> None:
        super().__init__()
        self[None] = NULL
        self._pack = pack

    def __missing__(self, value: Any) -> bytes:
        packed = self[value] = self._pack(value)
        return packed


def _pack_of(kind: object) -> Pack:
    """How a column of this type is packed; text unless it is something else."""
    kinds: list[tuple[type, Pack]] = [
        (BigInteger, partial(struct.Struct(">iq").pack, 8)),
        (Integer, partial(struct.Struct(">ii").pack, 4)),
        (Float, partial(struct.Struct(">id").pack, 8)),
        (Boolean, partial(struct.Struct(">i?").pack, 1)),
        (LargeBinary, _sized),
        (DateTime, _moment),
        (ARRAY, _texts),
    ]
    return next((pack for type_, pack in kinds if isinstance(kind, type_)), _text)


def _sized(data: bytes) -> bytes:
    return SIZE(len(data)) + data


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _moment(value: datetime) -> bytes:
    since = value - EPOCH
    return struct.pack(">iq", 8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _texts(values: Sequence[str]) -> bytes:
    """A list of text: dimensions, no nulls, the element's type; then the length, from 1, and the elements."""
    if not values:
        return _sized(struct.pack(">iii", 0, 0, TEXT_OID))
    return _sized(struct.pack(">iiiii", 1, 0, TEXT_OID, len(values), 1) + b"".join(map(_text, values)))
