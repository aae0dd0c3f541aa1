"""`/v1` as a caller meets it: answers, refusals, keys, pages."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.api.examples import EXAMPLES
from broker.api.usage import REPORTS_MAX
from broker.application import BODY_BYTES_MAX, application
from broker.services.backlog import BATCHES_MAX
from contracts.terms.errors import MarketError
from tests.fake_market import KEY, OTHER_KEY, FakeMarket
from tests.standing import standing_api

SIGNED = {"Authorization": f"Bearer {KEY}"}
BID = EXAMPLES["SubmitBid"]["night_batch"]["value"]
PRIVATE = ["/v1/bids", "/v1/bids/x", "/v1/leases", "/v1/leases/x", "/v1/statements", "/v1/statements/1"]


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_api(FakeMarket())) as client:
        yield client


@pytest.mark.parametrize(
    "address",
    [
        "/healthz",
        "/readyz",
        "/v1/offers?hardware=H100-SXM&hardware=L4&limit=2",
        "/v1/market/now",
        "/v1/market/curve?hardware=H100-SXM&slot=2027-01-15T03:00:00Z",
        "/v1/market/regions?hardware=L4",
        "/v1/market/slots?hardware=L4",
        "/v1/market/prices?tier=spot&limit=3",
        "/v1/market/cycles",
        "/v1/market/cycles/2/certificate",
        "/schema/openapi.json",
    ],
)
def test_anyone_may_read_the_market(client, address):
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer "}]
)
def test_what_is_private_needs_a_key_somebody_was_given(client, address, header):
    answer = client.get(address, headers=header)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/not_signed_in"


def test_every_private_route_refuses_before_it_reads_anything(client):
    """Closed until opened: whatever the schema lists with a key answers 401 without one."""
    paths = client.get("/schema/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            if operation.get("security"):
                numbered = re.sub(r"\{(period|number|line)\}", "1", path).replace("{currency}", "USD")
                address = re.sub(r"\{\w+\}", "x", numbered)
                assert client.request(method, address).status_code == 401, (method, path)


def test_a_key_without_the_scope_may_not(client):
    answer = client.post("/v1/bids", json=BID, headers={"Authorization": f"Bearer {OTHER_KEY}"})
    assert (answer.status_code, answer.json()["scope"]) == (403, "bids:write")


@pytest.mark.parametrize("name", sorted(EXAMPLES["SubmitBid"]))
def test_the_documented_examples_are_accepted(client, name):
    answer = client.post("/v1/bids", json=EXAMPLES["SubmitBid"][name]["value"], headers=SIGNED)
    assert answer.status_code == 201
    assert client.get(f"/v1/bids/{answer.json()['bid_id']}", headers=SIGNED).json() == answer.json()


def test_the_documented_usage_report_is_accepted(client):
    answer = client.post("/v1/usage", json=EXAMPLES["ReportUsage"]["one_hour"]["value"], headers=SIGNED)
    assert (answer.status_code, answer.json()) == (201, {"received": 1, "new": 1, "known": 0, "set_aside": []})


def test_when_usage_arrived_is_for_the_broker_to_say(client):
    (report,) = EXAMPLES["ReportUsage"]["one_hour"]["value"]
    answer = client.post("/v1/usage", json=[{**report, "received_at": "2020-01-01T00:00:00Z"}], headers=SIGNED)
    assert (answer.status_code, "received_at" in answer.json()["detail"]) == (400, True)


def test_the_same_key_and_request_act_once(client):
    keyed = SIGNED | {"Idempotency-Key": "again"}
    first, second = (client.post("/v1/bids", json=BID, headers=keyed) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(client.get("/v1/bids", headers=SIGNED).json()["items"]) == 1


def test_the_same_key_with_another_request_is_refused(client):
    keyed = SIGNED | {"Idempotency-Key": "again"}
    bid_id = client.post("/v1/bids", json=BID, headers=keyed).json()["bid_id"]
    for answer in (
        client.post("/v1/bids", json={**BID, "width": 9}, headers=keyed),
        client.post(f"/v1/bids/{bid_id}/withdraw", headers=keyed),
    ):
        assert (answer.status_code, answer.json()["type"], answer.json()["idempotency_key"]) == (409, "/problems/key_reused", "again")


def test_a_refusal_is_not_kept_under_its_key(client):
    keyed = SIGNED | {"Idempotency-Key": "again"}
    dear = {**BID, "limit_spot_micros": 10**12}
    assert client.post("/v1/bids", json=dear, headers=keyed).status_code == 402
    assert client.post("/v1/bids", json=BID, headers=keyed).status_code == 201


def test_without_a_key_the_same_request_acts_twice(client):
    first, second = (client.post("/v1/bids", json=BID, headers=SIGNED).json() for _ in range(2))
    assert first["bid_id"] != second["bid_id"]


def test_a_withdrawn_bid_frees_its_hold(client):
    bid_id = client.post("/v1/bids", json=BID, headers=SIGNED).json()["bid_id"]
    answer = client.post(f"/v1/bids/{bid_id}/withdraw", headers=SIGNED)
    assert (answer.status_code, answer.json()["status"], answer.json()["hold_micros"]) == (200, "withdrawn", 0)


def test_pages_of_bids_join_up(client):
    made = [client.post("/v1/bids", json=BID, headers=SIGNED).json()["bid_id"] for _ in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/v1/bids?limit=2{f'&cursor={cursor}' if cursor else ''}", headers=SIGNED).json()
        found += [bid["bid_id"] for bid in page["items"]]
        cursor = page["next_cursor"]
    assert found == made


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({**BID, "widht": 8}, "widht"),
        ({**BID, "width": 0}, "width"),
        ({**BID, "hardware": {}}, "hardware"),
        ({**BID, "window_end": "2027-01-01T19:00:00"}, "window"),
        ({**BID, "width": "eight"}, "width"),
        ([], "array"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_name(client, body, named):
    answer = client.post("/v1/bids", json=body, headers=SIGNED)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/v1/nothing", 404),
        ("/v1/offers?colour=red", 400),
        ("/v1/offers?limit=0", 400),
        ("/v1/offers?cursor=abc", 400),
        ("/v1/offers?ready_by=2027-01-01T00:00:00", 400),
        ("/v1/market/curve", 400),
        ("/v1/market/curve?hardware=ABACUS", 404),
        ("/v1/market/prices?cycle=99", 404),
        ("/v1/market/prices?tier=gold", 400),
        ("/v1/market/cycles/99/certificate", 404),
        ("/v1/market/cycles/99999999999/certificate", 400),
    ],
)
def test_refusals_are_problems_with_a_page_of_their_own(client, address, status):
    answer = client.get(address)
    body = answer.json()
    assert (answer.status_code, body["status"], answer.headers["content-type"]) == (status, status, "application/problem+json")
    assert body["type"] == f"/problems/{body['title'].lower().replace(' ', '_')}"
    assert body["detail"]


def test_a_body_too_large_is_refused(client):
    answer = client.post("/v1/bids", content=b"[" + b" " * BODY_BYTES_MAX + b"]", headers=SIGNED | {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too_large")


def test_a_method_the_address_does_not_take_is_refused(client):
    answer = client.delete("/v1/bids", headers=SIGNED)
    assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method_not_allowed")


def test_a_bug_says_nothing_of_itself(client, monkeypatch):
    async def broken() -> None:
        raise RuntimeError("secret of the house")

    market = FakeMarket()
    monkeypatch.setattr(type(market.desk.market), "now", lambda self: broken())
    with TestClient(application(market.services), raise_server_exceptions=False) as other:
        answer = other.get("/v1/market/now")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal_error")
    assert "secret" not in answer.text


def test_unbalanced_books_are_not_ready(monkeypatch):
    market = FakeMarket()

    async def off() -> dict[str, int]:
        return {"USD": 1}

    monkeypatch.setattr(market.desk.finance, "trial_balance", off)
    with TestClient(application(market.services)) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["balance_usd"]) == (503, 1)


def test_security_headers_are_on_every_answer(client):
    for address in ("/v1/market/now", "/v1/bids", "/nothing"):
        policy = client.get(address).headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


def test_the_description_tells_the_truth(client):
    document = client.get("/schema/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["BidRequest"]["additionalProperties"] is False
    assert schemas["UsageReport"]["additionalProperties"] is False
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            refusals = {code: answer for code, answer in operation["responses"].items() if int(code) >= 400}
            assert "500" in refusals, (method, path)
            for answer in refusals.values():
                assert list(answer["content"]) == ["application/problem+json"]
            if method == "post" and not path.startswith("/v1/webhooks/"):
                assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]
    search = {parameter["name"]: parameter["schema"] for parameter in document["paths"]["/v1/offers"]["get"]["parameters"]}
    assert search["quantity"] == {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1}
    assert json.dumps(document).count("#/components/schemas/OfferQuery") == 0


def test_every_error_has_a_code_of_its_own():
    def kinds(kind: type[MarketError]) -> list[type[MarketError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in kinds(child))]

    codes = [kind.code for kind in kinds(MarketError)]
    assert len(codes) == len(set(codes))


def test_usage_comes_in_three_forms(client):
    (report,) = EXAMPLES["ReportUsage"]["one_hour"]["value"]
    line = json.dumps(report).encode()
    bodies = {
        "application/json": b"[" + line + b"," + line + b"]",
        "application/x-ndjson": line + b"\n" + line + b"\n",
        "application/msgpack": msgspec.msgpack.encode([report, report]),
    }
    for form, body in bodies.items():
        answer = client.post("/v1/usage", content=body, headers=SIGNED | {"Content-Type": form})
        assert (answer.status_code, answer.json()["received"]) == (201, 2), form
    answer = client.post("/v1/usage", content=b"a,b", headers=SIGNED | {"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unknown_form")
    broken = client.post("/v1/usage", content=line + b"\n{", headers=SIGNED | {"Content-Type": "application/x-ndjson"})
    assert broken.status_code == 400


def test_a_batch_has_a_most(client):
    (report,) = EXAMPLES["ReportUsage"]["one_hour"]["value"]
    answer = client.post("/v1/usage", json=[report] * (REPORTS_MAX + 1), headers=SIGNED)
    assert (answer.status_code, answer.json()["found"]) == (400, REPORTS_MAX + 1)


def test_a_sender_is_told_when_to_come_again():
    market = FakeMarket()
    with ExitStack() as taken, TestClient(application(market.services)) as client:
        for _ in range(BATCHES_MAX):
            taken.enter_context(market.desk.backlog.turn())
        answer = client.post("/v1/usage", json=[], headers=SIGNED)
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["type"]) == (429, "1", "/problems/too_busy")
        taken.close()
        assert client.post("/v1/usage", json=[], headers=SIGNED).status_code == 201


def test_a_file_is_named_after_what_was_wanted_whatever_that_is(client):
    """A header says what Latin letters can, on one line."""
    answer = client.get("/v1/prices/history.csv", params={"hardware": 'Ω"\r\nB200'})
    assert (answer.status_code, answer.headers["content-disposition"]) == (200, 'attachment; filename="gridfare-prices--B200.csv"')
