"""Quotes: a firm rate for some accelerators over whole slots, held for minutes, taken or left.

    open → accepted | expired | withdrawn

A quote rests on one version of one offer. While it is open its accelerators are nobody else's; accepted, they are a lease.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from contracts.terms.bids import BidRequest
from contracts.terms.leases import LeaseSlot
from contracts.terms.money import BASIS_POINTS, MICROS, half_up
from contracts.terms.time import MICROSECOND, Period

QuoteState = Literal["open", "accepted", "expired", "withdrawn"]
Tier = Literal["guaranteed", "standard", "spot"]
HOURS_MAX = 24 * 31
ACCELERATORS_MAX = 1_000_000
CLASSES_MAX = 20
RATE_MAX = 10**12
VERSION_MAX = 2**31 - 1


class QuoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a firm rate is asked for: one offer, or whatever meets the requirements at the lowest rate.

    accelerators   how many at once, all of them at one offer
    hours          how long, a whole number of slots
    start          first instant, a slot's; absent: the next slot that begins
    offer_id       the offer to have it from; absent: any that meets the rest
    offer_version  the version of it that was seen: another one is refused, and said to be
    hardware       classes that would do; needed without an offer
    project        whose spend it is, by id or name; absent: the account's default one
    """

    accelerators: int
    hours: float
    tier: Tier = "spot"
    start: datetime | None = None
    offer_id: str | None = None
    offer_version: int | None = None
    hardware: list[str] = []
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
    project: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.accelerators <= ACCELERATORS_MAX:
            raise ValueError(f"accelerators must be in 1..{ACCELERATORS_MAX:,}, was {self.accelerators}")
        if not 0 < self.hours <= HOURS_MAX:
            raise ValueError(f"hours must be positive and at most {HOURS_MAX}, was {self.hours}")
        if self.offer_version is not None and not 1 <= self.offer_version <= VERSION_MAX:
            raise ValueError(f"offer_version must be in 1..{VERSION_MAX}, was {self.offer_version}")
        if self.start is not None and self.start.utcoffset() != timedelta(0):
            raise ValueError(f"start must be in UTC (`Z`), was {self.start.isoformat()}")
        if self.offer_id is None and not self.hardware:
            raise ValueError("name an offer, or at least one hardware class")
        if len(self.hardware) > CLASSES_MAX:
            raise ValueError(f"name at most {CLASSES_MAX} hardware classes, were {len(self.hardware)}")
        if self.offer_version is not None and self.offer_id is None:
            raise ValueError("offer_version goes with offer_id")
        if any("\0" in text for text in self._texts()):
            raise ValueError("texts may not hold the character NUL")

    def _texts(self) -> list[str]:
        lists = (self.hardware, self.countries, self.subdivisions, self.operator_countries, self.countries_denied)
        more = (self.certifications, self.chip_origins_denied, [self.offer_id or "", self.place or "", self.project or ""])
        return [text for each in (*lists, *more) for text in each]

    def as_bid(self, span: Period, hardware: list[str], *, limit_micros: int = RATE_MAX) -> BidRequest:
        """The same wish as a bid for the span: who may serve one may serve the other, clause for clause."""
        return BidRequest(
            width=self.accelerators,
            hours=accelerator_hours(self.accelerators, span),
            window_start=span.start,
            window_end=span.end,
            hardware=dict.fromkeys(sorted(hardware), 1.0),
            limit_guaranteed_micros=limit_micros if self.tier == "guaranteed" else None,
            limit_standard_micros=limit_micros if self.tier == "standard" else None,
            limit_spot_micros=limit_micros if self.tier == "spot" else None,
            memory_gb_min=self.memory_gb_min,
            uptime_min=self.uptime_min,
            countries=self.countries,
            subdivisions=self.subdivisions,
            operator_countries=self.operator_countries,
            countries_denied=self.countries_denied,
            certifications=self.certifications,
            chip_origins_denied=self.chip_origins_denied,
            trust_min=self.trust_min,
            place=self.place,
            rtt_ms_max=self.rtt_ms_max,
            latitude=self.latitude,
            longitude=self.longitude,
            distance_km_max=self.distance_km_max,
            project=self.project,
        )


class Extension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much longer a lease shall be: hours, a whole number of slots."""

    hours: float

    def __post_init__(self) -> None:
        if not 0 < self.hours <= HOURS_MAX:
            raise ValueError(f"hours must be positive and at most {HOURS_MAX}, was {self.hours}")


class QuotePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What every quote keeps to.

    lifetime     how long one is held, and never past the next gate
    spread_bps   what the promise costs, on top of the greater of last price and rate
    open_max     quotes one account may hold at once
    """

    lifetime: timedelta = timedelta(minutes=5)
    spread_bps: int = 200
    open_max: int = 10

    def rate_micros(self, rate_micros: int, last_micros: int) -> int:
        """The firm rate, per accelerator-hour: rounded up, so that the spread is never lost."""
        return -(-max(rate_micros, last_micros) * (BASIS_POINTS + self.spread_bps) // BASIS_POINTS)


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A firm rate and the accelerators it is firm for.

    offer_version     what the rate was made from; (offer_id, offer_version) must still stand, or suit as well, when it is taken
    rate_micros       per accelerator-hour
    extends           the lease it would make longer
    fee_micros        the broker's fee on top, for the whole of it
    worst_case_micros the most it can cost: accelerators × hours × rate + fee
    """

    id: str
    account_id: str
    offer_id: str
    offer_version: int
    provider_id: str
    site: str
    hardware: str
    tier: Tier
    accelerators: int
    rate_micros: int
    fee_micros: int
    currency: str
    starts_at: datetime
    ends_at: datetime
    slot_seconds: int
    state: QuoteState
    created_at: datetime
    expires_at: datetime
    request: QuoteRequest
    extends: str | None = None

    @property
    def span(self) -> Period:
        """What it is for."""
        return Period(self.starts_at, self.ends_at)

    @property
    def worst_case_micros(self) -> int:
        """The most it can cost."""
        return cost_micros(self.accelerators, self.span, rate_micros=self.rate_micros) + self.fee_micros

    @property
    def slots(self) -> tuple[LeaseSlot, ...]:
        """Slot by slot, as a lease has it."""
        length = timedelta(seconds=self.slot_seconds)
        starts = [self.starts_at + length * slot for slot in range((self.ends_at - self.starts_at) // length)]
        return tuple(
            LeaseSlot(start=start, end=start + length, quantity=self.accelerators, rate_micros=self.rate_micros) for start in starts
        )


DEMANDS = (set(QuoteRequest.__struct_fields__) & set(BidRequest.__struct_fields__)) - {"hours", "hardware"}


def under_demands(wish: QuoteRequest, request: BidRequest) -> QuoteRequest:
    """The same wish, under what a bid demands of where it runs."""
    return msgspec.structs.replace(wish, **{name: getattr(request, name) for name in sorted(DEMANDS)})


def accelerator_hours(accelerators: int, span: Period) -> float:
    """Accelerator-hours in a span: exact in six places for slots of whole multiples of nine seconds."""
    return float(accelerators * span.seconds / 3600)


def cost_micros(accelerators: int, span: Period, *, rate_micros: int) -> int:
    """What a span costs at a rate, rounded once."""
    microseconds = (span.end - span.start) // MICROSECOND
    return half_up(accelerators * rate_micros * microseconds, 3600 * MICROS)
