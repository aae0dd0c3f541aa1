"""From a search to a quote, taken or left: signed out and in, sent twice, refused, and what else there is."""

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from contracts.terms.errors import BadInput, NotFound, QuoteMoved
from tests.fake_market import KEY, FakeMarket, priced
from tests.standing import standing_site
from tests.web.test_pages import words
from web.pages.quotes import offer_mark, quote_request
from web.pages.wishes import wanted

SEARCH = "/find?hardware=H100-SXM&quantity=8&hours=4&countries=FI&tier=standard"


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        yield client


def signed_in(client: TestClient[Litestar]) -> TestClient[Litestar]:
    client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
    return client


def fields(page: str, action: str) -> list[tuple[str, str]]:
    """The hidden fields of a form, and the first button that says something."""
    form = page.partition(f'action="{action}')[2].partition("</form>")[0]
    found = [(name, html.unescape(value)) for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)]
    return found + [("offer", mark) for mark in re.findall(r'<button name="offer" value="([^"]+)"', form)[:1]]


def sent(client: TestClient[Litestar], pairs: list[tuple[str, str]], to: str = "/quotes"):
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return client.post(to, data=grouped, follow_redirects=False)


def test_three_clicks_from_the_market_to_a_lease(client, market):
    """Find compute, Quote, Take it."""
    signed_in(client)
    assert 'href="/find"' in client.get("/").text
    answer = sent(client, fields(client.get(SEARCH).text, "/quotes"))
    page = client.get(answer.headers["location"]).text
    assert "the most you can pay is 16.00 USD before tax" in words(page)
    (quote,) = market.desk.quotes.kept.values()
    assert (quote.accelerators, quote.tier) == (8, "standard")
    taken = sent(client, fields(page, f"/quotes/{quote.quote_id}/accept"), f"/quotes/{quote.quote_id}/accept")
    assert taken.headers["location"].startswith("/leases/")


def test_sent_twice_a_quote_is_held_once_and_another_offer_is_another_quote(client, market):
    signed_in(client)
    form = fields(client.get("/find?tier=standard").text, "/quotes")
    first, second = sent(client, form), sent(client, form)
    assert first.headers["location"] == second.headers["location"]
    assert len(market.desk.quotes.kept) == 1
    sent(client, [pair for pair in form if pair[0] != "offer"] + [("offer", "ofr_other/4/H100-SXM")])
    assert len(market.desk.quotes.kept) == 2


def test_a_reader_without_a_key_signs_in_and_comes_back_to_the_search(client, market):
    answer = sent(client, fields(client.get(SEARCH).text, "/quotes"))
    assert answer.headers["location"].startswith("/sign-in?next=%2Ffind%3F")
    assert "countries%3DFI" in answer.headers["location"]
    assert not market.desk.quotes.kept


def test_a_form_made_for_nobody_holds_nothing(client, market):
    signed_in(client)
    form = [pair for pair in fields(client.get(SEARCH).text, "/quotes") if pair[0] != "token"]
    answer = sent(client, [*form, ("token", "guessed")])
    assert answer.status_code == 403
    assert "Nothing was ordered" in answer.text
    assert not market.desk.quotes.kept


def test_a_quote_that_moved_says_what_changed_and_the_new_rate(client, market, monkeypatch):
    signed_in(client)
    address = sent(client, fields(client.get(SEARCH).text, "/quotes")).headers["location"]
    (quote,) = market.desk.quotes.kept.values()

    async def moved(quote_id, caller):
        raise QuoteMoved("what the quote rested on has changed (rate)", changed="rate", rate_micros=2_400_000)

    monkeypatch.setattr(market.desk.quotes, "accept", moved)
    accept = f"/quotes/{quote.quote_id}/accept"
    answer = sent(client, fields(client.get(address).text, accept), f"{accept}?search=countries%3DFI")
    assert answer.status_code == 409
    assert "2.400" in answer.text
    assert 'href="/find?countries=FI"' in answer.text


def test_where_an_offer_is_sold_out_the_next_of_its_class_is_one_click_away(client, market, monkeypatch):
    signed_in(client)
    hold = market.desk.quotes.hold

    async def sold_out(request, caller):
        if request.offer_id is not None:
            raise NotFound("offer ofr_a does not have 8 accelerators free")
        return await hold(request, caller)

    monkeypatch.setattr(market.desk.quotes, "hold", sold_out)
    form = fields(client.get(SEARCH).text, "/quotes")
    refused = sent(client, form)
    assert refused.status_code == 404
    page = refused.text
    mark = re.search(r'name="offer" value="([^"]*)"', page)[1]
    again = [*fields(page, "/quotes"), ("offer", mark)]
    assert sent(client, again).headers["location"].startswith("/quotes/")


