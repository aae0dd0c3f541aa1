"""Statements read back from the published tables, and the page they make."""

import polars as pl

from contracts.statements import Seller, invoice_text, invoices, payout_advices, payout_text
from tests.contracts.published import golden, random_close

PAGE = """\
Gridfare                                                               INVOICE
Laboratory (lab)                                                     No. lab:2
1 February 2026 to 28 February 2026                            plan as-cleared

                                         Accelerator-hours                 EUR
──────────────────────────────────────────────────────────────────────────────
REF-1000, correction of January 2026                  0.02                0.06
REF-1000                                              0.29                1.05
SLA credit                                                               -0.30
──────────────────────────────────────────────────────────────────────────────
Subtotal                                                                  0.81
Tax, 0 %                                                                  0.00
Payable, EUR                                                              0.81
"""


def test_an_invoice_reads_as_a_page():
    invoice = list(invoices(golden("corrections")))[1]
    assert invoice_text(invoice, Seller()) == PAGE


def test_lines_of_a_statement_add_up_to_it():
    for invoice in invoices(random_close(5)):
        assert sum(line.amount_micros for line in invoice.lines) == invoice.subtotal_micros
        assert sum(line.amount_cents for line in invoice.lines) == invoice.subtotal_cents
        assert invoice.subtotal_cents + invoice.tax_cents == invoice.payable_cents


def test_statements_of_consecutive_periods_add_up_to_the_longer_one():
    book = random_close(7)
    by_account = book.invoices.group_by("account_id").agg(pl.col("payable_cents").sum()).sort("account_id")
    pages = list(invoices(book))
    for account, payable in by_account.iter_rows():
        assert sum(page.payable_cents for page in pages if page.account_id == account) == payable


def test_a_negative_invoice_is_a_credit_note():
    notes = [page for seed in range(6) for page in invoices(random_close(seed)) if page.payable_cents < 0]
    assert notes
    assert all("CREDIT NOTE" in invoice_text(note, Seller()) for note in notes)


def test_figures_stay_in_their_columns_beside_long_words():
    for page in invoices(random_close(2)):
        lines = invoice_text(page, Seller(name="Gridfare")).splitlines()
        assert max(len(line) for line in lines[3:]) == 78


def test_a_provider_reads_what_it_earned():
    advices = list(payout_advices(golden("corrections")))
    assert [(a.gross_micros, a.adjustments_micros, a.net_micros) for a in advices] == [
        (650_000, 0, 650_000),
        (1_050_000, -240_000, 810_000),
    ]
    assert "Earned, EUR                                                           0.810000" in payout_text(advices[1], Seller())
