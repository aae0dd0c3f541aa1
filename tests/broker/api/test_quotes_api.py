"""Quotes, the ends of leases and webhooks as a caller meets them."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import KEY, OTHER_KEY, FakeMarket
from tests.standing import standing_api

SIGNED = {"Authorization": f"Bearer {KEY}"}
WISH = {"accelerators": 4, "hours": 1.0, "hardware": ["H100-SXM"]}


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_api(FakeMarket())) as client:
        yield client


def test_a_quote_is_asked_for_read_and_taken_once(client):
    quote = client.post("/v1/quotes", json=WISH, headers=SIGNED)
    assert (quote.status_code, quote.json()["worst_case_micros"]) == (201, 8_000_000)
    address = f"/v1/quotes/{quote.json()['quote_id']}"
    assert client.get(address, headers=SIGNED).json() == quote.json()
    keyed = SIGNED | {"Idempotency-Key": "take"}
    first, again = (client.post(f"{address}/accept", headers=keyed) for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    refused = client.post(f"{address}/accept", headers=SIGNED)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/wrong_state")


@pytest.mark.parametrize(
    "wish",
    [
        WISH | {"accelerators": 0},
        WISH | {"hours": 0},
        WISH | {"hardware": []},
        WISH | {"hardware": [f"class-{n}" for n in range(21)]},
        WISH | {"offer_version": 3},
        WISH | {"offer_id": "o", "offer_version": 2**40},
        WISH | {"offer_id": "a\0b"},
        WISH | {"start": "2027-01-01T00:00:00+01:00"},
        WISH | {"tier": "gold"},
        WISH | {"budget": 1},
    ],
)
def test_a_wish_that_is_none_is_refused_as_a_problem(client, wish):
    answer = client.post("/v1/quotes", json=wish, headers=SIGNED)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_an_endpoint_shows_its_secret_once(client):
    made = client.post("/v1/webhook-endpoints", json={"url": "https://example.org/told"}, headers=SIGNED)
    assert (made.status_code, made.json()["secret"].startswith("whsec_")) == (201, True)
    assert [each["secret"] for each in client.get("/v1/webhook-endpoints", headers=SIGNED).json()["items"]] == [None]
    for wrong in ({"url": "http://example.org"}, {"url": "https://example.org", "kinds": ["lease.sold"]}, {"url": "nowhere"}):
        assert client.post("/v1/webhook-endpoints", json=wrong, headers=SIGNED).status_code == 400
    assert client.get("/v1/webhook-messages?cursor=x", headers=SIGNED).status_code == 400


def test_acts_need_their_scope(client):
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    assert client.post("/v1/quotes", json=WISH, headers=other).status_code == 403
    assert client.post("/v1/webhook-endpoints", json={"url": "https://example.org"}, headers=other).status_code == 403
