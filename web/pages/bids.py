"""The bids of the account whose key is signed in."""

from typing import Annotated

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.views import BidView
from web.pages.life import life
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller
from web.pages.words import country_names

AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]
SentMarks = Annotated[FormMarks, Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/bids", include_in_schema=False)
async def bid_list(request: AnyRequest, services: NamedDependency[Services], *, cursor: Cursor = None) -> Template:
    """The caller's bids, the latest first."""
    caller = await page_caller(request, services)
    bids = await services.orders.bids(caller, cursor=cursor, newest_first=True)
    credit = await services.orders.credit(caller)
    return Template("bids.html", context={"caller": caller, "bids": bids, "credit": credit, "cursor": cursor}, headers=NO_STORE)


@get("/bids/{bid_id:str}", include_in_schema=False)
async def bid_page(bid_id: FromPath[str], request: HTMXRequest, *, services: NamedDependency[Services]) -> Template:
    """One bid: its life so far, what it asked, what it got, what it holds, and why not more."""
    caller = await page_caller(request, services)
    bid = await services.orders.bid(bid_id, caller)
    leases = await services.leases.of_bid(bid_id, caller)
    context = {
        "caller": caller,
        "bid": bid,
        "leases": leases,
        "steps": life(bid, leases, statements=await services.finance.statements(caller)),
        "gate": await services.market.gate(),
        "marks": marks(request),
        "origin": str(request.base_url).rstrip("/"),
        "countries": country_names(request.app.state.countries),
    }
    name = "_bid.html" if request.htmx else "bid.html"
    return Template(name, context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@post("/bids/{bid_id:str}/withdraw", include_in_schema=False, status_code=303)
async def withdraw_bid(bid_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Take the bid out of the book, once a form."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data)
    await services.replies.once(lambda: services.orders.withdraw(bid_id, caller), BidView, request=key)
    return Redirect(f"/bids/{bid_id}", status_code=303)
