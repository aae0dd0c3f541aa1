"""Bills of accounts whose products 128 bits might not hold: priced one by one with Python's integers.

Nobody's real ledger has such an account; the figures of one are exact all the same, or refused by name, and never wrapped.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NoReturn

import polars as pl

from contracts.billing import NO_HARDWARE, WIDE, Billed
from contracts.invoicing import AccountTerms, Bill, Change, bill_account
from contracts.month_facts import providers
from contracts.settlement_book import SettlementBook
from contracts.terms.errors import BadInput
from contracts.terms.money import fits_int64
from contracts.terms.plans import Plan, PlanFigures, PlanTier, plan_of

HALF = 2**32
INT = pl.Int64()
LINES = {"account": INT, "month": INT, "period": INT, "kind": pl.String(), "hardware": INT}
LINES |= {"quantity_seconds": WIDE, "amount_micros": WIDE, "amount_cents": WIDE}
BILLS = {"account": INT, "kind": pl.String(), "period": INT, "lines": INT}
BILLS |= dict.fromkeys(
    ("subtotal_micros", "take_micros", "cost_micros", "due_micros", "tax_micros", "payable_cents", "subtotal_cents"), WIDE
)
DUES = {"account": INT, "period": INT, "provider": INT, "gross": WIDE, "cost": WIDE, "due": WIDE}
Row = tuple[object, ...]


def bill_wide(changes: pl.DataFrame, book: SettlementBook, *, accounts: Collection[str], periods: range) -> Billed:
    """The bills of some accounts for some periods, by the same codes as all others.

    Raises BadInput for an amount that does not fit 64 bits.
    """
    leases = book.leases.with_row_index("lease").filter(pl.col("account_id").is_in(list(accounts)))
    moved = _by_account(_measures(changes.join(leases, on="lease"), book))
    numbers = {account: number for number, account in enumerate(book.accounts["account_id"])}
    kinds = dict(book.accounts.join(book.plans, on="plan_id").select("account_id", "kind").iter_rows())
    parties = {name: code for code, name in enumerate(providers(book))}
    hardware = {name: code for code, name in enumerate(book.hardware["hardware"])}
    lines: list[Row] = []
    bills: list[Row] = []
    dues: list[Row] = []
    for terms in _terms(book, accounts):
        account = numbers[terms.account_id]
        for bill in bill_account(terms, moved.get(terms.account_id, {}), periods=periods.stop - 1):
            if bill.period not in periods:
                continue
            _check(bill)
            lines += _lines(bill, account, hardware=hardware)
            bills.append(_totals(bill, account, kind=kinds[terms.account_id]))
            dues += _dues(bill, account, providers=parties)
    return Billed(lines=_frame(lines, LINES), bills=_frame(bills, BILLS), dues=_frame(dues, DUES))


def _check(bill: Bill) -> None:
    amounts = {"subtotal_micros": bill.subtotal_micros, "cost_micros": bill.cost_micros, "tax_micros": bill.tax_micros}
    amounts |= {f"line {line.kind} {line.month}": line.amount_micros for line in bill.lines}
    amounts |= {f"payout of {name}": part for name, part in (*bill.gross.items(), *bill.provider_dues.items())}
    for name, amount in amounts.items():
        if not fits_int64(amount):
            _refuse(f"account {bill.terms.account_id}, period {bill.period}, {name}", amount)


def _refuse(place: str, amount: int) -> NoReturn:
    raise BadInput("a result does not fit 64 bits", file="invoices", row=place, found=str(amount))


def _lines(bill: Bill, account: int, *, hardware: dict[str, int]) -> Iterator[Row]:
    for line in bill.lines:
        code = NO_HARDWARE if line.hardware is None else hardware[line.hardware]
        yield account, line.month, bill.period, line.kind, code, line.quantity_seconds, line.amount_micros, line.amount_cents


def _totals(bill: Bill, account: int, *, kind: str) -> Row:
    due = sum(bill.provider_dues.values())
    figures = (bill.subtotal_micros, bill.take_micros, bill.cost_micros, due, bill.tax_micros, bill.payable_cents, bill.subtotal_cents)
    return account, kind, bill.period, len(bill.lines), *figures


def _dues(bill: Bill, account: int, *, providers: dict[str, int]) -> Iterator[Row]:
    for provider, due in bill.provider_dues.items():
        gross = bill.gross.get(provider, 0)
        yield account, bill.period, providers[provider], gross, gross + bill.adjustments.get(provider, 0), due


def _frame(rows: list[Row], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def _measures(rows: pl.DataFrame, book: SettlementBook) -> pl.DataFrame:
    """Every figure of `MonthFacts` that moves: account_id, period, month, measure, of, scale, high, low.

    The amount is (high · 2³² + low) · scale: sums of halves cannot wrap, whatever is added up.
    """
    credit = book.sla.select("tier", scale="credit_bps")
    rows = (
        rows.join(book.hardware, on="hardware")
        .join(credit, on="tier", how="left")
        .with_columns(pl.col("seconds", "tflops", "rate_micros").cast(WIDE), pl.col("scale").fill_null(0))
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
    half = pl.lit(HALF, WIDE)
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


def _terms(book: SettlementBook, accounts: Collection[str]) -> Iterator[AccountTerms]:
    tiers: dict[str, list[PlanTier]] = {}
    for row in book.plan_tiers.iter_rows(named=True):
        tier = PlanTier(lo_units=row["lo_units"], hi_units=row["hi_units"], unit_price_micros=row["unit_price_micros"])
        tiers.setdefault(row["plan_id"], []).append(tier)
    figures = [PlanFigures(**row) for row in book.plans.iter_rows(named=True)]
    plans: dict[str, Plan] = {row.plan_id: plan_of(row, tiers.get(row.plan_id, ())) for row in figures}
    for row in book.accounts.filter(pl.col("account_id").is_in(list(accounts))).sort("account_id").iter_rows(named=True):
        yield AccountTerms(
            account_id=row["account_id"],
            currency=row["currency"],
            plan=plans[row["plan_id"]],
            tax_bps=row["tax_bps"],
            take_bps=row["take_bps"],
        )
