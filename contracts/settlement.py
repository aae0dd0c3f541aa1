"""Settlement: from usage, leases and plans to invoices, postings and payouts, for every period up to a close.

Frames in, frames out, and nothing but their contents matters: neither the order of rows nor the time of day.
Sums over usage are taken in 128 bits and in halves, so that no product can wrap; the few figures a month of an
account comes to are Python integers from there on; what leaves fits 64 bits or is refused by name.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NoReturn

import msgspec
import polars as pl

from contracts.invoicing import AccountTerms, Bill, Change, bill_account
from contracts.journal import JournalEntry, Posting
from contracts.ledger_tables import (
    ACCOUNTS,
    HARDWARE,
    INVOICES,
    LEASES,
    LINES,
    PAYOUTS,
    PERIODS,
    PLAN_TIERS,
    PLANS,
    POSTINGS,
    SLA,
    USAGE,
)
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT, fits_int64
from contracts.terms.plans import Grant, Plan, PlanFigures, PlanTier, plan_of
from contracts.terms.tables import Table
from contracts.usage import Reading, read_usage

HALF = 2**32
Cell = str | int | None


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


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Periods 1…`as_of`, settled: the published tables, the entries, and what the usage came to.

    seconds_settled   accelerator-seconds of all months settled, failed ones included, as known at the last close
    """

    as_of: int
    invoices: pl.DataFrame
    lines: pl.DataFrame
    postings: pl.DataFrame
    payouts: pl.DataFrame
    conflicts: pl.DataFrame
    entries: tuple[JournalEntry, ...]
    reading: Reading
    seconds_settled: int

    def tables(self) -> dict[str, pl.DataFrame]:
        """The published frames by name, in published order."""
        return {name: getattr(self, name) for name in ("invoices", "lines", "postings", "payouts", "conflicts")}


def settlement_book(frames: dict[str, pl.DataFrame]) -> SettlementBook:
    """A book from checked frames that have the published columns: columns in order, rows by key (usage as it comes)."""
    small = (LEASES, ACCOUNTS, HARDWARE, PLANS, PLAN_TIERS, PERIODS, SLA)
    kept = {
        table.name: frames[table.name].select(list(table.schema)).cast(table.schema)  # type: ignore[arg-type]
        for table in (USAGE, *small)
        if table.name in frames
    }
    return SettlementBook(**(kept | {table.name: kept[table.name].sort(table.key) for table in small if table.name in kept}))


def settle(month: SettlementBook, *, as_of: int | None = None) -> Settlement:
    """Settle periods 1…as_of (all, by default) of a checked book.

    Raises BadInput when `as_of` is no period, or when a result does not fit 64 bits.
    """
    last = month.periods.height if as_of is None else as_of
    if not 1 <= last <= month.periods.height:
        raise BadInput("there is no such period to settle", file="periods", found=last, would_do=f"1 to {month.periods.height}")
    periods = month.periods.sort("period").head(last)
    reading = read_usage(month.usage, leases=month.leases, periods=periods)
    changes = _by_account(_measures(reading.changes, month))
    bills = [bill for terms in _terms(month) for bill in bill_account(terms, changes.get(terms.account_id, {}), periods=last)]
    closes = periods["closes_at"].to_list()
    entries = [_entry(bill, closes[bill.period - 1]) for bill in bills]
    issued = [bill for bill, entry in zip(bills, entries, strict=True) if bill.lines or entry]
    return Settlement(
        as_of=last,
        invoices=_frame(INVOICES, (_invoice_row(bill) for bill in issued)),
        lines=_frame(LINES, (row for bill in issued for row in _line_rows(bill))),
        postings=_frame(POSTINGS, (row for bill, entry in zip(bills, entries, strict=True) if entry for row in _posting_rows(bill, entry))),
        payouts=_frame(PAYOUTS, _payout_rows(bills)),
        conflicts=reading.conflicts,
        entries=tuple(entry for entry in entries if entry),
        reading=reading,
        seconds_settled=int(reading.changes["seconds"].cast(pl.Int128).sum() or 0),
    )


def _measures(changes: pl.DataFrame, book: SettlementBook) -> pl.DataFrame:
    """Every figure of `MonthFacts` that moves: account_id, period, month, measure, of, scale, high, low.

    The amount is (high · 2³² + low) · scale: sums of halves cannot wrap, whatever is added up.
    """
    credit = book.sla.select("tier", scale="credit_bps")
    rows = (
        changes.join(book.leases, on="lease_id")
        .join(book.hardware, on="hardware")
        .join(credit, on="tier", how="left")
        .with_columns(pl.col("seconds", "tflops", "rate_micros").cast(pl.Int128), pl.col("scale").fill_null(0))
    )
    billable, failed = rows.filter(~pl.col("failed")).with_columns(scale=pl.lit(1, pl.Int64)), rows.filter("failed")
    rated = pl.col("seconds") * pl.col("rate_micros")
    return pl.concat(
        [
            _summed(billable, "seconds", of="hardware", amount=pl.col("seconds")),
            _summed(billable, "units", of="hardware", amount=pl.col("seconds") * pl.col("tflops")),
            _summed(billable, "rated", of="hardware", amount=rated),
            _summed(billable, "rated_providers", of="provider_id", amount=rated),
            _summed(failed, "failed", of="provider_id", amount=rated),
        ]
    )


