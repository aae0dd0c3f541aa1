"""Query strings as structs: the same struct is read, checked and described, so the three cannot differ."""

from typing import TypeVar, get_origin, get_type_hints

import msgspec
from litestar import Request
from litestar.datastructures import MultiDict

from broker.services.market import PriceFilter
from broker.services.market_views import OfferQuery

T = TypeVar("T", bound=msgspec.Struct)

QUERIES: dict[str, type[msgspec.Struct]] = {"SearchOffers": OfferQuery, "ListPrices": PriceFilter}


def read_query(fields: MultiDict[str], into: type[T]) -> T:
    """A query string as a struct: a list field takes every value of its name, another field the last.

    Raises msgspec.ValidationError for an unknown name or a value out of its bounds.
    """
    lists = {name for name, hint in get_type_hints(into).items() if get_origin(hint) is list}
    values: dict[str, str | list[str]] = {}
    for name in fields:
        found = fields.getall(name)
        values[name] = found if name in lists else found[-1]
    return msgspec.convert(values, into, strict=False)


def provide_offer_query(request: Request[object, object, object]) -> OfferQuery:  # type: ignore[type-var]
    """The search a query string asks for."""
    return read_query(request.query_params, OfferQuery)


def provide_price_filter(request: Request[object, object, object]) -> PriceFilter:  # type: ignore[type-var]
    """The prices a query string asks for."""
    return read_query(request.query_params, PriceFilter)
