"""Usage of any size, read batch by batch: nearly every row is added up as it passes, the few that need thought are put aside.

A row is plain when its usage_id comes once and its time lies within one month: then its seconds enter in the first period
that knows both, and nothing about it can change. Rows whose usage_id comes again, that cross the end of a month, or that are
large enough to overflow a product are put aside and read by the rules (`contracts.usage`), all together, at the end.
Both readings are exact, so it changes nothing which rows are put aside: too many cost only time.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.usage import CODED, FAILED, MICROSECONDS, STATUS_ORDER, CodedUsage, Reading, lease_changes, read_coded

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]

BATCH: dict[str, pl.DataType] = {
    "usage_id": pl.String(),
    "rev": pl.Int64(),
    "lease": pl.UInt32(),
    "start": pl.Int64(),
    "end": pl.Int64(),
    "accelerator_seconds": pl.Int64(),
    "status": pl.UInt8(),
    "received_at": pl.Int64(),
}
CELLS_MAX = 2**24
SECONDS_MAX, LENGTH_MAX, ACCELERATORS_MAX = 2**40, 2**42, 2**20
TOTAL_MAX = 2**62
ROWS_AT_ONCE = 2**14
EDGES_FEW = 16
PARTS_MAX = 64
KEY_BITS = 25
ASIDE_ROWS = 500_000


class UsageBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows in a row.

    rows       usage_id (a text, or a number that stands for one), rev, lease, start, end, accelerator_seconds, status,
               received_at: coded as in `CodedUsage`, checked
    repeated   for each row, whether its usage_id may come again elsewhere
    """

    rows: pl.DataFrame
    repeated: Mask


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """The periods settled, microseconds since 1970."""

    ends: Ints
    closes: Ints

    @property
    def periods(self) -> int:
        """How many."""
        return len(self.ends)


