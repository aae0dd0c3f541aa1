"""What the market's operator sees: cycles checked again, providers, what is not believed, what broke, who would be shed first.

Times are UTC, rates integer micros per accelerator-hour of the market's currency.
"""

from datetime import datetime
from typing import Literal

import msgspec

from broker.services.market_views import CheckView

Way = Literal["verify", "replay"]


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of checking a cycle again.

    way          verify: every claim of its certificate, from the book it kept and without a solver · replay: the book cleared again
    holds        whether every check holds; of a replay, whether every table came out as it was stored
    cpu_seconds  it took, of one core
    """

    cycle_number: int
    way: Way
    holds: bool
    checks: list[CheckView]
    cpu_seconds: float
    at: datetime


class ProviderStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One provider: what it offers, what it holds, how it has delivered, how its feed stands.

    leases, failed   in force now; broken off by the provider or its network so far
    delivered_bps    accelerator-seconds delivered of those due, hundredths of a per cent; None before anything was due
    feed             none, new (opened, nothing heard), in_step or silent
    silent_at        when silence makes, or made, its offers stale
    suspects         offers nobody is sold, since nobody should believe them
    """

    provider_id: str
    name: str
    country: str
    offers: int
    sites: int
    accelerators: int
    leases: int
    failed: int
    delivered_bps: int | None
    feed: str
    silent_at: datetime | None
    suspects: int


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """An announced offer nobody is sold, and why; the rest of it where it could be read at all."""

    provider_id: str
    offer_id: str
    reason: str
    hardware: str | None
    site: str | None
    quantity: int | None
    rate_micros: int | None
    observed_at: datetime | None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong: a lease that broke off or was called back, a cycle that failed, a feed that broke its rules."""

    at: datetime
    kind: str
    subject: str
    party: str
    words: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs at one tier now; `place` in the order in which it would be shed, the first first."""

    place: int
    tier: str
    leases: int
    accelerators: int


class AccessPhase(msgspec.Struct, frozen=True, kw_only=True):
    """To whom offers are open: countries of buyers, none at all for everybody; and to whom they are closed."""

    open_to: list[str]
    closed_to: list[str]
    providers: int
    offers: int
    accelerators: int


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of the last applied cycle, and to whom its offers are open.

    headroom_*_bps  held back from the tier, of what a pool can be called on for
    gate_seconds    between the last two gates; None before there were two
    """

    rules: str
    currency: str
    slots: int
    slot_seconds: int
    gate_seconds: int | None
    fee_bps: int
    headroom_standard_bps: int
    headroom_guaranteed_bps: int
    call_ceiling: str
    uplift_fund_micros: int | None
    phases: list[AccessPhase]
    shed: list[Running]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The first screen of the operator: what there is to look at."""

    as_of: datetime
    providers: int
    silent: int
    quarantined: int
    failovers_waiting: int
    shed: list[Running]
