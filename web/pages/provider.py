"""The provider desk: why offers sell or not, what another rate would have done, what was earned, how the feed stands."""

from typing import Annotated

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter, QueryParameter
from litestar.response import Template

from broker.app import Services
from broker.services.provider_views import GATES_MAX, OfferSalesView, RateAskedView, SalesView
from contracts.feed.damping import Damping
from contracts.statements import PayoutAdvice
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.money import MICROS, half_up
from web.i18n import gettext, later
from web.pages.finance import origin
from web.pages.provider_words import (
    CAUSES,
    CLAUSES,
    STATES,
    answer_words,
    bars,
    beside_marginal,
    damping_rows,
    headline,
    main_reason,
    reason,
    rows,
)
from web.pages.refusals import Desk
from web.pages.signing import NO_STORE, page_caller

DESK = "/provider"
REFUSING = Desk(
    frame="provider_base.html",
    home=DESK,
    title=later("The provider desk"),
    purpose=later("Here a provider sees why its offers sell or not, what it earned, and how its feed stands."),
    barred=later("The key you are signed in with is not a provider's."),
)
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Gates = Annotated[int, QueryParameter(ge=1, le=GATES_MAX)]
Period = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
CHOICES = (1, 7, 28)
RATE_MAX = 1_000_000
# Rates worth trying, in hundredths of a per cent of what the offer asks now.
TRIES = (9_500, 9_000, 8_000)


@get("/provider", include_in_schema=False)
async def desk(request: AnyRequest, services: NamedDependency[Services], *, gates: Gates = 7) -> Template:
    """Every offer, what sold of it, and why the rest did not."""
    caller = await page_caller(request, services)
    sales = await services.providers.sales(caller, gates)
    income = await services.providers.income(caller)
    context = {
        "caller": caller,
        "sales": sales,
        "asked_gates": gates,
        "choices": CHOICES,
        "headline": headline(sales.sums),
        "reason": reason(sales.sums),
        "rows": rows(sales.sums),
        "bars": bars(sales.sums),
        "offers": [(each, bars(each.sums), main_reason(each)) for each in sales.offers],
        "unhealthy": [each for each in sales.offers if each.state not in ("", "live")],
        "states": STATES,
        "owed": sorted(income.owed_micros.items()),
        "origin": origin(request),
    }
    return Template("provider.html", context=context, headers=NO_STORE)


@get("/provider/offers/{offer_id:str}", include_in_schema=False)
async def offer_page(
    offer_id: FromPath[str],
    request: AnyRequest,
    *,
    services: NamedDependency[Services],
    gates: Gates = 7,
    asked: Annotated[str, QueryParameter(name="rate", max_length=40)] = "",
) -> Template:
    """One offer: where its hours went, what kept buyers away, and what another rate would have done."""
    caller = await page_caller(request, services)
    sales = await services.providers.sales(caller, gates)
    offer = next((each for each in sales.offers if each.offer_id == offer_id), None)
    if offer is None:
        raise NotFound(gettext("no offer of yours has the id %(offer)s", offer=offer_id), offer_id=offer_id)
    answer, fault = None, ""
    if asked:
        try:
            answer = await services.providers.at_rate(caller, offer_id, rate_micros=_micros(asked), gates=gates)
        except BadInput as error:
            fault = error.message
    context = {
        "caller": caller,
        "sales": sales,
        "offer": offer,
        "asked_gates": gates,
        "choices": CHOICES,
        "rows": rows(offer.sums),
        "bars": bars(offer.sums),
        "why": main_reason(offer),
        "beside": beside_marginal(offer, sales.currency),
        "clauses": CLAUSES,
        "causes": CAUSES,
        "state": STATES.get(offer.state, ""),
        "asked": asked,
        "fault": fault,
        "tries": _tries(offer),
        "answer": answer,
        "answer_words": answer_words(answer.answer, gates=len(answer.gates)) if answer else "",
        "answer_rows": _by_gate(answer, sales) if answer else [],
        "origin": origin(request),
    }
    return Template("provider_offer.html", context=context, headers=NO_STORE)


