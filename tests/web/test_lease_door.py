"""The way into a lease, notices of interruptions, and more hours: what its page says and does."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.views import InterruptionView
from tests.fake_market import KEY, NOW, OTHER_KEY, FakeMarket
from tests.web.desk import HOUR, a_lease, busy_market
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.asgi import site
from web.pages.lease_door import notices

LEASE = "/leases/lse_running"


@pytest.fixture
def market() -> FakeMarket:
    return busy_market()


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(site(market)) as client:
        client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        yield client


def called_back(**facts: object) -> InterruptionView:
    plain = InterruptionView(
        kind="reclaimed", told_at=NOW, deadline=NOW + HOUR, rest="waiting", closed_by="provider", reason="needed at home"
    )
    return msgspec.structs.replace(plain, **facts)


def test_its_holder_gets_in_from_the_page_and_who_may_only_look_does_not(client):
    page = client.get(LEASE).text
    assert "https://grid.example/leases" in page
    assert "gfa_open" in page
    assert "gridfare submit lse_running" in page
    assert "so is access to it" in client.get("/leases/lse_over").text
    client.post("/sign-in", data={"key": OTHER_KEY})
    assert "gfa_open" not in client.get(LEASE).text


def test_before_it_starts_the_page_says_when_it_opens():
    ahead = a_lease(state="awarded", start=NOW + timedelta(minutes=11))
    with TestClient(site(FakeMarket(leases=[ahead]))) as client:
        client.post("/sign-in", data={"key": KEY})
        assert "Its grid opens it when it starts, 15 Jan 2027, 00:00 UTC" in client.get(LEASE).text


def test_more_hours_are_quoted_once_and_shown_before_they_are_taken(client, market):
    sent = marks_of(client.get(LEASE).text) | {"hours": "2"}
    answers = [client.post(f"{LEASE}/extend", data=sent, follow_redirects=False) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert len(market.desk.quotes.kept) == 2, "the one there was, and one more"
    assert "the most you can pay is 16.00 USD" in words(client.get(answers[0].headers["location"]).text)


@pytest.mark.parametrize(("hours", "said"), [("13", "does not have so many"), ("0", "A quote reaches only so far"), ("all", "only so far")])
def test_hours_that_are_not_to_be_had_are_refused_beside_the_form(client, market, hours, said):
    page = client.post(f"{LEASE}/extend", data=marks_of(client.get(LEASE).text) | {"hours": hours}).text
    assert said in page.partition('id="extend"')[2].partition("</section>")[0]
    assert len(market.desk.quotes.kept) == 1


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "needed at home). Slots that begin before 15 Jan 2027, 00:49 UTC stay yours. A place for the rest is being looked for"),
        ({"rest": "placed"}, "it runs at nebius-eu-north1 now."),
        ({"rest": "returned"}, "its hours are back with the bid."),
        ({"rest": None, "deadline": None}, "Called back by its provider, said 14 Jan 2027, 23:49 UTC (needed at home)."),
        ({"kind": "failed"}, "by its provider's doing"),
        ({"kind": "failed", "closed_by": "network"}, "was not heard from any more"),
    ],
)
def test_an_interruption_is_a_notice_with_its_deadline_and_what_became_of_the_rest(facts, said):
    (notice,) = notices(msgspec.structs.replace(a_lease(), interruptions=[called_back(**facts)]))
    assert said in notice


def test_a_spot_lease_says_that_it_may_be_called_back_and_others_do_not():
    spot = msgspec.structs.replace(a_lease(), tier="spot")
    assert "30 min of notice" in notices(spot)[0]
    assert notices(a_lease()) == notices(msgspec.structs.replace(spot, state="completed")) == []


def test_a_lease_is_a_line_from_submitted_to_settled(client, market):
    kept = market.desk.leases.kept
    kept["lse_running"] = msgspec.structs.replace(kept["lse_running"], interruptions=[called_back(rest="placed")])
    page = client.get("/leases").text
    assert page.count('class="life-line"') == 2
    running, over = page.split('class="life-line"')[1:]
    assert ["Delivered, under way" in running, "Delivered, done" in over] == [True, True]
    assert "interrupted" in running
    assert "needed at home" in client.get(LEASE).text
