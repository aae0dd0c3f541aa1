"""Random settlement months from a seed, full of what goes wrong in real ones.

Late and early rows, copies that agree and copies that do not, revisions out of order and with gaps, voids, records over
month ends, records moved to another lease, failures, ties, refunds, every kind of plan, two currencies.
"""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from contracts.ledger_tables import SETTLEMENT_TABLES
from contracts.settlement import SettlementBook, settlement_book

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = [START, *(datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4, 5))]
PD = 86_400_000
HARDWARE = {"A100-80": 312, "B200": 2250, "H100-SXM": 989, "REF-1000": 1000, "REF-1000B": 1000}
TIERS = ("guaranteed", "standard", "spot")

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def random_month(seed: int, *, accounts: int = 14, records: int = 60, sla: bool = True) -> Rows:
    """The tables of one settlement directory: name → rows, times as UTC datetimes."""
    rng = random.Random(seed)
    plans, tiers = _plans(rng)
    tables: Rows = {
        "hardware": [{"hardware": name, "tflops": tflops} for name, tflops in HARDWARE.items()],
        "plans": plans,
        "plan_tiers": tiers,
        "accounts": [
            {
                "account_id": f"acct-{i:02d}",
                "name": f'Account {i}, "Ltd"',
                "plan_id": plans[i % len(plans)]["plan_id"],
                "tax_bps": rng.choice([0, 700, 825, 1900, 2100]),
                "take_bps": rng.choice([0, 333, 500, 1250]),
                "currency": rng.choice(["USD", "EUR"]),
                "country": "DE",
            }
            for i in range(accounts)
        ],
        "periods": _periods(rng),
    }
    tables["leases"] = [
        {
            "lease_id": f"lease-{i:03d}",
            "account_id": f"acct-{rng.randrange(accounts):02d}",
            "provider_id": f"prov-{rng.randrange(4)}",
            "hardware": rng.choice(list(HARDWARE)),
            "accelerators": rng.choice([1, 2, 4, 8]),
            "rate_micros": rng.choice([2_000_007, 1_000_001, 0, rng.randrange(100_000, 8_000_000)]),
            "tier": rng.choice(TIERS),
        }
        for i in range(3 * accounts)
    ]
    if sla:
        tables["sla"] = [{"tier": "guaranteed", "credit_bps": 10_000}, {"tier": "standard", "credit_bps": 2_500}]
    tables["usage"] = [row for i in range(records) for row in _revisions(rng, i, len(tables["leases"]))]
    rng.shuffle(tables["usage"])
    return tables


def book_of(tables: Rows) -> SettlementBook:
    """The tables as a checked book of frames."""
    schemas = {table.name: table.schema for table in SETTLEMENT_TABLES}
    return settlement_book({name: pl.DataFrame(rows, schema=schemas[name]) for name, rows in tables.items()})


def in_microseconds(tables: Rows) -> Rows:
    """The same tables with times as whole microseconds since 1970, for oracles that know only integers."""
    return {name: [{key: _plain(cell) for key, cell in row.items()} for row in rows] for name, rows in tables.items()}


def _plain(cell: object) -> object:
    return (cell - EPOCH) // timedelta(microseconds=1) if isinstance(cell, datetime) else cell


def _plans(rng: random.Random) -> tuple[list[Row], list[Row]]:
    none = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
    price = rng.randrange(20_000_000, 90_000_000)
    plans: list[Row] = [
        {"plan_id": "graduated", "kind": "metered_tiers", **none, "tiering": "graduated"},
        {"plan_id": "volume", "kind": "metered_tiers", **none, "tiering": "volume"},
        {"plan_id": "cleared", "kind": "metered_cleared", **none},
        {"plan_id": "flat", "kind": "flat_rate", **none, "unit_price_micros": price, "fee_micros": 500_005_000, "fair_use_units": PD // 2},
        {"plan_id": "throttled", "kind": "flat_rate", **none, "fee_micros": 1, "overage": "throttle"},
        {"plan_id": "committed", "kind": "committed", **none, "unit_price_micros": price, "commit_micros": rng.randrange(60_000_000)},
        {"plan_id": "grant", "kind": "grant", **none, "unit_price_micros": price, "grant_units": rng.randrange(3) * PD + 1},
    ]
    tiers: list[Row] = []
    for plan in ("graduated", "volume"):
        edges = [0, rng.choice([1, PD, PD + 1]), 2 * PD + rng.randrange(3), None]
        tiers += [
            {"plan_id": plan, "lo_units": lo, "hi_units": hi, "unit_price_micros": rng.randrange(90_000_001)}
            for lo, hi in itertools.pairwise(edges)
        ]
    return plans, tiers


def _periods(rng: random.Random) -> list[Row]:
    return [
        {
            "period": number,
            "month_start": start,
            "month_end": end,
            "closes_at": end + timedelta(days=rng.choice([0, 2, 5]), microseconds=rng.randrange(2)),
        }
        for number, (start, end) in enumerate(itertools.pairwise(MONTHS), 1)
    ]


def _revisions(rng: random.Random, index: int, leases: int) -> list[Row]:
    """All rows of one usage id: revisions and copies, arriving in any order."""
    span = MONTHS[-1] - START
    start = START + timedelta(microseconds=rng.randrange(span // timedelta(microseconds=1)))
    if rng.random() < 0.2:
        start = rng.choice(MONTHS[1:-1]) - timedelta(seconds=rng.choice([1, 1800, 90_000]))
    end = start + timedelta(microseconds=rng.choice([0, 1, 3_600_000_000, 7_200_000_001, 45 * 86_400_000_000]))
    row: Row = {
        "usage_id": f"use-{index:03d}",
        "rev": 0,
        "lease_id": f"lease-{rng.randrange(leases):03d}",
        "start": start,
        "end": end,
        "accelerator_seconds": rng.choice([0, 1, 1800, 43_200, rng.randrange(200_000)]) if end > start else 0,
        "status": rng.choice(["delivered", "delivered", "preempted", "provider_failed"]),
        "received_at": start + timedelta(days=rng.choice([0, 1, 20, 50, -3])),
    }
    rows = [row]
    for rev in sorted(rng.sample(range(1, 5), rng.choice([0, 0, 0, 1, 2]))):
        changed: Row = row | {"rev": rev, "received_at": start + timedelta(days=rng.randrange(90))}
        if end > start:
            changed["accelerator_seconds"] = rng.choice([0, row["accelerator_seconds"], rng.randrange(200_000)])
        if rng.random() < 0.3:
            changed["lease_id"] = f"lease-{rng.randrange(leases):03d}"
        if rng.random() < 0.3:
            changed["status"] = rng.choice(["delivered", "provider_failed"])
        rows.append(changed)
    for copied in list(rows):
        if rng.random() < 0.25:
            copy: Row = dict(copied)
            if rng.random() < 0.5:
                copy["received_at"] += timedelta(days=rng.choice([0, 0, 1, 40]))
            if rng.random() < 0.5:
                copy["status"] = "preempted"
            if rng.random() < 0.3 and end > start:
                copy["accelerator_seconds"] = rng.randrange(5000)
            rows.append(copy)
    return rows
