"""What else there is beside the best answer to a search: elsewhere, later, interruptible, greener; each with its difference."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Literal
from urllib.parse import urlencode

import msgspec

from broker.app import Services
from broker.services.market import PriceFilter
from broker.services.search_views import BookSearch, SearchOffer, SearchQuery
from contracts.terms.errors import NotFound
from contracts.terms.money import BASIS_POINTS, half_up
from web.pages.order_form import Fields, proposal

Kind = Literal["elsewhere", "spot", "greener", "later"]
HALF = 0.5
SLOTS_LOOKED_AT = 200


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another way to get the work done.

    rate_micros      all-in per reference hour of its best offer; of a later hour, at its last price
    difference_bps   to the best offer of the search, or of a later hour to the price of the next hour
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
    """The hour in which the best offer's own pool last cleared cheapest, against the next hour it sold; in time for the deadline."""
    offer, now = best.offer, services.clock.now()
    worth = services.offers.factor(offer.hardware, query.stack)
    chosen = PriceFilter(hardware=offer.hardware, site=offer.site, tier=query.tier, limit=SLOTS_LOOKED_AT)
    try:
        prices = (await services.market.prices(chosen)).items
    except NotFound:
        return None
    sold = sorted(
        (each for each in prices if each.sold and each.firm == offer.firm and each.slot_start > now), key=lambda each: each.slot_start
    )
    last_start = (query.ready_by or datetime.max.replace(tzinfo=UTC)) - timedelta(hours=math.ceil(query.hours / (worth or 1)))
    in_time = [each for each in sold if each.slot_start <= last_start]
    low = min(in_time, key=lambda each: each.rate_micros, default=None)
    if low is None or worth is None or low.rate_micros >= sold[0].rate_micros:
        return None
    pairs = proposal(given, hardware=[offer.hardware], all_in_micros=offer.all_in_micros, factor=services.offers.factor)
    return Alternative(
        kind="later",
        rate_micros=all_in_micros(low.rate_micros, transfer_micros=offer.transfer_micros, fee_bps=services.offers.fee_bps, worth=worth),
        difference_bps=_difference(low.rate_micros, sold[0].rate_micros),
        where=low.slot_start.isoformat(),
        carbon_g=best.carbon_g,
        address=f"/bids/new?{urlencode([*pairs, ('start', f'{low.slot_start:%Y-%m-%dT%H:%M}')])}",
    )


def all_in_micros(rate_micros: int, *, transfer_micros: int, fee_bps: int, worth: Fraction) -> int:
    """What a reference hour comes to at a rate an accelerator-hour, with fee and moving data; `worth` reference hours an hour."""
    cost = rate_micros * (BASIS_POINTS + fee_bps) + transfer_micros * BASIS_POINTS
    return half_up(cost * worth.denominator, BASIS_POINTS * worth.numerator)


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
