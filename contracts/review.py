"""What a reviewer of a rated month should look at: figures outside their safety bounds, and what has moved since the last preview.

A bound says nothing about right and wrong. A finding that stands says who looked at it, in the note of the review.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
import polars as pl

from contracts.close import CloseRecord


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where a review begins to ask.

    invoice_ratio      an invoice of more than so many times the mean of the account's last `invoice_months`
    invoice_least      cents; an invoice below is never flagged for its size
    credit_most        cents; a credit note above is flagged
    silent_days        an accelerator that was leased so long ago and never metered, a record that waits so long for its period
    """

    invoice_ratio: int = 3
    invoice_months: int = 6
    invoice_least: int = 10_000
    credit_most: int = 0
    silent_days: int = 7


class Unbilled(msgspec.Struct, frozen=True, kw_only=True):
    """Usage that a close leaves out.

    records_waiting  arrived at or after the close, about hours older than `silent_days`
    leases_silent    leases whose hours are older than that, without a single record
    """

    records_waiting: int = 0
    oldest: datetime | None = None
    leases_silent: tuple[str, ...] = ()


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """One figure outside its bound. `found` and `limit` are in the unit that `words` name."""

    rule: str
    subject: str
    found: int
    limit: int
    words: str


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What one account would pay for a period, and what its providers would get."""

    account_id: str
    currency: str
    subtotal_micros: int
    tax_micros: int
    payable_cents: int
    cost_micros: int


class BillChange(msgspec.Struct, frozen=True, kw_only=True):
    """A bill beside the same account's in the preview before; `before_cents` is None where there was none."""

    bill: Bill
    before_cents: int | None
    change_cents: int


def outliers(
    invoices: pl.DataFrame, *, record: CloseRecord, kinds: Mapping[str, str], unbilled: Unbilled, bounds: Bounds
) -> tuple[Outlier, ...]:
    """Everything to look at in the last period of a settlement, invoices by account first.

    invoices  the published table of all periods
    kinds     account → kind of its plan
    """
    mine = invoices.filter(pl.col("period") == record.as_of).sort("account_id")
    past = invoices.filter(pl.col("period").is_between(record.as_of - bounds.invoice_months, record.as_of - 1))
    means = dict(past.group_by("account_id").agg(pl.col("payable_cents").sum() // pl.len()).iter_rows())
    found: list[Outlier] = []
    for account, currency, payable, subtotal, cost in mine.select(
        "account_id", "currency", "payable_cents", "subtotal_micros", "cost_micros"
    ).iter_rows():
        found += _of_invoice((account, currency), payable, mean=means.get(account), bounds=bounds)
        if subtotal < cost and kinds.get(account) != "grant":
            words = f"{account} pays less than its providers get, micros of {currency} before tax"
            found.append(Outlier(rule="negative margin", subject=account, found=subtotal - cost, limit=0, words=words))
    last = past.filter(pl.col("period") == record.as_of - 1, pl.col("payable_cents") > bounds.invoice_least)
    for account in last.filter(~pl.col("account_id").is_in(mine["account_id"].implode()))["account_id"].sort():
        words = f"{account} was invoiced last month and has no invoice now, cents"
        found.append(Outlier(rule="missing invoice", subject=account, found=0, limit=bounds.invoice_least, words=words))
    return (*found, *_of_usage(record, unbilled, bounds=bounds))


def _of_invoice(whose: tuple[str, str], payable: int, *, mean: int | None, bounds: Bounds) -> Iterator[Outlier]:
    account, currency = whose
    if mean is not None and payable > max(bounds.invoice_least, bounds.invoice_ratio * mean):
        words = f"{account} would pay more than {bounds.invoice_ratio} times its mean, cents of {currency}"
        yield Outlier(rule="large invoice", subject=account, found=payable, limit=bounds.invoice_ratio * mean, words=words)
    if -payable > bounds.credit_most:
        words = f"{account} gets a credit note, cents of {currency}"
        yield Outlier(rule="credit note", subject=account, found=-payable, limit=bounds.credit_most, words=words)


def _of_usage(record: CloseRecord, unbilled: Unbilled, *, bounds: Bounds) -> Iterator[Outlier]:
    counts = record.counts
    if counts.seconds_above_lease:
        words = "accelerator-seconds metered beyond what was leased"
        yield Outlier(rule="seconds above lease", subject="usage", found=counts.seconds_above_lease, limit=0, words=words)
    if counts.conflicts:
        words = "usage records came twice with different content; the first to arrive counts"
        yield Outlier(rule="conflicts", subject="usage", found=counts.conflicts, limit=0, words=words)
    if unbilled.records_waiting:
        words = f"usage records older than {bounds.silent_days} days came after the close, and wait for the next period"
        yield Outlier(rule="unbilled usage", subject="usage", found=unbilled.records_waiting, limit=0, words=words)
    for lease in unbilled.leases_silent:
        words = f"lease {lease} ended its hours more than {bounds.silent_days} days ago and no meter reported any"
        yield Outlier(rule="silent lease", subject=lease, found=0, limit=1, words=words)


def bills(invoices: pl.DataFrame, period: int) -> tuple[Bill, ...]:
    """What every account would pay for a period, by account."""
    names = Bill.__struct_fields__
    mine = invoices.filter(pl.col("period") == period).sort("account_id").select(names)
    return tuple(Bill(**row) for row in mine.iter_rows(named=True))


def changes(now: tuple[Bill, ...], before: tuple[Bill, ...] | None) -> tuple[BillChange, ...]:
    """Bills beside those of the preview before, by account; an account that has none now would pay 0."""
    earlier = {bill.account_id: bill for bill in before or ()}
    here = {bill.account_id for bill in now}
    gone = [_nothing(bill) for name, bill in earlier.items() if name not in here]
    found = []
    for bill in sorted((*now, *gone), key=lambda each: each.account_id):
        old = earlier.get(bill.account_id)
        cents = None if before is None else (old.payable_cents if old else 0)
        found.append(BillChange(bill=bill, before_cents=cents, change_cents=bill.payable_cents - (cents or 0)))
    return tuple(found)


def _nothing(bill: Bill) -> Bill:
    return msgspec.structs.replace(bill, subtotal_micros=0, tax_micros=0, payable_cents=0, cost_micros=0)
