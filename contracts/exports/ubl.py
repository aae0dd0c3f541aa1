"""The invoices as e-invoices: UBL 2.1 within EN 16931, one file an invoice or credit note.

An invoice is a document of type 380; a credit note one of type 381 whose every sign is turned, so that what is given
back stands there as positive. Amounts are the published cents: lines add up to the subtotal, and subtotal and tax to
what is payable. As in the other exports a line is one charge whose price is the charge; where it gives back its quantity
is −1, because a price may not be negative. Invoices without a line, for nothing, are no documents.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from contracts.exports.markup import Element, amount, check_currency, document, element, one_line
from contracts.exports.pain001 import iban_of
from contracts.statements import WORDS, Invoice, InvoiceLine, Seller, SettledBook, invoices
from contracts.terms.errors import BadInput
from contracts.terms.money import half_up

SPECIFICATION = "urn:cen.eu:en16931:2017"
NAMESPACE = "urn:oasis:names:specification:ubl:schema:xsd:{}-2"
STANDARD, ZERO = "S", "Z"
ONE_CHARGE = "C62"
CREDIT_TRANSFER = "30"
COUNTRY = re.compile("[A-Z]{2}")
VAT_ID = re.compile("[A-Z]{2}[A-Z0-9+*.-]{2,20}")
LACKS_KEPT = 20
SECONDS_PER_HOUR = 3600


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """One side of an invoice as the law names it. Country as ISO 3166-1 alpha-2; `vat_id` empty where there is none."""

    name: str
    address: str
    country: str
    vat_id: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document: the invoice, who it is from and to, when it is issued, and which way its signs stand.

    sign        −1 for a credit note
    corrected   ids of the earlier documents whose months it corrects
    month_ends  start of a month → its end
    """

    invoice: Invoice
    seller: Seller
    buyer: Party
    issued: str
    sign: int
    corrected: tuple[str, ...]
    month_ends: dict[datetime, datetime]

    @property
    def kind(self) -> str:
        """`Invoice` or `CreditNote`: the first half of several names of elements."""
        return "CreditNote" if self.sign < 0 else "Invoice"

    def money(self, tag: str, cents: int) -> Element:
        """An amount in the invoice's currency, its sign turned where all are."""
        return element(tag, amount(self.sign * cents), currencyID=self.invoice.currency)


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export: name → content.

    Raises BadInput naming the fields that `seller.toml` and `parties` lack, and what cannot be a country, VAT id, IBAN or currency.
    """
    issued = [invoice for invoice in invoices(book) if invoice.lines]
    parties = _parties(book)
    _refuse_what_lacks(book.seller, parties, accounts=sorted({invoice.account_id for invoice in issued}))
    return {
        f"ubl-{made.invoice.period:06d}-{_for_files(made.invoice.account_id)}.xml": document(_document(made))
        for made in _documents(issued, book, parties=parties)
    }


def _for_files(account: str) -> str:
    """An account's id where any disk takes it as it is, or what is left of it and the start of its hash."""
    plain = re.sub("[^A-Za-z0-9._-]", "-", account)[:60]
    return account if plain == account else f"{plain}-{hashlib.sha256(account.encode()).hexdigest()[:8]}"


def _documents(issued: list[Invoice], book: SettledBook, *, parties: dict[str, Party]) -> Iterator[Document]:
    """The documents with the earlier ones they correct: for a month of another period, that period's, if there is one."""
    ids = {(invoice.account_id, invoice.month_start): invoice.id for invoice in issued}
    closes = dict(book.periods.select("period", "closes_at").iter_rows())
    month_ends = dict(book.periods.select("month_start", "month_end").iter_rows())
    for invoice in issued:
        check_currency(invoice.currency)
        months = sorted({line.month_start for line in invoice.lines if line.month_start < invoice.month_start})
        yield Document(
            invoice=invoice,
            seller=book.seller,
            buyer=parties[invoice.account_id],
            issued=closes[invoice.period].date().isoformat(),
            sign=-1 if invoice.payable_cents < 0 else 1,
            corrected=tuple(ids[invoice.account_id, month] for month in months if (invoice.account_id, month) in ids),
            month_ends=month_ends,
        )


