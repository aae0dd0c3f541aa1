"""Ending leases early, making them longer and selling them on; watching and releasing are beside the bids."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from broker.api.orders import KEY
from broker.app import Services
from broker.services.leases import Failure, Reclaim
from broker.services.quotes import QuoteView
from broker.services.replies import RequestKey
from broker.services.views import Caller, LeaseView
from contracts.resale import ResaleRequest
from contracts.terms.quotes import Extension


class LeaseLifeController(Controller):
    """What happens to a lease between its award and its end."""

    path = "/v1/leases/{lease_id:str}"
    tags = ("leases",)
    security = KEY

    @post("/extend", operation_id="ExtendLease", summary="A quote for more hours")
    async def extend(
        self,
        lease_id: FromPath[str],
        data: JSONBody[Extension],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> QuoteView:
        """A firm rate for more hours of a lease of yours, from its end on. Taken, it is the same lease, longer."""
        return await services.replies.once(
            lambda: services.quotes.extend(lease_id, data.hours, caller=caller), QuoteView, request=request_key
        )

    @post("/resell", operation_id="ResellLease", summary="Offer a lease on", status_code=200)
    async def resell(
        self,
        lease_id: FromPath[str],
        data: JSONBody[ResaleRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """Offer slots of yours that have not begun, at the next gates and for quotes, to whoever pays at least the rate.

        You go on paying your own rate, and what they fetch pays your statements. Grants are not resold.
        """
        return await services.replies.once(lambda: services.leases.resell(lease_id, data, caller=caller), LeaseView, request=request_key)

    @post("/resell/withdraw", operation_id="WithdrawResale", summary="Take an offered lease back", status_code=200)
    async def withdraw_resale(
        self,
        lease_id: FromPath[str],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """Take back what of it has not been sold. What was sold stays sold."""
        return await services.replies.once(lambda: services.leases.withdraw_resale(lease_id, caller), LeaseView, request=request_key)

    @post("/reclaim", operation_id="ReclaimLease", summary="Call a lease back", status_code=200)
    async def reclaim(
        self,
        lease_id: FromPath[str],
        data: JSONBody[Reclaim],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """For the provider: have a spot lease back, with its notice. Its holder is served elsewhere first, at no more than its rate."""
        return await services.replies.once(lambda: services.leases.reclaim(lease_id, data, caller=caller), LeaseView, request=request_key)

    @post("/fail", operation_id="FailLease", summary="Say that a lease has failed", status_code=200)
    async def fail(
        self,
        lease_id: FromPath[str],
        data: JSONBody[Failure],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """For the provider: a lease cannot be delivered any more. Its holder is served elsewhere first, at no more than its rate."""
        return await services.replies.once(lambda: services.leases.fail(lease_id, data, caller=caller), LeaseView, request=request_key)
