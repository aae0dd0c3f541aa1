"""The HTTP application: `/v1` on a market's services, and whatever pages a caller adds."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.response import Template
from litestar.types import ControllerRouterHandler, Message, Scope

from broker.api.access import AccessController, DeliveryController
from broker.api.budget import BudgetController
from broker.api.events import EventController
from broker.api.feed import FeedController, QuarantineController
from broker.api.finance import BooksController, PayoutController, PeriodController
from broker.api.health import healthz, readyz
from broker.api.leases import LeaseLifeController
from broker.api.market import MarketController, OfferController
from broker.api.metrics import metrics
from broker.api.openapi import openapi_config
from broker.api.operator import OperatorController
from broker.api.orders import BidController, LeaseController, StatementController
from broker.api.paying import DisputeController, PrepaidController, ReadingController, statement_pdf, stripe_webhook
from broker.api.price_history import PriceHistoryController
from broker.api.problems import answer, refusal_of
from broker.api.projects import ProjectController
from broker.api.provider import ProviderController
from broker.api.queries import provide_offer_query, provide_price_filter, provide_search_query
from broker.api.quotes import QuoteController
from broker.api.search import SearchController
from broker.api.signing import KeyRequired, provide_caller, provide_request_key
from broker.api.spending import SpendController
from broker.api.usage import UsageController
from broker.api.webhooks import WebhookEndpointController, WebhookMessageController
from broker.app import OpenServices, Services
from contracts.terms.errors import MarketError

BODY_BYTES_MAX = 1_000_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
API_HANDLERS: tuple[ControllerRouterHandler, ...] = (
    OfferController,
    SearchController,
    MarketController,
    PriceHistoryController,
    BidController,
    LeaseController,
    LeaseLifeController,
    AccessController,
    DeliveryController,
    QuoteController,
    WebhookEndpointController,
    WebhookMessageController,
    EventController,
    StatementController,
    SpendController,
    BudgetController,
    ProjectController,
    UsageController,
    FeedController,
    ProviderController,
    OperatorController,
    QuarantineController,
    PrepaidController,
    DisputeController,
    ReadingController,
    PeriodController,
    PayoutController,
    BooksController,
    statement_pdf,
    stripe_webhook,
    metrics,
    healthz,
    readyz,
)
RefusalPage = Callable[[MarketError], Response[Any] | Template]
MACHINE_PREFIXES = ("/v1", "/schema", "/healthz", "/readyz", "/metrics")


def application(
    open_services: OpenServices,
    pages: Sequence[ControllerRouterHandler] = (),
    *,
    plugins: Sequence[PluginProtocol] = (),
    refusal_page: RefusalPage | None = None,
    configure: dict[str, object] | None = None,
) -> Litestar:
    """The API, with pages beside it.

    open_services  opens one unit of work and gives its services; called once a request
    refusal_page   shows a refusal to a person; without it, and always under `/v1`, refusals are problem+json
    configure      further arguments of the framework (templates, static files)
    """

    async def provide_services() -> AsyncIterator[Services]:
        # A failing COMMIT is raised here, before the answer is sent, so that a 201 is never a lie.
        async with open_services() as services:
            yield services

    def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[Any] | Template:
        if refusal_page is None or request.url.path.startswith(MACHINE_PREFIXES):
            return answer(request, error)
        return refusal_page(refusal_of(request, error))

    return Litestar(
        route_handlers=[*API_HANDLERS, *pages],
        dependencies={
            "services": Provide(provide_services),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "request_key": Provide(provide_request_key),
            "offer_query": Provide(provide_offer_query, sync_to_thread=False),
            "price_filter": Provide(provide_price_filter, sync_to_thread=False),
            "search_query": Provide(provide_search_query, sync_to_thread=False),
        },
        middleware=[KeyRequired(open_services)],
        exception_handlers={Exception: refuse},
        before_send=[_add_security_headers],
        openapi_config=openapi_config(),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        plugins=list(plugins),
        **(configure or {}),  # type: ignore[arg-type]
    )


async def _add_security_headers(message: Message, _scope: Scope) -> None:
    """On every answer, refusals too."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *SECURITY_HEADERS]
