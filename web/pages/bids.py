"""Signing in with an API key, and the bids of its account.

The key is kept in a cookie that scripts cannot read and other sites cannot send; nothing is kept on our side.
"""

from typing import Annotated

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.views import Caller
from contracts.terms.errors import NotSignedIn

COOKIE = "gridfare_key"
HOURS_SIGNED_IN = 12
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """What the sign-in form sends."""

    key: str


async def page_caller(request: AnyRequest, services: Services) -> Caller:
    """Whose key the browser carries. Raises NotSignedIn."""
    key = request.cookies.get(COOKIE)
    if not key:
        raise NotSignedIn("sign in with an API key to see this")
    return await services.accounts.authenticate(key)


@get("/sign-in", include_in_schema=False, sync_to_thread=False)
def sign_in_form() -> Template:
    """The form."""
    return Template("sign_in.html", context={"fault": None})


@post("/sign-in", include_in_schema=False, status_code=200)
async def sign_in(
    data: Annotated[SignIn, Body(media_type=RequestEncodingType.URL_ENCODED)], request: AnyRequest, *, services: NamedDependency[Services]
) -> Template | Redirect:
    """Take the key if somebody was given it; say so on the form if nobody was."""
    try:
        await services.accounts.authenticate(data.key.strip())
    except NotSignedIn:
        return Template("sign_in.html", context={"fault": "Nobody was given this key, or it was revoked."}, status_code=401)
    secure = request.url.scheme == "https"
    cookie = Cookie(
        COOKIE, value=data.key.strip(), httponly=True, samesite="strict", secure=secure, max_age=HOURS_SIGNED_IN * 3600, path="/"
    )
    return Redirect("/bids", status_code=303, cookies=[cookie])


@post("/sign-out", include_in_schema=False, status_code=303, sync_to_thread=False)
def sign_out() -> Response[None]:
    """Forget the key."""
    answer: Response[None] = Redirect("/", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@get("/bids", include_in_schema=False)
async def bid_list(request: AnyRequest, services: NamedDependency[Services], *, cursor: Cursor = None) -> Template | Redirect:
    """The caller's bids; the sign-in form for a browser without a key."""
    if not request.cookies.get(COOKIE):
        return Redirect("/sign-in", status_code=303)
    caller = await page_caller(request, services)
    bids = await services.orders.bids(caller, cursor=cursor)
    return Template("bids.html", context={"caller": caller, "bids": bids}, headers={"Cache-Control": "no-store"})


@get("/bids/{bid_id:str}", include_in_schema=False)
async def bid_page(bid_id: FromPath[str], request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """One bid: what it asked, what it got, what it holds, and why not more."""
    caller = await page_caller(request, services)
    bid = await services.orders.bid(bid_id, caller)
    context = {"caller": caller, "bid": bid, "origin": str(request.base_url).rstrip("/"), "countries": request.app.state.countries}
    return Template("bid.html", context=context, headers={"Cache-Control": "no-store"})
