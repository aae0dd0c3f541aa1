"""The statements as pages of text: one file of invoices, one of payout advices, a form feed between pages."""

from contracts.statements import SettledBook, invoice_text, invoices, payout_advices, payout_text

NEXT_PAGE = "\f"


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export: name → content."""
    return {
        "invoices.txt": NEXT_PAGE.join(invoice_text(invoice, book.seller) for invoice in invoices(book)).encode(),
        "payouts.txt": NEXT_PAGE.join(payout_text(advice, book.seller) for advice in payout_advices(book)).encode(),
    }
