"""Usage: what meters report, in batches of thousands and in three forms."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from broker.api.orders import KEY, Cursor
from broker.app import Services
from broker.services.replies import RequestKey
from broker.services.usage_views import AsideRecord, UsageReceipt, UsageReport
from broker.services.views import Caller, Page
from contracts.terms.errors import BadInput, MarketError

JSON, NDJSON, MSGPACK = "application/json", "application/x-ndjson", "application/msgpack"
REPORTS_MAX = 20_000
BATCH_BYTES_MAX = 8_000_000
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="how many at most")]
LINES = msgspec.json.Decoder(UsageReport)
READERS = {
    JSON: msgspec.json.Decoder(list[UsageReport]).decode,
    NDJSON: LINES.decode_lines,
    MSGPACK: msgspec.msgpack.Decoder(list[UsageReport]).decode,
}


class UnknownForm(MarketError):
    """The body says it is of a kind this address does not read."""

    code = "unknown_form"
    status = 415


class UsageController(Controller):
    """What meters report."""

    path = "/v1/usage"
    tags = ("usage",)
    security = KEY

    @post("/", operation_id="ReportUsage", summary="Report metered usage", request_max_body_size=BATCH_BYTES_MAX)
    async def report(
        self,
        request: Request[Any, Any, Any],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> UsageReceipt:
        """Keep a batch of usage records, once each, whatever is sent again.

        As JSON, as JSON lines, or as MessagePack. The receipt lists by row what was set aside: reports no lease can have
        delivered, and copies of a known (usage_id, rev) with another content. They are kept, and not counted.
        """
        with services.backlog.turn():
            reports = read_reports(await request.body(), form=request.content_type[0])
            return await services.replies.once(lambda: services.usage.report(reports, caller), UsageReceipt, request=request_key)

    @get("/set-aside", operation_id="ListUsageSetAside", summary="Usage that is not counted")
    async def set_aside(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[AsideRecord]:
        """Your reports that were set aside, and why, in order of arrival; for finance, everybody's."""
        return await services.usage.set_aside(caller, cursor=cursor, limit=limit)


def read_reports(body: bytes, *, form: str) -> list[UsageReport]:
    """A batch in one of the forms. Raises UnknownForm, and BadInput for a body that is not what it says, or too many reports."""
    if form not in READERS:
        raise UnknownForm(f"usage comes as {', '.join(READERS)}; was {form or 'nothing'}")
    reports = READERS[form](body)
    if len(reports) > REPORTS_MAX:
        raise BadInput("too many reports for one batch", found=len(reports), would_do=f"{REPORTS_MAX} at a time")
    return reports
