"""Statements as PDF: every figure on paper, the same bytes every time, and nothing read as markup."""

import re
import subprocess
import sys
import zlib

import msgspec
import pytest

from broker.files.statement_pdf import StatementPrinter, statement_pdfs
from contracts.statements import Seller, invoice_sheet, invoices, payout_advices
from tests.contracts.published import addressed, golden, random_close

SELLER = Seller(name="Gridfare", address="1 Market Place, 10115 Berlin", vat_id="DE123456789")
PRINTED = """
import hashlib, sys
from broker.files.statement_pdf import statement_pdfs
from tests.contracts.published import random_close
sys.stdout.write(hashlib.sha256(b"".join(content for _, content in statement_pdfs(random_close(5)))).hexdigest())
"""


def words_of(pdf: bytes) -> str:
    """What the PDF says to a reader's clipboard: its streams, with glyphs read by the fonts' own maps."""
    streams = [_inflated(each) for each in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)]
    letters: dict[str, str] = {}
    for stream in streams:
        for glyph, letter in re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4,})>", stream):
            letters[glyph.decode().lower()] = bytes.fromhex(letter.decode()).decode("utf-16-be")
    return "".join(letters.values())


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream


@pytest.mark.parametrize("seed", [1, 5])
def test_every_statement_of_a_close_is_printed_under_a_name_of_its_own(seed):
    book = addressed(random_close(seed))
    printed = list(statement_pdfs(book))
    assert len({name for name, _ in printed}) == len(printed)
    assert len(printed) == len(list(invoices(book))) + len(list(payout_advices(book)))
    for name, content in printed:
        assert content.startswith(b"%PDF-"), name
        assert content.rstrip().endswith(b"%%EOF"), name
    credit_notes = [name for name, _ in printed if name.startswith("credit-note-")]
    assert len(credit_notes) == sum(each.payable_cents < 0 for each in invoices(book))


def test_twice_the_same_bytes_in_another_program_too():
    first, second = ([content for _, content in statement_pdfs(random_close(5))] for _ in range(2))
    assert first == second
    runs = {subprocess.run([sys.executable, "-c", PRINTED], capture_output=True, check=True, timeout=120).stdout for _ in range(2)}
    assert len(runs) == 1


def test_a_changed_cent_changes_the_page():
    printer, invoice = StatementPrinter(SELLER), next(iter(invoices(golden("plans"))))
    other = msgspec.structs.replace(invoice, payable_cents=invoice.payable_cents + 1)
    assert printer.invoice(invoice, "0" * 64) != printer.invoice(other, "0" * 64)
    assert printer.invoice(invoice, "0" * 64) != printer.invoice(invoice, "1" * 64)


@pytest.mark.parametrize("name", ['#panic("no") $x$ *b* [c] @d <e> // f', 'a"b\\c', "Łódź Żółw Ωmega Ёлка", "九燈 שלום"])
def test_names_are_words_and_never_markup(name):
    """A name that would be a command, and names in letters the fonts have not."""
    invoice = msgspec.structs.replace(next(iter(invoices(golden("plans")))), account_name=name)
    printed = StatementPrinter(SELLER).invoice(invoice, "")
    assert printed.startswith(b"%PDF-")
    if name.isascii():
        assert set(name.replace(" ", "")) <= set(words_of(printed)), "every sign stands on the page"


def test_a_long_statement_goes_on_over_pages():
    invoice = next(iter(invoices(golden("plans"))))
    line = invoice.lines[0]
    long = msgspec.structs.replace(invoice, lines=tuple(msgspec.structs.replace(line, hardware=f"class {n}") for n in range(200)))
    pages = len(re.findall(rb"/Type\s*/Page\b", StatementPrinter(SELLER).invoice(long, "")))
    assert pages >= 4
    assert len(invoice_sheet(long, SELLER).rows) == 200
