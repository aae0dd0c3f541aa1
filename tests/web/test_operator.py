"""The operator desk: what each page says, to whom; and a cycle checked again by button."""

import re
from collections.abc import Iterator

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.feed_views import FeedOffer, Release
from broker.services.market_views import CheckView
from broker.services.operator_views import AccessPhase, Overview, VerdictView
from tests.fake_market import KEY, NOW, OPERATOR_KEY, FakeMarket
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.asgi import site
from web.pages.operator_words import finding, phase, verdict

PAGES = ("/operator", "/operator/cycles/2", "/operator/providers", "/operator/quarantine", "/operator/incidents", "/operator/rules")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def read(client: TestClient[Litestar], address: str, *, key: str = OPERATOR_KEY, language: str = "en") -> str:
    client.cookies.clear()
    client.cookies.set("gridfare_key", key)
    return client.get(address, headers={"Accept-Language": language}).text


@pytest.mark.parametrize("address", PAGES)
def test_the_desk_is_for_the_operator(client, address):
    assert "The call behind this screen" in read(client, address)
    refusal = read(client, address, key=KEY)
    assert "not an operator" in refusal
    assert "The call behind this screen" not in refusal
    client.cookies.clear()
    assert client.get(address, follow_redirects=False).headers["location"].startswith("/sign-in?next=%2Foperator")


@pytest.mark.parametrize("address", PAGES)
def test_the_desk_is_read_in_chinese(client, address):
    """Headings and words are; what the market itself has written (findings, reasons, names of checks) stays as it is."""
    main = re.search(r"<main.*</main>", read(client, address, language="zh"), flags=re.DOTALL).group()
    headings = words(" ".join(re.findall(r"<(?:h1|h2|dt|th scope=\"col\"|label|button)\b.*?</(?:h1|h2|dt|th|label|button)>", main)))
    assert re.search(r"[一-鿿]", headings)
    assert set(re.findall(r"[A-Za-z]{3,}", headings)) <= {"UTC", "class"}


def test_the_operator_lands_on_the_desk(client):
    client.cookies.clear()
    assert client.post("/sign-in", data={"key": OPERATOR_KEY}, follow_redirects=False).headers["location"] == "/operator"


def test_what_needs_a_person_is_said_first(client):
    text = words(read(client, "/operator"))
    assert "Look at: 1 feed is silent, 1 offer is in quarantine, 1 lease waits for a new place." in text
    assert "Vultr prv_vultr · US" in words(read(client, "/operator/providers"))
    assert "0.01 is far below the usual 4.20 of B200" in words(read(client, "/operator/quarantine"))
    assert "A lease broke off lse_1 prv_vultr its grid has been silent" in words(read(client, "/operator/incidents"))
    assert "Held back from guaranteed 20.0 %" in words(read(client, "/operator/rules"))


def test_a_cycle_is_cleared_again_by_button(client):
    """The fake's certificate is made up, so that verifying finds it out, and clearing again finds the result as it was."""
    page = read(client, "/operator/cycles/2")
    marks = marks_of(page)
    again = words(client.post("/operator/cycles/2/replay", data=marks).text)
    assert "Cleared again, cycle 2 is the same to the byte. It took" in again
    verified = client.post("/operator/cycles/2/verify", data=marks_of(read(client, "/operator/cycles/2")))
    assert re.search(r"Of the checks of cycle 2 \d+ do not hold", verified.text)
    assert client.post("/operator/cycles/2/verify", data={"token": "another's", "once": "1"}).status_code == 403
    assert client.post("/operator/cycles/2/undo", data=marks).status_code == 404
    assert client.get("/operator/cycles/9").status_code == 404


class Desk:
    """A feed desk that believes what it is told to."""

    def __init__(self) -> None:
        self.released: list[tuple[Release, str]] = []

    async def release(self, request: Release, *, by: str) -> FeedOffer:
        self.released.append((request, by))
        return FeedOffer(
            offer_id=request.offer_id,
            version=1,
            quantity=1,
            rate_micros=1,
            state="live",
            reason="",
            heard_at=NOW,
            age_seconds=0,
            ends_at=NOW,
        )


def test_an_offer_is_believed_once_with_a_reason_and_a_name():
    market, desk = FakeMarket(), Desk()
    market.desk = msgspec.structs.replace(market.desk, feeds=desk)
    with TestClient(site(market)) as client:
        page = read(client, "/operator/quarantine")
        form = marks_of(page) | dict(re.findall(r'name="(provider_id|offer_id|reason)" value="([^"]*)"', page))
        assert client.post("/operator/quarantine/release", data=form | {"why": " "}).status_code == 400
        for _ in range(2):
            sent = client.post("/operator/quarantine/release", data=form | {"why": "a clearance sale"}, follow_redirects=False)
            assert sent.headers["location"] == "/operator/quarantine"
        client.cookies.set("gridfare_key", KEY)
        assert client.post("/operator/quarantine/release", data=form | {"why": "mine"}).status_code == 403
    ((request, by),) = desk.released
    assert (request.offer_id, request.why, by) == ("ofr_too_good", "a clearance sale", "Hedy")
    assert request.reason == "0.01 is far below the usual 4.20 of B200"


def test_nobody_else_checks_a_cycle(client):
    marks = marks_of(read(client, "/operator/cycles/2"))
    client.cookies.set("gridfare_key", KEY)
    assert client.post("/operator/cycles/2/verify", data=marks).status_code == 403


def test_before_the_first_gate_the_desk_says_what_will_be_here():
    with TestClient(site(FakeMarket(cycles=0))) as client:
        assert "No gate has closed yet" in read(client, "/operator")
        assert "The market has not cleared yet" in read(client, "/operator/rules")


def test_sentences():
    nothing = Overview(as_of=NOW, providers=1, silent=0, quarantined=0, failovers_waiting=0, shed=[])
    assert finding(nothing) == "Nothing needs a person now."
    bad = VerdictView(
        cycle_number=3, way="replay", holds=False, checks=[CheckView(name="awards", holds=False, finding="")], cpu_seconds=0.126, at=NOW
    )
    assert verdict(bad) == "Cleared again, 1 tables of cycle 3 are not what was stored. It took 0.13 s of CPU."
    closed = AccessPhase(open_to=["FR", "XX"], closed_to=["CN"], providers=1, offers=1, accelerators=1)
    assert phase(closed, [("FR", "France"), ("CN", "China")]) == "buyers of France, XX, but not China"
    assert phase(AccessPhase(open_to=[], closed_to=[], providers=1, offers=1, accelerators=1), []) == "everybody"
