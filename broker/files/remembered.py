"""What a close remembers of the usage it read, so that the next one reads only what is new.

Beside a close, in `remembered`: what all its usage came to; the rows of every usage_id that later closes see otherwise; and of each
row the cells and a hundred bits of its usage_id, to be looked up and not to be read. The usage_ids of new rows are looked up, what
their earlier rows came to is taken out again, and all of them are read by the rules. Files of usage that were read are known by
name, size and time of change, as version control knows them; any other change, and all is read again.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl

from broker.files.cells import NAMES, Block, Columns, block_of, cells_at
from broker.files.digests import file_digest
from broker.files.replacing import replace_file
from broker.files.usage_parts import UsageParts
from contracts.usage import FIGURES, Reading, read_again
from contracts.usage_stream import (
    BATCH,
    Ints,
    Keys,
    KeySet,
    PlainRows,
    UsageBatch,
    calendar,
    id_keys,
    joined,
    put_aside,
    repeated_keys,
    thoughtful,
)

FOLDER = "remembered"
MANIFEST = "memory.json"
WINDOW = 2**18


class FileSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A file of usage as it was: name, size in bytes, time of change in nanoseconds, SHA-256, rows."""

    name: str
    size: int
    changed: int
    sha256: str
    rows: int

    def is_still(self, path: Path) -> bool:
        """Whether the file is what it was, as far as its size and time of change tell."""
        if not path.is_file():
            return False
        now = path.stat()
        return (now.st_size, now.st_mtime_ns) == (self.size, self.changed)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a memory, written last.

    engine          what the keys were made with: they mean nothing to another version
    periods         month_start, month_end, closes_at of the periods settled, microseconds
    figures         numbers of the reading, by name
    pieces          the blocks of each file of rows, in order of the rows
    """

    engine: str
    periods: tuple[tuple[int, int, int], ...]
    files: tuple[FileSeen, ...]
    figures: dict[str, int]
    pieces: tuple[tuple[Block, ...], ...]


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A memory and where it is kept."""

    folder: Path
    memory: Memory

    @classmethod
    def beside(cls, out: Path | None) -> Self | None:
        """The memory of a close, if it has one that can be read."""
        path = out / FOLDER / MANIFEST if out else None
        if path is None or not path.is_file():
            return None
        try:
            memory = msgspec.json.decode(path.read_bytes(), type=Memory)
        except msgspec.MsgspecError:
            return None
        return cls(folder=path.parent, memory=memory) if memory.engine == pl.__version__ else None

    def digest_of(self, path: Path) -> str | None:
        """SHA-256 of a file that is as it was."""
        seen = self._seen(path)
        return seen.sha256 if seen else None

    def height_of(self, path: Path) -> int | None:
        """Rows of a file that is as it was."""
        seen = self._seen(path)
        return seen.rows if seen else None

    def serves(self, parts: UsageParts, periods: pl.DataFrame) -> bool:
        """Whether everything remembered is still so: files, periods, and what its leases could deliver."""
        paths = {path.name: path for path in parts.files}
        files = all(seen.name in paths and seen.is_still(paths[seen.name]) for seen in self.memory.files)
        then = self.leases().join(parts.leases, on=["lease_id", "accelerators"], how="anti")
        return files and not then.height and _edges(periods)[: len(self.memory.periods)] == self.memory.periods

    def leases(self) -> pl.DataFrame:
        """lease_id, accelerators, by the numbers of cells and sums."""
        return pl.read_ipc(self.folder / "leases.arrow")

    def reading(self, numbers: pl.Expr) -> Reading:
        """What all usage came to; `numbers` are those of its leases now."""
        changes = pl.read_ipc(self.folder / "changes.arrow").with_columns(numbers)
        return Reading(changes=changes, conflicts=pl.read_ipc(self.folder / "conflicts.arrow"), **self.memory.figures)

    def rows_of(self, ids: pl.DataFrame) -> pl.DataFrame:
        """The rows remembered of some usage_ids (usage_id, key, second, in order of key); by the lease numbers of this memory."""
        keys, second = (ids[name].to_numpy() for name in ("key", "second"))
        found = [pl.DataFrame(schema=BATCH)]
        for number, blocks in enumerate(self.memory.pieces):
            if sum(block.rows for block in blocks):
                index = np.memmap(self.folder / _piece("index", number), dtype=np.uint64, mode="r")
                which, at = _places(index, keys)
                cells = cells_at(self.folder / _piece("rows", number), blocks, at=at)
                same = cells["second"] == second[which].view(np.int64)
                found.append(_frame(cells, ids["usage_id"].gather(which)).filter(pl.Series(same)))
        return pl.concat(found)

    def _seen(self, path: Path) -> FileSeen | None:
        return next((seen for seen in self.memory.files if seen.name == path.name and seen.is_still(path)), None)


