"""Statements as PDF: what the page of text says, set on A4, the same bytes every time.

The setter is Typst, with the fonts it brings and none of the machine's; words reach it as data, never as its own markup.
Letters its fonts lack (Chinese, Arabic) show as empty boxes: the figures stand, and the text and HTML have the words.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typst

from contracts.statements import Invoice, PayoutAdvice, Seller, SettledBook, Sheet, invoice_sheet, invoices, payout_advices, payout_sheet

TEMPLATE = Path(__file__).with_name("statement.typ")
PLAIN = re.compile(r"[^A-Za-z0-9._-]")


class StatementPrinter:
    """Sets statements of one seller; the setter is started once."""

    def __init__(self, seller: Seller) -> None:
        self._seller = seller
        self._template = TEMPLATE.read_bytes()
        self._setter = typst.Compiler(self._template, ignore_system_fonts=True)

    def invoice(self, invoice: Invoice, close_hash: str) -> bytes:
        """An invoice or credit note, with what its lines can be traced by."""
        traced = f"account {invoice.account_id}, period {invoice.period}; the entry in the books is settle:{invoice.id}"
        notes = [
            f"Terms: {self._seller.payment_terms}." if invoice.payable_cents > 0 else "",
            f"Every line adds up metered usage, whose records are kept under {traced}.",
            "Lines are rounded so that they add up to the subtotal; what became known later is billed in the month it became known.",
        ]
        return self._set(invoice_sheet(invoice, self._seller), notes, close_hash=close_hash)

    def payout(self, advice: PayoutAdvice, close_hash: str) -> bytes:
        """What a provider has earned in a period."""
        notes = [
            "Whole cents of all that was earned so far are paid out, less what was paid before; what is left waits for the next month."
        ]
        return self._set(payout_sheet(advice, self._seller), notes, close_hash=close_hash)

    def _set(self, sheet: Sheet, notes: list[str], *, close_hash: str) -> bytes:
        seller = ", ".join(part for part in (self._seller.address, self._seller.vat_id) if part)
        facts = msgspec.to_builtins(sheet) | {
            "address": seller,
            "notes": [note for note in notes if note],
            "footnote": f"Close {close_hash[:16]}; anyone with the month's tables can settle it again and compare." if close_hash else "",
        }
        words = {"sheet": msgspec.json.encode(facts).decode()}
        printed = self._setter.compile(input=self._template, format="pdf", sys_inputs=words)
        assert isinstance(printed, bytes), "one PDF, not a page each"
        return printed


def statement_pdfs(book: SettledBook) -> Iterator[tuple[str, bytes]]:
    """Every statement of a close, one by one: file name and PDF."""
    printer = StatementPrinter(book.seller)
    close_hash = book.record.hash
    for invoice in invoices(book):
        kind = "credit-note" if invoice.payable_cents < 0 else "invoice"
        yield f"{kind}-{_plain(invoice.account_id)}-{invoice.period:06d}.pdf", printer.invoice(invoice, close_hash)
    for advice in payout_advices(book):
        name = f"payout-{_plain(advice.provider_id)}-{advice.period:06d}-{advice.currency}.pdf"
        yield name, printer.payout(advice, close_hash)


def _plain(id: str) -> str:
    """An id as part of a file name: what is not plain is written as its code, so that no two ids share a name."""
    return PLAIN.sub(lambda letter: f"%{ord(letter.group()):X};", id)
