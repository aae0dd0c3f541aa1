"""*Find compute*: what a person needs, in a person's order; offers compared all-in, with what else there is; why the rest is out."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.market_views import OfferView
from broker.services.queries import write_query
from broker.services.search_views import BookSearch, SearchQuery
from contracts.terms.errors import BadInput
from web.i18n import gettext, language
from web.pages.alternatives import all_in_micros, alternatives
from web.pages.kept import Kept
from web.pages.order_form import Factor, Fields, proposal
from web.pages.quotes import offer_mark, slot_from
from web.pages.runs import KINDS, arithmetic, filled_in, run_of
from web.pages.signing import COOKIE, NO_STORE, marks, page_caller_if_any
from web.pages.spend_project import projects_to_buy_for
from web.pages.wishes import search_fields, wanted
from web.pages.words import REASON_FIELDS, REASONS, country_names

HEADERS = NO_STORE | {"Vary": "HX-Request"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as the table shows it.

    quoted_micros  what a reference hour comes to as a quote, all-in; null where its pool last sold no dearer than it is offered
    carbon_g       grams of CO2 a reference hour; null where nobody knows
    starts_at      when work could begin there: the next slot, or the one asked for, the data moved first
    free_until     how long it then stays free; null where free hours were not asked for
    mark           what its quote button sends
    bid            the address of a bid for its class
    """

    offer: OfferView
    quoted_micros: int | None
    carbon_g: float | None
    starts_at: datetime
    free_until: datetime | None
    mark: str
    bid: str


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """One reason as the page shows it. `without` is the address of the same search less this demand."""

    words: str
    offers: int
    alone: int
    best_all_in_micros: int | None
    examples: list[str]
    without: str | None


@get("/find", include_in_schema=False)
async def find(request: HTMXRequest, services: NamedDependency[Services]) -> Template | Redirect | Response[bytes]:
    """Offers that answer the form, and why the rest do not. A form that cannot be read is shown again with the reason.

    What is to be run, newly said, leads to the address of the same form filled in for it: that is what is shared. Readers who are not
    signed in are shown one page in common, up to a second old.
    """
    fields = {name: [value for value in values if value.strip()] for name, values in request.query_params.dict().items()}
    given = {name: values for name, values in fields.items() if values}
    if address := _filled_in(given):
        return Redirect(address, status_code=303, headers=NO_STORE)
    if COOKIE in request.cookies:
        return await _page(request, services, given=given)

    async def written() -> bytes:
        return (await _page(request, services, given=given)).to_asgi_response(None, request).body

    pages: Kept[bytes] = request.app.state.pages
    page = await pages.get((str(request.url), bool(request.htmx), language()), written, moment=int(time.monotonic()))
    return Response(page, media_type=MediaType.HTML, headers=HEADERS)


def _filled_in(given: Fields) -> str | None:
    try:
        return filled_in(given)
    except BadInput:  # the page says so
        return None


async def _page(request: HTMXRequest, services: Services, *, given: Fields) -> Template:
    fault, run = None, None
    try:
        run, query = run_of(given), wanted(given)
        found = await services.search.search(query)
    except (BadInput, msgspec.ValidationError) as error:
        fault = str(error)
        query = SearchQuery()
        found = await services.search.search(msgspec.structs.replace(query, limit=1))
    factor = services.offers.factor
    made = [] if fault else rows(found, query, given=given, services=services)
    context = {
        "given": given,
        "wanted": query,
        "kinds": KINDS,
        "run": run,
        "arithmetic": arithmetic(run) if run else [],
        "found": found,
        "fault": fault,
        "excluded": excluded(found, given),
        "rows": made,
        "instead": [] if fault else await alternatives(services, query, given=given, found=found),
        "marks": marks(request),
        "projects": await projects_to_buy_for(services, await page_caller_if_any(request, services)),
        "search_fields": search_fields(given),
        "call": f"{str(request.base_url).rstrip('/')}/v1/search" + _question(write_query(query)),
        "more": _question([*_pairs(given, leave=("cursor",)), ("cursor", found.next_cursor)]) if found.next_cursor else None,
        "first": _question(_pairs(given, leave=("cursor",))) if query.cursor else None,
        "reset": "/find",
        "countries": country_names(request.app.state.countries),
        "places": request.app.state.places,
        "stacks": request.app.state.stacks,
        "best": "/" + made[0].mark.partition("/")[2] if made else None,
        "bid": None if fault else bid_address(found, given, factor=factor),
        "data_countries": sorted({value.value for value in found.facets["countries"]} | {*given.get("data_country", ())}),
    }
    name = "_find.html" if request.htmx else "find.html"
    return Template(name, context=context, headers=HEADERS)


def rows(found: BookSearch, query: SearchQuery, *, given: Fields, services: Services) -> list[Row]:
    """The offers of one page."""
    first = slot_from(max(found.as_of, query.free_from or found.as_of))
    starts = [max(first, found.as_of + timedelta(seconds=each.offer.arrival_seconds)) for each in found.offers]
    return [
        Row(
            offer=each.offer,
            quoted_micros=_quoted(services, each.offer, stack=query.stack),
            carbon_g=each.carbon_g,
            starts_at=start,
            free_until=next((span.end for span in each.free if span.start <= start < span.end), None),
            mark=offer_mark(each.offer.hardware, each.offer.factor, reference_hours=query.hours, offer_id=each.offer.offer_id),
            bid=_bid(given, [each.offer.hardware], all_in_micros=each.offer.all_in_micros, factor=services.offers.factor),
        )
        for each, start in zip(found.offers, starts, strict=True)
    ]


def _quoted(services: Services, offer: OfferView, *, stack: str | None) -> int | None:
    worth = services.offers.factor(offer.hardware, stack)
    if worth is None or offer.last_rate_micros is None or offer.last_rate_micros <= offer.rate_micros:
        return None
    rate = services.quotes.rate_micros(offer.rate_micros, offer.last_rate_micros)
    return all_in_micros(rate, transfer_micros=offer.transfer_micros, fee_bps=services.offers.fee_bps, worth=worth)


def bid_address(found: BookSearch, given: Fields, *, factor: Factor) -> str | None:
    """The address of a bid for the classes asked for, else for the first offer's; None where nothing was found."""
    if not found.offers:
        return None
    first = found.offers[0].offer
    return _bid(given, given.get("hardware") or [first.hardware], all_in_micros=first.all_in_micros, factor=factor)


def _bid(given: Fields, hardware: Sequence[str], *, all_in_micros: int, factor: Factor) -> str:
    return "/bids/new" + _question(proposal(given, hardware=hardware, all_in_micros=all_in_micros, factor=factor))


def excluded(found: BookSearch, given: Fields) -> list[Excluded]:
    """The account of what was left out, each reason with the way to drop it."""
    return [
        Excluded(
            words=gettext(REASONS[row.reason]),
            offers=row.offers,
            alone=row.alone,
            best_all_in_micros=row.best_all_in_micros,
            examples=row.examples,
            without="/find" + _question(_pairs(given, leave=(*REASON_FIELDS[row.reason], "cursor")))
            if row.reason in REASON_FIELDS
            else None,
        )
        for row in found.exclusions
    ]


def _pairs(given: Fields, *, leave: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [(name, value) for name, values in given.items() if name not in leave for value in values]


def _question(pairs: Sequence[tuple[str, str | None]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""
