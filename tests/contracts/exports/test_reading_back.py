"""Every export of one close, read back: each comes to the cents of the same invoices, or of the same payouts."""

import csv
import io
import re
from collections.abc import Callable
from decimal import Decimal
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from contracts.exports import export
from contracts.statements import SettledBook
from contracts.terms.money import half_up
from tests.contracts.published import addressed, golden, random_close

CLOSES = [addressed(golden("plans")), addressed(golden("corrections")), addressed(random_close(4)), addressed(random_close(5))]
Files = dict[str, bytes]
Sums = dict[str, Decimal]


def _add(pairs: list[tuple[str, Decimal]]) -> Sums:
    sums: Sums = {}
    for currency, amount in pairs:
        sums[currency] = sums.get(currency, Decimal(0)) + amount
    return {currency: amount for currency, amount in sums.items() if amount}


def _charges(name: str) -> Callable[[Files], Sums]:
    def read(files: Files) -> Sums:
        rows = csv.DictReader(io.StringIO(files[name].decode()))
        return _add([(row["BillingCurrency"], Decimal(row["BilledCost"])) for row in rows])

    return read


def _receivable(files: Files) -> Sums:
    (text,) = (content.decode() for content in files.values())
    return _add([(currency, Decimal(amount)) for amount, currency in re.findall(r"Assets:Receivable\S* +(-?[\d.]+) (\w+)", text)])


def _pages(files: Files) -> Sums:
    found = re.findall(r"Payable, (\w+) +(-?[\d,.]+)", files["invoices.txt"].decode())
    return _add([(currency, Decimal(amount.replace(",", ""))) for currency, amount in found])


def _documents(files: Files) -> Sums:
    pairs = []
    for content in files.values():
        root = ET.fromstring(content)
        (amount,) = (each for each in root.iter() if each.tag.endswith("}PayableAmount"))
        sign = -1 if root.tag.endswith("}CreditNote") else 1
        pairs.append((amount.attrib["currencyID"], sign * Decimal(amount.text or "")))
    return _add(pairs)


READERS: list[tuple[str, str | None, Callable[[Files], Sums]]] = [
    ("focus", "1.2", _charges("focus.csv")),
    ("focus", "1.3", _charges("focus.csv")),
    ("focus", "1.4", _charges("focus.csv")),
    ("focus", "1.4", _charges("invoice_detail.csv")),
    ("beancount", None, _receivable),
    ("hledger", None, _receivable),
    ("statements", None, _pages),
    ("ubl", None, _documents),
]


@pytest.mark.parametrize("book", CLOSES)
@pytest.mark.parametrize(("format", "version", "read"), READERS)
def test_what_is_read_back_is_what_is_payable(book: SettledBook, format, version, read):
    payable = _add(
        [(currency, Decimal(cents).scaleb(-2)) for currency, cents in book.invoices.select("currency", "payable_cents").iter_rows()]
    )
    assert payable
    assert read(export(book, format, version=version)) == payable


@pytest.mark.parametrize("book", CLOSES)
def test_transfers_are_the_most_that_was_ever_due(book: SettledBook):
    """Control sums of all files: for each provider the largest of its running totals, in cents."""
    running = book.payouts.sort("period").with_columns(so_far=pl.col("net_micros").cum_sum().over("provider_id", "currency"))
    most = running.group_by("provider_id", "currency").agg(pl.col("so_far").max()).select("currency", "so_far")
    due = _add([(currency, Decimal(max(0, half_up(micros, 10_000))).scaleb(-2)) for currency, micros in most.iter_rows()])
    found = []
    for name, content in export(book, "pain001").items():
        total = next(each for each in ET.fromstring(content).iter() if each.tag.endswith("}CtrlSum"))
        found.append((name.removesuffix(".xml")[-3:], Decimal(total.text or "")))
    assert _add(found) == due
