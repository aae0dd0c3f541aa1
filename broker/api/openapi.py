"""The API's description, made to tell the truth.

The framework describes the handlers; what it cannot know is added here: that unknown fields are refused, what
a query string may hold, and that every refusal is problem+json.
"""

from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from broker.api.examples import ANSWERS, EXAMPLES
from broker.api.feed import MESSAGES_MAX
from broker.api.problems import MEDIA_TYPE
from broker.api.queries import QUERIES
from broker.api.usage import JSON, MSGPACK, NDJSON, REPORTS_MAX
from broker.services.access_views import Progress
from broker.services.budgets import BudgetRequest
from broker.services.leases import Failure, Reclaim
from broker.services.projects import ProjectMembers, ProjectRequest
from broker.services.usage_views import UsageReport
from broker.services.webhooks import EndpointRequest
from contracts.feed.messages import Envelope
from contracts.resale import ResaleRequest
from contracts.terms.bids import BidRequest
from contracts.terms.quotes import Extension, QuoteRequest

REFUSALS = {
    "400": "What was sent cannot be read as what it claims to be",
    "401": "No API key, or one nobody was given",
    "402": "The worst case is more than the account may still owe",
    "403": "The key is good; the act is not its holder's",
    "404": "Nothing has this id or address",
    "405": "The address does not take this method",
    "409": "The facts have moved since the caller looked",
    "413": "The body is larger than one request may carry",
    "415": "The body is of a kind this address does not read",
    "422": "The rules know this, this release does not do it yet",
    "429": "More is on its way in than can be taken: `Retry-After` says when to send it again",
    "500": "A bug of ours; nothing was changed",
    "503": "Not ready",
}
STRICT = (
    BidRequest,
    BudgetRequest,
    EndpointRequest,
    Extension,
    Failure,
    Progress,
    ProjectMembers,
    ProjectRequest,
    QuoteRequest,
    Reclaim,
    ResaleRequest,
    UsageReport,
)
Document = dict[str, Any]


class TruthfulJson(JsonRenderPlugin):
    """Serves the amended description at `/schema/openapi.json`."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:
        """The description as JSON; amended once, since it is the same object on every request."""
        if "Problem" not in openapi_schema["components"]["schemas"]:
            amend(openapi_schema)
        return self.render_json(request, openapi_schema)


def openapi_config() -> OpenAPIConfig:
    """The description's frame."""
    return OpenAPIConfig(
        title="Gridfare",
        version="1",
        description=(
            "A market for accelerator-hours. Money is integer micros of the currency named beside it, rates are per "
            "accelerator-hour, times are UTC, spans are half-open. Every POST takes an `Idempotency-Key`; lists are "
            "paged by cursor; refusals are `application/problem+json`."
        ),
        path="/schema",
        use_handler_docstrings=True,
        components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", description="An API key.")}),
        render_plugins=[TruthfulJson()],
    )


def amend(document: Document) -> None:
    """Add to a description, in place, what the framework cannot see."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = _problem_schema()
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in ("get", "post"):
                _amend_operation(operation, schemas, posts=method == "post")
    for struct in STRICT:
        schemas[struct.__name__]["additionalProperties"] = False


def _amend_operation(operation: Document, schemas: Document, *, posts: bool) -> None:
    name = operation["operationId"]
    if name in QUERIES:
        operation["parameters"] = _query_parameters(QUERIES[name], schemas)
    if name == "ReportUsage":
        operation["requestBody"] = _batches(schemas)
    if name == "SendFeed":
        operation["requestBody"] = _envelopes(schemas)
    codes = {"500"} if name != "GetReadiness" else {"500", "503"}
    if operation.get("parameters") or "requestBody" in operation:
        codes |= {"400", "404"}
    if operation.get("security"):
        codes |= {"400", "401", "403", "404"}
    if posts:
        codes |= {"402", "409", "413", "422"}
    if name in {"ReportUsage", "SendFeed"}:
        codes |= {"415", "429"}
    for code in sorted(codes):
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][code] = {"description": REFUSALS[code], "content": content}
    if "requestBody" in operation and name in EXAMPLES:
        operation["requestBody"]["content"]["application/json"]["examples"] = EXAMPLES[name]
    if name in ANSWERS:
        operation["responses"]["200"]["content"]["application/json"]["examples"] = ANSWERS[name]


def _batches(schemas: Document) -> Document:
    """A batch of reports in any of the forms it may come in; the handler reads the body itself, so nothing else describes it."""
    _, components = msgspec.json.schema_components([UsageReport], ref_template="#/components/schemas/{name}")
    schemas.update(components)
    batch = {"type": "array", "items": {"$ref": "#/components/schemas/UsageReport"}, "maxItems": REPORTS_MAX}
    lines = {"type": "string", "description": "one report a line"}
    binary = {"type": "string", "format": "binary", "description": "the same array"}
    return {"required": True, "content": {JSON: {"schema": batch}, NDJSON: {"schema": lines}, MSGPACK: {"schema": binary}}}


def _envelopes(schemas: Document) -> Document:
    """A batch of envelopes in either form; what is no envelope is refused in its place, so nothing more is asked of the items."""
    form = "#/components/schemas/{name}"
    _, components = msgspec.json.schema_components([Envelope], schema_hook=lambda _: {"description": "any value"}, ref_template=form)
    schemas.update(components)
    batch = {"type": "array", "items": {"$ref": "#/components/schemas/Envelope"}, "maxItems": MESSAGES_MAX}
    binary = {"type": "string", "format": "binary", "description": "the same array"}
    return {"required": True, "content": {JSON: {"schema": batch}, MSGPACK: {"schema": binary}}}


def _query_parameters(struct: type[msgspec.Struct], schemas: Document) -> list[Document]:
    """One parameter a field; the struct's own schema says its kind, bounds and default."""
    _, components = msgspec.json.schema_components([struct], ref_template="#/components/schemas/{name}")
    described = components.pop(struct.__name__)
    schemas.update(components)
    return [
        {"name": name, "in": "query", "required": name in described.get("required", ()), "schema": _not_null(schema)}
        for name, schema in described["properties"].items()
    ]


def _not_null(schema: Document) -> Document:
    """A field's schema without null: a query string leaves a value out instead."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default") or (name == "default" and value is not None)}
    return kept | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) if kinds else kept


def _problem_schema() -> Document:
    return {
        "type": "object",
        "description": "RFC 9457 problem details. Facts of the refusal stand beside the four members.",
        "properties": {
            "type": {"type": "string", "description": "`/problems/` and a code that never changes"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what happened and what would work"},
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    }
