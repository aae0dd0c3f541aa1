"""Metered usage: which record counts, from when it is known, and in which month its seconds fall.

A usage record is one revision of what a meter reported. Of copies of one (usage_id, rev) the first to arrive
is kept; of the revisions known at a close the highest counts. All times are whole microseconds, so that seconds
split over months exactly; the seconds of a record up to a moment are rounded down, and a month is the difference
of two such figures: the months of a record always add up to it.
"""

from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from contracts.ledger_tables import CONFLICTS, STATUSES
from contracts.terms.errors import BadInput
from contracts.terms.time import Period

CONTENT = ("lease_id", "start", "end", "accelerator_seconds", "status")
CODED_CONTENT = ("lease", *CONTENT[1:])
CODED = ("id", "rev", *CODED_CONTENT, "received_at")
FAILED = "provider_failed"
STATUS_ORDER = tuple(sorted(STATUSES))
KNOWN_MAX = 2**24
WIDE = pl.Int128()
MICROSECONDS = 1_000_000
FIGURES = ("duplicates", "rows", "rows_later", "seconds", "seconds_later", "seconds_above")


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a metered delivery.

    rev                  0 is the first report; a higher one replaces what lower ones said, also with 0 seconds (a void)
    start, end           half-open, UTC
    accelerator_seconds  whole; 0 where start = end
    status               delivered and preempted are billed and paid out, provider_failed is neither
    received_at          when the broker learnt of it: this decides the period that bills it
    """

    usage_id: str
    lease_id: str
    start: datetime
    end: datetime
    accelerator_seconds: int
    received_at: datetime
    status: Literal["delivered", "provider_failed", "preempted"] = "delivered"
    rev: int = 0

    def __post_init__(self) -> None:
        period = Period(self.start, self.end)
        if self.rev < 0 or self.accelerator_seconds < 0:
            raise ValueError(f"usage {self.usage_id}: rev and accelerator_seconds may not be negative")
        if not period.seconds and self.accelerator_seconds:
            raise ValueError(f"usage {self.usage_id}: a record without length has 0 seconds, had {self.accelerator_seconds}")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack of usage rows comes to.

    changes      lease, failed, month, period, seconds: how the seconds of a lease in a month, as known, change in a period;
                 a lease is its place in order of the ids
    conflicts    the published table: copies of one (usage_id, rev) that differ, and in what
    duplicates   copies dropped
    rows         usage rows given; rows_later of them arrived at or after the last close
    seconds      of all records in force at the last close; seconds_later of them lie after the last month,
                 seconds_above of them are more than the accelerators leased could do
    standing     up to this period nothing changes otherwise than an earlier reading had it
    """

    changes: pl.DataFrame
    conflicts: pl.DataFrame
    duplicates: int
    rows: int
    rows_later: int
    seconds: int
    seconds_later: int
    seconds_above: int
    standing: int = 0


class CodedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Usage rows with a number for every name: sorting and comparing numbers is what makes a close quick.

    rows      columns of `CODED`; times are microseconds since 1970
    ids       usage_id of each `id`; lease_ids, accelerators of each `lease`, in order of the bytes of the ids
    """

    rows: pl.DataFrame
    ids: pl.Series
    lease_ids: pl.Series
    accelerators: pl.Series


def coded(usage: pl.DataFrame, *, leases: pl.DataFrame) -> CodedUsage:
    """Rows of the public table with a number for every name. Raises InvalidOperationError for a lease or status that is not known."""
    known = leases.select("lease_id", "accelerators").sort("lease_id")
    ids = usage["usage_id"].unique(maintain_order=True)
    rows = usage.select(
        pl.col("usage_id").cast(pl.Enum(ids)).to_physical().cast(pl.UInt32).alias("id"),
        "rev",
        pl.col("lease_id").cast(pl.Enum(known["lease_id"])).to_physical().cast(pl.UInt32).alias("lease"),
        pl.col("start", "end").to_physical(),
        "accelerator_seconds",
        pl.col("status").cast(pl.Enum(STATUS_ORDER)).to_physical().cast(pl.UInt8),
        pl.col("received_at").to_physical(),
    )
    return CodedUsage(rows=rows, ids=ids, lease_ids=known["lease_id"], accelerators=known["accelerators"])


def read_usage(usage: pl.DataFrame, *, leases: pl.DataFrame, periods: pl.DataFrame) -> Reading:
    """Read usage rows as known at each close of `periods` (those to be settled, in order).

    usage    columns of `USAGE`, any order of rows
    leases   lease_id, accelerators
    Raises BadInput when the seconds of one lease and month do not fit 64 bits.
    """
    return read_coded(coded(usage, leases=leases), periods=periods)


def read_coded(usage: CodedUsage, *, periods: pl.DataFrame) -> Reading:
    """The same of coded rows: row by row what the rules say, in 128 bits wherever a product might need them."""
    starts, ends, closes = (periods[name].to_physical() for name in ("month_start", "month_end", "closes_at"))
    known = (closes.search_sorted(usage.rows["received_at"], side="right") + 1).cast(pl.Int64)
    arrived = usage.rows.with_columns(known.alias("known")).filter(pl.col("known") <= closes.len())
    kept, copies = _kept(arrived)
    records = _in_force(kept).filter(pl.col("accelerator_seconds") > 0)
    last = records.filter(pl.col("until").is_null())
    later = last.filter(pl.col("end") > ends[-1])
    after = pl.col("accelerator_seconds").cast(WIDE) - _delivered_by(pl.lit(ends[-1], pl.Int64))
    return Reading(
        changes=lease_changes(_changes(records, starts=starts, ends=ends), usage.lease_ids),
        conflicts=_conflicts(copies, usage.ids),
        duplicates=arrived.height - kept.height,
        rows=usage.rows.height,
        rows_later=usage.rows.height - arrived.height,
        seconds=_total(last, pl.col("accelerator_seconds")),
        seconds_later=_total(later, after),
        seconds_above=_above(last, usage.accelerators),
    )


def lease_changes(parts: pl.DataFrame, lease_ids: pl.Series) -> pl.DataFrame:
    """Changes from parts of them, added up and in order. Raises BadInput when a sum does not fit 64 bits.

    lease, failed, month and period are one number while they are added up: a quarter of the time.
    """
    places = 1 + int(parts.select(pl.max_horizontal(pl.col("month", "period").max())).item() or 0)
    cell = ((pl.col("lease").cast(pl.Int64) * 2 + pl.col("failed")) * places + pl.col("month")) * places + pl.col("period")
    cells = parts.select(cell=cell, seconds=pl.col("seconds").cast(WIDE)).group_by("cell").agg(pl.col("seconds").sum())
    sums = cells.filter(pl.col("seconds") != 0).sort("cell")
    wide = sums.filter(~pl.col("seconds").is_between(-(2**63), 2**63 - 1))
    if wide.height:
        number, seconds = wide.row(0)
        raise BadInput(
            f"the seconds of lease {lease_ids[number // (2 * places * places)]} in month {number // places % places} do not fit 64 bits",
            file="usage",
            column="accelerator_seconds",
            found=str(seconds),
        )
    number = pl.col("cell")
    return sums.select(
        lease=(number // (2 * places * places)).cast(pl.UInt32),
        failed=number // (places * places) % 2 == 1,
        month=number // places % places,
        period=number % places,
        seconds=pl.col("seconds").cast(pl.Int64),
    )


def read_again(whole: Reading, *, before: Reading, now: Reading, lease_ids: pl.Series) -> Reading:
    """`whole` once some of its rows, which came to `before`, are read again with others, and come to `now`: figures are sums over ids.

    Raises BadInput when a sum does not fit 64 bits.
    """
    seconds = pl.col("seconds").cast(WIDE)
    moved = lease_changes(pl.concat([now.changes.with_columns(seconds), before.changes.with_columns(seconds=0 - seconds)]), lease_ids)
    others = whole.conflicts.join(before.conflicts, on=["usage_id", "rev"], how="anti")
    figures = {name: getattr(whole, name) - getattr(before, name) + getattr(now, name) for name in FIGURES}
    both = pl.concat([whole.changes, moved])
    standing = int(moved.select(pl.col("period").min()).item() or KNOWN_MAX) - 1
    apart = standing >= int(whole.changes.select(pl.col("period").max()).item() or 0)
    return Reading(
        changes=both if apart else lease_changes(both, lease_ids),
        conflicts=pl.concat([others, now.conflicts]).sort("usage_id", "rev"),
        standing=standing,
        **figures,
    )


def _kept(arrived: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One copy of each (id, rev), in that order: the first to arrive, then the least content; and all copies of those there twice."""
    rows = arrived.sort("id", "rev", "received_at", *CODED_CONTENT)
    same = (pl.col("id") == pl.col("id").shift(1)) & (pl.col("rev") == pl.col("rev").shift(1))
    rows = rows.with_columns(copy=same.fill_null(value=False))
    return rows.filter(~pl.col("copy")).drop("copy"), rows.filter(pl.col("copy") | pl.col("copy").shift(-1, fill_value=False)).drop("copy")