@get("/provider/income", include_in_schema=False)
async def income_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What was earned and is owed, statements, how reliably the sites delivered, leases."""
    caller = await page_caller(request, services)
    income = await services.providers.income(caller)
    context = {
        "caller": caller,
        "income": income,
        "owed": sorted(income.owed_micros.items()),
        "paid": sorted((currency, cents) for currency, cents in income.paid_cents.items() if cents),
        "origin": origin(request),
    }
    return Template("provider_income.html", context=context, headers=NO_STORE)


@get("/provider/statements/{period:int}/{currency:str}", include_in_schema=False)
async def statement_page(period: Period, currency: FromPath[str], request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """What one closed month came to, as it prints."""
    caller = await page_caller(request, services)
    advice = await _advice(services, request, period=period, currency=currency)
    return Template("provider_statement.html", context={"caller": caller, "advice": advice, "origin": origin(request)}, headers=NO_STORE)


@get("/provider/statements/{period:int}/{currency:str}/pdf", include_in_schema=False)
async def statement_paper(
    period: Period, currency: FromPath[str], request: AnyRequest, *, services: NamedDependency[Services]
) -> Response[bytes]:
    """The same on paper."""
    advice = await _advice(services, request, period=period, currency=currency)
    content = await services.treasury.own_advice_paper(period, await page_caller(request, services), currency=advice.currency)
    name = f"gridfare-{advice.month_start:%Y-%m}-{advice.provider_id}-{advice.currency}.pdf"
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/pdf", headers=headers)


@get("/provider/feed", include_in_schema=False)
async def feed_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """How the feed stands, offer by offer, and how damping works."""
    caller = await page_caller(request, services)
    context = {
        "caller": caller,
        "feed": await services.providers.feed(caller),
        "states": STATES,
        "damping": Damping(),
        "damping_rows": damping_rows(Damping()),
        "origin": origin(request),
    }
    return Template("provider_feed.html", context=context, headers=NO_STORE)


async def _advice(services: Services, request: AnyRequest, *, period: int, currency: str) -> PayoutAdvice:
    """The reader's own statement of a period. Raises NotFound."""
    income = await services.providers.income(await page_caller(request, services))
    for each in income.statements:
        if (each.period, each.currency) == (period, currency):
            return each
    raise NotFound(gettext("you have no statement of period %(period)s in %(currency)s", period=period, currency=currency), period=period)


def _micros(text: str) -> int:
    """A rate as somebody types it. Raises BadInput."""
    digits = text.strip().replace(",", ".")
    whole, _, part = digits.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(part) > 6 or len(whole) > 6:
        raise BadInput(gettext("A rate is a number with at most six decimals, such as 1.90; this was %(text)s.", text=text), found=text)
    return int(whole or 0) * MICROS + int(part.ljust(6, "0"))


def _tries(offer: OfferSalesView) -> list[int]:
    """Rates worth trying, micros: the marginal offer's, where that was cheaper, and some steps down; to the tenth of a cent."""
    now = offer.rate_micros or offer.asked_micros
    steps = [half_up(now * share, 10_000) for share in TRIES]
    if offer.marginal_micros is not None and offer.marginal_micros < now:
        steps.append(offer.marginal_micros)
    return sorted({half_up(each, 1_000) * 1_000 for each in steps if each}, reverse=True)


def _by_gate(asked: RateAskedView, sales: SalesView) -> list[tuple[object, ...]]:
    """The gates cleared again: number, time, sold and would have sold, received and would have received."""
    times = {gate.number: gate.gate_at for gate in sales.gates}
    return [
        (number, times.get(number), gate.sold, gate.would_sell, gate.received_micros, gate.would_receive_micros)
        for number, gate in zip(asked.gates, asked.answer.gates, strict=True)
    ]
