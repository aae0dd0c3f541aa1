"""*Quote*: a firm rate for one offer, held for minutes; its worst case in one line, then taken or left.

Asking for a quote holds accelerators, so it is a form and not a link; sent twice, it holds once.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.quotes import QuoteView
from broker.services.search_views import SearchQuery
from broker.services.views import LeaseView
from contracts.terms.errors import BadInput, MarketError
from contracts.terms.quotes import QuoteRequest
from contracts.terms.time import EPOCH
from web.i18n import gettext
from web.pages.order_form import Fields
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller, page_caller_if_any, sign_in_address
from web.pages.wishes import search_fields, wanted
from web.pages.words import quote_refused_words, quote_sentence

AnyRequest = Request[object, object, object]  # type: ignore[type-var]
SentMarks = Annotated[FormMarks, Body(media_type=RequestEncodingType.URL_ENCODED)]
Search = Annotated[str, QueryParameter(max_length=4000)]
SearchIfAny = Annotated[str | None, QueryParameter(max_length=4000)]
Cursor = Annotated[str | None, QueryParameter(max_length=200)]
SLOT_SECONDS = 3600
QUOTES_SHOWN = 25


class QuoteRefused(Exception):
    """A quote that was not held, or not taken. Raised, not returned, so that nothing is kept.

    back  the address of what the reader was looking at
    bid   the address of a bid for the same, where that is the way out
    sent  the form that asked for it
    """

    def __init__(self, refusal: MarketError, *, back: str, bid: str | None = None, sent: Fields | None = None) -> None:
        super().__init__(str(refusal))
        self.sent = sent or {}
        self.refusal = refusal
        self.back = back
        self.bid = bid


def offer_mark(hardware: str, factor: float, *, reference_hours: int, offer_id: str = "") -> str:
    """What a quote button sends: the offer, or none for the cheapest of a class that is free, and the whole hours the work takes on it.

    >>> offer_mark("L40S", 0.4, reference_hours=24, offer_id="ofr_a"), offer_mark("L40S", 0.4, reference_hours=24)
    ('ofr_a/60/L40S', '/60/L40S')
    """
    return f"{offer_id}/{math.ceil(reference_hours / factor)}/{hardware}"


def slot_from(moment: datetime) -> datetime:
    """The first slot that begins at a moment or after it.

    >>> f"{slot_from(datetime(2027, 1, 5, 9, 30, tzinfo=UTC)):%H:%M}", f"{slot_from(datetime(2027, 1, 5, 9, tzinfo=UTC)):%H:%M}"
    ('10:00', '09:00')
    """
    return EPOCH + -((EPOCH - moment) // timedelta(seconds=SLOT_SECONDS)) * timedelta(seconds=SLOT_SECONDS)


def quote_request(query: SearchQuery, mark: str) -> QuoteRequest:
    """A search and what was chosen of it as a request: its demands go with the lease. Raises BadInput for what is no offer."""
    offer_id, hours, hardware = (*mark.split("/"), "", "")[:3]
    if not hours.isdecimal() or not hardware:
        raise BadInput("choose an offer", found=mark)
    chosen: dict[str, object] = {"offer_id": offer_id} if offer_id else {"hardware": [hardware]}
    if query.free_from is not None:
        chosen["start"] = slot_from(query.free_from.astimezone(UTC))
    demands = {
        name: getattr(query, name)
        for name in ("countries", "operator_countries", "certifications", "trust_min", "memory_gb_min", "uptime_min", "place", "rtt_ms_max")
    }
    try:
        return QuoteRequest(accelerators=query.quantity, hours=float(hours), tier=query.tier, **chosen, **demands)  # type: ignore[arg-type]
    except ValueError as fault:
        raise BadInput(str(fault)) from fault


@post("/quotes", include_in_schema=False, status_code=303)
async def hold_quote(request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Hold what was chosen at a firm rate, and show it. A reader without a key signs in first and comes back to the search."""
    sent = {name: [str(value) for value in values] for name, values in (await request.form()).dict().items()}
    search = urlencode(search_fields(sent))
    caller = await page_caller_if_any(request, services)
    if caller is None:
        return Redirect(sign_in_address(f"/find?{search}"), status_code=303)
    try:
        wish = quote_request(wanted(dict(_grouped(search_fields(sent)))), _last(sent, "offer"))
        wish = msgspec.structs.replace(wish, project=_last(sent, "project") or None)
        content = msgspec.json.encode(wish, order="deterministic")
        # One form stands behind the buttons of all offers: each offer is an act of its own.
        marked = FormMarks(token=_last(sent, "token"), once=f"{_last(sent, 'once')} {_last(sent, 'offer')}")
        key = act_key(request, caller, sent=marked, content=content)
        held = await services.replies.once(lambda: services.quotes.hold(wish, caller), QuoteView, request=key)
    except (MarketError, msgspec.ValidationError) as refusal:
        known = refusal if isinstance(refusal, MarketError) else BadInput(str(refusal))
        raise QuoteRefused(known, back=f"/find?{search}", bid=_bid(_last(sent, "bid")), sent=sent) from refusal
    return Redirect(f"/quotes/{held.quote_id}?{urlencode({'search': search})}", status_code=303)


