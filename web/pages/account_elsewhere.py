"""Signing in elsewhere: away to the identity provider, back, and in; or joining that way in to a person who is signed in.

Cookies of ours are not sent with a page another site leads to. So what comes back is first a page of our own that leads on by
itself: only then does the browser say who is signed in, and keep what it is given.
"""

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.identity_provider import IdentityProvider, Kept
from contracts.terms.errors import BadInput, NotFound, NotSignedIn
from web.i18n import gettext as _
from web.pages.account_entry import led_on
from web.pages.signing import HOME, NO_STORE, AnyRequest, form, ours, page_person

AWAY = "gridfare_away"
AWAY_SECONDS = 600
BACK = "/sign-in/elsewhere/back"
ACCOUNT = "/account"
Text = Annotated[str, QueryParameter(max_length=4000)]
State = Annotated[str, QueryParameter(name="state", max_length=4000)]
Connect = Annotated[bool, QueryParameter()]
After = Annotated[str, QueryParameter(name="next", max_length=4000)]


@get("/sign-in/elsewhere", include_in_schema=False)
async def go_elsewhere(request: AnyRequest, *, after: After = HOME, connect: Connect = False) -> Redirect:
    """Lead the browser to the provider. Raises NotFound where there is none."""
    address, kept = await _provider(request).begin(_redirect(request), after=ours(after), connects=connect)
    secure = request.url.scheme == "https"
    text = msgspec.json.encode(kept).hex()
    cookie = Cookie(AWAY, value=text, httponly=True, samesite="lax", secure=secure, max_age=AWAY_SECONDS, path="/sign-in/elsewhere")
    return Redirect(address, status_code=303, cookies=[cookie])


@get("/sign-in/elsewhere/back", include_in_schema=False, sync_to_thread=False)
def came_back(*, code: Text = "", sent: State = "", error: Text = "") -> Template:
    """Lead on by itself, as our own page."""
    onward = f"/sign-in/elsewhere/in?{urlencode({'code': code, 'state': sent, 'error': error})}"
    return Template("account_onward.html", context={"onward": onward}, headers=NO_STORE)


@get("/sign-in/elsewhere/in", include_in_schema=False)
async def let_in(
    request: AnyRequest, services: NamedDependency[Services], *, code: Text = "", sent: State = "", error: Text = ""
) -> Template | Redirect:
    """Sign in whom the provider vouches for, or say on the sign-in page why not."""
    provider, kept = _provider(request), _kept(request)
    try:
        if kept is None or error:
            raise NotSignedIn(_("that sign-in took too long; begin again") if kept is None else f"{provider.name}: {error[:200]}")
        now = services.clock.now()
        vouched = await provider.finish(code, state=sent, kept=kept, redirect=_redirect(request), now=now)
    except NotSignedIn as refusal:
        return form(request, after=kept.after if kept else HOME, person_fault=refusal.message)
    if kept.connects:
        caller = await page_person(request, services)
        await services.signing_in.connect(caller, issuer=vouched.issuer, subject=vouched.subject)
        return Redirect(ACCOUNT, status_code=303)
    agent = request.headers.get("user-agent", "")
    try:
        entry = await services.signing_in.vouched(vouched.issuer, vouched.subject, email=vouched.email, name=vouched.name, agent=agent)
    except BadInput as wrong:
        return form(request, after=kept.after, person_fault=wrong.message)
    if entry.token is None:
        return form(request, after=kept.after, person_fault=entry.fault, email=vouched.email)
    return led_on(request, entry, after=kept.after)


def _provider(request: AnyRequest) -> IdentityProvider:
    provider: IdentityProvider | None = request.app.state.identity
    if provider is None:
        raise NotFound("this market has no identity provider; sign in with a password or a key")
    return provider


def _kept(request: AnyRequest) -> Kept | None:
    try:
        return msgspec.json.decode(bytes.fromhex(request.cookies.get(AWAY, "")), type=Kept)
    except (ValueError, msgspec.DecodeError):
        return None


def _redirect(request: AnyRequest) -> str:
    return str(request.base_url).rstrip("/") + BACK


PAGES = (go_elsewhere, came_back, let_in)