def _document(made: Document) -> Element:
    """The whole document, its elements in the order of the schema."""
    invoice = made.invoice
    prefixes = {f"xmlns:{prefix}": NAMESPACE.format(f"Common{kind}Components") for prefix, kind in (("cac", "Aggregate"), ("cbc", "Basic"))}
    return element(
        made.kind,
        element("cbc:CustomizationID", SPECIFICATION),
        element("cbc:ID", invoice.id),
        element("cbc:IssueDate", made.issued),
        element(f"cbc:{made.kind}TypeCode", "381" if made.sign < 0 else "380"),
        element("cbc:DocumentCurrencyCode", invoice.currency),
        _span("cac:InvoicePeriod", min(line.month_start for line in invoice.lines), end=invoice.month_end),
        *(_reference(earlier) for earlier in made.corrected),
        element("cac:AccountingSupplierParty", _party(_selling(made.seller))),
        element("cac:AccountingCustomerParty", _party(made.buyer)),
        *_payment(made),
        element("cac:TaxTotal", made.money("cbc:TaxAmount", invoice.tax_cents), _tax(made)),
        _totals(made),
        *(_line(line, made, number=number) for number, line in enumerate(invoice.lines, 1)),
        xmlns=NAMESPACE.format(made.kind),
        **prefixes,
    )


def _reference(earlier: str) -> Element:
    return element("cac:BillingReference", element("cac:InvoiceDocumentReference", element("cbc:ID", earlier)))


def _party(party: Party) -> Element:
    scheme = element("cac:TaxScheme", element("cbc:ID", "VAT"))
    tax = [element("cac:PartyTaxScheme", element("cbc:CompanyID", _compact(party.vat_id)), scheme)] if party.vat_id else []
    country = element("cac:Country", element("cbc:IdentificationCode", _compact(party.country)))
    return element(
        "cac:Party",
        element("cac:PostalAddress", element("cbc:StreetName", party.address), country),
        *tax,
        element("cac:PartyLegalEntity", element("cbc:RegistrationName", party.name)),
    )


def _payment(made: Document) -> Iterator[Element]:
    """Where and when to pay: on invoices for something."""
    if made.invoice.payable_cents <= 0:
        return
    iban = iban_of(made.seller.iban, file="seller.toml", row=None)
    if iban:
        account = element("cac:PayeeFinancialAccount", element("cbc:ID", iban))
        yield element("cac:PaymentMeans", element("cbc:PaymentMeansCode", CREDIT_TRANSFER), account)
    yield element("cac:PaymentTerms", element("cbc:Note", made.seller.payment_terms))


def _tax(made: Document) -> Element:
    """The one group of the tax: an account has one rate."""
    return element(
        "cac:TaxSubtotal",
        made.money("cbc:TaxableAmount", made.invoice.subtotal_cents),
        made.money("cbc:TaxAmount", made.invoice.tax_cents),
        _category("cac:TaxCategory", made.invoice),
    )


def _category(tag: str, invoice: Invoice) -> Element:
    return element(
        tag,
        element("cbc:ID", STANDARD if invoice.tax_bps else ZERO),
        element("cbc:Percent", f"{Decimal(invoice.tax_bps).scaleb(-2):.2f}"),
        element("cac:TaxScheme", element("cbc:ID", "VAT")),
    )


def _totals(made: Document) -> Element:
    subtotal, payable = made.invoice.subtotal_cents, made.invoice.payable_cents
    return element(
        "cac:LegalMonetaryTotal",
        made.money("cbc:LineExtensionAmount", subtotal),
        made.money("cbc:TaxExclusiveAmount", subtotal),
        made.money("cbc:TaxInclusiveAmount", payable),
        made.money("cbc:PayableAmount", payable),
    )


