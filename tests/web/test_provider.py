"""The provider desk: what each page says, to whom, and in which words."""

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.provider_views import Sums
from pricing.policy import CLAUSES as ALL_CLAUSES
from pricing.questions import lost_sales
from tests.fake_market import KEY, PROVIDER_KEY, FakeMarket
from tests.web.test_pages import words
from web.asgi import site
from web.pages.provider_words import BAR_WIDTH, CAUSES, CLAUSES, STATES, bars, headline, reason, rows

OFFER = "/provider/offers/ofr_hyperstack-norway-1-h100-pcie"
PAGES = ("/provider", OFFER, f"{OFFER}?rate=1.5", "/provider/income", "/provider/statements/1/USD", "/provider/feed")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def read(client: TestClient[Litestar], address: str, *, key: str = PROVIDER_KEY, language: str = "en") -> str:
    client.cookies.clear()
    client.cookies.set("gridfare_key", key)
    return client.get(address, headers={"Accept-Language": language}).text


@pytest.mark.parametrize("address", PAGES)
def test_the_desk_is_for_providers(client, address):
    assert "The call behind this screen" in read(client, address)
    assert "not a provider" in read(client, address, key=KEY)
    client.cookies.clear()
    answer = client.get(address, follow_redirects=False)
    assert answer.headers["location"].startswith("/sign-in?next=%2Fprovider")


@pytest.mark.parametrize("address", PAGES)
def test_the_desk_is_read_in_chinese(client, address):
    """All but names, ids, and the reason the feed gives; the frame around it is another desk's."""
    main = re.search(r"<main.*</main>", read(client, address, language="zh"), flags=re.DOTALL).group()
    text = words(re.sub(r"<(code|b|dd)>.*?</\1>|class=\"[^\"]*\bid\"[^<]*", "", main))
    names = {"hyperstack", "norway", "canada", "pcie", "changed", "often", "active", "standard", "just"}
    assert {word for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in names} == set()


def test_somebody_of_a_provider_lands_on_the_desk(client):
    client.cookies.clear()
    assert client.post("/sign-in", data={"key": PROVIDER_KEY}, follow_redirects=False).headers["location"] == "/provider"


def test_the_sums_of_the_page_are_those_of_the_service(client):
    """Two gates of 8,448 hours: 5,916 sold at each, so 70.0 % of 16,896; the rest is told by cause."""
    text = words(read(client, "/provider"))
    assert "You sold 70.0 % of the 16,896 accelerator-hours you had free" in text
    assert "Dearer than they would pay buyers who may come, and who stop below your rate 2,276 13.5 %" in text
    assert "1 offer of your feed is not live" in text
    assert "You sold 70.0 % of the 8,448" in words(read(client, "/provider?gates=1"))


def test_a_rate_is_tried_and_a_bad_one_is_told(client):
    text = words(read(client, f"{OFFER}?rate=1.5"))
    assert "At 1.500 USD you would have sold 80 more accelerator-hours in the last 2 gates." in text
    assert "All your offers together would have received 416.04 USD less." in text
    assert "such as 1.90; this was 1.2.3." in words(read(client, f"{OFFER}?rate=1.2.3"))


def test_what_is_not_the_providers_is_not_there(client):
    for address in ("/provider/offers/ofr_nobody", "/provider/statements/7/USD", "/provider/statements/1/EUR"):
        client.cookies.set("gridfare_key", PROVIDER_KEY)
        assert client.get(address).status_code == 404


def test_a_statement_prints_to_the_micro(client):
    text = words(read(client, "/provider/statements/1/USD"))
    assert "Payout advice, December 2026" in text
    assert "Net 494.50" in text


def test_damping_is_explained_by_its_own_figures(client):
    """Above 3,000 points: four withdrawals at once, or 31 changes of rate; quantities are free."""
    text = words(read(client, "/provider/feed"))
    assert "Withdraw an offer 1,000 4" in text
    assert "Change its rate 100 31" in text
    assert "Change its quantity 0 never" in text
    assert "damped it changed too often" in text


def test_before_the_first_gate_the_desk_says_what_will_be_here():
    with TestClient(site(FakeMarket(cycles=0))) as client:
        text = words(read(client, "/provider"))
    assert "You offer nothing yet" in text
    assert "Announce offers by your feed" in text


def test_every_cause_clause_and_state_has_its_words():
    assert set(CAUSES) == set(lost_sales.CAUSES)
    assert set(CLAUSES) == set(ALL_CLAUSES) - {"hardware", "worth"}
    assert set(STATES) == {"live", "suspect", "damped", "paused", "stale"}


def test_a_bar_is_filled_to_its_end():
    sums = Sums(offered=3.0, leased=1.0, sold=1.0, left=1.0, lost={"unasked": 1.0, "too_dear": 0.0})
    assert sum(bar.width for bar in bars(sums)) == BAR_WIDTH
    assert [(row.kind, row.share_bps) for row in rows(sums)] == [("leased", 3333), ("sold", 3333), ("unasked", 3333)]
    assert headline(sums) == "You sold 50.0 % of the 2 accelerator-hours you had free"
    assert reason(sums) == "Most of the rest, 1 hours: nobody asked (no bid wanted this class in these hours)."


def test_hours_left_for_no_known_cause_are_told_apart():
    sums = Sums(offered=4.0, sold=1.0, left=3.0, lost={"unasked": 0.0, "too_dear": 0.0})
    assert [(row.kind, row.hours) for row in rows(sums)] == [("leased", 0.0), ("sold", 1.0), ("unknown", 3.0)]
    assert "too many bids" in reason(sums)
