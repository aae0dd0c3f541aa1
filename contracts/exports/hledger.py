"""The journal as an hledger file: one transaction an entry, six decimals, the same bytes every time.

A transaction is dated by the end of the period's month; its description is `PAYEE | REASON ENTRY_ID`. Accounts and
parties have the names they have in the Beancount file, and the party's own id stands behind its posting as a tag.
Accounts and currencies are declared, so that `hledger check --strict` has nothing to add.
"""

import polars as pl

from contracts.exports.beancount import BRANCHES, component_names
from contracts.exports.markup import one_line
from contracts.statements import SettledBook
from contracts.terms.money import micros_text

DAY = "%Y-%m-%d"
FILE = "journal.hledger"
ENDS_A_DESCRIPTION = ";|"
ENDS_A_TAG = ";,"


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export: name → content."""
    return {FILE: journal_text(book).encode()}


def journal_text(book: SettledBook) -> str:
    """The whole journal: currencies and accounts it uses, then one transaction an entry by period and account."""
    names = component_names(book.postings["party"].drop_nulls().unique().sort())
    days = dict(book.periods.select("period", pl.col("month_end").dt.strftime(DAY)).iter_rows())
    payees = dict(book.accounts.select("account_id", "name").iter_rows())
    used = {_account(account, party, names=names) for account, party in book.postings.select("account", "party").unique().iter_rows()}
    parts = [f"; {one_line(book.seller.name)}: settlement to period {book.record.as_of}, close {book.record.hash}\n", "decimal-mark .\n"]
    parts += [f"commodity 1000.000000 {_commodity(currency)}\n" for currency in book.postings["currency"].unique().sort()]
    parts += [f"account {account}\n" for account in sorted(used)]
    ordered = book.postings.sort("period", "account_id", "account", "party")
    for _, entry in ordered.group_by("period", "account_id", maintain_order=True):
        entry_id, account_id, period, _, _, _, _, reason = entry.row(0)
        parts.append(f"\n{days[period]} * {_payee(payees[account_id])} | {reason} {_spelled(entry_id, ENDS_A_DESCRIPTION)}\n")
        for account, party, micros, currency in entry.select("account", "party", "amount_micros", "currency").iter_rows():
            tag = "" if party is None else f"  ; party:{_spelled(party, ENDS_A_TAG)}"
            parts.append(f"    {_account(account, party, names=names)}  {micros_text(micros)} {_commodity(currency)}{tag}\n")
    return "".join(parts)


def _account(account: str, party: str | None, *, names: dict[str, str]) -> str:
    return BRANCHES[account] if party is None else f"{BRANCHES[account]}:{names[party]}"


def _commodity(currency: str) -> str:
    """A currency of letters stands as it is; any other needs quotes, which it may not hold itself."""
    return currency if currency.isalpha() else f'"{_spelled(currency, chr(34))}"'


def _payee(name: str) -> str:
    """A name as a description may begin: a bar would end the payee, a semicolon the line, a parenthesis would open a code."""
    kept = "".join("_" if letter in ENDS_A_DESCRIPTION or not letter.isprintable() else letter for letter in name)
    return f"_{kept[1:]}" if kept.startswith("(") else kept


def _spelled(identifier: str, ends: str) -> str:
    """An id that can be told from every other: what would end it, and the percent sign, as percent and hexadecimal bytes."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode()) if letter in ends or letter == "%" or not letter.isprintable() else letter
        for letter in identifier
    )
