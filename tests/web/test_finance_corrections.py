"""What finance proposes about an invoice: a credit note or a write-off, that somebody else decides."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from contracts.journal import JournalEntry
from contracts.terms.errors import BadInput
from tests.fake_finance import MemoryBooks
from tests.fake_market import FakeMarket
from tests.standing import standing_site
from tests.web.desk import busy_market
from tests.web.finance_desk import ADA, GRACE, READER, with_finance
from tests.web.test_finance import signed_in, usage_line
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.pages.finance_words import typed, typed_cents

LOTUS = "/finance/periods/1/invoices/acct_lotus"


@pytest.fixture
def market() -> FakeMarket:
    return asyncio.run(with_finance(busy_market()))


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        yield signed_in(client, ADA)


def proposed(client: TestClient[Litestar], invoice: str, **fields: str) -> str:
    return client.post(f"{invoice}/corrections", data=marks_of(client.get(invoice).text) | fields).text


def entries(market: FakeMarket) -> list[JournalEntry]:
    books = market.desk.corrections._books
    assert isinstance(books, MemoryBooks)
    return list(books.entries.values())


def kept(market: FakeMarket, reason: str) -> dict[str, int]:
    """Cents by account of the chart of the entry with a reason."""
    [entry] = [each for each in entries(market) if each.reason == reason]
    return {each.account: each.amount_micros // 10_000 for each in entry.postings}


def test_a_line_is_credited_when_somebody_else_approves(client, market):
    """10.00 and 2.00 tax of Meridian's usage: Ada proposes, twice with one form, and Grace alone may approve."""
    line = usage_line(client)
    page = client.get(line).text
    assert "Correct this line" in page
    sent = marks_of(page) | {
        "kind": "credit_note",
        "line": line.rpartition("/")[2],
        "amount": "10",
        "tax": "2.00",
        "reason": "An hour failed",
    }
    for _ in range(2):
        page = client.post("/finance/periods/1/invoices/acct_meridian/corrections", data=sent).text
    reason = f"Period 1, line {sent['line']}: An hour failed"
    assert (
        words(page).count(f"{reason} credit note · acct_meridian proposed ada – 10.00 USD and 2.00 tax yours: somebody else approves") == 1
    )
    assert kept(market, reason) == {"goodwill": 1_000, "tax": 200, "receivable": -1_200}
    page = signed_in(client, GRACE).get("/finance/receivables").text
    entry = re.search(rf"{reason}.*?corrections/([^/\"]+)/approve", page, re.DOTALL).group(1)
    page = client.post(f"/finance/receivables/corrections/{entry}/approve", data=marks_of(page)).text
    assert f"{reason} credit note · acct_meridian approved ada grace 10.00 USD" in words(page)


def test_what_is_still_open_is_proposed_to_be_written_off(client, market):
    """Lotus owes its whole invoice of 60.00; Meridian has paid, so nothing of its invoice can be written off."""
    assert 'name="amount" inputmode="decimal" value="60.00"' in client.get(LOTUS).text
    assert "Propose a write-off" not in client.get("/finance/periods/1/invoices/acct_meridian").text
    page = proposed(client, LOTUS, kind="write_off", amount="60.00", reason="Insolvent")
    assert "Period 1: Insolvent write-off · acct_lotus proposed ada" in words(page)
    assert kept(market, "Period 1: Insolvent") == {"write_offs": 6_000, "receivable": -6_000}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"amount": "0", "reason": "x"}, 400, "a correction is of an amount"),
        ({"amount": "ten", "reason": "x"}, 400, "an amount is written in digits"),
        ({"amount": "5", "reason": " "}, 400, "a correction says why"),
        ({"amount": "5", "reason": "x" * 151}, 400, "a correction says why"),
        ({"amount": "5", "reason": "x", "line": "99"}, 404, "no line 99"),
        ({"amount": "5", "reason": "x", "tax": "1", "kind": "write_off"}, 400, "a write-off is of what is owed"),
    ],
)
def test_a_correction_needs_an_amount_a_reason_and_a_line_there_is(client, market, fields, status, said):
    before = len(entries(market))
    answer = client.post(f"{LOTUS}/corrections", data=marks_of(client.get(LOTUS).text) | fields)
    assert (answer.status_code, said in answer.text.lower()) == (status, True)
    assert len(entries(market)) == before


def test_who_may_only_look_has_no_form_and_forms_of_other_sites_do_nothing(client):
    assert client.post(f"{LOTUS}/corrections", data={"amount": "5", "reason": "x"}).status_code == 403
    page = signed_in(client, READER).get(LOTUS).text
    assert "/corrections" not in page
    own = client.get("/finance/receivables").text
    assert client.post(f"{LOTUS}/corrections", data=marks_of(own) | {"amount": "5", "reason": "x"}).status_code == 403


@pytest.mark.parametrize("text", ["²", "٣", "1.234", "-1", "1,5", "9" * 13])
def test_an_amount_is_digits_with_at_most_two_decimals(text):
    with pytest.raises(BadInput):
        typed_cents(text)


def test_what_is_typed_is_read_as_it_was_shown():
    assert [typed_cents(typed(cents)) for cents in (0, 5, 100, 6_005)] == [0, 5, 100, 6_005]
