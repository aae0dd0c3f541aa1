"""The leases of the account whose key is signed in: where each stands, its slots in time, and giving the rest back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.views import LeaseSlotView, LeaseView, StatementView
from contracts.terms.leases import IN_FORCE
from contracts.terms.money import half_up
from web.formats import moment, money, quantity
from web.i18n import found, gettext, later, ngettext
from web.pages.lease_door import door_of, notices
from web.pages.life import Step, lease_life
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller
from web.pages.words import quote_refused_words

HOUR = timedelta(hours=1)
SCALE = 10
WIDTH_HOURS_MIN = 24
BAR_HEIGHT, BAR_HEIGHT_MIN = 20, 6
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]
Refused = Annotated[str | None, QueryParameter(max_length=40)]
SentMarks = Annotated[FormMarks, Body(media_type=RequestEncodingType.URL_ENCODED)]


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One slot on the timeline: drawing units, a tenth of an hour wide each; higher where it has more accelerators."""

    x: int
    width: int
    height: int
    standing: Literal["over", "now", "ahead"]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The slots of a lease in time. A day is always equally wide, so that rows compare."""

    width: int
    height: int
    bars: list[Bar]
    finding: str


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as a row of the page.

    release  what releasing it would do; null when there is nothing left to give back
    steps    where it stands from submitted to settled
    """

    lease: LeaseView
    timeline: Timeline
    release: str | None
    steps: list[Step]


@get("/leases", include_in_schema=False)
async def lease_list(request: HTMXRequest, services: NamedDependency[Services], *, cursor: Cursor = None) -> Template:
    """The caller's leases, those that start last first."""
    caller = await page_caller(request, services)
    page = await services.leases.leases(caller, cursor=cursor, limit=25, newest_first=True)
    now, currency = services.clock.now(), (await services.orders.credit(caller)).currency
    statements = await services.finance.statements(caller)
    context = {
        "caller": caller,
        "rows": [lease_row(lease, now, currency=currency, statements=statements) for lease in page.items],
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "address": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("_leases.html" if request.htmx else "leases.html", context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@get("/leases/{lease_id:str}", include_in_schema=False)
async def lease_page(
    lease_id: FromPath[str], request: HTMXRequest, *, services: NamedDependency[Services], refused: Refused = None
) -> Template:
    """One lease: its life, the way in, its slots, and what may be done with the rest of it."""
    caller = await page_caller(request, services)
    lease = await services.leases.lease(lease_id, caller)
    now, currency = services.clock.now(), (await services.orders.credit(caller)).currency
    statements = await services.finance.statements(caller)
    context = {
        "row": lease_row(lease, now, currency=currency, statements=statements),
        "notices": notices(lease),
        "door": await door_of(lease, caller, services=services),
        "refused": quote_refused_words(refused) if refused else None,
        "lease": lease,
        "now": now,
        "currency": currency,
        "in_force": lease.state in IN_FORCE,
        "marks": marks(request),
        "sold": sorted((slot for resale in lease.resales for slot in resale.sold), key=lambda slot: slot.start),
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("_lease.html" if request.htmx else "lease.html", context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@post("/leases/{lease_id:str}/release", include_in_schema=False, status_code=303)
async def release_lease(lease_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Give the slots that have not begun back to the market, once a form."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data)
    await services.replies.once(lambda: services.leases.release(lease_id, caller), LeaseView, request=key)
    return Redirect(f"/leases/{lease_id}", status_code=303)


def lease_row(lease: LeaseView, now: datetime, *, currency: str, statements: Sequence[StatementView] = ()) -> LeaseRow:
    """A lease with its timeline, its life and what releasing it now would do."""
    release = None
    ahead = slots_ahead(lease, now)
    if ahead:
        release = ngettext(
            "Gives back %(num)s slot from %(first)s on, %(hours)s accelerator-hours worth %(cost)s %(currency)s: they are offered again, "
            "and what they fetch is taken off what you pay for them.",
            "Gives back %(num)s slots from %(first)s on, %(hours)s accelerator-hours worth %(cost)s %(currency)s: they are offered again, "
            "and what they fetch is taken off what you pay for them.",
            num=len(ahead),
            first=moment(ahead[0].start),
            hours=quantity(hours_of(ahead)),
            cost=money(cost_micros(ahead)),
            currency=currency,
        )
        if any(slot.start < now < slot.end for slot in lease.slots):
            release += " " + gettext("The slot under way stays yours and is paid.")
        release += " " + gettext("This cannot be taken back.")
    return LeaseRow(lease=lease, timeline=timeline(lease.slots, now), release=release, steps=lease_life(lease, statements=statements))


def slots_ahead(lease: LeaseView, now: datetime) -> list[LeaseSlotView]:
    """What of a lease in force has not begun and is its holder's."""
    return [slot for slot in lease.slots if slot.start >= now and slot.quantity] if lease.state in IN_FORCE else []


def timeline(slots: Sequence[LeaseSlotView], now: datetime) -> Timeline:
    """The slots as bars, and in one sentence how many are over, under way and ahead."""
    begin, most = slots[0].start, max(1, *(slot.quantity for slot in slots))
    bars = [
        Bar(
            x=_units(slot.start - begin),
            width=max(1, _units(slot.end - slot.start) - 1),
            height=BAR_HEIGHT_MIN + (BAR_HEIGHT - BAR_HEIGHT_MIN) * slot.quantity // most,
            standing="over" if slot.end <= now else "now" if slot.start <= now else "ahead",
        )
        for slot in slots
        if slot.quantity
    ]
    counts = [(sum(bar.standing == standing for bar in bars), words) for standing, words in _STANDINGS]
    finding = ", ".join(f"{count} {found(words)}" for count, words in counts if count) or gettext("none left")
    width = max(WIDTH_HOURS_MIN * SCALE, _units(slots[-1].end - begin))
    return Timeline(width=width, height=BAR_HEIGHT, bars=bars, finding=gettext("slots: %(finding)s", finding=finding))


_STANDINGS = (("over", later("over")), ("now", later("under way")), ("ahead", later("ahead")))


def _units(span: timedelta) -> int:
    return round(span * SCALE / HOUR)


def hours_of(slots: Sequence[LeaseSlotView]) -> float:
    """Accelerator-hours of some slots."""
    return sum(slot.quantity * (slot.end - slot.start).total_seconds() for slot in slots) / HOUR.total_seconds()


def cost_micros(slots: Sequence[LeaseSlotView]) -> int:
    """What slots cost at their rates, rounded once."""
    return half_up(sum(slot.quantity * slot.rate_micros * int((slot.end - slot.start).total_seconds()) for slot in slots), 3600)
