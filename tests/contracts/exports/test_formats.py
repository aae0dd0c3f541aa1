"""Which formats there are, and what is said about one that is not."""

import pytest

from contracts.exports import FORMATS, export
from contracts.terms.errors import BadInput
from tests.contracts.published import addressed, golden


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_gives_files(name):
    files = export(addressed(golden("plans")), name)
    assert files
    assert all(content for content in files.values())


def test_an_unknown_format_names_those_there_are():
    with pytest.raises(BadInput, match="beancount"):
        export(golden("plans"), "papyrus")


def test_statements_have_a_page_for_each_invoice_and_payout():
    book = golden("plans")
    files = export(book, "statements")
    assert files["invoices.txt"].count(b"\f") == book.invoices.height - 1
    assert files["payouts.txt"].count(b"\f") == book.payouts.height - 1
