"""Bids, leases and statements: what a signed-in caller may do."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from broker.app import Services
from broker.services.explanations import BidExplanation
from broker.services.replies import RequestKey
from broker.services.views import BidView, Caller, LeaseView, Page, StatementView
from contracts.terms.bids import BidRequest

Cursor = Annotated[str | None, QueryParameter(max_length=200, description="next_cursor of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="how many at most")]
KEY: list[dict[str, list[str]]] = [{"bearer": []}]


class BidController(Controller):
    """Bids of the caller's account."""

    path = "/v1/bids"
    tags = ("orders",)
    security = KEY

    @post("/", operation_id="SubmitBid", summary="Enter a bid")
    async def submit(
        self,
        data: JSONBody[BidRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> BidView:
        """Enter a flexible bid for the next gate. Its worst case is held against the account's credit until it ends."""
        return await services.replies.once(lambda: services.orders.submit(data, caller), BidView, request=request_key)

    @get("/", operation_id="ListBids", summary="Your bids")
    async def bids(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[BidView]:
        """Your bids by id, a page at a time."""
        return await services.orders.bids(caller, cursor=cursor, limit=limit)

    @get("/{bid_id:str}", operation_id="GetBid", summary="One bid")
    async def bid(self, bid_id: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> BidView:
        """One of your bids: what it was awarded, what it holds, and why it was not given more."""
        return await services.orders.bid(bid_id, caller)

    @get("/{bid_id:str}/explanation", operation_id="ExplainBid", summary="Why a bid got what it got")
    async def explain(
        self, bid_id: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]
    ) -> BidExplanation:
        """What each clause of one of your bids removed at its last gate, what giving way in one would have found, at what price."""
        return await services.explanations.bid(bid_id, caller)

    @post("/{bid_id:str}/withdraw", operation_id="WithdrawBid", summary="Withdraw a bid", status_code=200)
    async def withdraw(
        self,
        bid_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> BidView:
        """Take a bid out of the book. What it was awarded stays awarded; its hold is freed."""
        return await services.replies.once(lambda: services.orders.withdraw(bid_id, caller), BidView, request=request_key)


class LeaseController(Controller):
    """Leases of the caller's account."""

    path = "/v1/leases"
    tags = ("leases",)
    security = KEY

    @get("/", operation_id="ListLeases", summary="Your leases")
    async def leases(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[LeaseView]:
        """Your leases by id, a page at a time."""
        return await services.leases.leases(caller, cursor=cursor, limit=limit)

    @get("/{lease_id:str}", operation_id="GetLease", summary="One lease")
    async def lease(self, lease_id: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> LeaseView:
        """One of your leases, its slots and what it delivered."""
        return await services.leases.lease(lease_id, caller)

    @post("/{lease_id:str}/release", operation_id="ReleaseLease", summary="Release a lease", status_code=200)
    async def release(
        self,
        lease_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """Give up the slots that have not begun: they are offered again, and what they fetch counts against what you owe for them.

        The slot under way is paid. A plan that does not pay by the rate owes nothing for slots that have not begun.
        """
        return await services.replies.once(lambda: services.leases.release(lease_id, caller), LeaseView, request=request_key)


class StatementController(Controller):
    """Statements of the caller's account."""

    path = "/v1/statements"
    tags = ("finance",)
    security = KEY

    @get("/", operation_id="ListStatements", summary="Your statements")
    async def statements(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[StatementView]:
        """Your statements by period: one a closed month, so they fit one page."""
        return Page(items=await services.finance.statements(caller))

    @get("/{period:int}", operation_id="GetStatement", summary="One statement")
    async def statement(
        self,
        period: Annotated[int, PathParameter(ge=1, le=2**31 - 1)],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
    ) -> StatementView:
        """Your statement of one closed month, line by line."""
        return await services.finance.statement(period, caller)
