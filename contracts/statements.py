"""Statements: what a settlement tells each party, as structs and as a page of plain text.

An invoice (or credit note) belongs to an account and a period, a payout advice to a provider and a period. Both are
read back from the published tables alone, so that anyone who has those can print the same page.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import polars as pl

from contracts.close import CloseRecord
from contracts.ledger_tables import PARTIES, PROVIDERS
from contracts.terms.money import half_up, micros_text

WIDTH = 78
WORDS = {"fee": "Monthly fee", "take": "Broker's take", "trueup": "Commitment true-up", "credit": "SLA credit"}
CENTS_PER_UNIT = 100
SECONDS_PER_HOUR = 3600

Row = tuple[str, str, str]


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues the invoices (`seller.toml`). Only the name stands on a page; the rest is for files that need it.

    address, country, vat_id   of the firm; the country as ISO 3166-1 alpha-2; e-invoices need all three
    iban, bic                  its account: what payouts leave from, and invoices are paid to
    payment_terms              when an invoice is due, in words
    """

    name: str = "Gridfare"
    address: str = ""
    country: str = ""
    vat_id: str = ""
    iban: str = ""
    bic: str = ""
    payment_terms: str = "Due on receipt"


class SettledBook(msgspec.Struct, frozen=True, kw_only=True):
    """A close as published: its tables, the small tables it was made from, its record. Every export starts here."""

    record: CloseRecord
    invoices: pl.DataFrame
    lines: pl.DataFrame
    postings: pl.DataFrame
    payouts: pl.DataFrame
    accounts: pl.DataFrame
    plans: pl.DataFrame
    periods: pl.DataFrame
    providers: pl.DataFrame = PROVIDERS.empty()
    parties: pl.DataFrame = PARTIES.empty()
    seller: Seller = Seller()


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: what one month's usage, fee, take, true-up or credit comes to, or is corrected by.

    month_start        of the month it is for; before the invoice's own month it is a correction
    quantity_seconds   billable accelerator-seconds behind it: of usage lines only
    """

    kind: str
    month_start: datetime
    hardware: str | None
    quantity_seconds: int | None
    amount_micros: int
    amount_cents: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """What an account owes for a period; payable below zero makes it a credit note. Cents add up from line to payable."""

    id: str
    account_id: str
    account_name: str
    plan_id: str
    period: int
    month_start: datetime
    month_end: datetime
    currency: str
    lines: tuple[InvoiceLine, ...]
    tax_bps: int
    subtotal_micros: int
    tax_micros: int
    total_micros: int
    subtotal_cents: int
    tax_cents: int
    payable_cents: int


class PayoutAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider earned in a period and currency: this month's cost, then earlier months and credits. Micros."""

    provider_id: str
    provider_name: str
    period: int
    month_start: datetime
    month_end: datetime
    currency: str
    gross_micros: int
    adjustments_micros: int
    net_micros: int


def invoices(book: SettledBook) -> Iterator[Invoice]:
    """Every invoice of the close, by account and period."""
    months = _months(book)
    lines: dict[tuple[str, int], list[InvoiceLine]] = {}
    for row in book.lines.sort("account_id", "period", "month", "kind", "hardware").iter_rows(named=True):
        lines.setdefault((row["account_id"], row["period"]), []).append(
            InvoiceLine(
                kind=row["kind"],
                month_start=months[row["month"]][0],
                hardware=row["hardware"],
                quantity_seconds=row["quantity_seconds"],
                amount_micros=row["amount_micros"],
                amount_cents=row["amount_cents"],
            )
        )
    figures = book.invoices.join(book.accounts.select("account_id", "name", "plan_id", "tax_bps"), on="account_id")
    for row in figures.sort("account_id", "period").iter_rows(named=True):
        yield Invoice(
            id=f"{row['account_id']}:{row['period']}",
            account_id=row["account_id"],
            account_name=row["name"],
            plan_id=row["plan_id"],
            period=row["period"],
            month_start=months[row["period"]][0],
            month_end=months[row["period"]][1],
            currency=row["currency"],
            lines=tuple(lines.get((row["account_id"], row["period"]), ())),
            tax_bps=row["tax_bps"],
            subtotal_micros=row["subtotal_micros"],
            tax_micros=row["tax_micros"],
            total_micros=row["total_micros"],
            subtotal_cents=row["subtotal_cents"],
            tax_cents=row["tax_cents"],
            payable_cents=row["payable_cents"],
        )


