"""What a search over the book takes and gives."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from broker.services.market_views import Exclusion, FacetValue, OfferQuery, OfferView
from contracts.terms.quotes import HOURS_MAX

FeedState = Literal["live", "stale", "damped", "paused", "suspect"]


class SearchQuery(OfferQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a buyer is looking for, among all offers the book has.

    states        states that would do; only live offers are sold
    carbon_g_max  grams of CO2 a reference hour, at most; an offer whose power nobody knows does not meet it
    free_from     the quantity is free at the tier from then on (from the next slot on, where only hours are said)
    free_hours    and stays so for as many hours (1, where only a start is said); leases and open quotes count as taken
    """

    states: list[FeedState] = msgspec.field(default_factory=lambda: ["live"])
    carbon_g_max: Annotated[float, msgspec.Meta(ge=0)] | None = None
    free_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    free_hours: Annotated[int, msgspec.Meta(ge=1, le=HOURS_MAX)] | None = None

    @property
    def is_timed(self) -> bool:
        """Whether it matters when offers are free."""
        return self.free_from is not None or self.free_hours is not None


class FreeSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of slots in which an offer has the quantity free."""

    start: datetime
    end: datetime


class SearchOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that answers, with its standing.

    state     live, or why it cannot be booked: `reason`
    carbon_g  grams of CO2 a reference hour; null where nobody knows
    free      when it has the quantity free at the tier, among the slots that may be quoted; only where free hours were asked for
    """

    offer: OfferView
    state: str
    reason: str
    carbon_g: float | None
    free: list[FreeSpan] = []


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
