"""Settlement directories of any size, made in seconds: every cell a function of the row's number, so that any part can be made alone.

Of a hundred rows about one repeats an earlier usage id (corrections, voids, copies that agree and copies that do not), one is
late by weeks, one in three hundred crosses the end of a month. Accounts sign every kind of plan.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from contracts.ledger_tables import USAGE
from tests.contracts.months import random_month

HOUR = 3_600_000_000
DAY = 24 * HOUR
STATUSES = ("delivered", "preempted", "provider_failed")
ALPHABET = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", dtype=np.uint8)
BODY = 26
REPEATED, LATE = 10, 10  # per mille


class MonthSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How large a ledger: usage rows over all periods, accounts, leases for each, months, rows a file."""

    rows: int
    accounts: int = 5_000
    leases: int = 4
    periods: int = 6
    part_rows: int = 1_000_000
    months_used: int = 0

    @property
    def edges(self) -> np.ndarray:
        """The edges of the months with usage, microseconds since 1970."""
        return np.array([int(moment.timestamp()) * 1_000_000 for moment in _edges(self.months_used or self.periods)])

    @property
    def parts(self) -> int:
        """Files of usage."""
        return -(-self.rows // self.part_rows)


def small_tables(spec: MonthSpec) -> dict[str, pl.DataFrame]:
    """Every table but usage."""
    month = random_month(7)
    ids = pl.int_range(spec.accounts, eager=True)
    plans = [plan["plan_id"] for plan in month["plans"]]
    leases = pl.DataFrame({"number": pl.int_range(spec.accounts * spec.leases, eager=True)})
    hardware = [row["hardware"] for row in month["hardware"]]
    accounts = pl.DataFrame({"number": ids}).select(
        account_id=pl.format("acct_{}", pl.col("number").cast(pl.String).str.zfill(8)),
        name=pl.format("Account {}", "number"),
        plan_id=pl.lit(pl.Series(plans)).gather(pl.col("number") % len(plans)),
        tax_bps=pl.lit(pl.Series([0, 700, 1900, 2100])).gather(pl.col("number") % 4),
        take_bps=pl.lit(pl.Series([0, 333, 500, 1250])).gather(pl.col("number") // 4 % 4),
        currency=pl.lit(pl.Series(["USD", "EUR"])).gather(pl.col("number") // 3 % 2),
        country=pl.lit("DE"),
    )
    edges = _edges(spec.periods)
    scale = max(1, spec.rows // spec.accounts // spec.periods // 10)
    return {
        "hardware": pl.DataFrame(month["hardware"]),
        "plans": pl.DataFrame(month["plans"]).with_columns(pl.col("fair_use_units", "commit_micros", "grant_units") * scale),
        "plan_tiers": pl.DataFrame(month["plan_tiers"]).with_columns(pl.col("lo_units", "hi_units") * scale),
        "accounts": accounts,
        "leases": leases.select(
            lease_id=pl.format("lse_{}", pl.col("number").cast(pl.String).str.zfill(BODY)),
            account_id=pl.format("acct_{}", (pl.col("number") % spec.accounts).cast(pl.String).str.zfill(8)),
            provider_id=pl.format("prov-{}", pl.col("number") * 7 % 40),
            hardware=pl.lit(pl.Series(hardware)).gather(pl.col("number") * 11 % len(hardware)),
            accelerators=pl.lit(pl.Series([1, 2, 4, 8])).gather(pl.col("number") % 4),
            rate_micros=1_000_001 + pl.col("number") * 7919 % 5_000_000,
            tier=pl.lit(pl.Series(["guaranteed", "standard", "spot"])).gather(pl.col("number") % 3),
        ),
        "periods": pl.DataFrame(
            {
                "period": range(1, spec.periods + 1),
                "month_start": edges[:-1],
                "month_end": edges[1:],
                "closes_at": [edge.replace(day=3) for edge in edges[1:]],
            }
        ),
        "sla": pl.DataFrame({"tier": ["guaranteed", "standard"], "credit_bps": [10_000, 2_500]}),
    }


def usage_part(spec: MonthSpec, number: int) -> pl.DataFrame:
    """The rows of one part, in order of arrival by and large."""
    first = number * spec.part_rows
    rows = np.arange(first, min(spec.rows, first + spec.part_rows))
    draw = _mixed(rows, 1)
    repeats = (draw % 1000 < REPEATED) & (rows > 0)
    of = np.where(repeats, _mixed(rows, 2) % np.maximum(rows, 1), rows)
    cells = _reported(spec, of)
    kind = np.where(repeats, _mixed(rows, 3) % 4, -1)  # 0 a correction, 1 a void, 2 a copy, 3 a copy that differs
    seconds = np.where(kind == 1, 0, np.where((kind == 0) | (kind == 3), cells["seconds"] // 2, cells["seconds"]))
    moment = _moment(spec, rows) + 5 * 60_000_000
    late = (draw // 1000 % 1000 < LATE) * (_mixed(rows, 4) % (60 * DAY))
    return _frame(
        {
            "usage_id": of,
            "rev": np.where(kind == 0, 1 + _mixed(rows, 5) % 3, np.where(kind == 1, 4, 0)),
            "lease_id": cells["lease"],
            "start": cells["start"],
            "end": cells["end"],
            "accelerator_seconds": seconds,
            "status": np.where(kind == 3, 1, cells["status"]),
            "received_at": np.where(repeats, moment + 3 * DAY * (kind < 2), np.maximum(moment, cells["end"]) + late),
        }
    )


def late_part(spec: MonthSpec, *, share: float, corrections: float) -> pl.DataFrame:
    """Rows that arrive in the last period for earlier months: new ids, and corrections of known ones."""
    count = int(spec.rows * share)
    rows = np.arange(spec.rows, spec.rows + count)
    known = _mixed(rows, 6) % 1000 < corrections * 1000
    of = np.where(known, _mixed(rows, 7) % spec.rows, rows)
    cells = _reported(spec, np.where(known, of, _mixed(rows, 8) % spec.rows))
    return _frame(
        {
            "usage_id": of,
            "rev": np.where(known, 9, 0),
            "lease_id": cells["lease"],
            "start": cells["start"],
            "end": cells["end"],
            "accelerator_seconds": cells["seconds"] // 2,
            "status": cells["status"],
            "received_at": np.full(count, spec.edges[-1]) + 5 * DAY + rows % DAY,
        }
    )


def write_month(spec: MonthSpec, directory: Path, *, folder: bool = False) -> Path:
    """The directory, usage as one Parquet file or as a folder of parts."""
    parts = directory / "usage"
    parts.mkdir(parents=True)
    for name, frame in small_tables(spec).items():
        frame.write_parquet(directory / f"{name}.parquet")
    for number in range(spec.parts):
        usage_part(spec, number).write_parquet(parts / f"part-{number:05d}.parquet", row_group_size=250_000)
    if not folder:
        pl.scan_parquet(parts).sink_parquet(directory / "usage.parquet", row_group_size=250_000)
        for path in parts.iterdir():
            path.unlink()
        parts.rmdir()
    return directory


def _reported(spec: MonthSpec, of: np.ndarray) -> dict[str, np.ndarray]:
    """What the first report of a usage id says: an hour of a lease, mostly whole, now and then over the end of a month."""
    lease = _mixed(of, 11) % (spec.accounts * spec.leases)
    start = _moment(spec, of) // HOUR * HOUR + _mixed(of, 12) % 4 * 15 * 60_000_000
    length = np.where(_mixed(of, 13) % 50 == 0, 30 * 60_000_000, HOUR)
    accelerators = np.array([1, 2, 4, 8])[lease % 4]
    seconds = accelerators * (length // 1_000_000) - _mixed(of, 14) % 7
    fate = _mixed(of, 15) % 1000
    status = np.where(fate < 15, 2, np.where(fate < 60, 1, 0))
    return {"lease": lease, "start": start, "end": start + length, "seconds": seconds, "status": status}


def _moment(spec: MonthSpec, rows: np.ndarray) -> np.ndarray:
    """When a row is reported: evenly over the months."""
    first, last = spec.edges[0], spec.edges[-1] - 2 * HOUR
    step: int = (last - first) // (spec.rows + 1)
    return np.asarray(first + rows * step)


def _frame(cells: dict[str, np.ndarray]) -> pl.DataFrame:
    frame = pl.DataFrame({name: cells[name] for name in USAGE.schema if name != "usage_id"})
    status = pl.Series(STATUSES, dtype=pl.Enum(STATUSES)).gather(frame["status"]).cast(pl.String)
    return frame.select(
        pl.Series("usage_id", _ids(cells["usage_id"])),
        "rev",
        lease_id=pl.format("lse_{}", pl.col("lease_id").cast(pl.String).str.zfill(BODY)),
        start=pl.col("start").cast(USAGE.schema["start"]),
        end=pl.col("end").cast(USAGE.schema["end"]),
        accelerator_seconds="accelerator_seconds",
        status=status,
        received_at=pl.col("received_at").cast(USAGE.schema["received_at"]),
    )


def _ids(numbers: np.ndarray) -> pl.Series:
    """`use_` and 26 letters for each number: as long, and as hard to compress, as derived ids are."""
    letters = np.empty((len(numbers), 4 + BODY), dtype=np.uint8)
    letters[:, :4] = np.frombuffer(b"use_", dtype=np.uint8)
    for half in range(2):
        bits = _splitmix(numbers.astype(np.uint64) * np.uint64(2) + np.uint64(half))
        for place in range(BODY // 2):
            letters[:, 4 + half * (BODY // 2) + place] = ALPHABET[(bits >> np.uint64(4 * place)) & np.uint64(31)]
    return pl.Series(letters.reshape(-1).view(f"S{4 + BODY}")).cast(pl.String)


def _mixed(numbers: np.ndarray, salt: int) -> np.ndarray:
    """A number as good as random for each number: 62 bits."""
    return (_splitmix(numbers.astype(np.uint64) + np.uint64(salt << 40)) >> np.uint64(2)).astype(np.int64)


def _splitmix(bits: np.ndarray) -> np.ndarray:
    bits = bits * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _edges(periods: int) -> list[datetime]:
    """Starts of months from November 2027, over a leap February."""
    months = itertools.islice(_months(2027, 11), periods + 1)
    return [datetime(year, month, 1, tzinfo=UTC) for year, month in months]


def _months(year: int, month: int) -> Iterator[tuple[int, int]]:
    for number in itertools.count(month - 1):
        yield year + number // 12, number % 12 + 1