class MemoryWriter:
    """Writes the memory of one close, in a folder of its own until it is whole."""

    def __init__(self, out: Path, earlier: Remembered | None) -> None:
        self._folder, self._place = out / f".{FOLDER}", out / FOLDER
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._pieces = earlier.memory.pieces if earlier else ()
        self._blocks: list[Block] = []
        for number in range(len(self._pieces)):
            for name in (_piece("index", number), _piece("rows", number)):
                _same_file(earlier.folder / name, self._folder / name)  # type: ignore[union-attr]

    def watching(self, batches: Iterator[UsageBatch]) -> Iterator[UsageBatch]:
        """The batches as they come, each kept in passing."""
        with (self._folder / _piece("rows", len(self._pieces))).open("wb") as file:
            for batch in batches:
                rows = batch.rows.with_columns(
                    second=second_keys("usage_id").reinterpret(signed=True), length=pl.col("end") - pl.col("start")
                )
                block, content = block_of({name: rows[name].to_numpy().astype(np.int64, copy=False) for name in NAMES})
                self._blocks.append(block)
                file.write(content)
                yield batch

    def finish(self, reading: Reading, unsettled: pl.DataFrame, *, keys: Keys, parts: UsageParts, memory: Memory) -> None:
        """What all usage came to, rows that may come to something else, leases and the keys of the rows watched, then the manifest."""
        _index(keys).tofile(self._folder / _piece("index", len(self._pieces)))
        reading.changes.write_ipc(self._folder / "changes.arrow")
        reading.conflicts.write_ipc(self._folder / "conflicts.arrow")
        unsettled.write_ipc(self._folder / "unsettled.arrow")
        parts.leases.write_ipc(self._folder / "leases.arrow")
        whole = msgspec.structs.replace(memory, pieces=(*self._pieces, tuple(self._blocks)))
        replace_file(self._folder / MANIFEST, msgspec.json.encode(whole))
        shutil.rmtree(self._place, ignore_errors=True)
        self._folder.rename(self._place)


def _piece(kind: str, number: int) -> str:
    return f"{kind}-{number:05d}"


def _place_bits(rows: int) -> np.uint64:
    """How many bits the number of a row takes among so many."""
    return np.uint64(max(1, (rows - 1).bit_length()))


def _index(keys: Keys) -> Keys:
    """The first bits of every key with the number of its row in the rest, in order: half of what both would take, and quickly sorted."""
    bits = _place_bits(len(keys))
    index = (keys >> bits << bits) | np.arange(len(keys), dtype=np.uint64)
    index.sort()
    return index


def _places(index: Keys, keys: Keys) -> tuple[Ints, Ints]:
    """Where keys, in order, may be among the rows of an index: which of them, and the number of a row; by the row.

    The index is walked through in windows: to search it as a whole is to jump about in a file that no memory may hold.
    """
    bits = _place_bits(len(index))
    firsts = keys >> bits << bits
    which, at = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(0, len(index), WINDOW):
        window = index[start : start + WINDOW]
        low, high = (np.searchsorted(firsts, edge >> bits << bits, side) for edge, side in ((window[0], "left"), (window[-1], "right")))  # type: ignore[call-overload]
        if low < high:
            found, row = _places_in(window, keys[low:high], bits=bits)
            which.append(found + low)
            at.append(row)
    rows = np.concatenate(at)
    order = np.argsort(rows)
    return np.concatenate(which)[order], rows[order]


def _places_in(window: Keys, keys: Keys, *, bits: np.uint64) -> tuple[Ints, Ints]:
    """The same of a part of an index, by the key."""
    rest = 2**bits - np.uint64(1)
    first = np.searchsorted(window, keys >> bits << bits)
    there = np.flatnonzero(window[np.minimum(first, len(window) - 1)] >> bits == keys >> bits)
    first = first[there]
    times = np.searchsorted(window, keys[there] | rest, side="right") - first
    which = np.repeat(there, times)
    entry = np.arange(len(which)) + np.repeat(first - (np.cumsum(times) - times), times)
    return which, (window[entry] & rest).astype(np.int64)


def second_keys(column: str) -> pl.Expr:
    """Another 64 bits of an id: those of what follows its first letter, which says nothing of the bits of the whole."""
    return pl.col(column).str.slice(1).hash()


def _same_file(there: Path, here: Path) -> None:
    """One file under two names, or a copy where that cannot be."""
    try:
        os.link(there, here)
    except OSError:
        shutil.copyfile(there, here)


