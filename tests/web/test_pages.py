"""The pages without a browser: words, states, links, and that every number goes through the formats."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import GATE, KEY, FakeMarket, priced
from web.asgi import site

HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def words(text: str) -> str:
    """What a reader sees, spaces in order."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)))


def test_the_first_screen_answers_what_where_and_whether_it_rises(client):
    sold = priced(2).filter(hardware="H100-SXM", tier="standard")
    mean = (sold["rate_micros"] * sold["sold"]).sum() / sold["sold"].sum() / 1e6
    heading = words(re.search(r"<h1.*?</h1>", client.get("/").text, flags=re.DOTALL)[0])
    assert f"cleared at {mean:.3f} USD" in heading
    assert "% on the cycle before" in heading
    assert "Cheapest in" in heading


def test_every_chart_has_a_sentence_a_table_and_a_csv(client):
    page = client.get("/").text
    figures = re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL)
    assert len(figures) == 8
    for figure in figures:
        assert len(words(re.search(r"<figcaption>.*?</figcaption>", figure, flags=re.DOTALL)[0]).split()) > 8
        for address in re.findall(r'href="(/market/[^"]+)"', figure):
            assert client.get(address.replace("&amp;", "&")).status_code == 200


def test_a_csv_holds_the_exact_micros_of_its_table(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/market/regions/csv?hardware=H100-SXM").text)))
    (finland,) = [row for row in rows if row["country"] == "FI"]
    sold = priced(2).filter(hardware="H100-SXM", country="FI")
    mean = (sold["rate_micros"] * sold["sold"]).sum() / sold["sold"].sum()
    assert abs(int(finland["rate, micros per accelerator-hour"]) - mean) <= 0.5


def test_charts_are_drawn_for_readers_without_scripts(client):
    for name in ("curve", "regions", "slots", "loads", "split", "map", "carbon", "history"):
        for theme in ("light", "dark"):
            answer = client.get(f"/market/{name}/svg?hardware=H100-SXM&theme={theme}")
            assert answer.headers["content-type"].startswith("image/svg+xml")
            assert "role:" not in answer.text
    assert client.get("/market/pie/svg").status_code == 404


def test_a_fragment_is_what_the_whole_page_includes(client):
    for address in ("/", "/find?tier=standard"):
        whole, part = client.get(address), client.get(address, headers=HTMX)
        assert "<html" not in part.text
        fresh = re.compile(r'(?<=name="once" value=")[^"]+')
        assert fresh.sub("", part.text.strip()) in fresh.sub("", whole.text)
        assert whole.headers["vary"] == part.headers["vary"]
        assert "HX-Request" in whole.headers["vary"]


def test_a_reader_who_has_seen_this_cycle_is_sent_nothing(client):
    assert client.get("/?seen=2", headers=HTMX).status_code == 204
    assert client.get("/?seen=1", headers=HTMX).status_code == 200
    assert client.get("/?seen=2").status_code == 200


def test_before_the_first_cycle_the_page_says_what_would_be_here():
    with TestClient(site(FakeMarket(cycles=0))) as client:
        text = words(client.get("/").text)
    assert "has not cleared yet" in text
    assert "After the first gate" in text


def test_old_prices_say_so_in_words():
    with TestClient(site(FakeMarket(now=GATE + timedelta(hours=3)))) as client:
        text = words(client.get("/").text)
    assert "These prices are old." in text
    assert "2 h ago" in text


def test_a_search_is_its_address(client):
    page = client.get("/find?tier=guaranteed&countries=FR&budget=4.5&quantity=8&text=ovh").text
    for remembered in ('value="4.5"', 'value="8"', 'value="ovh"'):
        assert remembered in page
    assert re.search(r'value="guaranteed"\s+checked', page)
    assert re.search(r'value="FR"\s+checked', page)
    call = re.search(r"curl &#39;(.*?)&#39;|curl '(.*?)'", page)
    address = (call[1] or call[2]).replace("&amp;", "&")
    shown = client.get(address[address.index("/v1") :]).json()
    assert f"{shown['found']} of {shown['considered']} offers" in words(page)


def test_nothing_found_offers_the_one_demand_to_drop(client):
    page = client.get("/find?hardware=H100-SXM&tier=standard&budget=0.10").text
    assert "Nothing meets every demand" in page
    address = re.search(r'<a class="button" href="(/find[^"]*)">Drop', page)[1].replace("&amp;", "&")
    assert "budget" not in address
    assert "Nothing meets every demand" not in client.get(address).text


@pytest.mark.parametrize("address", ["/find?budget=lots", "/find?ready_by=soon", "/find?quantity=0", "/find?colour=red", "/find?cursor=x"])
def test_a_search_that_cannot_be_read_says_why_and_how_to_go_on(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "Start over" in answer.text


def test_what_is_typed_is_never_markup(client):
    page = client.get("/find", params={"text": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page


def test_refusals_are_pages_for_people_and_problems_for_programs(client):
    page = client.get("/nothing-here")
    assert (page.status_code, page.headers["content-type"].startswith("text/html")) == (404, True)
    assert client.get("/v1/nothing").headers["content-type"] == "application/problem+json"
    assert client.get("/problems/window_closed").status_code == 200
    assert client.get("/problems/made_up").status_code == 404


def test_bids_are_shown_to_who_holds_the_key():
    market = FakeMarket()
    with TestClient(site(market)) as client:
        assert client.get("/bids").url.path == "/sign-in"
        assert client.post("/sign-in", data={"key": "nobody"}).status_code == 401
        signed = client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        cookie = signed.headers["set-cookie"].lower()
        assert (signed.status_code, "httponly" in cookie, "samesite=strict" in cookie) == (303, True, True)
        assert "No bids yet." in client.get("/bids").text
        bid = {"width": 8, "hours": 24, "hardware": {"H100-SXM": 1}, "limit_spot_micros": 2_400_000}
        bid |= {"window_start": "2027-01-15T00:00:00Z", "window_end": "2027-01-15T09:00:00Z"}
        bid_id = client.post("/v1/bids", json=bid, headers={"Authorization": f"Bearer {KEY}"}).json()["bid_id"]
        page = words(client.get(f"/bids/{bid_id}").text)
        assert "the most you can still pay is 57.60 USD" in page
        assert client.get("/bids").text.count(bid_id) == 1
        client.post("/sign-out")
        away = client.get(f"/bids/{bid_id}", follow_redirects=False)
        assert away.headers["location"] == f"/sign-in?next=%2Fbids%2F{bid_id}"