@get("/quotes", include_in_schema=False)
async def quote_list(request: HTMXRequest, services: NamedDependency[Services], *, cursor: Cursor = None) -> Template:
    """The caller's quotes, the latest first: those that stand with the time they have left, each to be taken or left from here."""
    caller = await page_caller(request, services)
    page = await services.quotes.quotes(caller, cursor=cursor, limit=QUOTES_SHOWN, newest_first=True)
    context = {
        "caller": caller,
        "quotes": page.items,
        "open": [quote for quote in page.items if quote.state == "open"],
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "credit": await services.orders.credit(caller),
        "gate": await services.market.gate(),
        "marks": marks(request),
        "origin": str(request.base_url).rstrip("/"),
        "address": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
    }
    name = "_quotes.html" if request.htmx else "quotes.html"
    return Template(name, context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@get("/quotes/{quote_id:str}", include_in_schema=False)
async def quote_page(
    quote_id: FromPath[str], request: HTMXRequest, *, services: NamedDependency[Services], search: Search = ""
) -> Template:
    """A quote: the most it can cost, how long it stands, and the buttons that take or leave it."""
    caller = await page_caller(request, services)
    quote = await services.quotes.quote(quote_id, caller)
    context = {
        "quote": quote,
        "sentence": quote_sentence(quote),
        "credit": await services.orders.credit(caller),
        "caller": caller,
        "gate": await services.market.gate(),
        "back": f"/find?{search}" if search else "/find",
        "search": search,
        "marks": marks(request),
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("_quote.html" if request.htmx else "quote.html", context=context, headers=NO_STORE | {"Vary": "HX-Request"})


@post("/quotes/{quote_id:str}/accept", include_in_schema=False, status_code=303)
async def accept_quote(
    quote_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services], search: Search = ""
) -> Redirect:
    """Take the quote and show its lease. Taken already, it shows the lease there is: a second click orders nothing more."""
    caller = await page_caller(request, services)
    taken = await services.quotes.quote(quote_id, caller)
    if taken.lease_id is not None:
        return Redirect(f"/leases/{taken.lease_id}", status_code=303)
    try:
        key = act_key(request, caller, sent=data)
        lease = await services.replies.once(lambda: services.quotes.accept(quote_id, caller), LeaseView, request=key)
    except MarketError as refusal:
        raise QuoteRefused(refusal, back=f"/find?{search}" if search else "/find") from refusal
    return Redirect(f"/leases/{lease.lease_id}", status_code=303)


@post("/quotes/{quote_id:str}/withdraw", include_in_schema=False, status_code=303)
async def leave_quote(
    quote_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services], search: SearchIfAny = None
) -> Redirect:
    """Leave the quote and go back to the search it came from, or to the list."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data)
    back = "/quotes" if search is None else f"/find?{search}" if search else "/find"
    try:
        await services.replies.once(lambda: services.quotes.withdraw(quote_id, caller), QuoteView, request=key)
    except MarketError as refusal:
        raise QuoteRefused(refusal, back=back) from refusal
    return Redirect(back, status_code=303)


def quote_refused(request: AnyRequest, refused: QuoteRefused) -> Template:
    """What happened, that nothing was taken, and what to do next: where one offer is sold out, the next of its class."""
    refusal = refused.refusal
    offer_id, _, rest = _last(refused.sent, "offer").partition("/")
    rate = refusal.facts.get("rate_micros")
    context = {
        "title": gettext("No quote") if refused.bid else gettext("Not taken"),
        "meaning": quote_refused_words(refusal.code),
        "detail": str(refusal),
        "rate_micros": rate if isinstance(rate, int) else None,
        "back": refused.back,
        "bid": refused.bid,
        "next": f"/{rest}" if offer_id and rest and refusal.code == "not_found" else None,
        "free": _free(refused.back, rest.partition("/")[0]) if rest and refusal.code == "not_found" else None,
        "hardware": rest.partition("/")[2],
        "search_fields": search_fields(refused.sent),
        "project": _last(refused.sent, "project"),
        "marks": marks(request),
    }
    return Template("quote_refused.html", context=context, status_code=refusal.status, headers=NO_STORE)


def _free(back: str, hours: str) -> str:
    """The search again, less what is not free for so long."""
    path, _, query = back.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in ("free_hours", "cursor")]
    return f"{path}?{urlencode([*kept, ('free_hours', hours)])}"


def _bid(address: str) -> str | None:
    """The address of a bid form a page sent along; nothing else is ever linked to."""
    return address if address.startswith("/bids/new?") else None


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _last(sent: Fields, name: str) -> str:
    return (sent.get(name) or [""])[-1]
