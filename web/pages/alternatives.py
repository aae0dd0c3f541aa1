"""What else there is beside the best answer to a search: elsewhere, later, interruptible, greener; each with its difference."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlencode

import msgspec

from broker.app import Services
from broker.services.search_views import BookSearch, SearchOffer, SearchQuery
from contracts.terms.errors import NotFound
from contracts.terms.money import BASIS_POINTS, half_up
from web.pages.order_form import Fields, proposal

Kind = Literal["elsewhere", "spot", "greener", "later"]
HALF = 0.5


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another way to get the work done.

    rate_micros      all-in per reference hour of its best offer; of a later hour, its last price an accelerator-hour
    difference_bps   to the best offer of the search, or of a later hour to the next hour's price
    where            the country of its best offer, or when the hour begins
    carbon_g         grams of CO2 a reference hour there; null where nobody knows
    address          the search, or the bid, that asks for it
    """

    kind: Kind
    rate_micros: int
    difference_bps: int
    where: str
    carbon_g: float | None
    address: str


async def alternatives(services: Services, query: SearchQuery, *, given: Fields, found: BookSearch) -> list[Alternative]:
    """The alternatives that are cheaper, or greener; none beside a search that is sorted otherwise or found nothing."""
    if not found.offers or query.sort != "all_in" or query.cursor:
        return []
    best = found.offers[0]
    made = [
        await _elsewhere(services, query, given=given, best=best),
        await _spot(services, query, given=given, best=best),
        await _greener(services, query, given=given, best=best),
        await _later(services, query, given=given, best=best),
    ]
    return [each for each in made if each is not None]


async def _elsewhere(services: Services, query: SearchQuery, *, given: Fields, best: SearchOffer) -> Alternative | None:
    """The cheapest country, where countries were named."""
    if not query.countries and not query.operator_countries:
        return None
    wider = msgspec.structs.replace(query, countries=[], operator_countries=[], limit=1)
    return _cheaper("elsewhere", await services.search.search(wider), best=best, address=_search(given, "countries", "operator_countries"))


async def _spot(services: Services, query: SearchQuery, *, given: Fields, best: SearchOffer) -> Alternative | None:
    """The same with interruptions, where none were wanted."""
    if query.tier == "spot":
        return None
    found = await services.search.search(msgspec.structs.replace(query, tier="spot", limit=1))
    return _cheaper("spot", found, best=best, address=_search(given, "tier"))


async def _greener(services: Services, query: SearchQuery, *, given: Fields, best: SearchOffer) -> Alternative | None:
    """The cheapest offer that emits half of the best one's, or less."""
    if best.carbon_g is None:
        return None
    most = round(best.carbon_g * HALF, 1)
    found = await services.search.search(msgspec.structs.replace(query, carbon_g_max=most, limit=1))
    if not found.offers:
        return None
    address = _search({**given, "carbon_g_max": [f"{most:g}"]})
    return _made("greener", found.offers[0], best=best, address=address)


async def _later(services: Services, query: SearchQuery, *, given: Fields, best: SearchOffer) -> Alternative | None:
    """The hour in which the best offer's class last cleared cheapest, against the next hour."""
    hardware = best.offer.hardware
    try:
        slots = await services.market.slots(hardware)
    except NotFound:
        return None
    now = services.clock.now()
    traded = sorted(
        (slot for slot in slots if slot.traded and slot.tier == query.tier and slot.slot_start > now), key=lambda slot: slot.slot_start
    )
    if not traded:
        return None
    low = min(traded, key=lambda slot: slot.rate_micros)
    if low.rate_micros >= traded[0].rate_micros:
        return None
    pairs = proposal(given, hardware=[hardware], all_in_micros=best.offer.all_in_micros, factor=services.offers.factor)
    return Alternative(
        kind="later",
        rate_micros=low.rate_micros,
        difference_bps=_difference(low.rate_micros, traded[0].rate_micros),
        where=low.slot_start.isoformat(),
        carbon_g=None,
        address=f"/bids/new?{urlencode(pairs)}",
    )


def _cheaper(kind: Kind, found: BookSearch, *, best: SearchOffer, address: str) -> Alternative | None:
    if not found.offers or found.offers[0].offer.all_in_micros >= best.offer.all_in_micros:
        return None
    return _made(kind, found.offers[0], best=best, address=address)


def _made(kind: Kind, offer: SearchOffer, *, best: SearchOffer, address: str) -> Alternative:
    return Alternative(
        kind=kind,
        rate_micros=offer.offer.all_in_micros,
        difference_bps=_difference(offer.offer.all_in_micros, best.offer.all_in_micros),
        where=offer.offer.country or "",
        carbon_g=offer.carbon_g,
        address=address,
    )


def _difference(micros: int, base_micros: int) -> int:
    return half_up((micros - base_micros) * BASIS_POINTS, base_micros) if base_micros else 0


def _search(given: Fields, *leave: str) -> str:
    pairs: Sequence[tuple[str, str]] = [(name, value) for name, values in given.items() if name not in leave for value in values]
    return f"/find?{urlencode(pairs)}"
