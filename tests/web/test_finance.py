"""The finance desk: what each page says, who may take which step, and a line that leads to its records."""

import asyncio
import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from contracts.periods import Frozen
from tests.fake_market import KEY, OTHER_KEY, FakeMarket
from tests.standing import standing_site
from tests.web.desk import busy_market
from tests.web.finance_desk import ADA, GRACE, READER, last_act, with_finance
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.asgi import site

LINE = "/finance/periods/1/invoices/acct_meridian/lines/"
PAGES = (
    "/finance", "/finance/periods/1", "/finance/periods/2", "/finance/periods/3", "/finance/periods/1/invoices/acct_meridian",
    "/finance/receivables", "/finance/payouts", "/finance/books", "/finance/trail",
)  # fmt: skip


@pytest.fixture
def market() -> FakeMarket:
    return asyncio.run(with_finance(busy_market()))


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        yield signed_in(client, GRACE)


def signed_in(client: TestClient[Litestar], key: str) -> TestClient[Litestar]:
    client.post("/sign-in", data={"key": key}, follow_redirects=False)
    return client


def usage_line(client: TestClient[Litestar]) -> str:
    page = client.get("/finance/periods/1/invoices/acct_meridian").text
    return re.search(r'href="([^"]*/lines/\d+)">Trace<span class="sr"> H100-SXM', page).group(1)


def test_the_desk_is_for_keys_of_the_finance_team(client):
    for address in PAGES:
        page = signed_in(client, READER).get(address)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store"), address
        assert "The call behind this screen" in page.text
        refusal = signed_in(client, OTHER_KEY).get(address)
        assert (refusal.status_code, "Sign in with another key" in refusal.text) == (403, True)
        client.cookies.clear()
        assert client.get(address, follow_redirects=False).headers["location"].startswith("/sign-in?next=%2Ffinance")


def test_somebody_of_finance_lands_on_the_desk_and_a_buyer_on_bids(client):
    landed = [client.post("/sign-in", data={"key": key}, follow_redirects=False).headers["location"] for key in (ADA, KEY)]
    assert landed == ["/finance", "/bids"]
    page = client.get("/sign-in?next=/finance").text
    assert page.index("Use the key of Ada, finance team") < page.index("Atelier Lumière")


def test_every_period_says_what_it_waits_for(client):
    text = words(client.get("/finance").text)
    assert "January 2027 3 open the end of its month, 1 Feb 2027, 00:00 UTC" in text
    assert "December 2026 2 rated a review by somebody other than ada" in text
    assert "November 2026 1 finalised nothing finalised by grace" in text
    assert "3 sums agree" in text


def test_books_that_disagree_are_said_so_everywhere():
    market = asyncio.run(with_finance(busy_market(), off=17))
    with TestClient(site(market)) as client:
        signed_in(client, GRACE)
        assert "The books do not agree with everything beside them" in client.get("/finance").text
        assert "invoice lines add up, micros 17 no" in words(client.get("/finance/books").text)


def test_a_rated_period_shows_its_outliers_with_their_evidence_and_its_sums(client):
    text = words(client.get("/finance/periods/2").text)
    assert "negative margin acct_lotus pays less than its providers get, micros of USD before tax −132,400,000 0" in text
    assert "silent lease lease lse_b7@1 ended its hours more than 7 days ago" in text
    assert "trial balance per currency, micros 0 yes" in text
    assert "Usage records read 111" in text


def test_two_meters_that_differ_stand_side_by_side(client):
    """Of Meridian's day 22 hours were seen and 24 reported, of Lotus's 10 and 8; 199 beside 200 is what meters do."""
    text = words(client.get("/finance/periods/2").text)
    assert "lse_m1@1 acct_meridian prv_nebius 4 Dec, 00:00 5 Dec, 00:00 22.00 24.00 2.00" in text
    assert "lse_l1@1 acct_lotus prv_nebius 4 Dec, 00:00 5 Dec, 00:00 10.00 8.00 −2.00" in text
    assert "199.00" not in text
    assert "Nowhere does a buyer’s own meter differ" in client.get("/finance/periods/1").text


def test_two_people_close_a_month_step_by_step(client, market):
    """Ada rated December, so the review is not hers; Grace sees the form, and without a note it is refused."""
    assert "You rated it, so somebody else has to review it" in signed_in(client, ADA).get("/finance/periods/2").text
    marks = marks_of(client.get("/finance/periods/2").text)
    own = client.post("/finance/periods/2/steps/review", data=marks | {"note": "mine"})
    assert (own.status_code, "another person would do" in own.text) == (403, True)
    marks = marks_of(signed_in(client, GRACE).get("/finance/periods/2").text)
    bare = client.post("/finance/periods/2/steps/review", data=marks)
    assert (bare.status_code, "the review needs a note" in bare.text, "Nothing was changed" in bare.text) == (400, True, True)
    for _ in range(2):
        page = client.post("/finance/periods/2/steps/review", data=marks | {"note": "the flat rate is known"})
    assert "December 2026: reviewed" in page.text
    assert "the flat rate is known" in page.text
    done = client.post("/finance/periods/2/steps/finalise", data=marks_of(page.text)).text
    assert "Closed. 3 invoices, 2 payout advices." in done
    assert last_act(market, 2).actor == "staff:grace"


