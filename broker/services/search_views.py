"""What a search over the book takes and gives."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from broker.services.market_views import Exclusion, FacetValue, OfferQuery, OfferView

FeedState = Literal["live", "stale", "damped", "paused", "suspect"]


class SearchQuery(OfferQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a buyer is looking for, among all offers the book has.

    states        states that would do; only live offers are sold
    carbon_g_max  grams of CO2 a reference hour, at most; an offer whose power nobody knows does not meet it
    """

    states: list[FeedState] = msgspec.field(default_factory=lambda: ["live"])
    carbon_g_max: Annotated[float, msgspec.Meta(ge=0)] | None = None


class SearchOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that answers, with its standing.

    state     live, or why it cannot be booked: `reason`
    carbon_g  grams of CO2 a reference hour; null where nobody knows
    """

    offer: OfferView
    state: str
    reason: str
    carbon_g: float | None


class BookSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Offers that answer, and an account of those that do not: found + left_out = considered."""

    as_of: datetime
    currency: str
    considered: int
    found: int
    left_out: int
    offers: list[SearchOffer]
    next_cursor: str | None
    exclusions: list[Exclusion]
    facets: dict[str, list[FacetValue]]
