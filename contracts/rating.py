"""What a month costs, as known at one moment.

Everything here is a price of facts, rounded once, half up; nothing knows about invoices. Settlement asks
for the price of the same month again at every close, and bills the difference.
Weights of a split are sorted by id before it, so that ties go to the least id whatever the order of rows.
"""

from collections.abc import Mapping

import msgspec

from contracts.terms.hardware import TFLOP_SECONDS_PER_PF_DAY
from contracts.terms.money import BASIS_POINTS, half_up, largest_remainder
from contracts.terms.plans import Committed, FlatRate, Grant, MeteredCleared, MeteredTiers, Plan, PlanTier

SECONDS_PER_HOUR = 3600

Shares = Mapping[str, int]


class MonthFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an account used in one month, as known at one close.

    seconds          billable accelerator-seconds by hardware
    units            Σ seconds · tflops by hardware, TFLOP·s
    rated            Σ seconds · rate by hardware, micros · s per hour
    rated_providers  the same seconds by provider
    failed           Σ seconds · rate · credit_bps by provider, over provider_failed seconds
    """

    seconds: Shares = msgspec.field(default_factory=dict)
    units: Shares = msgspec.field(default_factory=dict)
    rated: Shares = msgspec.field(default_factory=dict)
    rated_providers: Shares = msgspec.field(default_factory=dict)
    failed: Shares = msgspec.field(default_factory=dict)

    @property
    def units_total(self) -> int:
        """All units of the month, TFLOP·s."""
        return sum(self.units.values())

    @property
    def rated_total(self) -> int:
        """All seconds at their rates, micros · s per hour: 3600 times what the providers are due."""
        return sum(self.rated.values())


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What the months before come to, as known at the same close: grants and commitments look back.

    months        how many there were
    units         their units, TFLOP·s
    value_micros  Σ of their usage amounts
    """

    months: int = 0
    units: int = 0
    value_micros: int = 0

    def followed_by(self, facts: MonthFacts, price: "MonthPrice") -> "Earlier":
        """The same after one more month."""
        return Earlier(months=self.months + 1, units=self.units + facts.units_total, value_micros=self.value_micros + price.usage_micros)


class MonthPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a month: micros, all cumulative, none negative but the true-up.

    usage    by hardware, adding up to usage_micros
    cost     by provider: what the providers are due
    credit   by provider: what those who failed give back
    """

    usage: Shares
    take_micros: int
    fee_micros: int
    trueup_micros: int
    cost: Shares
    credit: Shares

    @property
    def usage_micros(self) -> int:
        """The usage amount, all hardware together."""
        return sum(self.usage.values())


NOTHING = MonthPrice(usage={}, take_micros=0, fee_micros=0, trueup_micros=0, cost={}, credit={})


def rate_month(plan: Plan, facts: MonthFacts, *, earlier: Earlier, take_bps: int) -> MonthPrice:
    """The price of one month on one plan, as known.

    usage    by the plan, split over hardware by units (a cleared plan: by seconds at their rates)
    cost     half_up(Σ seconds · rate ÷ 3600), whatever the plan
    take     of the exact sum, on cleared plans only, on top
    credit   for seconds that failed, never more than all the rest of the month
    """
    cleared = isinstance(plan, MeteredCleared)
    usage_micros = usage_amount(plan, facts, earlier=earlier)
    take = half_up(facts.rated_total * take_bps, SECONDS_PER_HOUR * BASIS_POINTS) if cleared else 0
    fee = plan.fee_micros if isinstance(plan, FlatRate) else 0
    trueup = _trueup(plan, earlier, usage_micros=usage_micros) if isinstance(plan, Committed) else 0
    failed = half_up(sum(facts.failed.values()), SECONDS_PER_HOUR * BASIS_POINTS)
    return MonthPrice(
        usage=_split(usage_micros, facts.rated if cleared else facts.units),
        take_micros=take,
        fee_micros=fee,
        trueup_micros=trueup,
        cost=_split(half_up(facts.rated_total, SECONDS_PER_HOUR), facts.rated_providers),
        credit=_split(min(failed, usage_micros + take + fee + trueup), facts.failed),
    )


def usage_amount(plan: Plan, facts: MonthFacts, *, earlier: Earlier) -> int:
    """The usage amount of a month in micros, u being its units and D the units of a PF-day.

    graduated  Σ over tiers (min(u, hi) − lo)⁺ · price ÷ D          volume     u · price of the tier with lo < u ≤ hi ÷ D
    flat_rate  (u − fair use)⁺ · price ÷ D, or 0 when throttled     committed  u · price ÷ D
    grant      the units beyond the grant that this month added · price ÷ D
    cleared    Σ seconds · rate ÷ 3600
    """
    units = facts.units_total
    match plan:
        case MeteredTiers(tiers=tiers, graduated=True):
            return _priced(sum(_units_in(tier, units) * tier.unit_price_micros for tier in tiers))
        case MeteredTiers(tiers=tiers):
            return _priced(units * _tier_of(tiers, units).unit_price_micros)
        case MeteredCleared():
            return half_up(facts.rated_total, SECONDS_PER_HOUR)
        case FlatRate(fair_use_units=fair_use, unit_price_micros=price, charge_overage=charged):
            return _priced(max(0, units - fair_use) * price) if charged else 0
        case Committed(unit_price_micros=price):
            return _priced(units * price)
        case Grant(unit_price_micros=price, grant_units=granted):
            beyond = max(0, earlier.units + units - granted) - max(0, earlier.units - granted)
            return _priced(beyond * price)


def _trueup(plan: Committed, earlier: Earlier, *, usage_micros: int) -> int:
    """What lifts the months so far to their commitment: F(m) − F(m−1) − usage, F(m) = max(m · commit, Σ usage of m months).

    Negative when a later month's usage makes up for an earlier month's shortfall.
    """
    owed_before = max(earlier.months * plan.commit_micros, earlier.value_micros)
    owed = max((earlier.months + 1) * plan.commit_micros, earlier.value_micros + usage_micros)
    return owed - owed_before - usage_micros


def _priced(units_times_price: int) -> int:
    return half_up(units_times_price, TFLOP_SECONDS_PER_PF_DAY)


def _units_in(tier: PlanTier, units: int) -> int:
    reached = units if tier.hi_units is None else min(units, tier.hi_units)
    return max(0, reached - tier.lo_units)


def _tier_of(tiers: tuple[PlanTier, ...], units: int) -> PlanTier:
    """The tier with lo < units ≤ hi; the first one for no units."""
    return next((tier for tier in reversed(tiers) if tier.lo_units < units), tiers[0])


def _split(amount: int, weights: Shares) -> dict[str, int]:
    if not amount:
        return {}
    ids = sorted(weights)
    return dict(zip(ids, largest_remainder(amount, [weights[name] for name in ids]), strict=True))
