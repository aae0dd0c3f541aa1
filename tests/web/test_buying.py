"""From a search to a bid, signed out and in, sent twice, changed in between, refused."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.market_views import GateView
from tests.fake_market import CREDIT, DAY, GATE, KEY, NOW, OTHER_KEY, FakeMarket
from tests.standing import standing_site
from tests.web.test_pages import words
from web.asgi import site
from web.pages.order_form import draft, proposal

GATE_AHEAD = GateView(
    as_of=NOW,
    next_gate_at=GATE + timedelta(hours=1),
    seconds_left=3360,
    first_slot_at=DAY + timedelta(hours=1),
    last_slot_end=DAY + timedelta(hours=25),
    clock_runs=False,
)
BID = {"hardware": "H100-SXM", "quantity": "8", "hours": "4", "limit": "2.50", "start": "2027-01-15T06:00", "end": "2027-01-15T18:00"}


def factor(name: str, stack: str | None) -> Fraction | None:
    """H100-SXM is worth one reference hour, A100-80 a quarter, B200 two and a half; nobody knows ABACUS."""
    return {"H100-SXM": Fraction(1), "A100-80": Fraction(1, 4), "B200": Fraction(5, 2)}.get(name)


def drafted(**fields: str | list[str]):
    given = {name: value if isinstance(value, list) else [value] for name, value in (BID | fields).items() if value}
    return draft(given, gate=GATE_AHEAD, factor=factor)


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        yield client


def signed_in(client: TestClient[Litestar], key: str = KEY) -> TestClient[Litestar]:
    client.post("/sign-in", data={"key": key}, follow_redirects=False)
    return client


def form_of(page: str) -> dict[str, str]:
    """What a browser would send of the bid form, ticked boxes and hidden fields included."""
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page.partition('action="/bids/new"')[2].partition("</form>")[0]):
        facts = {name: html.unescape(value) for name, value in re.findall(r'([a-z]+)="([^"]*)"', tag)}
        if facts.get("type") not in ("checkbox", "radio") or " checked" in tag:
            fields[facts["name"]] = facts["value"]
    return fields | {"act": "enter"}


def test_the_worst_case_of_a_bid_is_one_line():
    """8 accelerators for 4 hours each at up to 2.50: 32 accelerator-hours, 80.00."""
    found = drafted()
    assert found.worst_case_micros == 80_000_000
    assert (found.request.width, found.request.hours, found.request.limit_spot_micros) == (8, 32.0, 2_500_000)


def test_a_faster_class_makes_the_worst_case_dearer_as_it_does_the_work():
    """An hour of B200 is worth 2.5 reference hours, so 32 hours at up to 2.50 can cost 200.00."""
    found = drafted(hardware=["H100-SXM", "B200"])
    assert (found.worst_case_micros, found.rate_micros_max) == (200_000_000, 6_250_000)


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"limit": "lots"}, "limit", "a rate, such as 2.50, was lots"),
        ({"limit": "0"}, "limit", "more than 0"),
        ({"quantity": "1.5"}, "quantity", "a whole number"),
        ({"hours": "-1"}, "hours", "more than 0"),
        ({"end": "2027-01-15T06:00"}, "end", "the end comes after the start"),
        ({"start": "2027-01-14T00:00", "end": "2027-01-15T00:30"}, "end", "the next gate sells hours from 15 Jan 2027, 01:00 UTC"),
        ({"hours": "13"}, "end", "13 hours do not fit"),
        ({"start": "soon"}, "start", "a date and a time"),
        ({"tier": "gold"}, "tier", "one of guaranteed, standard, spot"),
        ({"hardware": "ABACUS"}, "hardware", "no throughput is on record for ABACUS"),
        ({"trust_min": "blind"}, "form", "trust_min"),
    ],
)
def test_a_fault_is_a_sentence_beside_its_field_and_nothing_typed_is_lost(fields, field, sentence, client):
    found = drafted(**fields)
    assert sentence in found.faults[field]
    assert found.request is None
    page = client.get("/bids/new", params=BID | fields).text
    assert f'id="fault-{field}"' in page
    for name, value in (BID | fields).items():
        assert f'value="{value}"' in page or name in ("tier", "trust_min"), name
    assert "Enter this bid" not in page


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.text(max_size=12) for name in (*BID, "tier", "stack", "data_tb", "place", "countries", "memory_gb_min")}
    )
)
def test_whatever_is_typed_is_either_a_bid_or_a_fault_or_incomplete(typed):
    found = draft({name: [value] for name, value in typed.items() if value.strip()}, gate=GATE_AHEAD, factor=factor)
    assert (found.request is None) or not found.faults
    for name, value in typed.items():
        assert not value.strip() or found.values[name] == [value], name


def test_a_search_counts_work_and_a_bid_hours_of_the_slowest_class():
    """24 reference hours are 96 hours of an A100 worth a quarter."""
    search = {"quantity": ["8"], "hours": ["24"], "ready_by": ["2027-01-20T00:00"], "countries": ["FR", "DE"], "text": ["ovh"]}
    pairs = proposal(search, hardware=["H100-SXM", "A100-80"], all_in_micros=2_310_000, factor=factor)
    assert ("hours", "96") in pairs
    assert ("end", "2027-01-20T00:00") in pairs
    assert ("limit", "2.310") in pairs
    assert [value for name, value in pairs if name == "countries"] == ["FR", "DE"]
    assert "text" not in dict(pairs)


def test_the_needs_of_a_search_go_with_the_bid(client):
    page = client.get("/find?hardware=H100-SXM&quantity=8&hours=4&countries=FI&tier=standard&budget=9.5").text
    address = html.unescape(re.search(r'class="button" href="(/bids/new[^"]*)"', page)[1])
    carried = parse_qs(urlsplit(address).query)
    assert carried == {
        "countries": ["FI"], "quantity": ["8"], "tier": ["standard"], "hardware": ["H100-SXM"], "hours": ["4"], "limit": ["9.5"]
    }  # fmt: skip
    text = words(client.get(address).text)
    assert "Up to 8 accelerators of H100-SXM between 15 Jan 2027, 01:00 UTC and 16 Jan 2027, 01:00 UTC, 32 accelerator-hours" in text
    assert "the most you can pay is 304.00 USD before tax" in text
    assert "Finland" in text


def test_a_suggested_limit_is_a_link_to_the_form_with_it_and_was_enough_so_often(client):
    """Each says its share; the page it leads to says at least that share, and draws the hours with the limit across."""
    page = client.get("/bids/new", params={name: value for name, value in BID.items() if name != "limit"} | {"tier": "standard"}).text
    found = re.findall(r'href="(/bids/new[^"]+)"><b class="num">([\d.]+)</b> in (\d+) % of the hours', page)
    assert [int(share) for _, _, share in found] == [50, 80, 95]
    for address, limit, share in found:
        after = client.get(html.unescape(address)).text
        assert form_of(after)["limit"] == limit
        assert float(re.search(r"this limit was enough in ([\d.]+) %", words(after))[1]) >= int(share)
        assert 'class="limit"' in after


def test_a_reader_without_a_key_is_led_through_sign_in_and_back(client):
    address = f"/bids/new?{urlencode(BID)}"
    page = client.get(address).text
    assert "Enter this bid" not in page
    door = html.unescape(re.search(r'href="(/sign-in\?[^"]*)"', page)[1])
    after = html.unescape(re.search(r'name="after" value="([^"]*)"', client.get(door).text)[1])
    answer = client.post("/sign-in", data={"key": KEY, "after": after}, follow_redirects=False)
    back = client.get(answer.headers["location"]).text
    assert "Enter this bid" in back
    assert all(form_of(back)[name] == value for name, value in BID.items())


def test_a_key_that_ran_out_while_typing_loses_nothing(client):
    answer = client.post("/bids/new", data=BID, follow_redirects=False)
    after = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert {name: values[0] for name, values in parse_qs(urlsplit(after).query).items()} == BID | {"tier": "spot"}


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nevil", ""])
def test_sign_in_leads_nowhere_else(client, after):
    answer = client.post("/sign-in", data={"key": KEY, "after": after}, follow_redirects=False)
    assert answer.headers["location"] == "/bids"


def test_another_site_cannot_sign_a_reader_in(client):
    answer = client.post("/sign-in", data={"key": KEY}, headers={"Sec-Fetch-Site": "cross-site"}, follow_redirects=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_demo_shows_its_keys_and_a_market_has_none_to_show(client, market):
    assert "Use the key of Atelier Lumière" in words(client.get("/sign-in").text)
    market.shown_keys = ()
    with TestClient(site(market)) as real:
        assert "demo" not in words(real.get("/sign-in").text)


def test_a_double_click_orders_once(client, market):
    form = form_of(signed_in(client).get("/bids/new", params=BID).text)
    answers = [client.post("/bids/new", data=form, follow_redirects=False) for _ in range(2)]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(market.orders.kept) == 1
    assert "Submitted" in words(client.get(answers[0].headers["location"]).text)


def test_the_same_form_with_other_words_is_not_taken_for_the_first(client, market):
    form = form_of(signed_in(client).get("/bids/new", params=BID).text)
    client.post("/bids/new", data=form)
    other = form | {"seen": form_of(client.get("/bids/new", params=BID | {"quantity": "4"}).text)["seen"], "quantity": "4"}
    page = client.post("/bids/new", data=other).text
    assert "This form has entered a bid already" in page
    assert len(market.orders.kept) == 1
    assert form_of(page)["quantity"] == "4"


def test_what_was_not_shown_is_shown_before_it_is_entered(client, market):
    """Somebody without scripts changes the limit after reading 80.00 and sends the form."""
    form = form_of(signed_in(client).get("/bids/new", params=BID).text)
    page = client.post("/bids/new", data=form | {"limit": "5"}).text
    assert market.orders.kept == {}
    assert "160.00" in words(page)
    client.post("/bids/new", data=form_of(page))
    assert len(market.orders.kept) == 1


def test_a_form_made_for_another_key_is_refused(client, market):
    theirs = form_of(signed_in(client, OTHER_KEY).get("/bids/new", params=BID).text)
    answer = signed_in(client).post("/bids/new", data=theirs)
    assert (answer.status_code, market.orders.kept) == (403, {})
    assert signed_in(client).post("/bids/new", data={name: value for name, value in theirs.items() if name != "token"}).status_code == 403


def test_a_key_that_may_not_bid_is_told_so_on_the_form(client, market):
    form = form_of(signed_in(client, OTHER_KEY).get("/bids/new", params=BID).text)
    page = client.post("/bids/new", data=form).text
    assert "this key may not bid" in page
    assert form_of(page)["limit"] == "2.50"


def test_credit_that_does_not_reach_is_said_before_the_button(client):
    """1,000.00 of credit; 8 × 12 hours at up to 20.00 can cost 1,920.00."""
    page = signed_in(client).get("/bids/new", params=BID | {"hours": "12", "limit": "20"}).text
    assert CREDIT == 1_000_000_000
    assert "more than the credit left" in page
    assert "−920.00" in page
    assert "Enter this bid" not in page


def test_working_it_out_again_enters_nothing(client, market):
    """So does the return key in a field: a form's first button is the harmless one."""
    page = signed_in(client).get("/bids/new", params=BID).text
    assert re.search(r'<button[^>]*value="([a-z]+)"', page.partition('action="/bids/new"')[2])[1] == "show"
    client.post("/bids/new", data=form_of(page) | {"act": "show"})
    assert market.orders.kept == {}


