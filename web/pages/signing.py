"""Who reads a page: a person with a session, or the holder of an API key; and telling our own forms from others'.

The session's token, or the key, is kept in a cookie that scripts cannot read and other sites cannot send. Every form that acts
also carries a token only the holder of the cookie could have been given.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, QueryParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.accounts import STAFF
from broker.services.replies import RequestKey
from broker.services.signing_in import SESSION_TOKEN
from broker.services.views import Caller
from contracts.people import SESSION_FOR
from contracts.terms.errors import NotPermitted, NotSignedIn

COOKIE = "gridfare_key"
HOURS_SIGNED_IN = 12
HOME, FINANCE_HOME = "/bids", "/finance"
PROVIDER_HOME, OPERATOR_HOME = "/provider", "/operator"
# The desks, and how the names of keys for each end.
DESKS = {FINANCE_HOME: "finance team", PROVIDER_HOME: "provider", OPERATOR_HOME: "operator"}
NO_STORE = {"Cache-Control": "no-store"}
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
After = Annotated[str, QueryParameter(name="next", max_length=4000)]


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """What the sign-in form sends; `after` is where its reader was going."""

    key: str
    after: str = HOME


class FormMarks(msgspec.Struct, frozen=True, kw_only=True):
    """The hidden fields of a form that acts.

    token  shows that the form is ours and its sender the one who was given it
    once   one act a form: sent twice, it happens once
    """

    token: str = ""
    once: str = ""


async def page_caller(request: AnyRequest, services: Services) -> Caller:
    """For whom the browser acts. Raises NotSignedIn, and NotPermitted for a person who belongs to no organisation."""
    caller = await page_person(request, services)
    if not caller.account_id:
        raise NotPermitted("you belong to no organisation yet; take an invitation, or sign up again with an organisation of your own")
    return caller


async def page_person(request: AnyRequest, services: Services) -> Caller:
    """The same, for pages that people have who belong to no organisation. Raises NotSignedIn."""
    kept = request.cookies.get(COOKIE)
    if not kept:
        raise NotSignedIn("sign in to see this")
    return await (services.signing_in.caller(kept) if kept.startswith(SESSION_TOKEN) else services.accounts.authenticate(kept))


async def page_caller_if_any(request: AnyRequest, services: Services) -> Caller | None:
    """The same for pages that anyone may read; a key nobody was given counts as none."""
    try:
        return await page_caller(request, services)
    except NotSignedIn:
        return None


def marks(request: AnyRequest) -> FormMarks:
    """Fresh marks for a form of the signed-in reader."""
    return FormMarks(token=_token(request), once=secrets.token_urlsafe(12))


def act_key(request: AnyRequest, caller: Caller, *, sent: FormMarks, content: bytes = b"") -> RequestKey:
    """The key under which a form's act happens once. Raises NotPermitted for a form that is not ours.

    content  what the form says, so that the same form with other words is another act
    """
    if not hmac.compare_digest(sent.token.encode(), _token(request).encode()):
        raise NotPermitted("this form was not made for you, or you signed in again since; open its page again and send that")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + content).digest()
    return RequestKey(account_id=caller.account_id, key=f"portal {sent.once}"[:200], digest=digest)


def to_sign_in(request: AnyRequest, _refusal: Exception) -> Redirect:
    """Lead a reader without a key through sign-in and back to where they were: for a form, the page it stands on."""
    path = request.url.path if request.method == "GET" else request.url.path.rpartition("/")[0]
    query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
    return Redirect(sign_in_address(path + query), status_code=303)


def sign_in_address(after: str) -> str:
    """The sign-in page for a reader who was going somewhere."""
    return f"/sign-in?{urlencode({'next': after})}"


def home_of(caller: Caller) -> str:
    """Where somebody who was going nowhere in particular begins."""
    if caller.provider_id is not None:
        return PROVIDER_HOME
    if not caller.account_id.startswith(STAFF):
        return HOME
    return FINANCE_HOME if any(scope.startswith("finance:") for scope in caller.scopes) else OPERATOR_HOME


@get("/sign-in", include_in_schema=False, sync_to_thread=False)
def sign_in_form(request: AnyRequest, *, after: After = HOME) -> Template:
    """The form."""
    return form(request, after=after)


@post("/sign-in", include_in_schema=False, status_code=200)
async def sign_in(
    data: Annotated[SignIn, Body(media_type=RequestEncodingType.URL_ENCODED)], request: AnyRequest, *, services: NamedDependency[Services]
) -> Template | Redirect:
    """Take the key if somebody was given it; say so on the form if nobody was. Raises NotPermitted for another site's form."""
    from_our_own(request)
    try:
        caller = await services.accounts.authenticate(data.key.strip())
    except NotSignedIn:
        return form(request, after=data.after, fault="Nobody was given this key, or it was revoked.")
    after = data.after if data.after != HOME else home_of(caller)
    return entered(request, data.key.strip(), after=after)


@post("/sign-out", include_in_schema=False, status_code=303)
async def sign_out(request: AnyRequest, services: NamedDependency[Services]) -> Response[None]:
    """End the session, and forget what the browser keeps."""
    await services.signing_in.sign_out(request.cookies.get(COOKIE, ""))
    answer: Response[None] = Redirect("/", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


def entered(request: AnyRequest, kept: str, *, after: str) -> Redirect:
    """Have the browser keep a key or a session's token, and lead its reader on."""
    return Redirect(ours(after), status_code=303, cookies=[kept_cookie(request, kept)])


def kept_cookie(request: AnyRequest, kept: str) -> Cookie:
    """The cookie of a signed-in browser."""
    lasts = SESSION_FOR if kept.startswith(SESSION_TOKEN) else timedelta(hours=HOURS_SIGNED_IN)
    secure = request.url.scheme == "https"
    return Cookie(COOKIE, value=kept, httponly=True, samesite="strict", secure=secure, max_age=int(lasts.total_seconds()), path="/")


def from_our_own(request: AnyRequest) -> None:
    """Raises NotPermitted for a form that another site sent: for forms of readers who have no token yet."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise NotPermitted("another site sent this form; sign in on our own")


def form(request: AnyRequest, *, after: str, fault: str | None = None, person_fault: str | None = None, email: str = "") -> Template:
    """The sign-in page: by address and password, or by key; with what was wrong with either."""
    desk = next((home for home in DESKS if after.startswith(home)), "")
    shown = sorted(request.app.state.shown_keys, key=lambda each: not each.account_name.endswith(DESKS.get(desk, "")))
    context = {"fault": fault, "after": ours(after), "shown_keys": shown, "desk": desk.strip("/")}
    context |= {"person_fault": person_fault, "email": email, "elsewhere": request.app.state.identity}
    return Template("sign_in.html", context=context, status_code=401 if fault or person_fault else 200, headers=NO_STORE)


def ours(address: str) -> str:
    """An address on this site, or the first page of a signed-in reader: sign-in leads nowhere else."""
    elsewhere = not address.startswith("/") or address.startswith(("//", "/\\")) or any(ord(letter) < 32 for letter in address)
    return HOME if elsewhere else address


def _token(request: AnyRequest) -> str:
    key = request.cookies.get(COOKIE, "")
    return hmac.new(key.encode(), b"forms of the portal", hashlib.sha256).hexdigest()
