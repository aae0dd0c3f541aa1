"""The developers page: keys, what came in under them, where one is told of events, and what was told."""

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.views import Caller
from broker.services.webhooks import EndpointRequest, EndpointView, MessageView
from contracts.people import PEOPLE_ONLY
from contracts.terms.errors import BadInput
from contracts.webhooks import KINDS
from web.i18n import gettext as _
from web.i18n import later
from web.pages.refusals import Desk
from web.pages.signing import NO_STORE, AnyRequest, FormMarks, act_key, marks, page_caller

FORM = RequestEncodingType.URL_ENCODED
DEVELOPERS = "/developers"
REFUSING = Desk(frame="base.html", page="account", home=DEVELOPERS)
REQUESTS_SHOWN, MESSAGES_SHOWN = 50, 20
# States of a delivery, as the market says them.
STATES = (later("waiting"), later("delivered"), later("given_up"))
# What scopes let a key do, in the order they are offered.
SCOPES = {
    "read": later("look at bids, leases and statements"),
    "bids:write": later("bid and take quotes"),
    "leases:write": later("extend, release and use leases, be told of events"),
}


class DevelopersForm(FormMarks, frozen=True, kw_only=True):
    """What the forms of this page send, each its own part of it; one tick comes as a word, several as a list."""

    name: str = ""
    scopes: list[str] | str = ""
    url: str = ""
    kinds: list[str] | str = ""

    @property
    def marks(self) -> FormMarks:
        """The hidden fields alone."""
        return FormMarks(token=self.token, once=self.once)


def ticked(sent: list[str] | str) -> list[str]:
    """What was ticked, however many."""
    return [sent] if isinstance(sent, str) and sent else list(sent)


Sent = Annotated[DevelopersForm, Body(media_type=FORM)]
SentMarks = Annotated[FormMarks, Body(media_type=FORM)]


@get("/developers", include_in_schema=False)
async def developers_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Everything a program needs, and what it did."""
    caller = await page_caller(request, services)
    context = {
        "caller": caller,
        "marks": marks(request),
        "keys": await services.keys.keys(caller),
        "requests": await services.keys.requests(caller, limit=REQUESTS_SHOWN),
        "endpoints": (await services.webhooks.endpoints(caller)).items,
        "messages": await services.webhooks.latest(caller, limit=MESSAGES_SHOWN),
        "scopes": {scope: words for scope, words in SCOPES.items() if scope in caller.scopes - PEOPLE_ONLY},
        "kinds": KINDS,
        "may_keys": "keys" in caller.scopes,
        "may_hooks": "leases:write" in caller.scopes,
        "origin": str(request.base_url).rstrip("/"),
        "demo": bool(request.app.state.shown_keys),
    }
    return Template("developers.html", context=context, headers=NO_STORE)


@post("/developers/keys", include_in_schema=False, status_code=200)
async def make_key(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Make a key, and show it, once."""
    caller = await _acting(request, services, sent=data.marks)
    person = await services.signing_in.person(caller)
    key = await services.keys.make(data.name, ticked(data.scopes), caller=caller, made_by=person.email)
    meaning = _("A program shows it as `Authorization: Bearer …`. It is not shown again.")
    return _shown_once(key, title=_("Your new key"), meaning=meaning)


@post("/developers/keys/{key_id:str}/revoke", include_in_schema=False, status_code=303)
async def revoke_key(key_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """End a key at once."""
    await services.keys.revoke(key_id, await _acting(request, services, sent=data))
    return Redirect(f"{DEVELOPERS}#keys", status_code=303)


@post("/developers/endpoints", include_in_schema=False, status_code=200)
async def add_endpoint(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Register an address to be told at, and show the secret that signs what is sent there, once."""
    caller = await page_caller(request, services)
    kinds = ticked(data.kinds)
    content = f"{data.url}\n{','.join(kinds)}".encode()
    key = act_key(request, caller, sent=data.marks, content=content)
    try:
        wanted = EndpointRequest(url=data.url.strip(), kinds=kinds)
    except ValueError as wrong:
        raise BadInput(str(wrong), column="url", found=data.url[:200], would_do="https://…") from wrong
    made = await services.replies.once(lambda: services.webhooks.add(wanted, caller), EndpointView, request=key)
    meaning = _("It signs everything sent to %(url)s (Standard Webhooks). It is not shown again.", url=made.url)
    return _shown_once(made.secret or "", title=_("The secret of the endpoint"), meaning=meaning)


@post("/developers/endpoints/{endpoint_id:str}/{act:str}", include_in_schema=False, status_code=200)
async def act_on_endpoint(
    endpoint_id: FromPath[str], act: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]
) -> Template | Redirect:
    """Give an endpoint a new secret, or send nothing more to it. Raises BadInput for another act."""
    caller = await _acting(request, services, sent=data)
    if act == "close":
        await services.webhooks.close(endpoint_id, caller)
        return Redirect(f"{DEVELOPERS}#endpoints", status_code=303)
    if act != "rotate":
        raise BadInput("an endpoint is closed or its secret rotated", found=act, would_do="close or rotate")
    made = await services.webhooks.rotate(endpoint_id, caller)
    meaning = _("For a day the secret before it signs as well, so that nothing is missed. It is not shown again.")
    return _shown_once(made.secret or "", title=_("The new secret of the endpoint"), meaning=meaning)


@post("/developers/messages/{message_id:str}/replay", include_in_schema=False, status_code=303)
async def replay_message(
    message_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Have a message sent again, once a form."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data)
    await services.replies.once(lambda: services.webhooks.replay(message_id, caller), MessageView, request=key)
    return Redirect(f"{DEVELOPERS}#messages", status_code=303)


async def _acting(request: AnyRequest, services: Services, *, sent: FormMarks) -> Caller:
    caller = await page_caller(request, services)
    act_key(request, caller, sent=sent)
    return caller


def _shown_once(line: str, *, title: str, meaning: str) -> Template:
    return Template(
        "account_once.html", context={"title": title, "meaning": meaning, "lines": [line], "back": DEVELOPERS}, headers=NO_STORE
    )


PAGES = (developers_page, make_key, revoke_key, add_endpoint, act_on_endpoint, replay_message)
