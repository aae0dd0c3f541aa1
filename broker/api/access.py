"""Getting at leases, and telling how far their delivery is."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from broker.api.orders import KEY, Cursor
from broker.app import Services
from broker.services.access_views import AccessView, Deliveries, Delivery, Progress
from broker.services.replies import RequestKey
from broker.services.views import Caller

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="how many at most")]


class AccessController(Controller):
    """For holders."""

    path = "/v1/leases/{lease_id:str}/access"
    tags = ("leases",)
    security = KEY

    @get("/", operation_id="GetLeaseAccess", summary="How to get at a lease", cache_control=CacheControlHeader(no_store=True))
    async def access(self, lease_id: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> AccessView:
        """Where one of your leases is reached and the token that is let in there, for as long as the lease lives."""
        return await services.access.access(lease_id, caller)


class DeliveryController(Controller):
    """For the agents of providers."""

    path = "/v1/deliveries"
    tags = ("leases",)
    security = KEY

    @get("/", operation_id="ListDeliveries", summary="What your grid has to deliver")
    async def deliveries(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 100
    ) -> Deliveries:
        """For the provider: leases in force, and those that have ended and owe usage records; whom to let in, by a token's digest."""
        return await services.access.deliveries(caller, cursor=cursor, limit=limit)

    @post("/{lease_id:str}/progress", operation_id="TellProgress", summary="Say how far a delivery is", status_code=200)
    async def tell(
        self,
        lease_id: FromPath[str],
        data: JSONBody[Progress],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Delivery:
        """For the provider: a lease is being prepared, is active at an endpoint, or delivered to its end. Twice does no harm."""
        return await services.replies.once(lambda: services.access.tell(lease_id, data, caller=caller), Delivery, request=request_key)
