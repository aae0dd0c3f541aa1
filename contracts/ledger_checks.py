"""What the tables of a settlement must agree on, beyond each cell being what its column says.

Every check yields refusals that name table, row (counted from 1, in the order given), column, what was found and what
would do; none of them stops at the first, so that a directory can be mended in one go.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
import polars as pl

from contracts.ledger_tables import PERIODS, PLAN_TIERS, PLANS, SMALL_TABLES
from contracts.terms.errors import BadInput
from contracts.terms.plans import PlanTier, tiers_fault
from contracts.terms.time import iso

REFERENCES = (
    ("leases", "account_id", "accounts"),
    ("leases", "hardware", "hardware"),
    ("accounts", "plan_id", "plans"),
    ("plan_tiers", "plan_id", "plans"),
)

Frames = Mapping[str, pl.DataFrame]


def settlement_faults(frames: Frames) -> Iterator[BadInput]:
    """Everything wrong with the readable small tables, by table name, rows in the order they were given."""
    yield from _double_keys(frames)
    yield from _unknown_names(frames)
    yield from _currencies(frames["accounts"])
    yield from _periods(frames["periods"])
    yield from _tiers(frames["plans"], frames.get(PLAN_TIERS.name, PLAN_TIERS.empty()))


def usage_faults(usage: pl.DataFrame, *, leases: pl.DataFrame, periods: pl.DataFrame) -> Iterator[BadInput]:
    """Everything wrong with some readable rows of usage; they are counted from the first of them."""
    yield from _unknown_in(usage, leases, place=("usage", "lease_id", "leases"))
    yield from _spans(usage, periods)


def _double_keys(frames: Frames) -> Iterator[BadInput]:
    for table in SMALL_TABLES:
        if table.name not in frames:
            continue
        keys = frames[table.name].select(table.key)
        for row in (~keys.select(pl.struct(pl.all()).is_first_distinct()).to_series()).arg_true():
            yield BadInput(
                "the key is there twice",
                file=table.name,
                row=row + 1,
                column=table.key[-1],
                found=", ".join(str(cell) for cell in keys.row(row)),
                would_do=f"each {' and '.join(table.key)} once",
            )


def _unknown_names(frames: Frames) -> Iterator[BadInput]:
    for name, column, target in REFERENCES:
        if name not in frames:
            continue
        yield from _unknown_in(frames[name], frames[target], place=(name, column, target))


def _unknown_in(rows: pl.DataFrame, known: pl.DataFrame, *, place: tuple[str, str, str]) -> Iterator[BadInput]:
    name, column, target = place
    cells = rows[column]
    for row in (~cells.is_in(known[column].implode())).arg_true():
        yield BadInput(
            f"table {target} has no such {column}",
            file=name,
            row=row + 1,
            column=column,
            found=cells[row],
            would_do=f"a {column} of table {target}",
        )


def _currencies(accounts: pl.DataFrame) -> Iterator[BadInput]:
    cells = accounts["currency"]
    for row in (~cells.str.contains(r"^[A-Z]{3}$")).arg_true():
        yield BadInput(
            "the currency is no ISO 4217 code", file="accounts", row=row + 1, column="currency", found=cells[row], would_do="USD"
        )


def _periods(periods: pl.DataFrame) -> Iterator[BadInput]:
    """Numbered 1…K, months half-open and joined, closes in order and never before their month ends."""
    if not periods.height:
        yield BadInput("there is no period to settle", file=PERIODS.name, would_do="a row for each month to close")
    numbered = periods.with_row_index("row", 1).sort("period")
    rows = [
        (place, PeriodRow(period=number, month_start=start, month_end=end, closes_at=close))
        for place, number, start, end, close in numbered.iter_rows()
    ]
    for index, (place, row) in enumerate(rows):
        if row.period != index + 1:
            yield BadInput(
                "periods are numbered from 1 without a gap",
                file=PERIODS.name,
                row=place,
                column="period",
                found=row.period,
                would_do=str(index + 1),
            )
            return
        earlier = rows[index - 1][1] if index else None
        for column, message, would_do in _period_faults(row, earlier):
            found = iso(getattr(row, column))
            yield BadInput(message, file=PERIODS.name, row=place, column=column, found=found, would_do=would_do)


class PeriodRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table `periods`."""

    period: int
    month_start: datetime
    month_end: datetime
    closes_at: datetime


def _period_faults(row: PeriodRow, earlier: PeriodRow | None) -> Iterator[tuple[str, str, str]]:
    """Column, what is wrong with it, and what would do."""
    if row.month_end <= row.month_start:
        yield "month_end", "a month ends after it starts", f"later than {iso(row.month_start)}"
    if row.closes_at < row.month_end:
        yield "closes_at", "a period closes no earlier than its month ends", f"{iso(row.month_end)} or later"
    if earlier and row.month_start != earlier.month_end:
        yield "month_start", "months join without gap or overlap", iso(earlier.month_end)
    if earlier and row.closes_at <= earlier.closes_at:
        yield "closes_at", "periods close one after the other", f"later than {iso(earlier.closes_at)}"


def _spans(usage: pl.DataFrame, periods: pl.DataFrame) -> Iterator[BadInput]:
    for row in (usage["end"] < usage["start"]).arg_true():
        yield BadInput(
            "a record ends before it starts",
            file="usage",
            row=row + 1,
            column="end",
            found=iso(usage["end"][row]),
            would_do=f"{iso(usage['start'][row])} or later",
        )
    instant = (usage["end"] == usage["start"]) & (usage["accelerator_seconds"] > 0)
    for row in instant.arg_true():
        yield BadInput(
            "a record without length has no seconds",
            file="usage",
            row=row + 1,
            column="accelerator_seconds",
            found=usage["accelerator_seconds"][row],
            would_do="0, or an end after the start",
        )
    starts = periods["month_start"].sort().to_list()
    if not starts:
        return
    first = starts[0]
    for row in (usage["start"] < first).arg_true():
        yield BadInput(
            "a record starts before the first month",
            file="usage",
            row=row + 1,
            column="start",
            found=iso(usage["start"][row]),
            would_do=f"{iso(first)} or later",
        )


def _tiers(plans: pl.DataFrame, plan_tiers: pl.DataFrame) -> Iterator[BadInput]:
    tiered = plans.with_row_index("row", 1).filter(pl.col("kind") == "metered_tiers")
    for plan_id, row in tiered.select("plan_id", "row").iter_rows():
        steps = plan_tiers.filter(pl.col("plan_id") == plan_id).sort("lo_units")
        tiers = [
            PlanTier(lo_units=step["lo_units"], hi_units=step["hi_units"], unit_price_micros=step["unit_price_micros"])
            for step in steps.iter_rows(named=True)
        ]
        fault = tiers_fault(tiers)
        if fault:
            first = plan_tiers["plan_id"].to_list().index(plan_id) + 1 if tiers else None
            yield BadInput(
                f"plan {plan_id}: {fault}",
                file=PLAN_TIERS.name if tiers else PLANS.name,
                row=first if tiers else row,
                column="lo_units" if tiers else "plan_id",
                found=", ".join(f"{tier.lo_units}–{'' if tier.hi_units is None else tier.hi_units}" for tier in tiers) or "no tiers",
                would_do="tiers from 0, each starting where the one before ends, the last one open",
            )
