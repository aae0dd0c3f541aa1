"""Business events beside settlement and payments, each as the one entry it becomes.

The id of an entry derives from what makes the event itself (a statement, a run, a cycle), so that the same event is
booked once however often it is told. Amounts are positive unless said otherwise; what processors move is in
`broker.payments.decisions`, what months cost in `contracts.settlement`.

    prepaid_spent    prepaid → receivable                what a buyer paid in advance pays an invoice
    WriteOff         write_offs → receivable             an invoice that will not be paid
    CreditNote       goodwill, tax → receivable          given back outside any settlement, with its tax
    SlaCredit        provider_payable → sla_credits      a promise for missed availability, borne by who missed it
    SlaCreditGiven   sla_credits → receivable            the promise kept
    GrantTranche     pledged → tranche, in PF-days       computing given to a project for some months
    Conversion       account ⇄ conversion, twice         money of one currency for money of another
    Reserve          provider_payable ⇄ provider_pending part of a payout kept back, or let go
    premium_shares   provider_payable, among providers   who sold gives what standing by has earned
    uplift_paid      uplift_fund → provider_payable,     what makes winners whole: sellers as payable, buyers as a
                     prepaid                             balance that pays their next statements
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from contracts.journal import JournalEntry, Posting
from contracts.terms.ids import derived_id
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.time import iso, month_of

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# An amount and its tax together fit 64 bits in micros.
Cents = Annotated[int, msgspec.Meta(ge=1, le=4 * 10**14)]
CentsOrNone = Annotated[int, msgspec.Meta(ge=0, le=4 * 10**14)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
PF_DAYS = "PFD"
YEARS = (1971, 2968)
Postings = tuple[Posting, ...]


class WriteOff(msgspec.Struct, frozen=True, kw_only=True, tag="write_off", forbid_unknown_fields=True):
    """What is left of an invoice will not be paid."""

    key: Name
    account_id: Name
    currency: Currency
    cents: Cents
    reason: Name

    def postings(self) -> Postings:
        """What it moves."""
        return _in_cents(self.currency, ("write_offs", "", self.cents), ("receivable", self.account_id, -self.cents))


class CreditNote(msgspec.Struct, frozen=True, kw_only=True, tag="credit_note", forbid_unknown_fields=True):
    """Given back outside any settlement: `cents` before tax, and the tax on them."""

    key: Name
    account_id: Name
    currency: Currency
    cents: Cents
    tax_cents: CentsOrNone = 0
    reason: Name

    def postings(self) -> Postings:
        """What it moves."""
        return _in_cents(
            self.currency,
            ("goodwill", "", self.cents),
            ("tax", "", self.tax_cents),
            ("receivable", self.account_id, -self.cents - self.tax_cents),
        )


class SlaCredit(msgspec.Struct, frozen=True, kw_only=True, tag="sla_credit", forbid_unknown_fields=True):
    """A promise to a buyer for an incident, at the cost of the provider who missed it."""

    key: Name
    account_id: Name
    provider_id: Name
    currency: Currency
    cents: Cents
    reason: Name

    def postings(self) -> Postings:
        """What it moves."""
        return _in_cents(self.currency, ("provider_payable", self.provider_id, self.cents), ("sla_credits", self.account_id, -self.cents))


class SlaCreditGiven(msgspec.Struct, frozen=True, kw_only=True, tag="sla_credit_given", forbid_unknown_fields=True):
    """A promised credit taken off what the buyer owes."""

    key: Name
    account_id: Name
    currency: Currency
    cents: Cents
    reason: Name

    def postings(self) -> Postings:
        """What it moves."""
        return _in_cents(self.currency, ("sla_credits", self.account_id, self.cents), ("receivable", self.account_id, -self.cents))


class GrantTranche(msgspec.Struct, frozen=True, kw_only=True, tag="grant_tranche", forbid_unknown_fields=True):
    """Computing given to a project: micro-PF-days, for the whole months from `valid_from` to `valid_until`, pledged by somebody.

    What becomes of it is `contracts.grants`; it is kept in PF-days and pays nothing: what a month costs its plan says.
    """

    key: Name
    account_id: Name
    pledged_by: Name
    micro_pf_days: Annotated[int, msgspec.Meta(ge=1, le=10**15)]
    valid_from: Annotated[datetime, msgspec.Meta(tz=True)]
    valid_until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Name

    def __post_init__(self) -> None:
        for moment in (self.valid_from, self.valid_until):
            if not YEARS[0] <= moment.year <= YEARS[1]:
                raise ValueError(f"a tranche is valid in the years {YEARS[0]} to {YEARS[1]}, was {moment.year}")
            if moment != month_of(moment.astimezone(UTC)).start:
                raise ValueError(f"a tranche is valid for whole months, from and until their first instants (UTC), was {iso(moment)}")
        if self.valid_until <= self.valid_from:
            raise ValueError(f"a tranche ends after it begins, was {iso(self.valid_from)} to {iso(self.valid_until)}")

    def postings(self) -> Postings:
        """What it moves, in PF-days."""
        return (
            Posting(account="pledged", party=self.pledged_by, amount_micros=self.micro_pf_days, currency=PF_DAYS),
            Posting(account="tranche", party=self.account_id, amount_micros=-self.micro_pf_days, currency=PF_DAYS),
        )


class Conversion(msgspec.Struct, frozen=True, kw_only=True, tag="conversion", forbid_unknown_fields=True):
    """Money of the broker's own changed in its bank: `cents` given in `currency`, `to_cents` taken in `to_currency`."""

    key: Name
    currency: Currency
    cents: Cents
    to_currency: Currency
    to_cents: Cents
    reason: Name

    def __post_init__(self) -> None:
        if self.currency == self.to_currency:
            raise ValueError(f"a conversion is between two currencies, was {self.currency} to {self.to_currency}")

    def postings(self) -> Postings:
        """What it moves, in both currencies."""
        given = _in_cents(self.currency, ("cash", "", -self.cents), ("conversion", "", self.cents))
        return given + _in_cents(self.to_currency, ("cash", "", self.to_cents), ("conversion", "", -self.to_cents))


