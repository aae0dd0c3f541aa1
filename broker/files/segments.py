"""Usage as segments: numbers for names, so that a close reads no text at all.

The folder `usage` of a settlement directory then holds, for each segment, `rows` (a number for usage_id and for lease), `ids`
(the usage_ids in order of their numbers), `repeats` (those that may come again, with their numbers) and, once, `leases` (lease_ids in order
of their numbers) and the manifest `segments.json`, written last, with the SHA-256 of every file. Numbers are given in
order of arrival: that a number comes once is seen in passing, because it is greater than all before it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from broker.files.digests import file_digest
from broker.files.replacing import replace_file
from broker.files.usage_parts import Progress, silent
from contracts.ledger_tables import CONFLICTS, USAGE
from contracts.terms.errors import BadInput
from contracts.usage import Reading, coded
from contracts.usage_stream import BATCH, Ints, UsageBatch, read_batches

MANIFEST = "segments.json"
VERSION = 1
NUMBERED = BATCH | {"usage_id": pl.Int64(), "lease": pl.Int32(), "status": pl.Int8()}
SEGMENT_ROWS = 8_000_000
GROUP_ROWS = 250_000


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of segments holds.

    ids        how many usage_ids have numbers: 0 to ids − 1
    heights    rows of each segment
    files      name → SHA-256, hexadecimal
    """

    version: int
    ids: int
    heights: tuple[int, ...]
    files: dict[str, str]


class SegmentedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of segments, its files as the manifest has them. leases: lease_id, accelerators, by number."""

    folder: Path
    manifest: Manifest
    leases: pl.DataFrame
    progress: Progress = silent

    @property
    def height(self) -> int:
        """Rows in all segments."""
        return sum(self.manifest.heights)

    def read(self, periods: pl.DataFrame) -> Reading:
        """What the usage comes to at the closes of some periods. Raises BadInput where segments are not what they say."""
        reading = read_batches(self.batches(), leases=self.leases, periods=periods)
        return msgspec.structs.replace(reading, conflicts=self._named(reading.conflicts))

    def batches(self) -> Iterator[UsageBatch]:
        """All rows in order; those whose number may come again are marked, and the others seen to come once."""
        again = np.zeros(self.manifest.ids, dtype=np.bool_)
        for number in range(len(self.manifest.heights)):
            again[self._repeats(number)["number"].to_numpy()] = True
        last, done = -1, 0
        for number in range(len(self.manifest.heights)):
            path = self.folder / _name("rows", number)
            for raw in pl.scan_parquet(path).collect_batches():
                rows = raw.rechunk()
                numbers = rows["usage_id"].to_numpy()
                repeated = again[numbers]
                last = _ascending(numbers[~repeated], last, path=path)
                yield UsageBatch(rows=rows, repeated=repeated)
                done += rows.height
                self.progress("adding up", done, of=self.height)

    def _named(self, conflicts: pl.DataFrame) -> pl.DataFrame:
        """Conflicts with usage_ids where they have numbers."""
        names = pl.concat([self._repeats(number) for number in range(len(self.manifest.heights))])
        wanted = conflicts.with_columns(pl.col("usage_id").cast(pl.Int64).alias("number")).drop("usage_id")
        return wanted.join(names, on="number").select(list(CONFLICTS.schema)).sort("usage_id", "rev")

    def _repeats(self, segment: int) -> pl.DataFrame:
        return pl.read_parquet(self.folder / _name("repeats", segment))


class SegmentWriter:
    """Writes batches as segments: rows as they come, a new number for a usage_id that was not there before."""

    def __init__(self, folder: Path, leases: pl.DataFrame) -> None:
        self._folder = folder
        self._leases = leases
        self._files: dict[str, str] = {}
        self._heights: list[int] = []
        self._ids = 0
        self._known = pl.DataFrame(schema={"usage_id": pl.String(), "number": pl.Int64()})
        self._told = 0
        self._rows: list[pl.DataFrame] = []
        self._names: list[pl.Series] = []
        self._waiting = 0

    def write(self, batches: Iterable[UsageBatch]) -> Manifest:
        """All batches, then the manifest. The folder is made, and must not hold segments."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for batch in batches:
            self._add(batch)
            if self._waiting >= SEGMENT_ROWS:
                self._end_segment()
        if self._waiting or not self._heights:
            self._end_segment()
        self._put("leases.parquet", self._leases.select("lease_id"))
        manifest = Manifest(version=VERSION, ids=self._ids, heights=tuple(self._heights), files=dict(sorted(self._files.items())))
        replace_file(self._folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        return manifest

    def _add(self, batch: UsageBatch) -> None:
        """Numbers for a batch: first those that come once, in order, then those of ids that come again and are new."""
        repeated = pl.Series(batch.repeated)
        names = batch.rows["usage_id"]
        once = names.filter(~repeated)
        again = names.filter(repeated).unique(maintain_order=True).to_frame()
        new = again.join(self._known, on="usage_id", how="anti", maintain_order="left")
        start = self._ids + once.len()
        self._known = pl.concat([self._known, new.with_row_index("number", start).select("usage_id", pl.col("number").cast(pl.Int64))])
        numbers = np.empty(names.len(), dtype=np.int64)
        numbers[~batch.repeated] = np.arange(self._ids, start)
        found = names.filter(repeated).to_frame().join(self._known, on="usage_id", how="left", maintain_order="left")
        numbers[batch.repeated] = found["number"].to_numpy()
        self._rows.append(batch.rows.with_columns(pl.Series("usage_id", numbers)).cast(NUMBERED))  # type: ignore[arg-type]
        self._names += [once, new["usage_id"]]
        self._ids = start + new.height
        self._waiting += names.len()

    def _end_segment(self) -> None:
        number = len(self._heights)
        empty = pl.DataFrame(schema=NUMBERED)
        self._put(_name("rows", number), pl.concat([empty, *self._rows]))
        self._put(_name("ids", number), pl.concat([pl.Series("usage_id", [], dtype=pl.String), *self._names]).to_frame())
        self._put(_name("repeats", number), self._known.slice(self._told).select("number", "usage_id"))
        self._told = self._known.height
        self._heights.append(self._waiting)
        self._rows, self._names, self._waiting = [], [], 0

    def _put(self, name: str, frame: pl.DataFrame) -> None:
        path = self._folder / name
        frame.write_parquet(path, row_group_size=GROUP_ROWS)
        self._files[name] = file_digest(path)


def held_batch(usage: pl.DataFrame, leases: pl.DataFrame) -> UsageBatch:
    """A checked usage table that is held, as one batch; leases in order of their ids."""
    rows = coded(usage, leases=leases).rows.with_columns(usage["usage_id"]).select(list(BATCH))
    return UsageBatch(rows=rows, repeated=rows["usage_id"].is_duplicated().to_numpy())


def segments_folder(directory: Path) -> Path | None:
    """Where a settlement directory keeps segments, if it does."""
    folder = directory / USAGE.name
    return folder if (folder / MANIFEST).is_file() else None


def segmented_usage(folder: Path, leases: pl.DataFrame) -> SegmentedUsage:
    """A folder of segments. Raises BadInput for a file that is missing, and for a lease the table `leases` has not."""
    manifest = _manifest(folder / MANIFEST)
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    if missing:
        raise BadInput("the file is missing", file=f"{USAGE.name}/{missing[0]}", would_do="segments written again")
    numbered = pl.read_parquet(folder / "leases.parquet")
    known = numbered.join(leases.select("lease_id", "accelerators"), on="lease_id", how="left", maintain_order="left")
    unknown = known.filter(pl.col("accelerators").is_null())
    if unknown.height:
        raise BadInput(
            "table leases has no such lease_id", file=f"{USAGE.name}/leases.parquet", found=unknown["lease_id"][0], would_do="all leases"
        )
    return SegmentedUsage(folder=folder, manifest=manifest, leases=known)


def segments_digest(folder: Path) -> str:
    """SHA-256 of the manifest, once every file a close reads is seen to be what it says. Raises BadInput for one that is not."""
    for name, digest in _manifest(folder / MANIFEST).files.items():
        if not name.startswith("ids") and file_digest(folder / name) != digest:
            raise BadInput("the file is not as it was written", file=f"{USAGE.name}/{name}", would_do="segments written again")
    return file_digest(folder / MANIFEST)


def _manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise BadInput(
            f"the manifest cannot be read: {error}", file=f"{USAGE.name}/{MANIFEST}", would_do="segments written again"
        ) from error


def _ascending(numbers: Ints, last: int, *, path: Path) -> int:
    """The last of some numbers that ascend from one seen before. Raises BadInput when they do not."""
    if not len(numbers):
        return last
    if numbers[0] <= last or not (np.diff(numbers) > 0).all():
        raise BadInput("a usage_id comes again that should not", file=f"{USAGE.name}/{path.name}", would_do="segments written again")
    return int(numbers[-1])


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number:05d}.parquet"