def payout_advices(book: SettledBook) -> Iterator[PayoutAdvice]:
    """Every payout advice of the close, by provider, period and currency."""
    months = _months(book)
    named = book.payouts.join(book.providers.select("provider_id", "name"), on="provider_id", how="left")
    for row in named.sort("provider_id", "period", "currency").iter_rows(named=True):
        yield PayoutAdvice(
            provider_id=row["provider_id"],
            provider_name=row["name"] or row["provider_id"],
            period=row["period"],
            month_start=months[row["period"]][0],
            month_end=months[row["period"]][1],
            currency=row["currency"],
            gross_micros=row["gross_micros"],
            adjustments_micros=row["adjustments_micros"],
            net_micros=row["net_micros"],
        )


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the page of a statement, in words and figures ready to be set.

    head     pairs of what stands left and right above the table
    header   of the table: words, a quantity, an amount
    rows     as the header; sums stand below a rule
    """

    head: tuple[tuple[str, str], ...]
    header: Row
    rows: tuple[Row, ...]
    sums: tuple[Row, ...]


def invoice_text(invoice: Invoice, seller: Seller) -> str:
    """The invoice as a page of text."""
    return _page(invoice_sheet(invoice, seller))


def payout_text(advice: PayoutAdvice, seller: Seller) -> str:
    """The payout advice as a page of text."""
    return _page(payout_sheet(advice, seller))


def invoice_sheet(invoice: Invoice, seller: Seller) -> Sheet:
    """What an invoice says: hours to two decimals, money to the cent."""
    title = "CREDIT NOTE" if invoice.payable_cents < 0 else "INVOICE"
    rows = [_item(line, invoice) for line in sorted(invoice.lines, key=_reading_order)]
    sums = [
        ("Subtotal", "", _cents(invoice.subtotal_cents)),
        (f"Tax, {Decimal(invoice.tax_bps) / 100:f} %", "", _cents(invoice.tax_cents)),
        (f"Payable, {invoice.currency}", "", _cents(invoice.payable_cents)),
    ]
    head = [
        (seller.name, title),
        (f"{invoice.account_name} ({invoice.account_id})", f"No. {invoice.id}"),
        (_span(invoice.month_start, invoice.month_end), f"plan {invoice.plan_id}"),
    ]
    header = ("", "Accelerator-hours", invoice.currency)
    return Sheet(head=tuple(head), header=header, rows=tuple(rows) or (("Nothing to charge", "", _cents(0)),), sums=tuple(sums))


def payout_sheet(advice: PayoutAdvice, seller: Seller) -> Sheet:
    """What a payout advice says: money to the micro."""
    head = [
        (seller.name, "PAYOUT ADVICE"),
        (f"{advice.provider_name} ({advice.provider_id})", f"No. {advice.provider_id}:{advice.period}"),
        (_span(advice.month_start, advice.month_end), ""),
    ]
    rows = [
        ("Delivered this month", "", micros_text(advice.gross_micros)),
        ("Changes of earlier months, and credits", "", micros_text(advice.adjustments_micros)),
    ]
    earned = (f"Earned, {advice.currency}", "", micros_text(advice.net_micros))
    return Sheet(head=tuple(head), header=("", "", advice.currency), rows=tuple(rows), sums=(earned,))


def _months(book: SettledBook) -> dict[int, tuple[datetime, datetime]]:
    return {number: (start, end) for number, start, end in book.periods.select("period", "month_start", "month_end").iter_rows()}


def _reading_order(line: InvoiceLine) -> tuple[bool, datetime, str]:
    """What was used first, then what is charged or given back for the month."""
    return line.kind != "usage", line.month_start, line.kind


def _item(line: InvoiceLine, invoice: Invoice) -> tuple[str, str, str]:
    words = line.hardware if line.hardware is not None else WORDS.get(line.kind, line.kind)
    if line.month_start < invoice.month_start:
        words = f"{words}, correction of {line.month_start:%B %Y}"
    return words, "" if line.quantity_seconds is None else _hours(line.quantity_seconds), _cents(line.amount_cents)


def _page(sheet: Sheet) -> str:
    """Words left, figures right."""
    rule = "─" * WIDTH
    lines = [*(_ends(*line) for line in sheet.head), "", _columns(sheet.header), rule]
    lines += [*map(_columns, sheet.rows), rule, *map(_columns, sheet.sums)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _ends(left: str, right: str) -> str:
    return f"{left}{right:>{max(len(right) + 1, WIDTH - len(left))}}" if right else left


def _columns(row: Row) -> str:
    """Words left, two figures right; words too long for their column get a line of their own."""
    words, quantity, amount = row
    figures = f"{quantity:>18}{amount:>20}"
    room = WIDTH - len(figures)
    return f"{words:<{room}}{figures}" if len(words) <= room else f"{words}\n{' ' * room}{figures}"


def _span(start: datetime, end: datetime) -> str:
    return f"{start:%-d %B %Y} to {end - timedelta(microseconds=1):%-d %B %Y}"


def _cents(cents: int) -> str:
    """1234567 → `12,345.67`."""
    whole, part = divmod(abs(cents), CENTS_PER_UNIT)
    return f"{'-' if cents < 0 else ''}{whole:,}.{part:02d}"


def _hours(seconds: int) -> str:
    hundredths = half_up(seconds * CENTS_PER_UNIT, SECONDS_PER_HOUR)
    return _cents(hundredths)