def _line(line: InvoiceLine, made: Document, *, number: int) -> Element:
    """One charge at its own price; the metered hours stand in words, since they have no unit price of their own."""
    quantity = "Credited" if made.sign < 0 else "Invoiced"
    what = f"Accelerator time on {line.hardware}" if line.hardware else WORDS.get(line.kind, line.kind)
    hours = [] if line.quantity_seconds is None else [element("cbc:Description", _hours(line.quantity_seconds))]
    return element(
        f"cac:{made.kind}Line",
        element("cbc:ID", str(number)),
        element(f"cbc:{quantity}Quantity", "-1" if made.sign * line.amount_cents < 0 else "1", unitCode=ONE_CHARGE),
        made.money("cbc:LineExtensionAmount", line.amount_cents),
        _span("cac:InvoicePeriod", line.month_start, end=made.month_ends[line.month_start]),
        element("cac:Item", *hours, element("cbc:Name", what), _category("cac:ClassifiedTaxCategory", made.invoice)),
        element("cac:Price", element("cbc:PriceAmount", amount(abs(line.amount_cents)), currencyID=made.invoice.currency)),
    )


def _span(tag: str, start: datetime, *, end: datetime) -> Element:
    """First and last day, both included, as invoices count."""
    last = end - timedelta(microseconds=1)
    return element(tag, element("cbc:StartDate", start.date().isoformat()), element("cbc:EndDate", last.date().isoformat()))


def _hours(seconds: int) -> str:
    return f"{amount(half_up(seconds * 100, SECONDS_PER_HOUR))} accelerator-hours"


def _selling(seller: Seller) -> Party:
    return Party(name=seller.name, address=seller.address, country=seller.country, vat_id=seller.vat_id)


def _parties(book: SettledBook) -> dict[str, Party]:
    """The buyers that `parties` lists, by account; an empty cell is an empty text."""
    columns = ("account_id", "legal_name", "address", "country", "vat_id")
    return {
        account: Party(name=name, address=address, country=country, vat_id=vat_id)
        for account, name, address, country, vat_id in book.parties.select(columns).fill_null("").iter_rows()
    }


def _refuse_what_lacks(seller: Seller, parties: dict[str, Party], *, accounts: list[str]) -> None:
    """Raises BadInput with every field that is missing or cannot be what it claims. A buyer may be one who has no VAT id."""
    nobody = Party(name="", address="", country="", vat_id="")
    lacks = [] if not accounts else list(_lacks("seller.toml", _selling(seller), needed=("name", "address", "country", "vat_id")))
    for account in accounts:
        buyer = parties.get(account, nobody)
        lacks += _lacks(f"parties, account_id {account}", buyer, needed=("name", "address", "country"))
    if lacks:
        more = f"; and {len(lacks) - LACKS_KEPT} more" if len(lacks) > LACKS_KEPT else ""
        raise BadInput(
            f"an e-invoice must say more about its parties: {'; '.join(lacks[:LACKS_KEPT])}{more}",
            would_do='the fields in seller.toml and in parties, a country as "DE", a VAT id as "DE123456789"',
        )


def _lacks(place: str, party: Party, *, needed: tuple[str, ...]) -> Iterator[str]:
    """What one party lacks, a phrase each: fields that are missing, then those that cannot be read as what they claim."""
    shown = {"name": "legal_name"} if place.startswith("parties") else {}
    missing = [shown.get(field, field) for field in needed if not one_line(getattr(party, field))]
    if missing:
        yield f"{place}: {', '.join(missing)}"
    for field, form in (("country", COUNTRY), ("vat_id", VAT_ID)):
        text = _compact(getattr(party, field))
        if text and not form.fullmatch(text):
            yield f"{place}: {field} is {text!r}"


def _compact(text: str) -> str:
    """A code as machines write it: capitals, no spaces."""
    return "".join(text.split()).upper()
