"""Payouts as credit transfers for a bank: ISO 20022 pain.001.001.09, one file a period and currency.

A provider is paid whole cents, and never asked for any back: what was paid too much is kept from what comes next.
With Σ net all it has earned up to period k, paid(k) = max(paid(k−1), half_up(Σ net ÷ 10,000)), and the file of period k
pays paid(k) − paid(k−1) where that is positive. Ids say period, currency and provider and nothing else, so that the
same payment always bears the same id, and a bank that has it already can tell.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime

import msgspec
import polars as pl

from contracts.exports.markup import Element, amount, check_currency, document, element, one_line
from contracts.resale import RESELLER
from contracts.statements import Seller, SettledBook
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT, half_up
from contracts.terms.time import iso

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
NOT_PROVIDED = "NOTPROVIDED"
NAME_LENGTH = 140
ACCOUNT_LENGTH = 34
IBAN = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}")
BIC = re.compile("[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is paid for a period and currency; cents, always positive."""

    provider_id: str
    period: int
    currency: str
    cents: int

    @property
    def end_to_end_id(self) -> str:
        """The id the payment keeps from here to the provider's statement: at most 35 characters of a bank's alphabet."""
        return f"{self.period:06d}-{self.currency}-{hashlib.sha256(self.provider_id.encode()).hexdigest()[:24]}"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a bank account, and which: `account_id` stands in for an IBAN that is not known."""

    name: str
    account_id: str
    iban: str | None = None
    bic: str | None = None


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export, name → content; a period and currency in which nobody is paid has none.

    Raises BadInput for a currency without a code of three capitals, and for an IBAN or BIC that cannot be one.
    """
    debtor = _seller(book.seller)
    holders = _providers(book)
    closes = dict(book.periods.select("period", "closes_at").iter_rows())
    together: dict[tuple[int, str], list[Payment]] = {}
    for payment in payments(book):
        check_currency(payment.currency)
        together.setdefault((payment.period, payment.currency), []).append(payment)
    return {
        f"pain001-{period:06d}-{currency}.xml": document(_message(made, holders, debtor=debtor, at=closes[period]))
        for (period, currency), made in sorted(together.items())
    }


def payments(book: SettledBook) -> Iterator[Payment]:
    """Every payment of the close, by provider, currency and period. What a resale has fetched its holder has as prepaid balance."""
    earned: dict[tuple[str, str], list[tuple[int, int]]] = {}
    payouts = book.payouts.filter(~pl.col("provider_id").str.starts_with(RESELLER))
    for provider, period, currency, net in payouts.select("provider_id", "period", "currency", "net_micros").iter_rows():
        earned.setdefault((provider, currency), []).append((period, net))
    for (provider, currency), nets in sorted(earned.items()):
        due_micros = paid = 0
        for period, net in sorted(nets):
            due_micros += net
            cents = half_up(due_micros, MICROS_PER_CENT) - paid
            if cents > 0:
                paid += cents
                yield Payment(provider_id=provider, period=period, currency=currency, cents=cents)


def _message(made: list[Payment], holders: dict[str, Holder], *, debtor: Holder, at: datetime) -> Element:
    """One message with one block of transfers, all from the seller's account on the day of the close."""
    message_id = f"payouts-{made[0].period:06d}-{made[0].currency}"
    sums = (("NbOfTxs", str(len(made))), ("CtrlSum", amount(sum(payment.cents for payment in made))))
    header = element(
        "GrpHdr",
        element("MsgId", message_id),
        element("CreDtTm", iso(at)),
        *(element(name, text) for name, text in sums),
        element("InitgPty", element("Nm", debtor.name)),
    )
    block = element(
        "PmtInf",
        element("PmtInfId", message_id),
        element("PmtMtd", "TRF"),
        *(element(name, text) for name, text in sums),
        element("ReqdExctnDt", element("Dt", at.date().isoformat())),
        element("Dbtr", element("Nm", debtor.name)),
        _account("DbtrAcct", debtor),
        element("DbtrAgt", element("FinInstnId", _bank(debtor))),
        *(_transfer(payment, holders.get(payment.provider_id) or _unknown(payment.provider_id)) for payment in made),
    )
    return element("Document", element("CstmrCdtTrfInitn", header, block), xmlns=NAMESPACE)


def _transfer(payment: Payment, creditor: Holder) -> Element:
    agent = [element("CdtrAgt", element("FinInstnId", element("BICFI", creditor.bic)))] if creditor.bic else []
    return element(
        "CdtTrfTxInf",
        element("PmtId", element("EndToEndId", payment.end_to_end_id)),
        element("Amt", element("InstdAmt", amount(payment.cents), Ccy=payment.currency)),
        *agent,
        element("Cdtr", element("Nm", creditor.name)),
        _account("CdtrAcct", creditor),
        element("RmtInf", element("Ustrd", one_line(f"{payment.provider_id}:{payment.period}")[-NAME_LENGTH:])),
    )


def _account(tag: str, holder: Holder) -> Element:
    known = element("IBAN", holder.iban) if holder.iban else element("Othr", element("Id", holder.account_id))
    return element(tag, element("Id", known))


def _bank(holder: Holder) -> Element:
    return element("BICFI", holder.bic) if holder.bic else element("Othr", element("Id", NOT_PROVIDED))


def _seller(seller: Seller) -> Holder:
    return Holder(
        name=_name(seller.name, NOT_PROVIDED),
        account_id=NOT_PROVIDED,
        iban=iban_of(seller.iban, file="seller.toml", row=None),
        bic=_bic(seller.bic, file="seller.toml", row=None),
    )


def _providers(book: SettledBook) -> dict[str, Holder]:
    """Whoever is paid and listed in `providers`; an IBAN and a BIC are checked for all who are."""
    listed = book.providers.filter(book.providers["provider_id"].is_in(book.payouts["provider_id"].unique().to_list()))
    return {
        provider: Holder(
            name=_name(name or "", provider),
            account_id=_other_id(provider),
            iban=iban_of(iban, file="providers", row=provider),
            bic=_bic(bic, file="providers", row=provider),
        )
        for provider, name, iban, bic in listed.select("provider_id", "name", "iban", "bic").iter_rows()
    }


def _unknown(provider: str) -> Holder:
    return Holder(name=_name(provider, NOT_PROVIDED), account_id=_other_id(provider))


def _name(name: str, otherwise: str) -> str:
    return (one_line(name) or one_line(otherwise))[:NAME_LENGTH].strip()


def _other_id(provider: str) -> str:
    """The provider's id, or the start of its hash where it is too long for the field."""
    known = one_line(provider)
    return known if len(known) <= ACCOUNT_LENGTH else hashlib.sha256(provider.encode()).hexdigest()[:ACCOUNT_LENGTH]


def iban_of(text: str | None, *, file: str, row: str | None) -> str | None:
    """An IBAN without its spaces, or None where there is none. Raises BadInput when its check digits say it was mistyped."""
    iban = "".join((text or "").split()).upper()
    if not iban:
        return None
    if not IBAN.fullmatch(iban) or int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 != 1:
        raise BadInput(
            "this is no IBAN", file=file, row=row, column="iban", found=text, would_do="one whose check digits are right, or none"
        )
    return iban


def _bic(text: str | None, *, file: str, row: str | None) -> str | None:
    """A BIC, or None. Raises BadInput for what cannot be one."""
    bic = (text or "").strip().upper()
    if not bic:
        return None
    if not BIC.fullmatch(bic):
        raise BadInput("this is no BIC", file=file, row=row, column="bic", found=text, would_do="8 or 11 letters and digits, or none")
    return bic
