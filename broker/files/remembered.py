"""What a close remembers of the usage it read, so that the next one reads only what is new.

Beside a close, in `remembered`: the sums of rows that nothing can change but a row of the same usage_id; every row that was put
aside, whole; and of each row 128 bits of its usage_id and its cells, in order, to be looked up and not to be read. A late
row takes the earlier rows of its usage_id out of the sums, and all of them are read by the rules. Files of usage that were read
are known by name, size and time of change, as version control knows them; any other change, and all is read again.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.files.digests import file_digest
from broker.files.replacing import replace_file
from broker.files.usage_parts import UsageParts
from contracts.usage import Reading
from contracts.usage_stream import (
    BATCH,
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
LOOKED_AT = 1_000_000
CELLS = np.dtype(
    [
        ("key", "<u8"),
        ("rev", "<i8"),
        ("start", "<i8"),
        ("end", "<i8"),
        ("accelerator_seconds", "<i8"),
        ("received_at", "<i8"),
        ("lease", "<u4"),
        ("status", "u1"),
    ]
)


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
    seconds_above   of the rows in the sums
    pieces          names of the files of keys and cells, in order of the rows
    """

    engine: str
    periods: tuple[tuple[int, int, int], ...]
    files: tuple[FileSeen, ...]
    seconds_above: int
    pieces: tuple[str, ...]


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
        return next((seen.sha256 for seen in self.memory.files if seen.name == path.name and seen.is_still(path)), None)

    def serves(self, parts: UsageParts, periods: pl.DataFrame) -> bool:
        """Whether everything remembered is still so: files, periods, and what its leases could deliver."""
        paths = {path.name: path for path in parts.files}
        files = all(seen.name in paths and seen.is_still(paths[seen.name]) for seen in self.memory.files)
        then = self.leases().join(parts.leases, on=["lease_id", "accelerators"], how="anti")
        return files and not then.height and _edges(periods)[: len(self.memory.periods)] == self.memory.periods

    def leases(self) -> pl.DataFrame:
        """lease_id, accelerators, by the numbers of cells and sums."""
        return pl.read_parquet(self.folder / "leases.parquet")

    def rows_of(self, ids: pl.DataFrame) -> pl.DataFrame:
        """The rows remembered of some usage_ids (usage_id, key, second, in order of key); by the lease numbers of this memory."""
        keys = ids["key"].to_numpy()
        wanted = KeySet(keys)
        found = [pl.DataFrame(schema=BATCH | {"key": pl.UInt64(), "second": pl.UInt64()}).drop("usage_id")]
        for piece in self.memory.pieces:
            own = np.memmap(self.folder / f"keys-{piece}", dtype=np.uint64, mode="r")
            cells = np.memmap(self.folder / f"rows-{piece}", dtype=CELLS, mode="r")
            for first in range(0, len(own), LOOKED_AT):
                some = np.asarray(own[first : first + LOOKED_AT])
                at = np.flatnonzero(wanted.holds(some))
                found.append(_frame(np.asarray(cells[at + first]), some[at]))
        return pl.concat(found).join(ids, on=["key", "second"]).select(list(BATCH))


