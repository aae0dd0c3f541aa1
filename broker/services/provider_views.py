"""What a provider sees of its own trade: its offers at past gates, what it earned, and how reliably it delivered.

Money is integer micros of the market's currency, hours are accelerator-hours, times are UTC. Nothing here names a buyer.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from contracts.statements import PayoutAdvice
from pricing.questions.lost_sales import Refusal
from pricing.questions.rate_asked import RateAsked

GATES_MAX = 28
Gates = Annotated[int, msgspec.Meta(ge=1, le=GATES_MAX)]


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Offers added up: offered = leased + sold + left hours. An hour counts at every gate it is offered at.

    received_micros   premiums included, uplift beside it
    premium_micros    what headroom earned: the share of the premiums of guaranteed and standard
    lost              cause → hours left for it: unasked, kept_away, too_dear, held_back, elsewhere; what of `left` is of none of
                      them is of gates with too many bids to go through while somebody waits
    """

    offered: float = 0.0
    leased: float = 0.0
    sold: float = 0.0
    left: float = 0.0
    received_micros: int = 0
    premium_micros: int = 0
    uplift_micros: int = 0
    lost: dict[str, float] = {}


class GateSales(msgspec.Struct, frozen=True, kw_only=True):
    """All offers of a provider at one gate."""

    number: int
    gate_at: datetime
    sums: Sums


class OfferSalesView(msgspec.Struct, frozen=True, kw_only=True):
    """One offer over some gates, and as it stands now.

    quantity, rate_micros  as last told, before energy; None once it is withdrawn
    asked_micros           what it asked at the last of these gates, energy included, mean over its hours
    marginal_micros        mean rate of the dearest offer of the class that sold to a buyer who could have come here, at the last
                           gate that had one; `dearer_bps` is how much dearer this offer was then
    state, reason          of an offer that came by feed: live, suspect, damped, paused or stale, and why; empty for others
    refusals               the clauses that kept bids away, over these gates
    bids                   of the class, over these gates: a bid that comes back counts again
    """

    offer_id: str
    site: str
    hardware: str
    firm: bool
    quantity: int | None
    rate_micros: int | None
    asked_micros: int
    observed_at: datetime | None
    marginal_micros: int | None
    dearer_bps: int | None
    state: str
    reason: str
    bids: int
    sums: Sums
    refusals: tuple[Refusal, ...]


class SalesView(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider's offers fared at the last gates, the latest first."""

    provider: str
    currency: str
    as_of: datetime
    gates: list[GateSales]
    offers: list[OfferSalesView]
    sums: Sums


class RateAskedView(msgspec.Struct, frozen=True, kw_only=True):
    """What another rate would have changed, and the gates that were cleared again for it, the latest first."""

    gates: list[int]
    sentence: str
    answer: RateAsked


class SiteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How reliably one site has delivered a class so far.

    leases                     by how they stand or ended: failed are those the provider or its network broke off
    delivered, failed_seconds  accelerator-seconds by the latest revisions of usage
    delivered_bps              delivered of both, hundredths of a per cent; None before anything was due
    """

    site: str
    hardware: str
    leases: int
    running: int
    failed: int
    delivered_seconds: int
    failed_seconds: int
    delivered_bps: int | None


class ProviderLease(msgspec.Struct, frozen=True, kw_only=True):
    """One lease as its provider sees it: what it is worth by its slots, and not whose it is."""

    lease_id: str
    offer_id: str
    site: str
    hardware: str
    tier: str
    state: str
    accelerators: int
    starts_at: datetime
    ends_at: datetime
    hours: float
    value_micros: int


class IncomeView(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider earned and is owed.

    owed_micros   what the ledger owes it now, by currency: closed months less what was paid out
    paid_cents    what payout runs have paid it, by currency
    leases        those that begin last first
    statements    one a closed month and currency, the latest first
    """

    owed_micros: dict[str, int]
    paid_cents: dict[str, int]
    sites: list[SiteRecord]
    leases: list[ProviderLease]
    statements: list[PayoutAdvice]
