"""Usage tables too large to be held: one Parquet file or a folder of them, read in batches, twice.

The first reading sees only the ids, as 64 bits each, and finds those that come again; the second adds rows up as they pass.
What is kept is 8 bytes a row and the few rows that need thought. A fault ends the quick way: the file is then read
slowly, piece by piece, and every fault is named as in a small table.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from broker.files.faults import FAULTS_KEPT, Findings
from broker.files.tables import SUFFIXES, fits, read_table, table_path, typed_columns
from contracts.ledger_checks import usage_faults
from contracts.ledger_tables import USAGE
from contracts.usage import STATUS_ORDER, Reading
from contracts.usage_stream import KeySet, UsageBatch, id_keys, read_batches, repeated_keys

Heights = Callable[[Path], int | None]

ROWS_SLOW = 500_000
LARGE = 200_000


class Progress(Protocol):
    """Told, now and then, how many rows of all a stage has done."""

    def __call__(self, stage: str, done: int, *, of: int) -> None:
        """`done` rows of `of`, in a stage named in words."""


def nothing_known(path: Path) -> None:
    """The rows of a file that nobody has counted."""
    del path


def silent(stage: str, done: int, *, of: int) -> None:
    """Progress nobody watches."""
    del stage, done, of


class UsageParts(msgspec.Struct, frozen=True, kw_only=True):
    """The Parquet files of one usage table, in order of their names, with how many rows each has.

    leases    lease_id, accelerators, in order of ids
    periods   the public table, in order
    """

    files: tuple[Path, ...]
    rows: tuple[int, ...]
    leases: pl.DataFrame
    periods: pl.DataFrame
    progress: Progress = silent

    @property
    def height(self) -> int:
        """Rows in all files."""
        return sum(self.rows)

    def read(self, periods: pl.DataFrame) -> Reading:
        """What the usage comes to at the closes of some periods. Raises BadInput naming the faults of the first file that has any."""
        return read_batches(self.batches(), leases=self.leases, periods=periods)

    def batches(self) -> Iterator[UsageBatch]:
        """All rows in order, coded and checked; those whose usage_id may come again are marked. Raises BadInput as `read` does."""
        keys = self.keys()
        return self.marked(keys, KeySet(repeated_keys(keys)))

    def keys(self) -> npt.NDArray[np.uint64]:
        """64 bits of every usage_id, in order of the rows: equal where the ids are."""
        keys = np.empty(self.height, dtype=np.uint64)
        done = 0
        for path in self.files:
            for batch in pl.scan_parquet(path).select(pl.col("usage_id").cast(pl.String)).select(id_keys("usage_id")).collect_batches():
                keys[done : done + batch.height] = batch.to_series().to_numpy()
                done += batch.height
                self.progress("comparing ids", done, of=self.height)
        return keys

    def marked(self, keys: npt.NDArray[np.uint64], repeated: KeySet) -> Iterator[UsageBatch]:
        """All rows in order, coded and checked; those of `repeated` keys are marked."""
        done = 0
        first_month = int(self.periods["month_start"].to_physical().min() or 0)  # type: ignore[arg-type]
        for path in self.files:
            for raw in _coded_scan(path, self.leases).collect_batches():
                rows = raw.rechunk()
                if _unsound(rows, first_month):
                    self._name_faults(path)
                yield UsageBatch(rows=rows, repeated=repeated.holds(keys[done : done + rows.height]))
                done += rows.height
                self.progress("adding up", done, of=self.height)

    def _name_faults(self, path: Path) -> NoReturn:
        """Raise BadInput with every fault of a file, as the reading of a small table names them; up to a thousand."""
        findings = Findings()
        for first in range(0, self.rows[self.files.index(path)], ROWS_SLOW):
            here = Findings()
            rows = typed_columns(pl.scan_parquet(path).slice(first, ROWS_SLOW).collect(), USAGE, path=path, findings=here)
            if not here.faults:
                here.take(usage_faults(rows, leases=self.leases, periods=self.periods), files={USAGE.name: path.name})
            findings.faults += [msgspec.structs.replace(fault, row=fault.row and fault.row + first) for fault in here.faults]
            if len(findings.faults) >= FAULTS_KEPT:
                break
        findings.stop_if_faulty()
        raise AssertionError(f"{path.name}: a batch was refused in which the slow reading finds no fault")


def usage_files(directory: Path) -> tuple[Path, ...]:
    """Where the usage is: one file, Parquet before CSV, or those of the folder `usage`, by name; empty when there is none."""
    one = table_path(directory, USAGE)
    if one is not None:
        return (one,)
    folder = directory / USAGE.name
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)) if folder.is_dir() else ()


def read_parts(files: Sequence[Path], *, leases: pl.DataFrame, periods: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """A usage table small enough to be held. Faults go to `findings`."""
    frames = []
    for path in files:
        here = Findings()
        rows = read_table(path, USAGE, findings=here)
        if not here.faults:
            here.take(usage_faults(rows, leases=leases, periods=periods), files={USAGE.name: path.name})
        findings.faults += here.faults
        findings.warnings += here.warnings
        frames.append(rows)
    return pl.concat(frames)


def usage_parts(
    files: Sequence[Path], *, leases: pl.DataFrame, periods: pl.DataFrame, findings: Findings, known: Heights = nothing_known
) -> UsageParts | None:
    """Parquet files to be read in batches, or None where they are few rows, or not typed as the columns of usage are.

    known   how many rows a file has that need not be asked
    """
    try:
        heights = tuple(_height(path, known(path)) for path in files)
        schemas = {path: pl.scan_parquet(path).collect_schema() for path in files}
    except PolarsError:
        return None
    if sum(heights) < LARGE or not all(_typed(schema) for schema in schemas.values()):
        return None
    for path, schema in schemas.items():
        for name in (name for name in schema if name not in USAGE.schema):
            findings.warn(f"file {path.name}: column {name} is not one of the table and is left out")
    return UsageParts(files=tuple(files), rows=heights, leases=leases.select("lease_id", "accelerators").sort("lease_id"), periods=periods)


def _height(path: Path, known: int | None) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item()) if known is None else known


def _typed(schema: pl.Schema) -> bool:
    """Whether every column of usage is there as it is kept, or can be made so without reading texts."""
    return all(fits(schema[column.name], column) if column.name in schema else not column.required for column in USAGE.columns)


def _coded_scan(path: Path, leases: pl.DataFrame) -> pl.LazyFrame:
    """The columns of a batch; a cell that is not what it should be is null."""
    scan = pl.scan_parquet(path)
    present = scan.collect_schema()
    rev = pl.col("rev").cast(pl.Int64, strict=False) if "rev" in present else pl.lit(0, pl.Int64).alias("rev")
    columns = [
        pl.col("usage_id").cast(pl.String),
        rev,
        _coded("lease_id", present["lease_id"], words=leases["lease_id"]).cast(pl.UInt32).alias("lease"),
        *(pl.col(name).cast(USAGE.schema[name]).to_physical() for name in ("start", "end")),
        pl.col("accelerator_seconds").cast(pl.Int64, strict=False),
        _coded("status", present["status"], words=pl.Series(STATUS_ORDER)).cast(pl.UInt8),
        pl.col("received_at").cast(USAGE.schema["received_at"]).to_physical(),
    ]
    return scan.select(columns)


def _coded(name: str, dtype: pl.DataType, *, words: pl.Series) -> pl.Expr:
    texts = pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String)
    return texts.cast(pl.Enum(words), strict=False).to_physical()


def _unsound(rows: pl.DataFrame, first_month: int) -> bool:
    """Whether any cell or row cannot stand."""
    if not rows.height or any(rows.null_count().row(0)):
        return rows.height > 0
    least = rows.select(pl.col("start", "accelerator_seconds", "rev").min(), length=(pl.col("end") - pl.col("start")).min()).row(0)
    instant = (pl.col("end") == pl.col("start")) & (pl.col("accelerator_seconds") > 0)
    below = least[0] < first_month or min(least[1:]) < 0
    return bool(below or (least[3] == 0 and rows.select(instant.any()).item()))
