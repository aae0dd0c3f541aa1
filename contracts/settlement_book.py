"""What a settlement is made from: the published tables, checked, in order of their keys."""

import msgspec
import polars as pl

from contracts.ledger_tables import ACCOUNTS, HARDWARE, LEASES, PERIODS, PLAN_TIERS, PLANS, SLA, USAGE


class SettlementBook(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a settlement may look at: the published tables, each checked and in order of its key.

    sla   tiers and what a failed second of them gives back; no rows: no credits
    """

    usage: pl.DataFrame
    leases: pl.DataFrame
    accounts: pl.DataFrame
    hardware: pl.DataFrame
    plans: pl.DataFrame
    periods: pl.DataFrame
    plan_tiers: pl.DataFrame = PLAN_TIERS.empty()
    sla: pl.DataFrame = SLA.empty()


def settlement_book(frames: dict[str, pl.DataFrame]) -> SettlementBook:
    """A book from checked frames that have the published columns: columns in order, rows by key (usage as it comes)."""
    small = (LEASES, ACCOUNTS, HARDWARE, PLANS, PLAN_TIERS, PERIODS, SLA)
    kept = {
        table.name: frames[table.name].select(list(table.schema)).cast(table.schema)  # type: ignore[arg-type]
        for table in (USAGE, *small)
        if table.name in frames
    }
    return SettlementBook(**(kept | {table.name: kept[table.name].sort(table.key) for table in small if table.name in kept}))


def in_total_order(usage: pl.DataFrame) -> pl.DataFrame:
    """Rows of `USAGE` by key and then by every other column: copies of one key that differ have an order too."""
    return usage.select(list(USAGE.schema)).sort([*USAGE.key, *(name for name in USAGE.schema if name not in USAGE.key)])
