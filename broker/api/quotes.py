"""Quotes: firm rates between gates."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from broker.api.orders import KEY, Cursor, Limit
from broker.app import Services
from broker.services.quotes import QuoteView
from broker.services.replies import RequestKey
from broker.services.views import Caller, LeaseView, Page
from contracts.terms.quotes import QuoteRequest


class QuoteController(Controller):
    """Quotes of the caller's account."""

    path = "/v1/quotes"
    tags = ("orders",)
    security = KEY

    @post("/", operation_id="RequestQuote", summary="Ask for a firm rate")
    async def hold(
        self,
        data: JSONBody[QuoteRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> QuoteView:
        """A firm rate for accelerators over whole slots, held until `expires_at`: of one offer, or of the cheapest that meets the rest."""
        return await services.replies.once(lambda: services.quotes.hold(data, caller), QuoteView, request=request_key)

    @get("/", operation_id="ListQuotes", summary="Your quotes")
    async def quotes(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 50
    ) -> Page[QuoteView]:
        """Your quotes by id, a page at a time."""
        return await services.quotes.quotes(caller, cursor=cursor, limit=limit)

    @get("/{quote_id:str}", operation_id="GetQuote", summary="One quote")
    async def quote(self, quote_id: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> QuoteView:
        """One of your quotes, with its worst case in one line."""
        return await services.quotes.quote(quote_id, caller)

    @post("/{quote_id:str}/accept", operation_id="AcceptQuote", summary="Take a quote")
    async def accept(
        self,
        quote_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> LeaseView:
        """Take a quote for a lease at its rate. Where what it rested on has changed: 409, what changed, and the new rate."""
        return await services.replies.once(lambda: services.quotes.accept(quote_id, caller), LeaseView, request=request_key)

    @post("/{quote_id:str}/withdraw", operation_id="WithdrawQuote", summary="Leave a quote", status_code=200)
    async def withdraw(
        self,
        quote_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> QuoteView:
        """Leave a quote: what it held is free for others."""
        return await services.replies.once(lambda: services.quotes.withdraw(quote_id, caller), QuoteView, request=request_key)
