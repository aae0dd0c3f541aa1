"""*Find compute*: what a person needs, in a person's order; offers compared all-in; why the others are out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Template

from broker.app import Services
from broker.services.market_views import OfferQuery, OfferSearch
from broker.services.queries import read_query, write_query
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS, half_up
from web.pages.order_form import Factor, Fields, proposal
from web.pages.words import REASON_FIELDS, REASONS


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """One reason as the page shows it. `without` is the address of the same search less this demand."""

    words: str
    offers: int
    alone: int
    best_all_in_micros: int | None
    examples: list[str]
    without: str | None


@get("/find", include_in_schema=False)
async def find(request: HTMXRequest, services: NamedDependency[Services]) -> Template:
    """Offers that answer the form, and why the rest do not. A form that cannot be read is shown again with the reason."""
    fields = {name: [value for value in values if value.strip()] for name, values in request.query_params.dict().items()}
    given = {name: values for name, values in fields.items() if values}
    fault = None
    try:
        query = wanted(given)
        found = await services.offers.search(query)
    except (BadInput, msgspec.ValidationError) as error:
        fault = str(error)
        query = OfferQuery()
        found = await services.offers.search(msgspec.structs.replace(query, limit=1))
    context = {
        "given": given,
        "wanted": query,
        "found": found,
        "fault": fault,
        "excluded": excluded(found, given),
        "call": f"{str(request.base_url).rstrip('/')}/v1/offers" + _question(write_query(query)),
        "more": _question([*_pairs(given, leave=("cursor",)), ("cursor", found.next_cursor)]) if found.next_cursor else None,
        "first": _question(_pairs(given, leave=("cursor",))) if query.cursor else None,
        "reset": "/find",
        "countries": request.app.state.countries,
        "places": request.app.state.places,
        "stacks": request.app.state.stacks,
        "bids": {} if fault else bids(found, given, factor=services.offers.factor),
        "data_countries": sorted({value.value for value in found.facets["countries"]} | {*given.get("data_country", ())}),
    }
    name = "_find.html" if request.htmx else "find.html"
    return Template(name, context=context, headers={"Vary": "HX-Request", "Cache-Control": "no-cache"})


def wanted(given: Fields) -> OfferQuery:
    """The form's fields as a search. Raises BadInput or msgspec.ValidationError naming the field.

    `budget` is in currency units; `ready_by` without a zone is UTC, as the form says beside it.
    """
    fields = {name: list(values) for name, values in given.items()}
    if budget := fields.pop("budget", None):
        fields["rate_max_micros"] = [str(_micros(budget[-1]))]
    if ready_by := fields.pop("ready_by", None):
        fields["ready_by"] = [_utc(ready_by[-1])]
    return read_query(fields, OfferQuery)


def bids(found: OfferSearch, given: Fields, *, factor: Factor) -> dict[str, str]:
    """The address of a bid for each offer's class, by offer; under `""` for the classes asked for, or the first offer's."""

    def address(hardware: Sequence[str], all_in_micros: int) -> str:
        return "/bids/new" + _question(proposal(given, hardware=hardware, all_in_micros=all_in_micros, factor=factor))

    addresses = {offer.offer_id: address([offer.hardware], offer.all_in_micros) for offer in found.offers}
    first = found.offers[0] if found.offers else None
    return addresses | ({"": address(given.get("hardware") or [first.hardware], first.all_in_micros)} if first else {})


def excluded(found: OfferSearch, given: Fields) -> list[Excluded]:
    """The account of what was left out, each reason with the way to drop it."""
    return [
        Excluded(
            words=REASONS[row.reason],
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


def _micros(text: str) -> int:
    try:
        amount = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise BadInput("the budget is a number, such as 2.50", found=text) from error
    if not amount.is_finite() or not 0 <= amount <= MICROS:
        raise BadInput("the budget is between 0 and 1,000,000 an hour", found=text)
    return half_up(*(amount * MICROS).as_integer_ratio())


def _utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput("ready by is a date and a time, such as 2027-01-31T18:00", found=text) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _pairs(given: Fields, *, leave: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [(name, value) for name, values in given.items() if name not in leave for value in values]


def _question(pairs: Sequence[tuple[str, str | None]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""