def _summed(rows: pl.DataFrame, measure: str, *, of: str, amount: pl.Expr) -> pl.DataFrame:
    half = pl.lit(HALF, pl.Int128)
    return (
        rows.group_by("account_id", "period", "month", pl.lit(measure).alias("measure"), pl.col(of).alias("of"), "scale")
        .agg((amount // half).sum().alias("high"), (amount % half).sum().alias("low"))
        .sort("account_id", "period", "month", "of", "scale")
    )


def _by_account(measures: pl.DataFrame) -> dict[str, dict[int, list[Change]]]:
    found: dict[str, dict[int, list[Change]]] = {}
    for account, period, month, measure, of, scale, high, low in measures.iter_rows():
        change = Change(month, measure, of, (high * HALF + low) * scale)
        found.setdefault(account, {}).setdefault(period, []).append(change)
    return found


def _terms(book: SettlementBook) -> Iterator[AccountTerms]:
    tiers: dict[str, list[PlanTier]] = {}
    for row in book.plan_tiers.iter_rows(named=True):
        tier = PlanTier(lo_units=row["lo_units"], hi_units=row["hi_units"], unit_price_micros=row["unit_price_micros"])
        tiers.setdefault(row["plan_id"], []).append(tier)
    figures = [PlanFigures(**row) for row in book.plans.iter_rows(named=True)]
    plans: dict[str, Plan] = {row.plan_id: plan_of(row, tiers.get(row.plan_id, ())) for row in figures}
    for row in book.accounts.sort("account_id").iter_rows(named=True):
        yield AccountTerms(
            account_id=row["account_id"],
            currency=row["currency"],
            plan=plans[row["plan_id"]],
            tax_bps=row["tax_bps"],
            take_bps=row["take_bps"],
        )


def _entry(bill: Bill, at: datetime) -> JournalEntry | None:
    """The one entry of an account and period, or None when nothing moves.

    The buyer owes whole cents and the rest is rounding; providers are owed cost less credit; what is left, either
    way, is the plan's margin, or what the grant has paid.
    """
    total = bill.subtotal_micros + bill.tax_micros
    receivable = bill.payable_cents * MICROS_PER_CENT
    dues = bill.provider_dues
    rest = sum(dues.values()) + bill.take_micros - bill.subtotal_micros
    account = bill.terms.account_id
    amounts = [
        ("receivable", account, receivable),
        ("rounding", "", total - receivable),
        ("tax", "", -bill.tax_micros),
        ("fee_income", "", -bill.take_micros),
        *(("provider_payable", provider, -due) for provider, due in dues.items()),
        ("grant" if isinstance(bill.terms.plan, Grant) else "plan_margin", "", rest),
    ]
    moved = [(name, party, amount) for name, party, amount in amounts if amount]
    if not moved:
        return None
    wide = next(((name, amount) for name, _, amount in moved if not fits_int64(amount)), None)
    if wide:
        _refuse(POSTINGS, f"account {account}, period {bill.period}, {wide[0]}", column="amount_micros", amount=wide[1])
    return JournalEntry(
        id=f"settle:{account}:{bill.period}",
        kind="settlement",
        state="posted",
        at=at,
        reason="credit_note" if bill.payable_cents < 0 else "invoice",
        postings=tuple(
            Posting(account=name, party=party, amount_micros=amount, currency=bill.terms.currency) for name, party, amount in moved
        ),
        subject=f"{account}:{bill.period}",
    )


def _invoice_row(bill: Bill) -> Sequence[Cell]:
    return (
        bill.terms.account_id,
        bill.period,
        bill.terms.currency,
        bill.subtotal_micros,
        bill.tax_micros,
        bill.subtotal_micros + bill.tax_micros,
        bill.subtotal_cents,
        bill.payable_cents - bill.subtotal_cents,
        bill.payable_cents,
        bill.cost_micros,
        bill.take_micros,
    )


def _line_rows(bill: Bill) -> Iterator[Sequence[Cell]]:
    for line in bill.lines:
        yield (
            bill.terms.account_id,
            line.month,
            bill.period,
            line.kind,
            line.hardware,
            line.quantity_seconds,
            line.amount_micros,
            line.amount_cents,
        )


def _posting_rows(bill: Bill, entry: JournalEntry) -> Iterator[Sequence[Cell]]:
    for posting in entry.postings:
        yield (
            entry.id,
            bill.terms.account_id,
            bill.period,
            posting.currency,
            posting.account,
            posting.party or None,
            posting.amount_micros,
            entry.reason,
        )


def _payout_rows(bills: Iterable[Bill]) -> Iterator[Sequence[Cell]]:
    """What each provider earned in a period and currency: this month's cost, and what earlier months and credits change."""
    gross: dict[tuple[str, int, str], int] = {}
    net: dict[tuple[str, int, str], int] = {}
    for bill in bills:
        for provider, due in bill.provider_dues.items():
            key = (provider, bill.period, bill.terms.currency)
            gross[key] = gross.get(key, 0) + bill.gross.get(provider, 0)
            net[key] = net.get(key, 0) + due
    for key in sorted(net):
        if gross[key] or net[key]:
            yield (*key, gross[key], net[key] - gross[key], net[key])


def _frame(table: Table, rows: Iterable[Sequence[Cell]]) -> pl.DataFrame:
    """A published table from its rows. Raises BadInput for a figure that does not fit 64 bits."""
    kept = list(rows)
    for row in kept:
        for column, cell in zip(table.columns, row, strict=True):
            if isinstance(cell, int) and not fits_int64(cell):
                place = ", ".join(str(part) for name, part in zip(table.schema, row, strict=True) if name in table.key and part is not None)
                _refuse(table, place, column=column.name, amount=cell)
    return pl.DataFrame(kept, schema=table.schema, orient="row").sort(table.key)


def _refuse(table: Table, place: str, *, column: str, amount: int) -> NoReturn:
    raise BadInput("a result does not fit 64 bits", file=table.name, row=place, column=column, found=str(amount))