def test_what_a_bid_lacks_is_said_when_it_is_sent_not_before(client):
    bare = {"quantity": "8", "act": "enter"}
    assert "another look" not in signed_in(client).get("/bids/new", params=bare).text
    page = client.post("/bids/new", data=bare).text
    assert 'id="fault-hardware"' in page
    assert 'id="fault-limit"' in page


def test_withdrawing_frees_the_hold_and_needs_the_form(client, market):
    client.post("/bids/new", data=form_of(signed_in(client).get("/bids/new", params=BID).text))
    (bid_id,) = market.orders.kept
    assert client.post(f"/bids/{bid_id}/withdraw", data={}).status_code == 403
    page = client.get(f"/bids/{bid_id}").text
    marks = dict(re.findall(r'name="(token|once)" value="([^"]*)"', page))
    text = words(client.post(f"/bids/{bid_id}/withdraw", data=marks).text)
    assert market.orders.kept[bid_id].hold_micros == 0
    assert "Withdrawn: nothing was awarded" in text


def test_the_gate_is_counted_in_market_time(client):
    """56 minutes to the gate by the market's clock, which does not run by itself: no script may count it down."""
    for address in ("/", "/market/gate", f"/bids/new?{urlencode(BID)}"):
        page = client.get(address).text
        assert "in 56 min" in words(page)
        assert "data-countdown" not in page
