"""From a line of an invoice back to the usage records behind it, and the rule that made it.

Nothing is remembered for a trace: the rules of settlement are applied again to the records of the one account, record by
record where a bill adds them up. So the seconds of a trace add up to the line's, and its amount comes out again, or the books are wrong.
"""

from datetime import datetime

import msgspec
import polars as pl

from contracts.settlement import settle
from contracts.settlement_book import SettlementBook
from contracts.terms.errors import NotFound
from contracts.terms.money import half_up
from contracts.usage import read_usage

SECONDS_PER_HOUR = 3600
TAKE = "of all hours at their rates, the broker's share: take_bps ÷ 10,000"
RULES = {
    ("usage", "metered_cleared"): "accelerator-seconds × the rate their slot cleared at ÷ 3,600",
    ("usage", "metered_tiers"): "units (accelerator-seconds × TFLOP/s of the class), each at the price of the tier it lies in",
    (
        "usage",
        "flat_rate",
    ): "units (accelerator-seconds × TFLOP/s of the class) beyond fair use × the unit price, 0 when throttled",
    ("usage", "committed"): "units (accelerator-seconds × TFLOP/s of the class) × the unit price",
    ("usage", "grant"): "units (accelerator-seconds × TFLOP/s of the class) beyond what is left of the grant × the unit price",
    ("take", "metered_cleared"): TAKE,
    ("fee", "flat_rate"): "the plan's fee for the month, whatever was used",
    ("trueup", "committed"): "what lifts the usage of all months so far to what was committed for them",
}
CREDIT = "seconds that a provider failed × their rate ÷ 3,600 × the tier's credit_bps ÷ 10,000, never more than the month costs"
FIGURES = {
    "usage": ("unit_price_micros", "fair_use_units", "grant_units"),
    "take": ("take_bps",),
    "fee": ("fee_micros",),
    "trueup": ("commit_micros", "unit_price_micros"),
    "credit": (),
}


class LineName(msgspec.Struct, frozen=True, kw_only=True):
    """Which line of an invoice: the month it is for, what it bills, of which hardware where it bills hardware."""

    month: int
    kind: str
    hardware: str | None


class TracedLease(msgspec.Struct, frozen=True, kw_only=True):
    """What one lease brings to a line. A lease whose rate changed from slot to slot is one for each rate, `lease@1`, `lease@2`.

    seconds        accelerator-seconds that its records add (or, corrected, take away)
    amount_micros  the same at its rate
    """

    lease_id: str
    provider_id: str
    hardware: str
    tier: str
    rate_micros: int
    records: int
    seconds: int
    amount_micros: int


class TracedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A usage record as it stood at the close.

    accelerator_seconds  what its meter reported
    seconds              what of that is new to the line: less where the record crosses the month, below 0 where it was corrected
    """

    usage_id: str
    rev: int
    lease_id: str
    start: datetime
    end: datetime
    status: str
    received_at: datetime
    accelerator_seconds: int
    seconds: int


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A line taken apart.

    rule           what makes its amount, in words; `figures` are the plan's own terms that go in, those of 0 left out
    seconds        of all its records
    amount_micros  what the rules come to again, on these records
    """

    account_id: str
    period: int
    line: LineName
    plan_id: str
    plan_kind: str
    rule: str
    figures: dict[str, int]
    leases: tuple[TracedLease, ...]
    records: tuple[TracedRecord, ...]
    seconds: int
    amount_micros: int


def trace(book: SettlementBook, line: LineName, *, account_id: str, period: int) -> Trace:
    """A line of an account's invoice of a period, from a book of at least that account's records up to that period's close.

    Records are in order of lease, time and id. Raises NotFound where the rules come to no such line.
    """
    own = _of_account(book, account_id, period=period)
    plan = own.accounts.filter(pl.col("account_id") == account_id).join(own.plans, on="plan_id").row(0, named=True)
    amount_micros = _again(own, line, account_id=account_id, period=period)
    records = _records(own, line, account_id=account_id, period=period)
    return Trace(
        account_id=account_id,
        period=period,
        line=line,
        plan_id=plan["plan_id"],
        plan_kind=plan["kind"],
        rule=CREDIT if line.kind == "credit" else RULES[line.kind, plan["kind"]],
        figures={name: plan[name] for name in FIGURES[line.kind] if plan[name]},
        leases=_leases(own, records),
        records=tuple(TracedRecord(**row) for row in records.iter_rows(named=True)),
        seconds=int(records["seconds"].sum()),
        amount_micros=amount_micros,
    )


