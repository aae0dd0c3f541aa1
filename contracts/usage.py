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

from contracts.ledger_tables import CONFLICTS, USAGE
from contracts.terms.errors import BadInput
from contracts.terms.time import MICROSECOND, Period

CONTENT = ("lease_id", "start", "end", "accelerator_seconds", "status")
FAILED = "provider_failed"
WIDE = pl.Int128()
MICROSECONDS = 1_000_000


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


def plausible(record: UsageRecord, accelerators: int) -> bool:
    """Whether so many accelerators could have worked so long: never more than accelerators × time."""
    length = (record.end - record.start) // MICROSECOND
    return record.accelerator_seconds * MICROSECONDS <= accelerators * length


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack of usage rows comes to.

    changes      lease_id, failed, month, period, seconds: how the seconds of a lease in a month, as known, change in a period
    conflicts    the published table: copies of one (usage_id, rev) that differ, and in what
    duplicates   copies dropped
    rows         usage rows given; rows_later of them arrived at or after the last close
    seconds      of all records in force at the last close; seconds_later of them lie after the last month,
                 seconds_above of them are more than the accelerators leased could do
    """

    changes: pl.DataFrame
    conflicts: pl.DataFrame
    duplicates: int
    rows: int
    rows_later: int
    seconds: int
    seconds_later: int
    seconds_above: int


def read_usage(usage: pl.DataFrame, *, leases: pl.DataFrame, periods: pl.DataFrame) -> Reading:
    """Read usage rows as known at each close of `periods` (those to be settled, in order).

    usage    columns of `USAGE`, any order of rows
    leases   lease_id, accelerators
    Raises BadInput when the seconds of one lease and month do not fit 64 bits.
    """
    arrived = _known(usage, periods["closes_at"])
    kept, conflicts = deduplicate(arrived)
    records = _in_force(kept).filter(pl.col("accelerator_seconds") > 0)
    last = records.filter(pl.col("until").is_null())
    end = periods["month_end"][-1]
    later = last.filter(pl.col("end") > end)
    seconds = _total(last, pl.col("accelerator_seconds"))
    return Reading(
        changes=_changes(records, periods),
        conflicts=conflicts,
        duplicates=arrived.height - kept.height,
        rows=usage.height,
        rows_later=usage.height - arrived.height,
        seconds=seconds,
        seconds_later=_total(later, pl.col("accelerator_seconds")) - _total(later, _delivered_by(pl.lit(end, dtype=USAGE.schema["end"]))),
        seconds_above=_above(last, leases),
    )


def deduplicate(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep one copy of each (usage_id, rev): the first to arrive, then the least content; and say where copies differ."""
    twice = pl.struct("usage_id", "rev").is_duplicated()
    copies = rows.filter(twice).sort("usage_id", "rev", "received_at", *CONTENT)
    kept = copies.unique(["usage_id", "rev"], keep="first", maintain_order=True)
    differs = [pl.when(pl.col(name).n_unique() > 1).then(pl.lit(name)).alias(name) for name in CONTENT]
    conflicts = (
        copies.group_by("usage_id", "rev")
        .agg(differs)
        .select("usage_id", "rev", differs=pl.concat_list(CONTENT).list.drop_nulls())
        .filter(pl.col("differs").list.len() > 0)
        .sort("usage_id", "rev")
    )
    return pl.concat([rows.filter(~twice), kept]), conflicts.cast(CONFLICTS.schema)  # type: ignore[arg-type]


def _known(usage: pl.DataFrame, closes: pl.Series) -> pl.DataFrame:
    """The rows that arrived before the last close, with `known`: the first period that knows them (a close itself is too late)."""
    missed = closes.search_sorted(usage["received_at"], side="right")
    rows = usage.with_columns((missed.cast(pl.Int64) + 1).alias("known"))
    return rows.filter(pl.col("known") <= closes.len())


def _in_force(kept: pl.DataFrame) -> pl.DataFrame:
    """The revisions that count at some close, with `until`: the period in which a higher one takes over, or null."""
    several = pl.col("usage_id").is_duplicated()
    revised = kept.filter(several).sort("usage_id", "rev", descending=[False, True])
    higher = pl.col("known").cum_min().shift(1).over("usage_id")
    revised = revised.with_columns(higher.alias("until")).filter(pl.col("until").is_null() | (pl.col("known") < pl.col("until")))
    return pl.concat([kept.filter(~several).with_columns(pl.lit(None, pl.Int64).alias("until")), revised])


def _delivered_by(moment: pl.Expr) -> pl.Expr:
    """⌊accelerator_seconds · (moment − start) ÷ (end − start)⌋, the moment held within the record; the product needs 128 bits."""
    start, end = (pl.col(name).to_physical().cast(WIDE) for name in ("start", "end"))
    at = pl.max_horizontal(pl.col("start"), pl.min_horizontal(pl.col("end"), moment)).to_physical().cast(WIDE)
    return pl.col("accelerator_seconds").cast(WIDE) * (at - start) // (end - start)


def _changes(records: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Seconds by lease and month, entering in the first period that knows both record and month, leaving when replaced."""
    starts, ends = periods["month_start"], periods["month_end"]
    spread = (
        records.with_columns(
            starts.search_sorted(records["start"], side="right").cast(pl.Int64).alias("first"),
            starts.search_sorted(records["end"], side="left").cast(pl.Int64).alias("last"),
        )
        .filter(pl.col("start") < ends[-1])
        .with_columns(pl.int_ranges("first", pl.col("last") + 1).alias("month"))
        .explode("month")
    )
    bounds = periods.select(pl.col("period").alias("month"), "month_start", "month_end")
    parts = spread.join(bounds, on="month").select(
        "lease_id",
        "month",
        "known",
        "until",
        failed=pl.col("status") == FAILED,
        seconds=_delivered_by(pl.col("month_end")) - _delivered_by(pl.col("month_start")),
    )
    entering = parts.with_columns(period=pl.max_horizontal("known", "month"))
    leaving = parts.filter(pl.col("until").is_not_null()).with_columns(
        period=pl.max_horizontal("until", "month"),
        seconds=0 - pl.col("seconds"),
    )
    key = ["lease_id", "failed", "month", "period"]
    sums = pl.concat([entering, leaving]).group_by(key).agg(pl.col("seconds").sum()).filter(pl.col("seconds") != 0)
    wide = sums.filter(~pl.col("seconds").is_between(-(2**63), 2**63 - 1)).sort(key)
    if wide.height:
        found = wide.row(0, named=True)
        raise BadInput(
            f"the seconds of lease {found['lease_id']} in month {found['month']} do not fit 64 bits",
            file="usage",
            column="accelerator_seconds",
            found=str(found["seconds"]),
        )
    return sums.cast({"seconds": pl.Int64()}).sort(key)


def _above(records: pl.DataFrame, leases: pl.DataFrame) -> int:
    """Seconds beyond accelerators × time (whole seconds, rounded down), over all records."""
    length = (pl.col("end").to_physical() - pl.col("start").to_physical()).cast(WIDE)
    possible = pl.col("accelerators").cast(WIDE) * length // MICROSECONDS
    excess = pl.col("accelerator_seconds").cast(WIDE) - possible
    joined = records.join(leases.select("lease_id", "accelerators"), on="lease_id")
    return _total(joined, pl.when(excess > 0).then(excess).otherwise(0))


def _total(frame: pl.DataFrame, amount: pl.Expr) -> int:
    return int(frame.select(amount.cast(WIDE).sum()).item() or 0)