class PlainRows:
    """What plain rows come to.

    lease, failed, month and period of a sum are one number, a cell; sums of cells are kept whole while there are few of
    them, in parts that are added up now and then where there are many. Months and periods have one place more than there
    are, for what lies after the last: such sums are counted, not settled.
    """

    def __init__(self, calendar: Calendar, accelerators: pl.Series, *, settled_only: bool = False) -> None:
        """`settled_only`: rows that arrive too late, or lie after the last month, are put aside and not counted here."""
        self._calendar = calendar
        self._accelerators = accelerators.to_numpy().astype(np.int64)
        self._month_ends = np.append(calendar.ends, np.iinfo(np.int64).max)
        self._places = calendar.periods + 1
        cells = len(accelerators) * 2 * self._places**2
        self._sums: Ints | None = np.zeros(cells, dtype=np.int64) if cells <= CELLS_MAX else None
        self._settled_only = settled_only
        self._parts: list[pl.DataFrame] = []
        self._since = 0
        self.rows = 0
        self.rows_later = 0
        self.seconds_above = 0

    def add(self, batch: UsageBatch) -> Mask:
        """Add up the plain rows of a batch; the mask says which rows are to be put aside.

        Rows are taken so many at a time that what is worked out in between stays in the processor's cache.
        """
        aside = np.empty(batch.rows.height, dtype=np.bool_)
        for first in range(0, batch.rows.height, ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            aside[some] = self._add(batch.rows[some], batch.repeated[some])
        return aside

    def _add(self, rows: pl.DataFrame, repeated: Mask) -> Mask:
        start, end, received, seconds = (_ints(rows[name]) for name in ("start", "end", "received_at", "accelerator_seconds"))
        lease = _ints(rows["lease"])
        failed = rows["status"].to_numpy() == STATUS_ORDER.index(FAILED)
        length = end - start
        known = _place(received, self._calendar.closes)
        month = _place(start, self._calendar.ends)
        aside = repeated | (end > self._month_ends[month])
        aside |= self._large(length, seconds, lease=lease)
        if self._settled_only:
            aside |= (known == self.periods) | (month == self.periods)
        later = (known == self.periods) & ~aside
        self.rows += rows.height
        self.rows_later += int(np.count_nonzero(later))
        settled = np.where(aside | later, 0, seconds)
        possible = self._accelerators[lease] * length
        above = (settled > 0) & (settled * MICROSECONDS > possible)  # of rows put aside, `possible` may have wrapped
        if above.any():
            self.seconds_above += int((settled[above] - possible[above] // MICROSECONDS).sum())
        cells = lease * (2 * self._places**2)
        cells[failed] += self._places**2
        cells += month * self._places + np.maximum(known, month)
        self._sum(cells, settled)
        return aside

    @property
    def periods(self) -> int:
        """How many are settled."""
        return self._calendar.periods

    def sums(self) -> pl.DataFrame:
        """lease, failed, month, period, seconds so far; months after the last one settled count as one."""
        self._flush()
        cell, places = pl.col("cell"), self._places
        sums = pl.concat([_NO_CELLS, *self._parts]).group_by("cell").agg(pl.col("seconds").cast(pl.Int128).sum())
        return sums.select(
            lease=(cell // (2 * places * places)).cast(pl.UInt32),
            failed=cell // (places * places) % 2 == 1,
            month=cell // places % places + 1,
            period=cell % places + 1,
            seconds="seconds",
        )

    def _large(self, length: Ints, seconds: Ints, *, lease: Ints) -> Mask | np.bool_:
        """Rows whose products might leave 64 bits."""
        most = self._accelerators.max(initial=0)
        if not len(seconds) or (seconds.max() < SECONDS_MAX and length.max() < LENGTH_MAX and most < ACCELERATORS_MAX):
            return np.False_
        return (seconds >= SECONDS_MAX) | (length >= LENGTH_MAX) | (self._accelerators[lease] >= ACCELERATORS_MAX)

    def _sum(self, cells: Ints, seconds: Ints) -> None:
        if self._sums is None:
            moved = pl.DataFrame({"cell": cells, "seconds": seconds}).filter(pl.col("seconds") > 0)
            self._keep(moved.group_by("cell").agg(pl.col("seconds").cast(pl.Int128).sum()))
            return
        total = int(seconds.sum())
        if self._since + total > TOTAL_MAX:
            self._flush()
        np.add.at(self._sums, cells, seconds)
        self._since += total

    def _flush(self) -> None:
        """Sums so far become a part, before they could wrap."""
        if self._sums is not None:
            cells = np.flatnonzero(self._sums)
            self._keep(pl.DataFrame({"cell": cells, "seconds": self._sums[cells]}).cast({"seconds": pl.Int128()}))
            self._sums[:] = 0
            self._since = 0

    def _keep(self, part: pl.DataFrame) -> None:
        self._parts.append(part.cast({"cell": pl.Int64()}))
        if len(self._parts) == PARTS_MAX:
            self._parts = [pl.concat(self._parts).group_by("cell").agg(pl.col("seconds").sum())]


_NO_CELLS = pl.DataFrame(schema={"cell": pl.Int64(), "seconds": pl.Int128()})


def calendar(periods: pl.DataFrame) -> Calendar:
    """The edges of the periods settled."""
    ends, closes = (_ints(periods[name].to_physical()) for name in ("month_end", "closes_at"))
    return Calendar(ends=ends, closes=closes)


def read_batches(batches: Iterable[UsageBatch], *, leases: pl.DataFrame, periods: pl.DataFrame) -> Reading:
    """Read batches as `contracts.usage.read_usage` reads one frame: the same figures, whatever the batches are.

    leases   lease_id, accelerators, in the order their numbers refer to
    Raises BadInput when the seconds of one lease and month do not fit 64 bits.
    """
    plain = PlainRows(calendar(periods), leases["accelerators"])
    rest = pl.concat([*put_aside(plain, batches)] or [pl.DataFrame(schema=BATCH)])
    return joined(plain, thoughtful(rest, leases=leases, periods=periods), leases=leases, rows=plain.rows)


def put_aside(plain: PlainRows, batches: Iterable[UsageBatch]) -> Iterator[pl.DataFrame]:
    """Add up the plain rows of all batches; yields the others."""
    for batch in batches:
        yield _compact(batch.rows.filter(pl.Series(plain.add(batch))))


def thoughtful(rows: pl.DataFrame, *, leases: pl.DataFrame, periods: pl.DataFrame) -> list[Reading]:
    """The readings of the rows put aside, by the rules, some ids at a time. Where usage_id is a number, conflicts name its digits."""
    keyed = rows.with_columns(key=id_keys("usage_id") if rows.schema["usage_id"] == pl.String else pl.col("usage_id").cast(pl.UInt64))
    shares = 1 + keyed.height // ASIDE_ROWS
    named = leases.sort("lease_id")
    readings = []
    for share in range(shares):
        some, ids = _with_codes(keyed.filter(pl.col("key") % shares == share))
        lease = pl.lit(_order(leases)).gather(pl.col("lease")).alias("lease")
        usage = CodedUsage(
            rows=some.with_columns(lease).select(CODED), ids=ids, lease_ids=named["lease_id"], accelerators=named["accelerators"]
        )
        readings.append(read_coded(usage, periods=periods))
    return readings


def id_keys(column: str) -> pl.Expr:
    """64 bits of an id: equal where ids are, nearly never where they are not."""
    return pl.col(column).hash()


def _with_codes(keyed: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Rows with `id`, and the usage_id of each. Ids of one key are compared; where two differ, rows are put in order of ids as well."""
    rows = keyed.sort("key")
    key, name = (pl.col(column) != pl.col(column).shift(1) for column in ("key", "usage_id"))
    if rows.select((~key & name).any()).item():
        rows = keyed.sort("key", "usage_id")
    heads = rows.select((key | name).fill_null(value=True)).to_series()
    coded = rows.with_columns(heads.cast(pl.UInt32).cum_sum().alias("id") - 1)
    return coded, rows["usage_id"].filter(heads).cast(pl.String)


def _compact(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows with texts of their own: a few texts of a batch would keep all of them in memory."""
    return rows.with_columns(pl.concat_str("usage_id", pl.lit(""))) if rows.schema["usage_id"] == pl.String else rows


def joined(plain: PlainRows, aside: Sequence[Reading], *, leases: pl.DataFrame, rows: int) -> Reading:
    """Plain rows and those put aside as one reading of so many rows."""
    sums = plain.sums()
    after = pl.col("month") > plain.periods
    settled = sums.filter(~after).with_columns(pl.lit(_order(leases)).gather(pl.col("lease")).alias("lease"))
    parts = [settled, *(part.changes.cast(sums.schema) for part in aside)]
    return Reading(
        changes=lease_changes(pl.concat(parts), leases["lease_id"].sort()),
        conflicts=pl.concat(part.conflicts for part in aside).sort("usage_id", "rev"),
        duplicates=sum(part.duplicates for part in aside),
        rows=rows,
        rows_later=plain.rows_later + sum(part.rows_later for part in aside),
        seconds=int(sums["seconds"].sum()) + sum(part.seconds for part in aside),
        seconds_later=int(sums.filter(after)["seconds"].sum()) + sum(part.seconds_later for part in aside),
        seconds_above=plain.seconds_above + sum(part.seconds_above for part in aside),
    )


def _order(leases: pl.DataFrame) -> pl.Series:
    """The place of each lease in order of their ids."""
    return leases["lease_id"].rank("ordinal").cast(pl.UInt32) - 1


def repeated_keys(keys: Keys) -> Keys:
    """The keys that come more than once, in order; one that comes n times comes n − 1 times."""
    ordered = np.sort(keys)
    again: Keys = ordered[1:][ordered[1:] == ordered[:-1]]
    return again


class KeySet:
    """Whether a key may be one of some: it is when their first bits are, and the bits after those. Hardly any is taken wrongly."""

    def __init__(self, members: Keys) -> None:
        self._bits = np.uint64(KEY_BITS)
        self._shift = np.uint64(64 - KEY_BITS)
        self._first, self._second = (np.zeros(2**KEY_BITS, dtype=np.bool_) for _ in range(2))
        self._first[self._place(members)] = True
        self._second[self._place(members << self._bits)] = True

    def holds(self, keys: Keys) -> Mask:
        """For each key, False only when it is no member."""
        found: Mask = self._first[self._place(keys)]
        maybe = np.flatnonzero(found)
        found[maybe] = self._second[self._place(keys[maybe] << self._bits)]
        return found

    def _place(self, keys: Keys) -> Ints:
        return (keys >> self._shift).view(np.int64)


def _ints(column: pl.Series) -> Ints:
    return column.to_numpy().astype(np.int64, copy=False)


def _place(moments: Ints, edges: Ints) -> Ints | np.int64:
    """How many edges each moment has reached, one figure if all have reached as many. Most batches pass few edges."""
    if not len(moments):
        return np.int64(0)
    least, most = np.searchsorted(edges, [moments.min(), moments.max()], side="right")
    if least == most:
        return np.int64(least)
    if most - least > EDGES_FEW:
        return np.searchsorted(edges, moments, side="right").astype(np.int64)
    place = np.full(len(moments), least, dtype=np.int64)
    for edge in edges[least:most]:
        place += moments >= edge
    return place
