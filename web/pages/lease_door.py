"""What the holder of a lease needs while it runs: the way in, notices, and more hours."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from broker.app import Services
from broker.services.access_views import AccessView
from broker.services.quotes import QuoteView
from broker.services.views import Caller, InterruptionView, LeaseView
from contracts.leasing import RECLAIM_NOTICE
from contracts.terms.errors import BadInput, MarketError, NotPermitted, WrongState
from contracts.terms.leases import IN_FORCE
from contracts.terms.quotes import HOURS_MAX
from web.formats import duration, moment
from web.i18n import gettext
from web.pages.new_bid import BackToForm
from web.pages.signing import AnyRequest, FormMarks, act_key, page_caller


class ExtensionForm(FormMarks, frozen=True, kw_only=True):
    """What somebody typed: how many hours more."""

    hours: str = ""


SentForm = Annotated[ExtensionForm, Body(media_type=RequestEncodingType.URL_ENCODED)]


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The way into a lease, or in one sentence why there is none now."""

    access: AccessView | None = None
    finding: str = ""


@post("/leases/{lease_id:str}/extend", include_in_schema=False, status_code=303)
async def extend_lease(lease_id: FromPath[str], data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Hold more hours at a firm rate, once a form, and show the quote; a refusal is said beside the form."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data, content=data.hours.encode())
    try:
        hours = _hours(data.hours)
        held = await services.replies.once(lambda: services.quotes.extend(lease_id, hours, caller=caller), QuoteView, request=key)
    except MarketError as refusal:
        raise BackToForm(f"/leases/{quote(lease_id, safe='')}?refused={refusal.code}#extend") from refusal
    return Redirect(f"/quotes/{held.quote_id}", status_code=303)


async def door_of(lease: LeaseView, caller: Caller, *, services: Services) -> Door:
    """How its holder gets in now."""
    try:
        return Door(access=await services.access.access(lease.lease_id, caller))
    except NotPermitted:
        return Door(finding=gettext("Getting in takes a key that may also end leases; this one may only look."))
    except WrongState:
        if lease.state not in IN_FORCE:
            return Door(finding=gettext("This lease is over, and so is access to it."))
        return Door(
            finding=gettext(
                "Its grid opens it when it starts, %(start)s; endpoint and token stand here then.", start=moment(lease.starts_at)
            )
        )


def notices(lease: LeaseView) -> list[str]:
    """What its holder is to know of interruptions: of each that happened, and for spot that one may."""
    said = [_notice(each, site=lease.site) for each in lease.interruptions]
    if lease.tier == "spot" and lease.state in IN_FORCE:
        may = gettext(
            "Spot: its provider may call it back with %(notice)s of notice. It is said here, and by webhook to who listens.",
            notice=duration(int(RECLAIM_NOTICE.total_seconds())),
        )
        return [*said, may]
    return said


def _notice(notice: InterruptionView, *, site: str) -> str:
    told = {"told": moment(notice.told_at), "reason": notice.reason}
    if notice.kind == "reclaimed":
        said = [gettext("Called back by its provider, said %(told)s (%(reason)s).", **told)]
        if notice.deadline is not None:
            said.append(gettext("Slots that begin before %(deadline)s stay yours.", deadline=moment(notice.deadline)))
    elif notice.closed_by == "network":
        said = [gettext("Failed %(told)s: its grid was not heard from any more (%(reason)s).", **told)]
    else:
        said = [gettext("Failed %(told)s by its provider's doing (%(reason)s).", **told)]
    if notice.rest == "waiting":
        said.append(gettext("A place for the rest is being looked for, at no more than its rate."))
    elif notice.rest == "placed":
        said.append(gettext("The rest went on at another site, at no more than its rate; it runs at %(site)s now.", site=site))
    elif notice.rest == "returned":
        said.append(gettext("No place was found for the rest: its hours are back with the bid."))
    return " ".join(said)


def _hours(text: str) -> float:
    """Whole hours as typed. Raises BadInput."""
    if not (text.strip().isascii() and text.strip().isdigit() and 1 <= int(text) <= HOURS_MAX):
        raise BadInput(f"a lease is made longer by 1 to {HOURS_MAX} whole hours, was {text}", found=text)
    return float(text)