def test_a_period_is_sent_back_and_rated_again(client):
    marks = marks_of(client.get("/finance/periods/2").text)
    page = client.post("/finance/periods/2/steps/review", data=marks | {"note": "look again", "decision": "return"}).text
    assert "being rated again: grace sent it back" in page
    again = client.post("/finance/periods/2/steps/rate", data=marks_of(page)).text
    assert "You rated it, so somebody else has to review it" in again


def test_what_is_not_due_or_not_allowed_has_no_button(client):
    january = client.get("/finance/periods/3").text
    assert "It waits for the end of its month" in january
    assert "/steps/" not in january
    reader = signed_in(client, READER).get("/finance/periods/2").text
    assert "Your key may look and not do this" in reader
    assert "/steps/" not in reader


def test_a_month_is_frozen_as_of_an_earlier_moment():
    """November is over on 1 December: 5 December, 12:00 will do; the last day of November, tomorrow and no date at all will not."""
    market = asyncio.run(with_finance(busy_market(), empty=True))
    with TestClient(site(market)) as client:
        marks = marks_of(signed_in(client, GRACE).get("/finance/periods/1").text)
        for wrong, said in (
            ("2026-11-30T12:00", "after its month"),
            ("2027-06-01T00:00", "not in the future"),
            ("soon", "a date and a time"),
        ):
            refusal = client.post("/finance/periods/1/steps/freeze", data=marks | {"closes_at": wrong})
            assert (refusal.status_code, said in refusal.text) == (400, True)
            assert last_act(market, 1) is None
        page = client.post("/finance/periods/1/steps/freeze", data=marks | {"closes_at": "2026-12-05T12:00"}).text
    assert "What arrived before 5 Dec 2026, 12:00 UTC counts." in words(page)
    assert last_act(market, 1).told(Frozen).closes_at == datetime(2026, 12, 5, 12, tzinfo=UTC)


def test_a_preview_decides_nothing(client, market):
    before = last_act(market, 2)
    page = client.post("/finance/periods/2/preview", data=marks_of(client.get("/finance/periods/2").text))
    assert (page.status_code, "Nothing is decided by looking" in page.text) == (200, True)
    assert "acct_meridian" in page.text
    assert last_act(market, 2) == before


def test_forms_of_other_sites_do_nothing(client, market):
    before = last_act(market, 2)
    assert client.post("/finance/periods/2/steps/review", data={"note": "x"}).status_code == 403
    assert client.post("/finance/periods/1/export", data={"format": "focus"}).status_code == 403
    assert client.post("/finance/payouts/USD/1/approve", data={}).status_code == 403
    assert last_act(market, 2) == before


def test_a_line_leads_to_the_records_behind_it(client):
    """November: 9 of 10 hours of one lease at 2.00 (one failed), 10 at 2.50, 8 accelerators each: 144 + 200."""
    address = usage_line(client)
    text = words(client.get(address).text)
    assert "19 usage records of 2 leases, 152.00 accelerator-hours in all, are behind 344.00 USD, and come to it again." in text
    assert "Accelerator-seconds × the rate their slot cleared at ÷ 3,600." in text
    assert "Accelerator-hours of the records 152.00 152.00 yes" in text
    assert "lse_m1@1 prv_nebius standard 2.000 9 72.00 144.00" in text
    one = words(client.get(f"{address}?lease=lse_m1@1").text)
    assert one.count("use_lse_m1_1_11_") == 9
    assert client.get(f"{address}?lease=lse_l1@1").status_code == 404
    rows = list(csv.DictReader(io.StringIO(client.get(f"{address}/csv").text)))
    assert len(rows) == 19
    assert sum(int(row["seconds"]) * int(row["rate_micros"]) for row in rows) == 344_000_000 * 3600


def test_a_fee_has_a_rule_and_no_records(client):
    page = client.get("/finance/periods/1/invoices/acct_lotus").text
    address = re.search(r'href="([^"]*/lines/\d+)">Trace<span class="sr"> Monthly fee', page).group(1)
    text = words(client.get(address).text)
    assert "whatever was used. It comes to 50.00 USD." in text
    assert "Monthly fee, micros 50,000,000" in text


