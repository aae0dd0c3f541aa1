"""Where a party is told of what happens, and what it was told. Events of Stripe's come in elsewhere."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from broker.api.orders import KEY, Cursor, Limit
from broker.app import Services
from broker.services.replies import RequestKey
from broker.services.views import Caller, Page
from broker.services.webhooks import EndpointRequest, EndpointView, MessageView


class WebhookEndpointController(Controller):
    """Endpoints of the caller's."""

    path = "/v1/webhook-endpoints"
    tags = ("webhooks",)
    security = KEY

    @post("/", operation_id="AddWebhookEndpoint", summary="Be told")
    async def add(
        self,
        data: JSONBody[EndpointRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> EndpointView:
        """Register an address over TLS. The answer holds the secret that signs what is sent there (Standard Webhooks), once."""
        return await services.replies.once(lambda: services.webhooks.add(data, caller), EndpointView, request=request_key)

    @get("/", operation_id="ListWebhookEndpoints", summary="Your endpoints")
    async def endpoints(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[EndpointView]:
        """Your endpoints, closed ones too; a few, so they fit one page."""
        return await services.webhooks.endpoints(caller)

    @post("/{endpoint_id:str}/rotate", operation_id="RotateWebhookSecret", summary="A new secret", status_code=200)
    async def rotate(
        self,
        endpoint_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> EndpointView:
        """Change the secret of an endpoint. For a day the one before signs beside it, so that nothing is missed."""
        return await services.replies.once(lambda: services.webhooks.rotate(endpoint_id, caller), EndpointView, request=request_key)

    @post("/{endpoint_id:str}/close", operation_id="CloseWebhookEndpoint", summary="Be told no more", status_code=200)
    async def close(
        self,
        endpoint_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> EndpointView:
        """Send nothing more to an endpoint."""
        return await services.replies.once(lambda: services.webhooks.close(endpoint_id, caller), EndpointView, request=request_key)


class WebhookMessageController(Controller):
    """What the caller was told."""

    path = "/v1/webhook-messages"
    tags = ("webhooks",)
    security = KEY

    @get("/", operation_id="ListWebhookMessages", summary="What you were told")
    async def messages(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[MessageView]:
        """What you were told, the oldest first, and how telling each of your endpoints went."""
        return await services.webhooks.messages(caller, cursor=cursor, limit=limit)

    @post("/{message_id:str}/replay", operation_id="ReplayWebhookMessage", summary="Be told again", status_code=200)
    async def replay(
        self,
        message_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> MessageView:
        """Have a message sent again, under the same id, to every open endpoint of yours that wants its kind."""
        return await services.replies.once(lambda: services.webhooks.replay(message_id, caller), MessageView, request=request_key)
