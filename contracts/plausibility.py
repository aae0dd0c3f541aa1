"""What a lease can have delivered: reports are held against its slots before they count.

All times are whole microseconds, all seconds whole accelerator-seconds; sums are taken in 128 bits. A report that is not
plausible is set aside with the first reason that holds.
"""

from datetime import datetime
from typing import Literal

import polars as pl

Reason = Literal[
    "unknown_lease",
    "ends_before_start",
    "no_length",
    "not_over",
    "outside_lease",
    "above_lease",
    "above_lease_together",
    "other_content",
]
WORDS: dict[Reason, str] = {
    "unknown_lease": "no lease of the reporter's has this id",
    "ends_before_start": "it ends before it starts",
    "no_length": "it has seconds, and no time to deliver them in",
    "not_over": "it ends in the future: report what was delivered, once it was",
    "outside_lease": "it begins before its lease, or ends after it",
    "above_lease": "more seconds than were leased in its time",
    "above_lease_together": "with what is already reported, more seconds than were leased in that time",
    "other_content": "this usage_id and rev are known with another content; a correction needs a higher rev",
}
WIDE = pl.Int128()
MICROSECONDS = 1_000_000


def alone(batch: pl.DataFrame, *, leases: pl.DataFrame, slots: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The batch in its order, with `reason`: why a report cannot be true whatever else is known, or null.

    batch   row and the columns of `USAGE`
    leases  lease_id, starts_at, ends_at of the leases the reporter may report on
    slots   lease_id, slot_start, slot_end, quantity: all their slots in the batch's time
    """
    found = batch.join(leases, on="lease_id", how="left", maintain_order="left")
    leased = _leased(found, slots, start="start", end="end")
    seconds = pl.col("accelerator_seconds")
    rules: dict[Reason, pl.Expr] = {
        "unknown_lease": pl.col("starts_at").is_null(),
        "ends_before_start": pl.col("end") < pl.col("start"),
        "no_length": (pl.col("end") == pl.col("start")) & (seconds > 0),
        "not_over": pl.col("end") > now,
        "outside_lease": (pl.col("start") < pl.col("starts_at")) | (pl.col("end") > pl.col("ends_at")),
        "above_lease": seconds.cast(WIDE) * MICROSECONDS > pl.col("leased"),
    }
    reason = pl.coalesce(pl.when(rule).then(pl.lit(name)) for name, rule in rules.items())
    return found.with_columns(leased).select(*batch.columns, reason=reason)


def spans(batch: pl.DataFrame) -> pl.DataFrame:
    """The time a batch speaks of, lease by lease: lease_id, span_start, span_end."""
    return batch.group_by("lease_id").agg(span_start=pl.col("start").min(), span_end=pl.col("end").max()).sort("lease_id")


def together(batch: pl.DataFrame, *, slots: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """Rows of a batch with which their lease would have delivered more than was leased, in the time the batch speaks of.

    known   usage_id, rev, lease_id, start, accelerator_seconds of the records in force that lie wholly in that time

    What is known comes first, then the batch in order of time; a higher revision replaces a lower one, of either; of
    copies of one revision what is known stays, then the least.
    """
    columns = ("usage_id", "rev", "lease_id", "start", "accelerator_seconds")
    rows = pl.concat(
        [known.select(pl.lit(None, pl.UInt32()).alias("row"), *columns), batch.select(pl.col("row").cast(pl.UInt32), *columns)]
    )
    order = ("usage_id", "rev", pl.col("row").is_null(), pl.col("accelerator_seconds").neg())
    counted = rows.sort(order).unique("usage_id", keep="last", maintain_order=True)
    limits = spans(batch)
    limits = limits.with_columns(_leased(limits, slots, start="span_start", end="span_end"))
    running = counted.sort("lease_id", pl.col("row").is_not_null(), "start", "usage_id").with_columns(
        so_far=pl.col("accelerator_seconds").cast(WIDE).cum_sum().over("lease_id") * MICROSECONDS
    )
    above = running.join(limits, on="lease_id").filter(pl.col("row").is_not_null() & (pl.col("so_far") > pl.col("leased")))
    return above["row"].sort()


def _leased(rows: pl.DataFrame, slots: pl.DataFrame, *, start: str, end: str) -> pl.Series:
    """Accelerators × microseconds that the slots of each row's lease hold between two of its moments."""
    ordered = slots.sort("slot_start").with_columns(length=(pl.col("slot_end") - pl.col("slot_start")).dt.total_microseconds().cast(WIDE))
    held = pl.col("length") * pl.col("quantity")
    ordered = ordered.with_columns(before=held.cum_sum().over("lease_id") - held)
    moments = rows.select("lease_id", start, end).with_row_index("place")

    def until(moment: str) -> pl.Series:
        by = moments.sort(moment).join_asof(ordered, left_on=moment, right_on="slot_start", by="lease_id", check_sortedness=False)
        inside = pl.min_horizontal(pl.col(moment), pl.col("slot_end")) - pl.col("slot_start")
        total = pl.col("before") + inside.dt.total_microseconds().cast(WIDE) * pl.col("quantity")
        return by.sort("place").select(total.fill_null(0).alias("leased")).to_series()

    return (until(end) - until(start)).alias("leased")
