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
from broker.services.views import LeaseSlotView, LeaseView
from contracts.terms.leases import IN_FORCE
from contracts.terms.money import half_up
from web.formats import moment, money, quantity
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

HOUR = timedelta(hours=1)
SCALE = 10
WIDTH_HOURS_MIN = 24
BAR_HEIGHT, BAR_HEIGHT_MIN = 20, 6
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]
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
    """A lease as a row of the page; `release` says what releasing it would do, null when there is nothing left to give back."""

    lease: LeaseView
    timeline: Timeline
    release: str | None


@get("/leases", include_in_schema=False)
async def lease_list(request: HTMXRequest, services: NamedDependency[Services], *, cursor: Cursor = None) -> Template:
    """The caller's leases, those that start last first."""
    caller = await page_caller(request, services)
    page = await services.leases.leases(caller, cursor=cursor, limit=25, newest_first=True)
    now, currency = services.clock.now(), (await services.orders.credit(caller)).currency
    context = {
        "caller": caller,
        "rows": [lease_row(lease, now, currency=currency) for lease in page.items],
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "address": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("_leases.html" if request.htmx else "leases.html", context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@get("/leases/{lease_id:str}", include_in_schema=False)
async def lease_page(lease_id: FromPath[str], request: HTMXRequest, *, services: NamedDependency[Services]) -> Template:
    """One lease: its slots, what it delivered, and the button that gives the rest back."""
    caller = await page_caller(request, services)
    lease = await services.leases.lease(lease_id, caller)
    now, currency = services.clock.now(), (await services.orders.credit(caller)).currency
    context = {
        "row": lease_row(lease, now, currency=currency),
        "lease": lease,
        "now": now,
        "currency": currency,
        "in_force": lease.state in IN_FORCE,
        "marks": marks(request),
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


def lease_row(lease: LeaseView, now: datetime, *, currency: str) -> LeaseRow:
    """A lease with its timeline and what releasing it now would do."""
    release = None
    ahead = [slot for slot in lease.slots if slot.start >= now and slot.quantity]
    if lease.state in IN_FORCE and ahead:
        under_way = any(slot.start < now < slot.end for slot in lease.slots)
        slots = "1 slot" if len(ahead) == 1 else f"{len(ahead)} slots"
        release = (
            f"Gives back {slots} from {moment(ahead[0].start)} on, {quantity(_seconds(ahead) / HOUR.total_seconds())} accelerator-hours "
            f"worth {money(_cost_micros(ahead))} {currency}: they are offered again, and what they fetch is taken off what you pay for them"
            f"{'; the slot under way stays yours and is paid' if under_way else ''}. This cannot be taken back."
        )
    return LeaseRow(lease=lease, timeline=timeline(lease.slots, now), release=release)


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
    finding = ", ".join(f"{count} {words}" for count, words in counts if count) or "none left"
    width = max(WIDTH_HOURS_MIN * SCALE, _units(slots[-1].end - begin))
    return Timeline(width=width, height=BAR_HEIGHT, bars=bars, finding=f"slots: {finding}")


_STANDINGS = (("over", "over"), ("now", "under way"), ("ahead", "ahead"))


def _units(span: timedelta) -> int:
    return round(span * SCALE / HOUR)


def _seconds(slots: Sequence[LeaseSlotView]) -> int:
    return sum(slot.quantity * int((slot.end - slot.start).total_seconds()) for slot in slots)


def _cost_micros(slots: Sequence[LeaseSlotView]) -> int:
    """What slots cost at their rates, rounded once."""
    return half_up(sum(slot.quantity * slot.rate_micros * int((slot.end - slot.start).total_seconds()) for slot in slots), 3600)
