"""The query strings of `/v1`, each read as one struct."""

import msgspec
from litestar import Request

from broker.services.market import PriceFilter
from broker.services.market_views import OfferQuery
from broker.services.queries import read_query
from broker.services.search_views import SearchQuery

QUERIES: dict[str, type[msgspec.Struct]] = {"SearchBook": SearchQuery, "SearchOffers": OfferQuery, "ListPrices": PriceFilter}


def provide_offer_query(request: Request[object, object, object]) -> OfferQuery:  # type: ignore[type-var]
    """The search a query string asks for."""
    return read_query(request.query_params.dict(), OfferQuery)


def provide_search_query(request: Request[object, object, object]) -> SearchQuery:  # type: ignore[type-var]
    """The search over the book a query string asks for."""
    return read_query(request.query_params.dict(), SearchQuery)


def provide_price_filter(request: Request[object, object, object]) -> PriceFilter:  # type: ignore[type-var]
    """The prices a query string asks for."""
    return read_query(request.query_params.dict(), PriceFilter)
