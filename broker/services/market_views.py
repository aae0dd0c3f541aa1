"""What anyone may see of the market: prices, curves, cycles, and offers compared.

Rates are integer micros of the market's currency per accelerator-hour; *all-in* figures are per reference
hour (what one H100 SXM does in an hour). Times are UTC. Nothing here names a buyer.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Side = Literal["supply", "demand"]
Phase = Literal["open", "clearing"]


class CycleView(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle as published.

    start, end  the span its slots deliver in
    gap         certified distance from the best possible welfare, 0 for exact; null before it is applied
    certified   whether every check of its certificate held; null before it is applied
    """

    cycle_id: str
    number: int
    status: str
    gate_at: datetime
    start: datetime
    end: datetime
    slots: int
    slot_seconds: int
    applied_at: datetime | None
    finding: str
    gap: float | None
    certified: bool | None


class ClassPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The headline price of one hardware class at one QoS tier in one cycle.

    rate_micros           volume-weighted mean over pools and slots; without a trade the lowest rate on offer
    previous_rate_micros  the same in the cycle before; null when the class did not trade in both
    change_bps            from previous to now, hundredths of a per cent
    sold_hours            accelerator-hours sold at this tier
    left_hours            accelerator-hours offered in the class that no award took
    """

    hardware: str
    tier: str
    rate_micros: int
    rate_lowest_micros: int
    rate_highest_micros: int
    previous_rate_micros: int | None
    change_bps: int | None
    traded: bool
    sold_hours: float
    left_hours: float
    sites: int


class MarketNow(msgspec.Struct, frozen=True, kw_only=True):
    """The first screen: prices of the last applied cycle, and how long until the next gate.

    age_seconds  since the prices were applied; null before the first cycle
    stale        whether a gate has passed whose cycle has not been applied
    """

    as_of: datetime
    currency: str
    cycle: CycleView | None
    previous: CycleView | None
    next_gate_at: datetime | None
    age_seconds: int | None
    stale: bool
    prices: list[ClassPrice]


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """The gate that comes next, and what it will clear.

    next_gate_at, first_slot_at, last_slot_end  null while no gate is scheduled
    seconds_left                                until the gate, in market time
    clock_runs                                  whether market time passes by itself, second by second
    phase                                       open: orders go in; clearing: a gate has closed and its cycle is not applied yet
    """

    as_of: datetime
    next_gate_at: datetime | None
    seconds_left: int | None
    first_slot_at: datetime | None
    last_slot_end: datetime | None
    clock_runs: bool
    phase: Phase = "open"

    @property
    def mark(self) -> str:
        """Differs whenever the gate is to be shown anew."""
        return gate_mark(self.phase, self.next_gate_at, seconds_left=None if self.clock_runs else self.seconds_left)


def gate_mark(phase: Phase, next_gate_at: datetime | None, *, seconds_left: int | None) -> str:
    """The mark of a gate: `seconds_left` only where no page can count them down by itself."""
    left = "" if seconds_left is None else f" {seconds_left // 60}"
    return f"{phase} {next_gate_at.isoformat() if next_gate_at else ''}{left}"


class CurveStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: from `quantity_from` to `quantity_to` accelerators somebody sells, or buys, at `rate_micros`."""

    side: Side
    rate_micros: int
    quantity_from: int
    quantity_to: int


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Supply and demand of one hardware class in one slot of the last applied cycle.

    clearing_rate_micros  volume-weighted price of what was sold in the slot; null without a trade
    clearing_quantity     accelerators sold in the slot, all tiers
    range_*_micros        any price between would have cleared the pool that sold most just as it did; null without a trade
    slots                 every slot of the cycle, to choose from
    """

    hardware: str
    cycle_number: int
    currency: str
    slot_start: datetime
    slot_end: datetime
    slots: list[datetime]
    steps: list[CurveStep]
    clearing_rate_micros: int | None
    clearing_quantity: int
    range_low_micros: int | None = None
    range_high_micros: int | None = None


class RegionPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one hardware class in one country, all slots of the last applied cycle.

    rate_micros   volume-weighted mean, or the lowest rate on offer where nothing traded
    offered_hours accelerator-hours on offer before the cycle
    """

    country: str | None
    rate_micros: int
    traded: bool
    sold_hours: float
    offered_hours: float
    sites: int


class SlotPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one hardware class and tier in one slot, and what was sold of it (accelerators)."""

    slot_start: datetime
    tier: str
    rate_micros: int
    traded: bool
    sold: int
    offered: int


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """One published price: a pool, a slot and a tier, with both ends of its tie range."""

    cycle_number: int
    pool: str
    site: str
    country: str | None
    hardware: str
    firm: bool
    slot_start: datetime
    tier: str
    rate_micros: int
    rate_low_micros: int
    rate_high_micros: int
    sold: int
    offered: int


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a certificate and the figures behind it."""

    name: str
    holds: bool
    finding: str


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that came with a cycle. `gap` is (bound − welfare) ÷ bound; hashes are SHA-256 by table."""

    cycle_number: int
    holds: bool
    approximate: bool
    path: str
    rules: str
    welfare_micros: int
    bound_micros: int
    gap: float
    paid_micros: int
    received_micros: int
    fee_micros: int
    transfer_micros: int
    checks: list[CheckView]
    hashes: dict[str, str]


class OfferQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a buyer is looking for. Everything is optional; an empty list asks for nothing.

    hardware                classes that would do
    stack                   the chip maker the code is written for; others lose 15 % to translation
    quantity, hours         accelerators at once, and for how many hours if they were the reference class
    ready_by                the work must be done by then, the data moved first
    tier                    guaranteed and standard need firm offers
    data_tb, data_country   data to be moved there first; its cost is part of the all-in rate
    place, rtt_ms_max       measured round-trip time from a place, at most; without a place no offer can meet it
    rate_max_micros         all-in, per reference hour
    buyer_country           offers not open to it are not shown
    """

    hardware: list[str] = []
    stack: str | None = None
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    hours: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 24
    ready_by: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tier: Literal["guaranteed", "standard", "spot"] = "spot"
    countries: list[str] = []
    operator_countries: list[str] = []
    certifications: list[str] = []
    trust_min: Literal["community", "verified", "certified"] | None = None
    memory_gb_min: Annotated[float, msgspec.Meta(ge=0)] | None = None
    uptime_min: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    place: str | None = None
    rtt_ms_max: Annotated[float, msgspec.Meta(ge=0)] | None = None
    data_tb: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0.0
    data_country: str | None = None
    rate_max_micros: Annotated[int, msgspec.Meta(ge=0)] | None = None
    buyer_country: str | None = None
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    sort: Literal["all_in", "rate", "quantity"] = "all_in"
    cursor: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 25


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that answers a search.

    factor           reference hours one accelerator-hour is worth
    transfer_micros  moving the data, spread over the accelerator-hours the work takes here
    all_in_micros    (rate + fee + transfer) ÷ factor: what a reference hour costs here, at the offered rate
    total_micros     the whole work: all-in × quantity × hours
    last_rate_micros price the pool's site and class last traded at, at the asked tier; null without a trade
    arrival_seconds  how long the data takes to get there
    age_seconds      since the provider last said so
    source           where the provider's figures come from
    """

    offer_id: str
    provider: str
    provider_name: str
    site: str
    country: str | None
    operator_country: str | None
    trust: str | None
    hardware: str
    memory_gb: float | None
    quantity: int
    firm: bool
    uptime: float | None
    certifications: list[str]
    rate_micros: int
    transfer_micros: int
    all_in_micros: int
    total_micros: int
    last_rate_micros: int | None
    factor: float
    rtt_ms: float | None
    arrival_seconds: int
    observed_at: datetime
    age_seconds: int
    source: str


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """One reason offers were left out.

    offers   how many it leaves out, alone or with other reasons
    alone    how many it alone leaves out: drop this demand and they answer
    best_all_in_micros  the least all-in rate among those; null when there are none
    examples what was found in a few of them
    """

    reason: str
    offers: int
    alone: int
    best_all_in_micros: int | None
    examples: list[str]


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """How many offers would answer with this value chosen, every other demand standing."""

    value: str
    offers: int


class OfferSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Offers that answer, and an account of those that do not: found + left_out = considered."""

    as_of: datetime
    currency: str
    considered: int
    found: int
    left_out: int
    offers: list[OfferView]
    next_cursor: str | None
    exclusions: list[Exclusion]
    facets: dict[str, list[FacetValue]]
