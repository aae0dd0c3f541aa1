"""Client and API description say the same: every call is an operation there, every operation a call or left out for a reason."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from litestar.testing import TestClient

from broker.api.queries import QUERIES
from broker.application import application
from broker.client import Call, calls
from broker.services.budgets import BudgetRequest
from broker.services.disputes import DisputeRequest, Evidence
from broker.services.finance_views import TopUpRequest
from broker.services.market import PriceFilter
from broker.services.market_views import OfferQuery
from broker.services.projects import ProjectMembers, ProjectRequest
from broker.services.receivables import ReadingRequest
from broker.services.search_views import SearchQuery
from broker.services.views import Page
from broker.services.webhooks import EndpointRequest
from contracts.resale import ResaleRequest
from contracts.terms.bids import BidRequest
from contracts.terms.quotes import QuoteRequest
from tests.fake_market import FakeMarket

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
ARGUMENTS: dict[str, object] = {
    "bid_id": "bid_1", "chosen": PriceFilter(cycle=1, limit=2), "cursor": "c", "dispute_id": "d_1", "endpoint_id": "whk_1",
    "evidence": Evidence(words="a meter's log"), "hardware": "H100-SXM", "hours": 1.0, "lease_id": "lse_1", "limit": 5,
    "message_id": "msg_1", "number": 1, "offer_id": "ofr_1", "period": 1, "project": "night", "quote_id": "quo_1",
    "slot": NOON, "tier": "spot",
    "readings": [ReadingRequest(start=NOON, end=NOON, accelerator_seconds=1)],
}  # fmt: skip
REQUESTS: dict[str, object] = {
    "add_project": ProjectRequest(name="night"),
    "rename_project": ProjectRequest(name="day"),
    "set_project_members": ProjectMembers(people=["prs_1"]),
    "add_webhook_endpoint": EndpointRequest(url="https://example.org/told"),
    "open_dispute": DisputeRequest(cents=1, reason="too much"),
    "resell_lease": ResaleRequest(rate_micros=2_000_000, accelerators=4),
    "request_quote": QuoteRequest(accelerators=8, hours=4, hardware=["H100-SXM"]),
    "set_budget": BudgetRequest(limit_micros=1),
    "search_book": SearchQuery(hardware=["H100-SXM"], quantity=8),
    "search_offers": OfferQuery(hardware=["H100-SXM"], quantity=8),
    "submit_bid": BidRequest(
        width=8, hours=8, window_start=NOON, window_end=NOON.replace(hour=20), hardware={"H100-SXM": 1.0}, limit_spot_micros=1
    ),
    "top_up": TopUpRequest(key="k", cents=100),
}
# What a buyer's client leaves out, by the beginning of the address or by name, and why.
LEFT_OUT = {
    "/v1/finance/": "the broker's own finance team, which has its desk and `gridfare close`",
    "/v1/operator/": "whoever runs the market, at the operator desk",
    "/v1/provider/": "providers ask, of their own trade, at their desk",
    "/v1/feed": "providers announce with a client of the protocol, which has a memory",
    "/v1/deliveries": "what a provider's agent asks and tells",
    "/v1/webhooks/": "the payment processor calls it",
    "/metrics": "a monitor reads it",
    "/healthz": "a probe asks it",
    "/readyz": "a probe asks it",
    "GetPriceHistoryCsv": "GetPriceHistory is the same, in structs",
    "ReportUsage": "meters of providers report",
    "ListUsageSetAside": "who reports usage asks what was set aside",
    "ReclaimLease": "the provider's act",
    "StreamEvents": "no answer but a stream, which `Gridfare.listen` reads",
    "FailLease": "the provider's act",
}


def every_call() -> dict[str, Call[Any]]:
    """One call of each kind, by its operation, with every argument given."""
    found = {}
    for name, make in vars(calls).items():
        if inspect.isfunction(make) and make.__module__ == calls.__name__:
            arguments = ARGUMENTS | {"request": REQUESTS.get(name), "query": REQUESTS.get(name)}
            call = _with_arguments(make, arguments)
            assert name == _snake(call.operation), f"{name} makes the call of {call.operation}"
            found[call.operation] = call
    return found


def _with_arguments(make: Callable[..., Call[Any]], arguments: dict[str, object]) -> Call[Any]:
    return make(**{name: arguments[name] for name in inspect.signature(make).parameters})


def _snake(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


CALLS = every_call()


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    with TestClient(application(FakeMarket().services)) as client:
        found: dict[str, Any] = client.get("/schema/openapi.json").json()
    return found


def operations(described: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    }


def test_every_operation_is_a_call_or_left_out_for_a_reason(described):
    missing = [
        f"{name} ({method} {path})"
        for name, (method, path, _) in operations(described).items()
        if name not in CALLS and name not in LEFT_OUT and not path.startswith(tuple(each for each in LEFT_OUT if each.startswith("/")))
    ]
    assert missing == [], "add a function to broker/client/calls.py, or a reason to LEFT_OUT"


def test_what_is_left_out_is_there(described):
    known = operations(described)
    for name in LEFT_OUT:
        assert name in known or any(path.startswith(name) for _, path, _ in known.values()), f"{name} is left out, and not there"
        assert name not in CALLS


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_is_what_the_description_says(described, name):
    """Address, method, query, body and answer; and a POST takes the key that makes it safe to repeat."""
    call = CALLS[name]
    assert name in operations(described), "the API has no such operation"
    method, path, operation = operations(described)[name]
    assert (call.method, call.path) == (method, path)
    parameters = operation.get("parameters", [])
    assert set(call.at) == {each["name"] for each in parameters if each["in"] == "path"}
    queries = {each["name"] for each in parameters if each["in"] == "query"}
    assert {pair[0] for pair in call.query} <= queries
    if name not in QUERIES:  # there a struct of the API's own is the whole query
        assert {pair[0] for pair in call.query} == queries, "an argument is missing"
    assert (method == "POST") == any(each["name"] == "Idempotency-Key" for each in parameters)
    assert _sent(call) == _wanted(operation)
    (answer,) = (content for code, content in operation["responses"].items() if code.startswith("2"))
    assert _named(call.answer) == _described_answer(answer)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_structs_of_a_call_have_the_fields_of_the_description(described, name):
    call = CALLS[name]
    kinds = [kind for kind in (call.answer, type(call.body)) if get_origin(kind) is Page or hasattr(kind, "__struct_fields__")]
    for kind in kinds:
        _, components = msgspec.json.schema_components([kind], schema_hook=lambda _: {})
        for own in components.values():
            if "properties" not in own:
                continue
            theirs = [
                each for each in described["components"]["schemas"].values() if set(each.get("properties", ())) == set(own["properties"])
            ]
            assert theirs, f"the description has nothing like {own.get('title')}"


def _sent(call: Call[Any]) -> str | None:
    if call.body is None:
        return None
    return type(call.body).__name__ if isinstance(call.body, msgspec.Struct) else f"[{type(call.body[0]).__name__}]"


def _wanted(operation: dict[str, Any]) -> str | None:
    if "requestBody" not in operation:
        return None
    return _schema_name(operation["requestBody"]["content"]["application/json"]["schema"])


def _named(kind: Any) -> str:
    """How the description names an answer."""
    if get_origin(kind) is Page:
        (item,) = get_args(kind)
        return f"Page_{item.__module__}.{item.__name__}_"
    return {bytes: "string", dict[str, int]: "{integer}"}.get(kind) or kind.__name__


def _described_answer(answer: dict[str, Any]) -> str:
    (content,) = answer["content"].values()
    return _schema_name(content["schema"])


def _schema_name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if schema["type"] == "array":
        return f"[{_schema_name(schema['items'])}]"
    if "additionalProperties" in schema:
        return f"{{{schema['additionalProperties']['type']}}}"
    return str(schema["type"])


def test_a_call_is_typed_by_what_it_answers():
    """What `send` gives back is what the call says it is."""
    for name, make in vars(calls).items():
        if inspect.isfunction(make) and make.__module__ == calls.__name__:
            hint = get_type_hints(make)["return"]
            assert get_args(hint) == (CALLS["".join(word.title() for word in name.split("_"))].answer,), name
