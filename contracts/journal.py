"""The journal: double entry, append-only.

    entry       a balanced set of postings, with an id derived from the business event, so writing it twice writes it once
    posting     one line of it: an account of the chart, the party it is kept for, a signed amount (debit positive)

An entry is born pending or posted. A pending entry reserves: it is later posted (it counts) or voided (it never
did). A posted entry is never changed; what was wrong is reversed by an entry of its own with all signs turned.

    pending ──→ posted ──→ reversed
       └──────→ voided
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from contracts.terms.errors import WrongState
from contracts.terms.ids import derived_id
from contracts.terms.money import fits_int64

State = Literal["pending", "posted", "voided", "reversed"]

ACCOUNTS: dict[str, str] = {
    "receivable": "what a buyer has been invoiced and has not paid, in whole cents",
    "unbilled": "what a buyer has used and has not been invoiced",
    "prepaid": "what a buyer paid in advance or was made whole by; it pays invoices",
    "grant": "what grants have paid for their projects, beyond what those owe",
    "pledged": "PF-days that pledges still owe to grants, kept for who pledged them",
    "tranche": "PF-days given to a project in tranches, neither used nor expired",
    "deferred": "income received for months still to come",
    "provider_payable": "what a provider has earned and has not been paid",
    "provider_pending": "what a provider has earned and may not yet be paid",
    "fee_income": "the broker's take on cleared rates, and its fees",
    "plan_margin": "what plans charge their members beyond (or below) what providers are due",
    "premium_fund": "premiums collected for headroom, on their way to those who stood by",
    "uplift_fund": "what makes winners whole whom the price would make lose",
    "sla_credits": "credits promised for missed availability, before a settlement takes them off",
    "tax": "tax collected for the authorities",
    "rounding": "micros between exact totals and payable cents",
    "goodwill": "what the broker gives back of its own accord, and what disputes it concedes",
    "write_offs": "what buyers owed and will not pay",
    "conversion": "the other side of changed money, in each currency; together they are its gain or loss",
    "processor": "what the payment processor holds for the broker",
    "processor_fees": "what the payment processor keeps",
    "cash": "what has come from the processor to the broker's bank",
    "hold": "the worst case of an open bid, held against an account's credit",
    "commitment": "the other side of holds: what the market may still charge",
}


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an entry.

    account        a name of the chart, `ACCOUNTS`
    party          the account or provider the line is kept for; empty for the broker's own
    amount_micros  debit positive, credit negative, never 0
    currency       ISO 4217
    """

    account: str
    amount_micros: int
    currency: str
    party: str = ""

    def __post_init__(self) -> None:
        if self.account not in ACCOUNTS:
            raise ValueError(f"account must be one of {', '.join(ACCOUNTS)}, was {self.account!r}")
        if not self.amount_micros:
            raise ValueError(f"a posting to {self.account} moves something, was 0")
        if not fits_int64(self.amount_micros):
            raise ValueError(f"a posting to {self.account} must fit 64 bits, was {self.amount_micros}")


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A balanced set of postings.

    id        derived from the event, e.g. `settle:{account_id}:{period}`
    kind      what sort of event: hold, charge, settlement, payment, payout, reversal
    at        when it happened, UTC; decides the period it is reported in
    subject   what it is about: a bid, a lease, an invoice
    reason    one word or sentence for people
    """

    id: str
    kind: str
    state: State
    at: datetime
    reason: str
    postings: tuple[Posting, ...]
    subject: str = ""

    def __post_init__(self) -> None:
        if len(self.postings) < 2:
            raise ValueError(f"entry {self.id}: an entry has at least two postings, had {len(self.postings)}")
        for currency, amount in totals(self.postings).items():
            if amount:
                raise ValueError(f"entry {self.id}: postings must sum to zero per currency, {currency} was off by {amount} micros")


def totals(postings: Iterable[Posting]) -> dict[str, int]:
    """Sum of the postings by currency, micros."""
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount_micros
    return sums


def post(entry: JournalEntry) -> JournalEntry:
    """The entry as it counts from now on. Raises WrongState unless it is pending."""
    return _moved(entry, to="posted")


def void(entry: JournalEntry) -> JournalEntry:
    """The entry as it never came to count. Raises WrongState unless it is pending."""
    return _moved(entry, to="voided")


def reverse(entry: JournalEntry, *, at: datetime, reason: str = "reversal") -> tuple[JournalEntry, JournalEntry]:
    """The entry marked reversed, and the entry that takes it back: all signs turned, its id derived from the first.

    Raises WrongState unless it is posted.
    """
    if entry.state != "posted":
        raise WrongState(f"only a posted entry can be reversed, {entry.id} was {entry.state}", entry_id=entry.id, state=entry.state)
    turned = tuple(msgspec.structs.replace(posting, amount_micros=-posting.amount_micros) for posting in entry.postings)
    opposite = JournalEntry(
        id=derived_id("ent", "reversal", entry.id),
        kind="reversal",
        state="posted",
        at=at,
        reason=reason,
        postings=turned,
        subject=entry.subject or entry.id,
    )
    return msgspec.structs.replace(entry, state="reversed"), opposite


def trial_balance(postings: pl.DataFrame) -> pl.DataFrame:
    """Balance of every account of the chart, and a last row `total` per currency, which is 0 in a sound ledger.

    postings  currency, account, amount_micros, and state where pending and voided ones are among them (those do not count)
    returns   currency, account, amount_micros in order of currency and account; the sums are exact or refused
    """
    counted = postings.filter(pl.col("state").is_in(["posted", "reversed"])) if "state" in postings.columns else postings
    wide = counted.select("currency", "account", pl.col("amount_micros").cast(pl.Int128))
    accounts = wide.group_by("currency", "account").agg(pl.col("amount_micros").sum()).sort("currency", "account")
    whole = accounts.group_by("currency").agg(pl.lit("total").alias("account"), pl.col("amount_micros").sum())
    rows = pl.concat([accounts.with_columns(last=False), whole.with_columns(last=True)])
    return rows.sort("currency", "last", "account").drop("last").cast({"amount_micros": pl.Int64()})


def _moved(entry: JournalEntry, *, to: State) -> JournalEntry:
    if entry.state != "pending":
        raise WrongState(f"only a pending entry can be {to}, {entry.id} was {entry.state}", entry_id=entry.id, state=entry.state)
    return msgspec.structs.replace(entry, state=to)
