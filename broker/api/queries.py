"""The query strings of `/v1`, each read as one struct."""

import msgspec
from litestar import Request

from broker.services.market import PriceFilter
from broker.services.market_views import OfferQuery
from broker.services.queries import read_query

QUERIES: dict[str, type[msgspec.Struct]] = {"SearchOffers": OfferQuery, "ListPrices": PriceFilter}


def provide_offer_query(request: Request[object, object, object]) -> OfferQuery:  # type: ignore[type-var]
    """The search a query string asks for."""
    return read_query(request.query_params.dict(), OfferQuery)


def provide_price_filter(request: Request[object, object, object]) -> PriceFilter:  # type: ignore[type-var]
    """The prices a query string asks for."""
    return read_query(request.query_params.dict(), PriceFilter)