def _of_account(book: SettlementBook, account_id: str, *, period: int) -> SettlementBook:
    """Only what touches the account: a record that was moved to another's lease is followed there."""
    mine = book.leases.filter(pl.col("account_id") == account_id)
    touched = book.usage.join(mine, on="lease_id", how="semi").select("usage_id")
    usage = book.usage.join(touched, on="usage_id", how="semi")
    leases = book.leases.filter((pl.col("account_id") == account_id) | pl.col("lease_id").is_in(usage["lease_id"].implode()))
    return msgspec.structs.replace(
        book,
        leases=leases,
        usage=usage,
        accounts=book.accounts.filter((pl.col("account_id") == account_id) | pl.col("account_id").is_in(leases["account_id"].implode())),
        periods=book.periods.filter(pl.col("period") <= period),
    )


def _again(own: SettlementBook, line: LineName, *, account_id: str, period: int) -> int:
    lines = settle(own).lines.filter(pl.col("account_id") == account_id)
    wanted = (pl.col("period") == period) & (pl.col("month") == line.month) & (pl.col("kind") == line.kind)
    found = lines.filter(wanted & pl.col("hardware").eq_missing(line.hardware))
    if found.height != 1:
        raise NotFound(f"period {period} has no line of {line.kind} for month {line.month}", period=period, month=line.month)
    return int(found["amount_micros"].item())


def _records(own: SettlementBook, line: LineName, *, account_id: str, period: int) -> pl.DataFrame:
    """The records that move a line, as columns of `TracedRecord`: settlement's own reading, each record a lease of its own."""
    pair = pl.format("{}\t{}", "usage_id", "lease_id")
    named = own.usage.join(own.leases.select("lease_id", "account_id", "hardware", "accelerators"), on="lease_id").with_columns(pair=pair)
    leases = named.select("accelerators", lease_id="pair").unique("lease_id").sort("lease_id")
    reading = read_usage(named.with_columns(lease_id="pair"), leases=leases, periods=own.periods)
    moved = reading.changes.filter(pl.col("period") == period, pl.col("month") == line.month, pl.col("failed") == (line.kind == "credit"))
    seconds = moved.select("seconds", pair=pl.lit(leases["lease_id"]).gather(pl.col("lease"))) if moved.height else _NO_SECONDS
    closes_at = own.periods["closes_at"][-1]
    standing = named.filter(pl.col("received_at") < closes_at).sort("usage_id", "rev", "received_at")
    standing = standing.unique(["pair", "rev"], keep="first", maintain_order=True).unique("pair", keep="last", maintain_order=True)
    found = standing.filter(pl.col("account_id") == account_id).join(seconds, on="pair")
    if line.hardware is not None:
        found = found.filter(pl.col("hardware") == line.hardware)
    if line.kind == "fee":
        found = found.clear()
    return found.sort("lease_id", "start", "usage_id").select(TracedRecord.__struct_fields__)


_NO_SECONDS = pl.DataFrame(schema={"seconds": pl.Int64(), "pair": pl.String()})


def _leases(own: SettlementBook, records: pl.DataFrame) -> tuple[TracedLease, ...]:
    sums = records.group_by("lease_id").agg(pl.col("seconds").sum(), records=pl.len().cast(pl.Int64))
    rows = sums.join(own.leases, on="lease_id").sort("lease_id")
    names = [name for name in TracedLease.__struct_fields__ if name != "amount_micros"]
    return tuple(
        TracedLease(**row, amount_micros=half_up(row["seconds"] * row["rate_micros"], SECONDS_PER_HOUR))
        for row in rows.select(names).iter_rows(named=True)
    )