def test_a_way_out_leads_nowhere_but_to_a_bid(client):
    signed_in(client)
    form = [("bid", "javascript:alert(1)"), ("offer", "none")]
    page = sent(client, form).text
    assert "javascript" not in page
    assert "/bids/new?" in sent(client, [("bid", "/bids/new?hardware=H100-SXM"), ("offer", "none")]).text


def test_alternatives_stand_beside_the_answer_with_their_difference(client):
    """Finland, standard: elsewhere and interruptible there is cheaper, and says by how much."""
    page = client.get(SEARCH).text
    beside = words(page.partition('class="instead"')[2].partition("</section>")[0])
    best = float(re.search(r"from ([\d.]+) per reference hour", words(page))[1])
    for name in ("with no demand for countries", "Interruptible"):
        rate, share = re.search(rf"{name}.*? ([\d.]+) −([\d.]+) %", beside).groups()
        assert float(rate) < best
        assert abs((1 - float(rate) / best) * 100 - float(share)) < 0.1
    assert 'class="instead"' not in client.get("/find?sort=rate&tier=standard").text


def test_a_later_hour_is_a_bid_for_it_at_what_it_last_cost_at_the_same_place(client):
    """The cheapest hour the first offer's own pool sold, against the next hour it sold."""
    page = client.get(SEARCH).text
    beside = page.partition('class="instead"')[2].partition("</section>")[0]
    address, start, shown, share = re.search(
        r'href="(/bids/new[^"]+)">Bid for a later hour: at ([\d:]+) UTC.*?class="num">([\d.]+)<.*?class="num [a-z]+">−([\d.]+) %',
        beside,
        re.DOTALL,
    ).groups()
    site = re.search(r'class="who">.*?class="sub">.*? · ([\w-]+)<', page)[1]
    sold = priced(2).filter(hardware="H100-SXM", site=site, tier="standard", firm=True).filter(pl.col("sold") > 0).sort("slot_start")
    low = sold.sort("rate_micros", "slot_start").row(0, named=True)
    assert start == f"{low['slot_start']:%H:%M}"
    assert float(shown) == pytest.approx(low["rate_micros"] / 1e6, abs=0.001)
    assert float(share) == pytest.approx(100 * (1 - low["rate_micros"] / sold["rate_micros"][0]), abs=0.06)
    asked = parse_qs(urlsplit(html.unescape(address)).query)
    assert asked["start"] == [f"{low['slot_start']:%Y-%m-%dT%H:%M}"]
    assert "Bid for a later hour" not in client.get(f"{SEARCH}&ready_by={low['slot_start']:%Y-%m-%dT%H:%M}").text


def test_quotes_are_listed_with_those_that_stand_and_taken_or_left_from_there(client, market):
    assert "No quotes yet." in signed_in(client).get("/quotes").text
    for mark in ("ofr_a/4/H100-SXM", "ofr_b/4/H100-SXM", "ofr_c/4/H100-SXM"):
        sent(client, [pair for pair in fields(client.get(SEARCH).text, "/quotes") if pair[0] != "offer"] + [("offer", mark)])
    first, second, third = sorted(market.desk.quotes.kept)
    page = client.get("/quotes").text
    assert "3 quotes are held for you" in words(page)
    assert words(page).count("16.00") == 3
    taken = sent(client, fields(page, f"/quotes/{third}/accept"), f"/quotes/{third}/accept")
    assert taken.headers["location"].startswith("/leases/")
    left = sent(client, fields(page, f"/quotes/{second}/withdraw"), f"/quotes/{second}/withdraw")
    assert left.headers["location"] == "/quotes"
    after = client.get("/quotes").text
    assert "One quote is held for you" in words(after)
    assert re.findall(r'action="/quotes/(\w+)/accept"', after) == [first]
    assert re.findall(r'href="/quotes/(quo_\w+)"', after) == [third, second, first]


def test_an_hour_on_half_a_reference_class_takes_two():
    assert offer_mark("L40S", 0.5, reference_hours=3, offer_id="ofr_a") == "ofr_a/6/L40S"
    request = quote_request(wanted({"quantity": ["2"], "tier": ["standard"], "countries": ["FI"]}), "ofr_a/6/L40S")
    assert (request.accelerators, request.hours, request.offer_id, request.countries) == (2, 6.0, "ofr_a", ["FI"])


@pytest.mark.parametrize("mark", ["", "ofr_a", "/4", "ofr_a/", "ofr_a/4", "ofr_a/x/L4", "ofr_a/-1/L4", "ofr_a/0/L4", "/99999/L4", "//"])
def test_what_is_no_offer_is_refused(mark):
    with pytest.raises(BadInput):
        quote_request(wanted({}), mark)