def read_remembering(parts: UsageParts, periods: pl.DataFrame, *, earlier: Remembered | None, out: Path | None) -> Reading:
    """What usage comes to, as `UsageParts.read` says it, from a memory and the files it has not seen; remembered beside `out`.

    earlier   a memory that serves, or None: then every file is read
    """
    seen = {file.name for file in earlier.memory.files} if earlier else set()
    new = [number for number, path in enumerate(parts.files) if path.name not in seen]
    fresh = msgspec.structs.replace(parts, files=tuple(parts.files[n] for n in new), rows=tuple(parts.rows[n] for n in new))
    leases = parts.leases
    plain = PlainRows(calendar(periods), leases["accelerators"], settled_only=True)
    numbers = _renumbered(earlier.leases(), leases) if earlier else None
    known = _known(earlier, fresh, numbers=numbers) if earlier and numbers is not None else pl.DataFrame(schema=BATCH)
    keys = fresh.keys()
    before = known.select(id_keys("usage_id")).to_series().to_numpy()
    batches = fresh.marked(keys, KeySet(np.concatenate([repeated_keys(keys), before])))
    writer = MemoryWriter(out, earlier) if out else None
    aside = pl.concat([known, *put_aside(plain, writer.watching(batches) if writer else batches)])
    now = joined(plain, thoughtful(aside, leases=leases, periods=periods), leases=leases, rows=plain.rows + known.height)
    reading = now
    if earlier and numbers is not None:
        then = _came_to(known, leases=leases, periods=periods.head(len(earlier.memory.periods)))
        reading = read_again(earlier.reading(numbers), before=then, now=now, lease_ids=leases["lease_id"])
    if writer:
        figures = {name: getattr(reading, name) for name in FIGURES}
        memory = Memory(engine=pl.__version__, periods=_edges(periods), files=_seen(parts, earlier), figures=figures, pieces=())
        writer.finish(reading, _unsettled(aside, periods), keys=keys, parts=parts, memory=memory)
    return reading


def _known(earlier: Remembered, fresh: UsageParts, *, numbers: pl.Expr) -> pl.DataFrame:
    """Rows read before that are to be read again: those nothing was settled about, and those whose usage_id comes again now."""
    unsettled = pl.read_ipc(earlier.folder / "unsettled.arrow")
    rows = earlier.rows_of(_distinct(fresh)).join(unsettled, on="usage_id", how="anti")
    return pl.concat([unsettled, rows]).with_columns(numbers)


def _came_to(rows: pl.DataFrame, *, leases: pl.DataFrame, periods: pl.DataFrame) -> Reading:
    nothing = PlainRows(calendar(periods), leases["accelerators"])
    return joined(nothing, thoughtful(rows, leases=leases, periods=periods), leases=leases, rows=rows.height)


def _unsettled(rows: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """The rows of each usage_id of which one came too late, or lies after the last month: the next close sees them otherwise."""
    ends, closes = (int(periods[name].to_physical().max()) for name in ("month_end", "closes_at"))  # type: ignore[arg-type]
    return rows.join(rows.filter((pl.col("received_at") >= closes) | (pl.col("end") > ends)), on="usage_id", how="semi")


def _distinct(fresh: UsageParts) -> pl.DataFrame:
    """Every usage_id of some files with its keys, in order of them: usage_id, key, second."""
    scans = [pl.scan_parquet(path).select(pl.col("usage_id").cast(pl.String)) for path in fresh.files]
    ids = pl.concat([pl.LazyFrame(schema={"usage_id": pl.String}), *scans]).unique()
    return ids.with_columns(key=id_keys("usage_id"), second=second_keys("usage_id")).collect().sort("key", "second")


def _seen(parts: UsageParts, earlier: Remembered | None) -> tuple[FileSeen, ...]:
    def of(path: Path, rows: int) -> FileSeen:
        now = path.stat()
        digest = (earlier.digest_of(path) if earlier else None) or file_digest(path)
        return FileSeen(name=path.name, size=now.st_size, changed=now.st_mtime_ns, sha256=digest, rows=rows)

    return tuple(of(path, rows) for path, rows in zip(parts.files, parts.rows, strict=True))


def _edges(periods: pl.DataFrame) -> tuple[tuple[int, int, int], ...]:
    edges = periods.sort("period").select(pl.col("month_start", "month_end", "closes_at").to_physical())
    return tuple((start, end, close) for start, end, close in edges.iter_rows())


def _renumbered(then: pl.DataFrame, now: pl.DataFrame) -> pl.Expr:
    """The number now of each lease by its number then."""
    numbers = then.join(now.with_row_index("now"), on="lease_id", how="left", maintain_order="left")["now"].cast(pl.UInt32)
    return pl.lit(numbers).gather(pl.col("lease")).alias("lease")


def _frame(cells: Columns, ids: pl.Series) -> pl.DataFrame:
    ends = cells | {"end": cells["start"] + cells["length"]}
    return pl.DataFrame({"usage_id": ids} | {name: ends[name] for name in BATCH if name != "usage_id"}).cast(BATCH)  # type: ignore[arg-type]
