"""What an account's months come to, lease by lease, to the micro: the lines of its settlement, shared among what they bill.

A plan prices months, not leases: tiers, fees, commitments and credits have no lease of their own. Each line is shared by largest
remainder in proportion to what its leases delivered (or failed), as the settlement itself shares it among providers, so the parts
add up to the line, whatever they are added up by. Nothing is settled or changed here.
"""

from collections.abc import Iterator, Sequence

import msgspec
import polars as pl

from contracts.plan_comparison import MonthLine
from contracts.settlement import Settlement
from contracts.settlement_book import SettlementBook
from contracts.terms.money import largest_remainder

CLEARED = "metered_cleared"
NO_LEASE = ""


class LeaseMonth(msgspec.Struct, frozen=True, kw_only=True):
    """What one settlement lease brings to a month: accelerator-seconds billed, and micros before tax.

    lease_id   empty for what no lease brought, as the fee of a month without any
    hardware   class of the lease; None without one
    """

    month: int
    lease_id: str
    hardware: str | None
    seconds: int
    micros: int


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a lease in a month, delivered or failed, and what they weigh at its rate."""

    lease_id: str
    hardware: str
    seconds: int
    rated: int
    failed: bool


def by_lease(own: SettlementBook, settled: Settlement, *, lines: Sequence[MonthLine]) -> list[LeaseMonth]:
    """The lines of one account's own book, shared among its leases; by month and lease.

    Usage is shared by seconds, at their rates on a plan that pays by the rate; a credit by what failed at its rate and tier's
    share; a fee, take or true-up by all that was delivered, at its rate.
    """
    account = own.accounts.join(own.plans, on="plan_id").row(0, named=True)
    parts = _parts(own, settled, account_id=account["account_id"])
    found: dict[tuple[int, str], LeaseMonth] = {}
    for line in lines:
        for part, micros in _shared(line, parts.get(line.month, []), by_rate=account["kind"] == CLEARED):
            key = (line.month, part.lease_id if part else NO_LEASE)
            before = found.get(key)
            seconds = part.seconds if part and line.kind == "usage" else 0
            found[key] = LeaseMonth(
                month=line.month,
                lease_id=key[1],
                hardware=part.hardware if part else None,
                seconds=seconds + (before.seconds if before else 0),
                micros=micros + (before.micros if before else 0),
            )
    return [found[key] for key in sorted(found)]


def _parts(own: SettlementBook, settled: Settlement, *, account_id: str) -> dict[int, list[_Part]]:
    """Month → what the account's leases delivered and failed in it, in order of their ids."""
    leases = own.leases.sort("lease_id").with_row_index("lease").with_columns(pl.col("lease").cast(pl.Int64))
    credit = dict(own.sla.select("tier", "credit_bps").iter_rows())
    changes = settled.reading.changes.with_columns(pl.col("lease").cast(pl.Int64))
    seconds = changes.group_by("lease", "failed", "month").agg(pl.col("seconds").cast(pl.Int128).sum())
    rows = seconds.join(leases, on="lease").filter(pl.col("account_id") == account_id, pl.col("seconds") > 0)
    found: dict[int, list[_Part]] = {}
    for row in rows.sort("month", "lease_id").iter_rows(named=True):
        seconds_of, weight = int(row["seconds"]), credit.get(row["tier"], 0) if row["failed"] else 1
        part = _Part(
            lease_id=row["lease_id"],
            hardware=row["hardware"],
            seconds=seconds_of,
            rated=seconds_of * row["rate_micros"] * weight,
            failed=bool(row["failed"]),
        )
        found.setdefault(row["month"], []).append(part)
    return found


def _shared(line: MonthLine, parts: Sequence[_Part], *, by_rate: bool) -> Iterator[tuple[_Part | None, int]]:
    """A line's micros by what brought them; by nothing (None) where nothing did."""
    among = [part for part in parts if part.failed == (line.kind == "credit") and (line.kind != "usage" or part.hardware == line.hardware)]
    if not among:
        yield None, line.micros
        return
    weights = [part.rated if by_rate or line.kind != "usage" else part.seconds for part in among]
    if not any(weights):
        weights = [part.seconds for part in among]
    yield from zip(among, largest_remainder(line.micros, weights), strict=True)
