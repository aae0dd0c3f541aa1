"""Hours that are free, and what a quote comes to: said on the search before anybody asks."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from contracts.terms.errors import NotFound
from tests.fake_market import KEY, FakeMarket
from tests.web.test_pages import words
from web.asgi import site
from web.pages.quotes import quote_request, slot_from
from web.pages.wishes import wanted

SEARCH = "/find?hardware=H100-SXM&quantity=8&hours=4&countries=FI&tier=standard"


@pytest.fixture(scope="module")
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture(scope="module")
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(site(market)) as client:
        client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        yield client


def test_what_shall_be_free_from_a_time_on_starts_then_and_says_until_when(client):
    """Everything is free for a day from midnight on: from half past five, work starts at 06:00 and may go on until midnight."""
    page = client.get(f"{SEARCH}&free_from=2027-01-15T05:30&free_hours=4").text
    assert ">06:00</time>" in page
    assert "free to 16 Jan, 00:00" in words(page)
    assert "free_from=2027-01-15T05%3A30%3A00Z" in page.partition('id="call-title"')[2]
    assert re.search(r'name="free_from" value="2027-01-15T05:30"', page)
    assert "free to" not in words(client.get(SEARCH).text)


def test_the_quote_begins_when_it_was_asked_for_and_so_may_the_bid():
    query = wanted({"free_from": ["2027-01-15T05:30"], "quantity": ["8"]})
    assert quote_request(query, "ofr_a/4/H100-SXM").start == datetime(2027, 1, 15, 6, tzinfo=UTC)
    assert quote_request(wanted({}), "ofr_a/4/H100-SXM").start is None


def test_a_bid_from_a_search_opens_when_the_search_says(client):
    page = client.get(f"{SEARCH}&free_from=2027-01-15T05:30").text
    address = html.unescape(re.search(r'class="button" href="(/bids/new[^"]*)"', page)[1])
    assert parse_qs(urlsplit(address).query)["start"] == ["2027-01-15T05:30"]


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (hypothesis adds the zone)
def test_a_slot_begins_on_the_hour_and_not_an_hour_later(moment):
    slot = slot_from(moment)
    assert (slot.minute, slot.second, slot.microsecond) == (0, 0, 0)
    assert 0 <= (slot - moment).total_seconds() < 3600


def test_where_an_offer_is_sold_out_the_search_is_one_click_from_what_is_free(client, market, monkeypatch):
    async def sold_out(request, caller):
        raise NotFound("offer ofr_a does not have 8 accelerators free")

    monkeypatch.setattr(market.desk.quotes, "hold", sold_out)
    page = client.get(SEARCH).text
    form = page.partition('action="/quotes"')[2].partition("</form>")[0]
    sent = [(name, html.unescape(value)) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)]
    data: dict[str, list[str]] = {"offer": [re.search(r'name="offer" value="(ofr_[^"]+)"', form)[1]]}
    for name, value in sent:
        data.setdefault(name, []).append(value)
    refused = client.post("/quotes", data=data, follow_redirects=False)
    assert refused.status_code == 404
    address = html.unescape(re.search(r'href="(/find[^"]+free_hours=[^"]+)"', refused.text)[1])
    assert parse_qs(urlsplit(address).query) == parse_qs(urlsplit(f"{SEARCH}&free_hours=4").query)
    assert client.get(address).status_code == 200


def test_an_offer_says_what_its_quote_comes_to_where_the_last_price_is_higher(client):
    """The last price and 2 % on it, over what an hour of the class is worth; offers that sold no dearer say nothing more."""
    answer = client.get("/v1/search", params={"tier": "standard", "limit": 50}).json()
    page = client.get("/find?tier=standard").text
    rows = re.findall(r"<tr tabindex.*?</tr>", page, re.DOTALL)
    dearer = 0
    for row, found in zip(rows, answer["offers"], strict=False):
        offer = found["offer"]
        last = offer["last_rate_micros"]
        said = re.search(r"quoted ([\d.]+)", row)
        if last is None or last <= offer["rate_micros"]:
            assert said is None
            continue
        dearer += 1
        assert float(said[1]) == pytest.approx((last * 1.02 + offer["transfer_micros"]) / offer["factor"] / 1e6, abs=0.002)
    assert dearer
