"""Rows of usage in blocks, to be looked up by their numbers: each column in as few bytes as its values need.

A column of a block is kept as the least of its values and, for each row, how many steps above it the value lies; the step is what
divides all of them, a quarter of an hour, say. What is looked up lies far apart, so whole blocks are read, from the front: a
disk gives a gigabyte in order with less work than fifty thousand single pages of it.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.terms.errors import BadInput

Ints = npt.NDArray[np.int64]
Columns = dict[str, Ints]

NAMES = ("second", "rev", "lease", "start", "length", "accelerator_seconds", "status", "received_at")
WIDTHS = (1, 2, 4)
SAMPLE = 1_000
READ_BYTES = 2**18  # pieces that the system reads ahead of; of larger ones it fetches every page by itself


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """How a column of a block is kept: value = least + step × what is there, in so many bytes a row (0: all are the least)."""

    least: int
    step: int
    width: int


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Some rows in a row: how many, and how each of their columns is kept, one after the other, in order of `NAMES`."""

    rows: int
    columns: tuple[Packed, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.rows * sum(column.width for column in self.columns)


def packed(values: Ints) -> tuple[Packed, bytes]:
    """A column and how it is kept."""
    least, most = (int(edge) for edge in (values.min(initial=2**63 - 1), values.max(initial=-(2**63))))
    if not len(values) or least == most:
        return Packed(least if len(values) else 0, 1, 0), b""
    if most - least < 2**63:
        above = values - least
        step = _step(above)
        for width in WIDTHS:
            if (most - least) // step < 2 ** (8 * width):
                return Packed(least, step, width), (above // step).astype(f"<u{width}").tobytes()
    return Packed(0, 1, 8), values.astype("<i8").tobytes()


def block_of(columns: Columns) -> tuple[Block, bytes]:
    """Rows as a block."""
    kept = [packed(columns[name]) for name in NAMES]
    return Block(len(columns[NAMES[0]]), tuple(how for how, _ in kept)), b"".join(content for _, content in kept)


def cells_at(path: Path, blocks: Sequence[Block], *, at: Ints) -> Columns:
    """The rows of some numbers, ascending, of a file of blocks; blocks without any of them are passed over.

    Raises BadInput for a file cut short.
    """
    found: dict[str, list[Ints]] = {name: [np.empty(0, dtype=np.int64)] for name in NAMES}
    edges = np.searchsorted(at, np.cumsum([0, *(block.rows for block in blocks)]))
    buffer = memoryview(bytearray(max((block.size for block in blocks), default=0)))
    first, offset = 0, 0
    with path.open("rb", buffering=0) as file:
        for number, block in enumerate(blocks):
            wanted = at[edges[number] : edges[number + 1]] - first
            if len(wanted):
                if not _filled(file.fileno(), buffer[: block.size], offset=offset):
                    would_do = f"the folder {path.parent.name} taken away: everything is then read again"
                    raise BadInput("a file of what was remembered is cut short", file=f"{path.parent.name}/{path.name}", would_do=would_do)
                for name, values in _unpacked(block, buffer, rows=wanted).items():
                    found[name].append(values)
            first, offset = first + block.rows, offset + block.size
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _step(above: Ints) -> int:
    """What divides all of them, as far as some of them tell; 1 where it does not."""
    step = int(np.gcd.reduce(above[:SAMPLE]))
    return step if step > 1 and not (above % step).any() else 1


def _filled(file: int, into: memoryview, *, offset: int) -> bool:
    """Fill a buffer; False where the file ends before."""
    done = 0
    while done < len(into):
        count = os.preadv(file, [into[done : done + READ_BYTES]], offset + done)
        if not count:
            return False
        done += count
    return True


def _unpacked(block: Block, content: memoryview, *, rows: Ints) -> Columns:
    found: Columns = {}
    offset = 0
    for name, column in zip(NAMES, block.columns, strict=True):
        if column.width:
            kept = np.frombuffer(content, dtype=f"<u{column.width}", count=block.rows, offset=offset)
            found[name] = kept[rows].astype(np.int64) * column.step + column.least
        else:
            found[name] = np.full(len(rows), column.least)
        offset += block.rows * column.width
    return found
