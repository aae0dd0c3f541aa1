"""Selling a lease on as a caller meets it."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.api.examples import EXAMPLES
from tests.fake_market import KEY, OTHER_KEY, FakeMarket
from tests.standing import standing_api
from tests.web.desk import a_lease

SIGNED = {"Authorization": f"Bearer {KEY}"}
ADDRESS = "/v1/leases/lse_running/resell"


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_api(FakeMarket(leases=[a_lease()]))) as client:
        yield client


def test_a_lease_is_offered_and_taken_back(client):
    """The example without an end, once: the same key again is the same answer."""
    wish = EXAMPLES["ResellLease"]["all"]["value"]
    first, again = (client.post(ADDRESS, json=wish, headers=SIGNED | {"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.content) == (200, again.content)
    (resale,) = first.json()["resales"]
    assert (resale["state"], {slot["rate_micros"] for slot in resale["offered"]}) == ("open", {1_500_000})
    back = client.post(f"{ADDRESS}/withdraw", headers=SIGNED)
    assert [each["state"] for each in back.json()["resales"]] == ["withdrawn"]
    assert client.post(f"{ADDRESS}/withdraw", headers=SIGNED).status_code == 404


@pytest.mark.parametrize("name", sorted(EXAMPLES["ResellLease"]))
def test_the_examples_are_read(client, name):
    answer = client.post(ADDRESS, json=EXAMPLES["ResellLease"][name]["value"], headers=SIGNED)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("more", [{"rate_micros": 0}, {"accelerators": 0}, {"start": "2027-01-01T00:00:00"}, {"floor": 1}])
def test_a_wish_that_is_none_is_refused_as_a_problem(client, more):
    answer = client.post(ADDRESS, json={"rate_micros": 1} | more, headers=SIGNED)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad_input")


def test_who_may_only_read_sells_nothing(client):
    answer = client.post(ADDRESS, json={"rate_micros": 1}, headers={"Authorization": f"Bearer {OTHER_KEY}"})
    assert answer.status_code in (403, 404)