def test_what_is_not_there_says_so_with_a_way_back(client):
    for address in (f"{LINE}99", "/finance/periods/9", "/finance/periods/1/invoices/acct_nobody"):
        answer = client.get(address)
        assert (answer.status_code, 'href="/finance"' in answer.text) == (404, True)


@pytest.mark.parametrize("format", ["focus", "beancount", "hledger", "statements", "close"])
def test_a_month_goes_home_in_every_format(client, market, format):
    marks = marks_of(client.get("/finance/periods/1").text)
    given = client.post("/finance/periods/1/export", data=marks | {"format": format})
    assert given.status_code == 200
    assert given.headers["content-disposition"].startswith(f'attachment; filename="gridfare-2026-11-{format}')
    if given.headers["content-type"] == "application/zip":
        assert len(zipfile.ZipFile(io.BytesIO(given.content)).namelist()) > 1
    assert (last_act(market, 1).act, last_act(market, 1).actor) == ("exported", "staff:grace")


def test_an_export_that_lacks_something_says_what(client):
    marks = marks_of(client.get("/finance/periods/1").text)
    answer = client.post("/finance/periods/1/export", data=marks | {"format": "ubl"})
    assert (answer.status_code, "Nothing was changed" in answer.text) == (400, True)


def test_invoices_say_what_is_settled_and_what_is_open(client):
    text = words(client.get("/finance/periods/1").text)
    assert re.search(r"Meridian Genomics \d+ [\d.]+ [\d.]+ [\d,.]+ settled –", text)
    assert re.search(r"Lotus Weather \d+ [\d.]+ [\d.]+ 60.00 open, 44 days 60.00", text)
    for address in ("/finance/periods/1/invoices/acct_lotus/pdf", "/finance/periods/1/payouts/prv_nebius/USD/pdf"):
        assert client.get(address).content.startswith(b"%PDF")


def test_without_a_processor_collecting_says_so(client):
    answer = client.post("/finance/periods/1/collect", data=marks_of(client.get("/finance/periods/1").text))
    assert (answer.status_code, "no payment processor is set up" in answer.text.lower()) == (422, True)


def test_a_payout_run_is_approved_by_another_person(client, market):
    assert "You proposed it, so somebody else has to approve it" in signed_in(client, ADA).get("/finance/payouts").text
    page = signed_in(client, GRACE).get("/finance/payouts").text
    approved = client.post("/finance/payouts/USD/1/approve", data=marks_of(page))
    assert "Approved by grace" in approved.text


def test_a_dispute_is_decided_and_a_correction_approved_by_another(client):
    page = client.get("/finance/receivables").text
    assert "An hour of 4 November was interrupted." in page
    sent = marks_of(page) | {"upheld": "yes", "note": "the log agrees", "credit": "ten"}
    assert "an amount is written in digits" in client.post("/finance/receivables/disputes/acct_lotus:1:1/decide", data=sent).text.lower()
    page = client.post("/finance/receivables/disputes/acct_lotus:1:1/decide", data=sent | {"credit": "10", "tax": "2.00"}).text
    assert "upheld" in page
    assert "yours: somebody else approves" in page, "the credit note is Grace's proposal"
    entry = re.search(r"corrections/([^/\"]+)/approve", page).group(1)
    page = client.post(f"/finance/receivables/corrections/{entry}/approve", data=marks_of(page)).text
    assert "approved" in page


def test_dunning_gives_the_notices_to_send(client):
    """November's invoices were closed 44 days ago: a reminder for who owes, none for what is disputed in full."""
    text = words(client.post("/finance/receivables/dunning", data=marks_of(client.get("/finance/receivables").text)).text)
    assert "acct_buyer USD reminder 44" in text


def test_the_trail_names_everybody_the_latest_first(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/finance/trail/csv").text)))
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert {row["actor"] for row in rows} == {"staff:ada", "staff:grace", "acct_lotus"}
    assert "The flat rate is new in November" in client.get("/finance/trail").text


def test_before_anything_happened_the_desk_says_what_would_be_here():
    market = asyncio.run(with_finance(busy_market(), empty=True))
    with TestClient(site(market)) as client:
        signed_in(client, GRACE)
        said = {
            "/finance/periods/1": "Nothing was done to this period yet.",
            "/finance/receivables": "Nobody owes anything.",
            "/finance/payouts": "No payout run yet.",
            "/finance/trail": "Nothing was done yet.",
        }
        for address, words_said in said.items():
            assert words_said in client.get(address).text
        frozen = client.post("/finance/periods/1/steps/freeze", data=marks_of(client.get("/finance/periods/1").text)).text
        assert "November 2026: frozen" in frozen