class Reserve(msgspec.Struct, frozen=True, kw_only=True, tag="reserve"):
    """Part of what a provider has earned, kept back by a payout run (`micros` above 0), or let go by a later one (below)."""

    run: str
    provider_id: str
    currency: str
    micros: int


Correction = WriteOff | CreditNote | SlaCredit | SlaCreditGiven | GrantTranche | Conversion


def correction_entry(correction: Correction, at: datetime) -> JournalEntry:
    """The pending entry of a correction: somebody else has to approve it before it counts."""
    kind = str(correction.__struct_config__.tag)
    return JournalEntry(
        id=derived_id("ent", "correction", correction.key),
        kind=kind,
        state="pending",
        at=at,
        reason=correction.reason,
        postings=correction.postings(),
        subject="" if isinstance(correction, Conversion) else correction.account_id,
    )


def _in_cents(currency: str, *lines: tuple[str, str, int]) -> Postings:
    """Lines of account, party and cents, debit positive, as postings; those of 0 are left out."""
    return tuple(
        Posting(account=account, party=party, amount_micros=cents * MICROS_PER_CENT, currency=currency)
        for account, party, cents in lines
        if cents
    )


def prepaid_spent(statement_id: str, paid: Posting, *, at: datetime) -> JournalEntry:
    """What an account paid in advance pays a statement: `paid` is its line of the prepaid account, a debit."""
    assert paid.account == "prepaid", "only the prepaid account pays in advance"
    assert paid.amount_micros > 0, "what is spent is debited"
    owed = msgspec.structs.replace(paid, account="receivable", amount_micros=-paid.amount_micros)
    return JournalEntry(
        id=f"prepaid:{statement_id}",
        kind="prepaid_spend",
        state="posted",
        at=at,
        reason="paid from the prepaid balance",
        postings=(paid, owed),
        subject=statement_id,
    )


def reserve_entry(reserve: Reserve, at: datetime) -> JournalEntry:
    """Part of a payout kept back, or let go."""
    return JournalEntry(
        id=derived_id("ent", "reserve", reserve.run, reserve.provider_id),
        kind="reserve",
        state="posted",
        at=at,
        reason="kept back from a payout" if reserve.micros > 0 else "kept back before, and let go",
        postings=(
            Posting(account="provider_payable", party=reserve.provider_id, amount_micros=reserve.micros, currency=reserve.currency),
            Posting(account="provider_pending", party=reserve.provider_id, amount_micros=-reserve.micros, currency=reserve.currency),
        ),
        subject=reserve.run,
    )


def premium_shares(cycle_id: str, gains: Mapping[str, int], *, period: int, currency: str, at: datetime) -> JournalEntry | None:
    """What standing by has earned in a cycle, as a close learns of it: provider → micros it gains, which sum to 0; None for nothing."""
    moved = {provider: gain for provider, gain in sorted(gains.items()) if gain}
    if not moved:
        return None
    return JournalEntry(
        id=derived_id("ent", "premium", cycle_id, period),
        kind="premium_share",
        state="posted",
        at=at,
        reason="premiums, shared with those who stood by",
        postings=tuple(
            Posting(account="provider_payable", party=provider, amount_micros=-gain, currency=currency) for provider, gain in moved.items()
        ),
        subject=cycle_id,
    )


def uplift_paid(cycle_id: str, due: Mapping[tuple[str, str], int], *, period: int, currency: str, at: datetime) -> JournalEntry | None:
    """What the uplift fund pays those whom a cycle's prices would make lose, as a close learns of it; None for nothing.

    due   (provider_payable, provider) or (prepaid, account) → micros, below 0 where less was delivered than was known before
    """
    paid = {party: micros for party, micros in sorted(due.items()) if micros}
    if not paid:
        return None
    whole = sum(paid.values())
    fund = [Posting(account="uplift_fund", amount_micros=whole, currency=currency)] if whole else []
    made_whole = (
        Posting(account=account, party=party, amount_micros=-micros, currency=currency) for (account, party), micros in paid.items()
    )
    return JournalEntry(
        id=derived_id("ent", "uplift", cycle_id, period),
        kind="uplift",
        state="posted",
        at=at,
        reason="uplift to those whom the price would make lose",
        postings=(*fund, *made_whole),
        subject=cycle_id,
    )
