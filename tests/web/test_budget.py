"""The budget on the spend page: set, warned of, taken away, and only by who may."""

import pytest
from litestar.testing import TestClient

from tests.fake_market import KEY, FakeMarket
from tests.standing import standing_site
from tests.web.test_people import hidden
from web.pages.spend import _micros, _percents


@pytest.fixture
def client():
    with TestClient(standing_site(FakeMarket())) as client:
        client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        yield client


def put(client, limit: str, alert: str = "80"):
    page = client.get("/spend").text
    sent = {"token": hidden(page), "once": hidden(page, "once"), "limit": limit, "alert": alert}
    return client.post("/spend/budget", data=sent, follow_redirects=False)


def test_a_budget_is_set_seen_and_taken_away(client):
    assert "None is set" in client.get("/spend").text
    assert put(client, "5,000").headers["location"] == "/spend#budget"
    page = client.get("/spend").text
    assert 'value="5000"' in page
    assert "None is set" not in page
    put(client, "")
    assert "None is set" in client.get("/spend").text


@pytest.mark.parametrize(
    ("limit", "alert"),
    [("much", "80"), ("-1", "80"), ("NaN", "80"), ("1e30", "80"), ("5", "0"), ("5", "x"), ("5", "101"), ("5", "1,2,3,4,5,6")],
)
def test_what_is_no_budget_changes_nothing_and_says_what_would_do(client, limit, alert):
    answer = put(client, limit, alert)
    assert answer.status_code == 400
    assert "would do" in answer.text
    assert "None is set" in client.get("/spend").text


def test_another_sites_form_sets_nothing(client):
    sent = {"token": "guessed", "once": "x", "limit": "1"}
    assert client.post("/spend/budget", data=sent, follow_redirects=False).status_code == 403
    assert "None is set" in client.get("/spend").text


def test_what_a_person_types_is_read_exactly():
    assert (_micros("1,234.567891"), _micros(" "), _percents(" 75, 90 ")) == (1_234_567_891, None, (75, 90))