class MemoryWriter:
    """Writes the memory of one close, in a folder of its own until it is whole."""

    def __init__(self, out: Path, earlier: Remembered | None) -> None:
        self._folder, self._place = out / f".{FOLDER}", out / FOLDER
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._pieces = earlier.memory.pieces if earlier else ()
        self._piece = f"{len(self._pieces):05d}"
        if earlier:
            for piece in self._pieces:
                for name in (f"keys-{piece}", f"rows-{piece}"):
                    _same_file(earlier.folder / name, self._folder / name)

    def watching(self, batches: Iterator[UsageBatch]) -> Iterator[UsageBatch]:
        """The batches as they come, each kept in passing."""
        with (self._folder / f"keys-{self._piece}").open("wb") as keys, (self._folder / f"rows-{self._piece}").open("wb") as rows:
            for batch in batches:
                both = batch.rows.select(id_keys("usage_id").alias("first"), second_keys("usage_id").alias("second"))
                both["first"].to_numpy().tofile(keys)
                cells = np.empty(batch.rows.height, dtype=CELLS)
                cells["key"] = both["second"].to_numpy()
                for name in CELLS.names[1:]:  # type: ignore[index]
                    cells[name] = batch.rows[name].to_numpy()
                cells.tofile(rows)
                yield batch

    def finish(self, sums: pl.DataFrame, aside: pl.DataFrame, *, parts: UsageParts, memory: Memory) -> None:
        """Sums, rows put aside and leases, then the manifest."""
        sums.cast({"seconds": pl.Int64()}).write_parquet(self._folder / "sums.parquet")
        aside.write_parquet(self._folder / "aside.parquet")
        parts.leases.write_parquet(self._folder / "leases.parquet")
        whole = msgspec.structs.replace(memory, pieces=(*self._pieces, self._piece))
        replace_file(self._folder / MANIFEST, msgspec.json.encode(whole))
        shutil.rmtree(self._place, ignore_errors=True)
        self._folder.rename(self._place)


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
    plain = PlainRows(calendar(periods), parts.leases["accelerators"], settled_only=True)
    recalled = _recalled(earlier, fresh, periods=periods, plain=plain) if earlier else []
    keys = fresh.keys()
    before = [rows.select(id_keys("usage_id")).to_series().to_numpy() for rows in recalled]
    batches = fresh.marked(keys, KeySet(np.concatenate([repeated_keys(keys), *before])))
    writer = MemoryWriter(out, earlier) if out else None
    aside = pl.concat([pl.DataFrame(schema=BATCH), *recalled, *put_aside(plain, writer.watching(batches) if writer else batches)])
    reading = joined(plain, thoughtful(aside, leases=parts.leases, periods=periods), leases=parts.leases, rows=parts.height)
    if writer:
        memory = Memory(
            engine=pl.__version__,
            periods=_edges(periods),
            files=_seen(parts, earlier),
            seconds_above=plain.seconds_above,
            pieces=(),
        )
        writer.finish(plain.sums(), aside, parts=parts, memory=memory)
    return reading


def _recalled(earlier: Remembered, fresh: UsageParts, *, periods: pl.DataFrame, plain: PlainRows) -> list[pl.DataFrame]:
    """Rows put aside then, and those whose usage_id comes again now; what is left of the sums goes to `plain`."""
    numbers = pl.lit(_renumbered(earlier.leases(), fresh.leases)).gather(pl.col("lease")).alias("lease")
    aside = pl.read_parquet(earlier.folder / "aside.parquet").with_columns(numbers)
    rows = earlier.rows_of(_distinct(fresh)).with_columns(numbers).join(aside, on="usage_id", how="anti")
    then = calendar(periods.head(len(earlier.memory.periods)))
    taken = PlainRows(then, fresh.leases["accelerators"], settled_only=True)
    taken.add(UsageBatch(rows=rows, repeated=np.zeros(rows.height, dtype=np.bool_)))
    sums = pl.read_parquet(earlier.folder / "sums.parquet").with_columns(numbers, pl.col("seconds").cast(pl.Int128))
    plain.recall(sums)
    plain.recall(taken.sums().with_columns(seconds=0 - pl.col("seconds")))
    plain.seconds_above += earlier.memory.seconds_above - taken.seconds_above
    return [aside, rows]


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


def _renumbered(then: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
    """The number now of each lease by its number then."""
    return then.join(now.with_row_index("now"), on="lease_id", how="left", maintain_order="left")["now"].cast(pl.UInt32)


def _frame(rows: npt.NDArray[np.void], keys: Keys) -> pl.DataFrame:
    cells = {name: np.ascontiguousarray(rows[name]) for name in BATCH if name != "usage_id"}
    frame = pl.DataFrame({**cells, "key": keys, "second": np.ascontiguousarray(rows["key"])})
    return frame.cast({name: dtype for name, dtype in BATCH.items() if name != "usage_id"})
