"""Selling a lease on: what would be offered, at what rate, what it means for its holder; and taking it back."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.views import Caller, LeaseSlotView, LeaseView
from contracts.resale import ResaleRequest
from contracts.terms.errors import MarketError
from contracts.terms.money import MICROS
from web.formats import money, quantity
from web.i18n import gettext, later, ngettext
from web.pages.leases import cost_micros, hours_of, slots_ahead
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

AnyRequest = Request[object, object, object]  # type: ignore[type-var]
RATE_MAX = 10**6
REFUSED: dict[str, str] = {
    "not_permitted": later("Only a lease that is paid by its rate can be sold on, and only with a key that may end leases."),
    "wrong_state": later("Nothing of it could be offered: it has ended, has begun, or is offered already."),
}


class ResaleForm(FormMarks, frozen=True, kw_only=True):
    """What somebody typed: a rate, how many accelerators, and from which slot on."""

    rate: str = ""
    accelerators: str = ""
    start: str = ""


SentForm = Annotated[ResaleForm, Body(media_type=RequestEncodingType.URL_ENCODED)]
SentMarks = Annotated[FormMarks, Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/leases/{lease_id:str}/resell", include_in_schema=False)
async def resale_form(lease_id: FromPath[str], request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """What of a lease could be sold on, and the form that offers it."""
    caller = await page_caller(request, services)
    return await _form(request, services, lease=await services.leases.lease(lease_id, caller), sent=ResaleForm())


@post("/leases/{lease_id:str}/resell", include_in_schema=False, status_code=303)
async def resell_lease(
    lease_id: FromPath[str], data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect | Template:
    """Offer it, once a form; a refusal is said beside what was typed."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data, content=msgspec.json.encode([data.rate, data.accelerators, data.start]))
    lease = await services.leases.lease(lease_id, caller)
    try:
        wish = _wish(data)
    except ValueError as fault:
        return await _form(request, services, lease=lease, sent=data, refused=str(fault))
    try:
        await services.replies.once(lambda: services.leases.resell(lease_id, wish, caller=caller), LeaseView, request=key)
    except MarketError as refusal:
        return await _form(request, services, lease=lease, sent=data, refused=gettext(REFUSED.get(refusal.code, refusal.message)))
    return Redirect(f"/leases/{lease_id}", status_code=303)


@post("/leases/{lease_id:str}/withdraw", include_in_schema=False, status_code=303)
async def withdraw_resale(
    lease_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Take back what has not been sold, once a form."""
    caller: Caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data)
    await services.replies.once(lambda: services.leases.withdraw_resale(lease_id, caller), LeaseView, request=key)
    return Redirect(f"/leases/{lease_id}", status_code=303)


async def _form(request: AnyRequest, services: Services, *, lease: LeaseView, sent: ResaleForm, refused: str | None = None) -> Template:
    caller = await page_caller(request, services)
    currency = (await services.orders.credit(caller)).currency
    ahead = slots_ahead(lease, services.clock.now())
    context = {
        "lease": lease,
        "ahead": ahead,
        "worst_case": _worst_case(ahead, currency) if ahead else None,
        "sent": sent,
        "refused": refused,
        "currency": currency,
        "marks": marks(request),
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("lease_resell.html", context=context, headers=NO_STORE, status_code=422 if refused else 200)


def _worst_case(ahead: list[LeaseSlotView], currency: str) -> str:
    """What selling on changes for the holder at worst: nothing, since it pays for these slots either way."""
    return ngettext(
        "%(hours)s accelerator-hours in %(num)s slot. You go on paying %(cost)s %(currency)s for them, sold or not; what a buyer pays is "
        "taken off your statement of the month.",
        "%(hours)s accelerator-hours in %(num)s slots. You go on paying %(cost)s %(currency)s for them, sold or not; what a buyer pays is "
        "taken off your statement of the month.",
        num=len(ahead),
        hours=quantity(hours_of(ahead)),
        cost=money(cost_micros(ahead)),
        currency=currency,
    )


def _wish(sent: ResaleForm) -> ResaleRequest:
    """What was typed, as the service takes it. Raises ValueError with a sentence for what cannot be read."""
    try:
        rate, accelerators = Decimal(sent.rate.strip()), int(sent.accelerators) if sent.accelerators.strip() else None
        start = datetime.fromisoformat(sent.start) if sent.start else None
    except (InvalidOperation, ValueError):
        raise ValueError(gettext("Write a rate such as 1.80, and a whole number of accelerators or nothing.")) from None
    if not (rate.is_finite() and 0 < rate <= RATE_MAX and (accelerators is None or 1 <= accelerators <= RATE_MAX)):
        raise ValueError(gettext("The rate is above 0 and at most 1,000,000, and accelerators are at least 1."))
    if start is not None and start.tzinfo is None:
        raise ValueError(gettext("Choose one of the slots that have not begun."))
    try:
        return ResaleRequest(rate_micros=max(1, int(rate * MICROS)), accelerators=accelerators, start=start)
    except OverflowError:
        raise ValueError(gettext("Choose one of the slots that have not begun.")) from None
