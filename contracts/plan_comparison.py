"""What the same use would have cost on another plan, and what a month comes to at the pace so far.

Nothing is priced here: an account's own book is settled again by the one set of rules, with another plan signed, or with the
usage of a month drawn out to its end.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import polars as pl

from contracts.settlement import Settlement, settle
from contracts.settlement_book import SettlementBook

GIVEN = "grant"


class MonthLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one month comes to under one kind of line (and hardware, of usage), before tax: micros and accelerator-seconds."""

    month: int
    kind: str
    hardware: str | None
    seconds: int
    micros: int


class PlanCost(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's months would have cost on one plan, before tax, as known at the last close: month → micros."""

    plan_id: str
    kind: str
    months: dict[int, int]

    @property
    def total_micros(self) -> int:
        """All months together."""
        return sum(self.months.values())


def own_book(book: SettlementBook, account_id: str) -> SettlementBook:
    """The part of a book that one account is settled from: every revision of records that were ever on a lease of its own."""
    mine = book.leases.filter(pl.col("account_id") == account_id)["lease_id"]
    records = book.usage.filter(pl.col("lease_id").is_in(mine.implode()))["usage_id"]
    usage = book.usage.filter(pl.col("usage_id").is_in(records.implode()))
    named = pl.concat([mine, usage["lease_id"]]).unique()
    return msgspec.structs.replace(
        book,
        accounts=book.accounts.filter(pl.col("account_id") == account_id),
        leases=book.leases.filter(pl.col("lease_id").is_in(named.implode())),
        usage=usage,
    )


def lines_of(own: SettlementBook) -> list[MonthLine]:
    """What each month comes to, by kind and hardware: cumulative over all periods, so that corrections are in the month they correct."""
    return lines_in(settle(own))


def lines_in(settled: Settlement) -> list[MonthLine]:
    """The same of what is settled already."""
    lines = settled.lines.group_by("month", "kind", "hardware").agg(pl.col("quantity_seconds", "amount_micros").sum())
    return [
        MonthLine(month=month, kind=kind, hardware=hardware, seconds=seconds or 0, micros=micros)
        for month, kind, hardware, seconds, micros in lines.sort("month", "kind", "hardware").iter_rows()
    ]


def costs_by_plan(own: SettlementBook, *, fee_bps: int) -> list[PlanCost]:
    """The account's months on each plan there is, the cheapest first, of equals by id.

    A grant is given and not chosen, so it is there only for who has it. The broker's take is the account's own on its own plan
    where that is a cleared one, on another `fee_bps`.
    """
    account = own.accounts.row(0, named=True)
    found = []
    for plan_id, kind in own.plans.select("plan_id", "kind").sort("plan_id").iter_rows():
        mine = plan_id == account["plan_id"]
        if kind == GIVEN and not mine:
            continue
        take = account["take_bps"] if mine else fee_bps
        signed = own.accounts.with_columns(plan_id=pl.lit(plan_id), take_bps=pl.lit(take, own.accounts.schema["take_bps"]))
        months = dict.fromkeys(own.periods["period"].to_list(), 0)
        for line in lines_of(msgspec.structs.replace(own, accounts=signed)):
            months[line.month] += line.micros
        found.append(PlanCost(plan_id=plan_id, kind=kind, months=months))
    return sorted(found, key=lambda each: (each.total_micros, each.plan_id))


def at_pace(own: SettlementBook, *, now: datetime) -> SettlementBook:
    """The book with the last month's usage drawn out from its part so far to the whole month; as it is once the month is over.

    A record's seconds are multiplied by the month's length over what has passed of it, rounded down.
    """
    start, end = own.periods.sort("period").select("month_start", "month_end").row(-1)
    passed, whole = (min(now, end) - start).total_seconds(), (end - start).total_seconds()
    if passed <= 0 or passed >= whole:
        return own
    drawn = (pl.col("accelerator_seconds").cast(pl.Int128) * int(whole) // int(passed)).cast(pl.Int64)
    seconds = pl.when(pl.col("start") >= start).then(drawn).otherwise("accelerator_seconds").alias("accelerator_seconds")
    return msgspec.structs.replace(own, usage=own.usage.with_columns(seconds))


def month_total(lines: Sequence[MonthLine], month: int) -> int:
    """What one month comes to, before tax."""
    return sum(line.micros for line in lines if line.month == month)
