"""The journal as a Beancount file: one transaction an entry, six decimals, the same bytes every time.

A transaction is dated by the end of the period's month and carries the entry's id; a posting kept for a party carries
the party's id, because account names may not hold every character that ids may.
"""

import collections
import hashlib
import re
from collections.abc import Iterable

import polars as pl

from contracts.statements import SettledBook
from contracts.terms.money import micros_text

BRANCHES = {
    "receivable": "Assets:Receivable",
    "unbilled": "Assets:Unbilled",
    "prepaid": "Liabilities:Prepaid",
    "grant": "Expenses:Grants",
    "pledged": "Assets:Pledged",
    "tranche": "Liabilities:Tranches",
    "deferred": "Liabilities:Deferred",
    "provider_payable": "Liabilities:Providers:Payable",
    "provider_pending": "Liabilities:Providers:Pending",
    "fee_income": "Income:Fees",
    "plan_margin": "Income:PlanMargin",
    "premium_fund": "Liabilities:PremiumFund",
    "uplift_fund": "Liabilities:UpliftFund",
    "sla_credits": "Liabilities:SlaCredits",
    "tax": "Liabilities:Tax",
    "rounding": "Equity:Rounding",
    "goodwill": "Expenses:Goodwill",
    "write_offs": "Expenses:WriteOffs",
    "conversion": "Equity:Conversion",
    "processor": "Assets:Processor",
    "processor_fees": "Expenses:Processor",
    "cash": "Assets:Cash",
    "hold": "Assets:Holds",
    "commitment": "Liabilities:Commitments",
}
DAY = "%Y-%m-%d"
FILE = "journal.beancount"


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export: name → content."""
    return {FILE: journal_text(book).encode()}


def journal_text(book: SettledBook) -> str:
    """The whole journal: options, the accounts it opens, one transaction an entry in order of period and account."""
    names = component_names(book.postings["party"].drop_nulls().unique().sort())
    days = dict(book.periods.select("period", pl.col("month_end").dt.strftime(DAY)).iter_rows())
    payees = dict(book.accounts.select("account_id", "name").iter_rows())
    accounts = sorted({(_account(account, party, names=names), currency) for account, party, currency in _distinct(book.postings)})
    opened = book.periods["month_start"].dt.strftime(DAY).sort()[0]
    parts = [f'option "title" {_quoted(f"{book.seller.name}: settlement to period {book.record.as_of}")}\n']
    parts += [f'option "operating_currency" "{currency}"\n' for currency in sorted({currency for _, currency in accounts})]
    parts.append("\n")
    parts += [f"{opened} open {account}\n" for account in sorted({account for account, _ in accounts})]
    ordered = book.postings.sort("period", "account_id", "account", "party")
    for _, entry in ordered.group_by("period", "account_id", maintain_order=True):
        entry_id, account_id, period, _, _, _, _, reason = entry.row(0)
        parts.append(f"\n{days[period]} * {_quoted(payees[account_id])} {_quoted(reason)}\n  entry_id: {_quoted(entry_id)}\n")
        for account, party, micros, currency in entry.select("account", "party", "amount_micros", "currency").iter_rows():
            parts.append(f"  {_account(account, party, names=names)}  {micros_text(micros)} {currency}\n")
            if party is not None:
                parts.append(f"    party: {_quoted(party)}\n")
    return "".join(parts)


def component_names(ids: Iterable[str]) -> dict[str, str]:
    """A name for each id that Beancount takes as part of an account: a capital or digit, then letters, digits, dashes.

    Ids that would share a name get the start of their own hash behind it.
    """
    plain = {name: _component(name) for name in ids}
    counts = collections.Counter(plain.values())
    return {
        name: f"{component}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if counts[component] > 1 else component
        for name, component in plain.items()
    }


def _component(name: str) -> str:
    kept = re.sub("[^A-Za-z0-9-]", "-", name)
    first = kept[:1].upper()
    return f"{first}{kept[1:]}" if first not in ("", "-") else f"X{kept}"


def _account(account: str, party: str | None, *, names: dict[str, str]) -> str:
    return BRANCHES[account] if party is None else f"{BRANCHES[account]}:{names[party]}"


def _distinct(postings: pl.DataFrame) -> Iterable[tuple[str, str | None, str]]:
    return postings.select("account", "party", "currency").unique().iter_rows()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