def _conflicts(copies: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """The published table of copies that differ, and in which columns: copies come one after the other, and one of them begins to."""
    same = (pl.col("id") == pl.col("id").shift(1)) & (pl.col("rev") == pl.col("rev").shift(1))
    apart = [(same & (pl.col(column) != pl.col(column).shift(1))).alias(name) for name, column in zip(CONTENT, CODED_CONTENT, strict=True)]
    found = (
        copies.select("id", "rev", *apart)
        .filter(pl.any_horizontal(CONTENT))
        .group_by("id", "rev")
        .agg(pl.when(pl.col(name).any()).then(pl.lit(name)).alias(name) for name in CONTENT)
        .select("id", "rev", differs=pl.concat_list(CONTENT).list.drop_nulls())
    )
    named = found.with_columns(pl.lit(ids).gather(pl.col("id")).alias("usage_id")).select(list(CONFLICTS.schema)).sort("usage_id", "rev")
    return named.cast(CONFLICTS.schema)  # type: ignore[arg-type]


def _in_force(kept: pl.DataFrame) -> pl.DataFrame:
    """The revisions that count at some close, with `until`: the period in which a higher one takes over, or null.

    Rows come by (id, rev). Turned round, the least `known` so far of an id is one running minimum over all rows once each id
    lies below the one before it, which is quicker than a window for each id.
    """
    rows = kept.reverse()
    below = pl.col("id").cast(pl.Int64) * KNOWN_MAX
    least = (pl.col("known") + below).cum_min().shift(1) - below
    first = (pl.col("id") != pl.col("id").shift(1)).fill_null(value=True)
    rows = rows.with_columns(until=pl.when(~first).then(least))
    return rows.filter(pl.col("until").is_null() | (pl.col("known") < pl.col("until")))


def _delivered_by(moment: pl.Expr) -> pl.Expr:
    """⌊accelerator_seconds · (moment − start) ÷ (end − start)⌋, the moment held within the record; the product needs 128 bits."""
    start, end = (pl.col(name).cast(WIDE) for name in ("start", "end"))
    at = pl.max_horizontal(pl.col("start"), pl.min_horizontal(pl.col("end"), moment)).cast(WIDE)
    return pl.col("accelerator_seconds").cast(WIDE) * (at - start) // (end - start)


def _changes(records: pl.DataFrame, *, starts: pl.Series, ends: pl.Series) -> pl.DataFrame:
    """Seconds by lease and month, entering in the first period that knows both record and month, leaving when replaced."""
    spread = (
        records.with_columns(
            starts.search_sorted(records["start"], side="right").cast(pl.Int64).alias("first"),
            starts.search_sorted(records["end"], side="left").cast(pl.Int64).alias("last"),
        )
        .filter(pl.col("start") < ends[-1])
        .with_columns(pl.int_ranges("first", pl.col("last") + 1).alias("month"))
        .explode("month")
    )
    bounds = pl.DataFrame({"month": pl.int_range(1, starts.len() + 1, eager=True), "month_start": starts, "month_end": ends})
    parts = spread.join(bounds, on="month").select(
        "lease",
        "month",
        "known",
        "until",
        failed=pl.col("status") == STATUS_ORDER.index(FAILED),
        seconds=_delivered_by(pl.col("month_end")) - _delivered_by(pl.col("month_start")),
    )
    entering = parts.with_columns(period=pl.max_horizontal("known", "month"))
    leaving = parts.filter(pl.col("until").is_not_null()).with_columns(
        period=pl.max_horizontal("until", "month"),
        seconds=0 - pl.col("seconds"),
    )
    return pl.concat([entering, leaving]).select("lease", "failed", "month", "period", "seconds")


def _above(records: pl.DataFrame, accelerators: pl.Series) -> int:
    """Seconds beyond accelerators × time (whole seconds, rounded down), over all records."""
    length = pl.col("end").cast(WIDE) - pl.col("start").cast(WIDE)
    possible = pl.lit(accelerators).gather(pl.col("lease")).cast(WIDE) * length // MICROSECONDS
    excess = pl.col("accelerator_seconds").cast(WIDE) - possible
    return _total(records, pl.when(excess > 0).then(excess).otherwise(0))


def _total(frame: pl.DataFrame, amount: pl.Expr) -> int:
    return int(frame.select(amount.cast(WIDE).sum()).item() or 0)
