"""The operator desk: cycles and their certificates, providers, what is not believed, what broke, the rules in force."""

from typing import Annotated

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, PathParameter, QueryParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.accounts import require
from broker.services.feed_views import FeedOffer, Release
from broker.services.market_views import CertificateView
from broker.services.operator_views import VerdictView, Way
from broker.services.operators import SCOPE
from broker.services.views import Caller
from contracts.terms.errors import BadInput, NotFound
from web.i18n import gettext, later
from web.pages.finance import origin
from web.pages.operator_words import FEEDS, STATUSES, finding, kind_words, phase, verdict
from web.pages.refusals import Desk
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

DESK = "/operator"
REFUSING = Desk(
    frame="operator_base.html",
    home=DESK,
    title=later("The operator desk"),
    purpose=later("Here whoever runs the market checks cycles again, and sees what stands, what is not believed and what broke."),
    barred=later("The key you are signed in with is not an operator's."),
)
CYCLES_SHOWN = 30
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
Before = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]
WAYS: dict[str, Way] = {"verify": "verify", "replay": "replay"}


class ReleaseForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form beside a quarantined offer sends: which offer, what was held against it, why it is believed, and its marks."""

    provider_id: str
    offer_id: str
    reason: str
    why: str = ""
    token: str = ""
    once: str = ""


class CheckForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the buttons beside a certificate send: their marks."""

    token: str = ""
    once: str = ""


@get("/operator", include_in_schema=False)
async def desk(request: AnyRequest, services: NamedDependency[Services], *, before: Before = None) -> Template:
    """What needs a person, and the cycles, the latest first."""
    caller = await page_caller(request, services)
    overview = await services.operators.overview(caller)
    cycles = await services.market.cycles(before=before, limit=CYCLES_SHOWN)
    context = {
        "caller": caller,
        "overview": overview,
        "finding": finding(overview),
        "cycles": cycles,
        "statuses": STATUSES,
        "gate": await services.market.gate(),
        "origin": origin(request),
    }
    return Template("operator.html", context=context, headers=NO_STORE)


@get("/operator/cycles/{number:int}", include_in_schema=False)
async def cycle_page(number: Number, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """One cycle and the certificate that came with it."""
    caller = await page_caller(request, services)
    return await _cycle(number, request, services=services, caller=caller)


@post("/operator/cycles/{number:int}/{way:str}", include_in_schema=False, status_code=200)
async def check_cycle(
    number: Number,
    way: FromPath[str],
    data: Annotated[CheckForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Template:
    """Check a cycle again, by its certificate or by clearing its book; what came of it beside the certificate."""
    caller = await page_caller(request, services)
    if way not in WAYS:
        raise NotFound(gettext("a cycle is verified or replayed, and nothing else"), way=way)
    key = act_key(request, caller, sent=FormMarks(token=data.token, once=data.once))
    found = await services.replies.once(lambda: services.operators.check(number, WAYS[way], caller=caller), VerdictView, request=key)
    return await _cycle(number, request, services=services, caller=caller, found=found)


@get("/operator/providers", include_in_schema=False)
async def providers_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Every provider and how it stands."""
    caller = await page_caller(request, services)
    context = {"caller": caller, "providers": await services.operators.providers(caller), "feeds": FEEDS, "origin": origin(request)}
    return Template("operator_providers.html", context=context, headers=NO_STORE)


@get("/operator/quarantine", include_in_schema=False)
async def quarantine_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What was announced and is not believed, with the reason."""
    caller = await page_caller(request, services)
    context = {
        "caller": caller,
        "offers": [(each, marks(request)) for each in await services.operators.quarantined(caller)],
        "origin": origin(request),
    }
    return Template("operator_quarantine.html", context=context, headers=NO_STORE)


@post("/operator/quarantine/release", include_in_schema=False, status_code=303)
async def release_offer(
    data: Annotated[ReleaseForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: AnyRequest,
    *,
    services: NamedDependency[Services],
) -> Redirect:
    """Believe an offer after all, with the reason it was shown with and why; then the page as it is now."""
    caller = await page_caller(request, services)
    require(caller, SCOPE)
    if not data.why.strip():
        raise BadInput(gettext("say why it is believed; it is kept with your name"), found="nothing", would_do="a sentence")
    asked = Release(provider_id=data.provider_id, offer_id=data.offer_id, reason=data.reason, why=data.why.strip()[:500])
    key = act_key(request, caller, sent=FormMarks(token=data.token, once=data.once), content=msgspec.json.encode(asked))
    await services.replies.once(lambda: services.feeds.release(asked, by=caller.account_name), FeedOffer, request=key)
    return Redirect(f"{DESK}/quarantine", status_code=303)


@get("/operator/incidents", include_in_schema=False)
async def incidents_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What went wrong, the latest first."""
    caller = await page_caller(request, services)
    incidents = [(each, kind_words(each.kind)) for each in await services.operators.incidents(caller)]
    overview = await services.operators.overview(caller)
    context = {"caller": caller, "incidents": incidents, "overview": overview, "origin": origin(request)}
    return Template("operator_incidents.html", context=context, headers=NO_STORE)


@get("/operator/rules", include_in_schema=False)
async def rules_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """The rules in force, to whom offers are open, and who would be shed first."""
    caller = await page_caller(request, services)
    try:
        rules = await services.operators.rules(caller)
    except NotFound:
        rules = None
    countries = list(request.app.state.countries.items())
    phases = [(each, phase(each, countries)) for each in rules.phases] if rules else []
    context = {"caller": caller, "rules": rules, "phases": phases, "origin": origin(request)}
    return Template("operator_rules.html", context=context, headers=NO_STORE)


async def _cycle(number: int, request: AnyRequest, *, services: Services, caller: Caller, found: VerdictView | None = None) -> Template:
    require(caller, SCOPE)
    page = await services.market.cycles(before=number + 1, limit=1)
    if not page.items or page.items[0].number != number:
        raise NotFound(gettext("there is no cycle %(number)s", number=number), cycle=number)
    context = {
        "caller": caller,
        "cycle": page.items[0],
        "certificate": await _certificate(services, number),
        "statuses": STATUSES,
        "found": found,
        "verdict": verdict(found) if found else "",
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("operator_cycle.html", context=context, headers=NO_STORE)


async def _certificate(services: Services, number: int) -> CertificateView | None:
    try:
        return await services.market.certificate(number)
    except NotFound:
        return None
