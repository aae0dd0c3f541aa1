"""What a buyer asks for, and the life of a bid between gates.

A bid asks once and may be served by several clearings: what one gives is taken off `hours_left`, and
the rest stands until its window has passed. `width_left` is what later clearings may still add in
any one slot, so that two clearings together never exceed `width`.
"""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

import msgspec

from contracts.terms.money import half_up
from contracts.terms.time import Period

BidStatus = Literal["open", "filled", "partial", "expired", "withdrawn"]
FACTOR_PLACES = 6


class BidRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flexible bid: what is needed, when, where it may run, and the most it may cost.

    width           accelerators at once
    hours           accelerator-hours in all
    window_start    first instant the work may run; window_end is exclusive
    hardware        class → reference hours one accelerator-hour of it is worth (1 for the class itself)
    limit_*_micros  the most per reference hour, all-in, at that QoS tier; absent: the tier is not wanted
    project         whose spend it is, by id or name; absent: the account's default one. No market looks at it
    """

    width: int
    hours: float
    window_start: datetime
    window_end: datetime
    hardware: dict[str, float]
    limit_guaranteed_micros: int | None = None
    limit_standard_micros: int | None = None
    limit_spot_micros: int | None = None
    memory_gb_min: float | None = None
    uptime_min: float | None = None
    countries: list[str] = []
    subdivisions: list[str] = []
    operator_countries: list[str] = []
    countries_denied: list[str] = []
    certifications: list[str] = []
    chip_origins_denied: list[str] = []
    trust_min: Literal["community", "verified", "certified"] | None = None
    place: str | None = None
    rtt_ms_max: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    distance_km_max: float | None = None
    data_tb: float = 0.0
    data_country: str | None = None
    carbon_micros_per_kg: int = 0
    project: str | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1 accelerator, was {self.width}")
        if not 0 < self.hours <= 100_000_000:
            raise ValueError(f"hours must be positive and at most 100,000,000, was {self.hours}")
        for moment in (self.window_start, self.window_end):
            if moment.utcoffset() != timedelta(0):
                raise ValueError(f"the window must be in UTC (`Z`), was {moment.isoformat()}")
        if self.window_end <= self.window_start:
            raise ValueError("the window must end after it starts")
        if not self.hardware or any(not 0 < factor <= 1000 for factor in self.hardware.values()):
            raise ValueError("name at least one hardware class, each with a factor above 0 and at most 1000")
        if self.limit_micros_max is None:
            raise ValueError("name a limit for at least one tier: guaranteed, standard or spot")
        if any(limit is not None and limit < 1 for limit in self.limits.values()):
            raise ValueError("a limit must be at least 1 micro per reference hour; leave it out where the tier is not wanted")

    @property
    def window(self) -> Period:
        """The half-open span the work may run in."""
        return Period(self.window_start, self.window_end)

    @property
    def limits(self) -> dict[str, int | None]:
        """Limit by tier, micros per reference hour, best tier first; None where the tier is not wanted."""
        return {
            "guaranteed": self.limit_guaranteed_micros,
            "standard": self.limit_standard_micros,
            "spot": self.limit_spot_micros,
        }

    @property
    def limit_micros_max(self) -> int | None:
        """The greatest limit named, or None."""
        return max((limit for limit in self.limits.values() if limit is not None), default=None)

    def factor_texts(self) -> list[str]:
        """`CLASS:factor` in the published form, six places, classes in order."""
        return [f"{name}:{factor:.{FACTOR_PLACES}f}" for name, factor in sorted(self.hardware.items())]

    def worst_case_micros(self, hours: float) -> int:
        """The most that so many hours can cost: the greatest limit at the best hardware, micros.

        A limit is all-in, so fee and transfer are inside it.
        """
        best = Fraction(f"{max(self.hardware.values()):.{FACTOR_PLACES}f}")
        return half_up((self.limit_micros_max or 0) * best * Fraction(str(hours)))


class Bid(msgspec.Struct, frozen=True, kw_only=True):
    """A bid the market has accepted.

    hours_left   accelerator-hours no clearing has awarded yet
    status       open until filled, withdrawn, or its window has passed (partial: with some hours, expired: with none)
    """

    id: str
    account_id: str
    entered_at: datetime
    request: BidRequest
    hours_left: float
    status: BidStatus = "open"
