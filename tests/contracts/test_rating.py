"""What one month costs on each kind of plan, in numbers of PF-days a reader can check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rating import Earlier, MonthFacts, rate_month, usage_amount
from contracts.terms.plans import Committed, FlatRate, Grant, MeteredCleared, MeteredTiers, Plan, PlanFigures, PlanTier, plan_of

PD = 86_400_000
EURO = 1_000_000
UNITS = st.integers(0, 10 * PD)
PRICES = st.integers(0, 100 * EURO)
FIRST = Earlier()


def used(units: int) -> MonthFacts:
    return MonthFacts(units={"REF": units})


@st.composite
def tariffs(draw, *, graduated=True):
    edges = sorted(draw(st.sets(st.integers(1, 8 * PD), max_size=4)))
    steps = zip([0, *edges], [*edges, None], strict=True)
    return MeteredTiers(
        tiers=tuple(PlanTier(lo_units=lo, hi_units=hi, unit_price_micros=draw(PRICES)) for lo, hi in steps), graduated=graduated
    )


STEPS = (
    PlanTier(lo_units=0, hi_units=PD, unit_price_micros=10 * EURO),
    PlanTier(lo_units=PD, hi_units=2 * PD, unit_price_micros=6 * EURO),
    PlanTier(lo_units=2 * PD, hi_units=None, unit_price_micros=EURO),
)


@pytest.mark.parametrize(
    ("plan", "pf_days", "euros"),
    [
        (MeteredTiers(tiers=STEPS), 0, 0),
        (MeteredTiers(tiers=STEPS), 1, 10),
        (MeteredTiers(tiers=STEPS), 3, 10 + 6 + 1),
        (MeteredTiers(tiers=STEPS, graduated=False), 1, 10),
        (MeteredTiers(tiers=STEPS, graduated=False), 2, 2 * 6),
        (MeteredTiers(tiers=STEPS, graduated=False), 3, 3 * 1),
        (FlatRate(fee_micros=0, fair_use_units=PD, unit_price_micros=4 * EURO), 3, 2 * 4),
        (FlatRate(fee_micros=0, fair_use_units=PD, unit_price_micros=4 * EURO, charge_overage=False), 3, 0),
        (Committed(unit_price_micros=5 * EURO, commit_micros=0), 3, 15),
        (Grant(unit_price_micros=8 * EURO, grant_units=2 * PD), 3, 8),
    ],
)
def test_usage_amounts(plan: Plan, pf_days, euros):
    assert usage_amount(plan, used(pf_days * PD), earlier=FIRST) == euros * EURO


def test_one_unit_beyond_a_volume_step_reprices_all_of_them():
    plan = MeteredTiers(tiers=STEPS, graduated=False)
    assert usage_amount(plan, used(PD + 1), earlier=FIRST) == (6 * EURO * (PD + 1) * 2 + PD) // (2 * PD)


def test_a_grant_is_used_up_over_months_not_in_each():
    plan = Grant(unit_price_micros=8 * EURO, grant_units=2 * PD)
    assert usage_amount(plan, used(PD), earlier=Earlier(months=1, units=PD)) == 0
    assert usage_amount(plan, used(PD), earlier=Earlier(months=2, units=3 * PD)) == 8 * EURO


def test_cleared_usage_costs_its_rate_and_take_comes_on_top():
    """1800 s at 2.000_008 an hour: 1.000_004; take of 12.5 % from the exact sum: 0.125_000_5, rounded up."""
    price = rate_month(
        MeteredCleared(), MonthFacts(rated={"REF": 1800 * 2_000_008}, rated_providers={"n": 1800 * 2_000_008}), earlier=FIRST, take_bps=1250
    )
    assert (price.usage, price.take_micros, price.cost) == ({"REF": 1_000_004}, 125_001, {"n": 1_000_004})


def test_a_commitment_is_topped_up_and_given_back():
    """20.00 a month: 15.00 used, 5.00 topped up; then 30.00 used makes 45.00 of 40.00, and the 5.00 come back."""
    plan = Committed(unit_price_micros=10 * EURO, commit_micros=20 * EURO)
    january = rate_month(plan, used(PD * 3 // 2), earlier=FIRST, take_bps=0)
    february = rate_month(plan, used(3 * PD), earlier=FIRST.followed_by(used(PD * 3 // 2), january), take_bps=0)
    assert (january.usage_micros, january.trueup_micros) == (15 * EURO, 5 * EURO)
    assert (february.usage_micros, february.trueup_micros) == (30 * EURO, -5 * EURO)


def test_a_credit_is_never_more_than_the_month_costs():
    """3600 s at 9.00 an hour failed: 9.00 would be credited, a third of it by each of three providers, but the month cost only 1.00."""
    hour = 3600 * EURO
    facts = MonthFacts(rated={"REF": hour}, rated_providers={"a": hour}, failed=dict.fromkeys("abc", 3 * hour * 10_000))
    price = rate_month(MeteredCleared(), facts, earlier=FIRST, take_bps=0)
    assert price.credit == {"a": 333_334, "b": 333_333, "c": 333_333}


def test_equal_remainders_go_to_the_least_id():
    facts = MonthFacts(units={"REF-1000B": PD, "REF-1000": PD})
    price = rate_month(
        Committed(unit_price_micros=250_000, commit_micros=0), MonthFacts(units={"b": PD, "a": PD}), earlier=FIRST, take_bps=0
    )
    assert sum(price.usage.values()) == 500_000
    odd = rate_month(Grant(unit_price_micros=1, grant_units=PD), facts, earlier=FIRST, take_bps=0)
    assert odd.usage == {"REF-1000": 1, "REF-1000B": 0}


@given(tariffs(), UNITS, UNITS)
def test_a_graduated_tariff_never_falls_and_never_jumps(plan, one, other):
    """More units never cost less, and each further unit at most the dearest step's price, rounding apart."""
    less, more = sorted((one, other))
    amounts = [usage_amount(plan, used(units), earlier=FIRST) for units in (less, more)]
    dearest = max(tier.unit_price_micros for tier in plan.tiers)
    assert amounts[0] <= amounts[1] <= amounts[0] + (more - less) * dearest // PD + 1


@given(UNITS, UNITS, PRICES, st.integers(0, 5 * PD))
def test_flat_and_granted_usage_never_falls(one, other, price, free):
    less, more = sorted((one, other))
    for plan in (FlatRate(fee_micros=0, fair_use_units=free, unit_price_micros=price), Grant(unit_price_micros=price, grant_units=free)):
        assert usage_amount(plan, used(less), earlier=FIRST) <= usage_amount(plan, used(more), earlier=FIRST)


@given(st.lists(UNITS, min_size=1, max_size=6), PRICES, st.integers(0, 50 * EURO))
def test_a_committed_account_pays_its_commitment_or_its_usage_whichever_is_more(months, price, commit):
    plan = Committed(unit_price_micros=price, commit_micros=commit)
    earlier, paid = FIRST, 0
    for units in months:
        month = rate_month(plan, used(units), earlier=earlier, take_bps=0)
        paid += month.usage_micros + month.trueup_micros
        earlier = earlier.followed_by(used(units), month)
    assert paid == max(len(months) * commit, earlier.value_micros)


@given(UNITS, tariffs(graduated=False))
def test_a_volume_tariff_charges_the_price_of_the_step_it_reaches(units, plan):
    reached = [tier for tier in plan.tiers if tier.lo_units < units and (tier.hi_units is None or units <= tier.hi_units)]
    price = reached[0].unit_price_micros if reached else 0
    assert usage_amount(plan, used(units), earlier=FIRST) == (2 * units * price + PD) // (2 * PD)


def test_a_plan_without_tiering_is_graduated_and_without_overage_charged():
    tiered = plan_of(PlanFigures(plan_id="p", kind="metered_tiers"), [PlanTier(lo_units=0, hi_units=None, unit_price_micros=1)])
    flat = plan_of(PlanFigures(plan_id="p", kind="flat_rate"))
    assert isinstance(tiered, MeteredTiers)
    assert tiered.graduated
    assert isinstance(flat, FlatRate)
    assert flat.charge_overage


@pytest.mark.parametrize(
    ("tiers", "word"),
    [
        ([], "start at 0"),
        ([PlanTier(lo_units=1, hi_units=None, unit_price_micros=1)], "start at 0"),
        ([PlanTier(lo_units=0, hi_units=5, unit_price_micros=1), PlanTier(lo_units=6, hi_units=None, unit_price_micros=1)], "join"),
        ([PlanTier(lo_units=0, hi_units=5, unit_price_micros=1)], "no end"),
    ],
)
def test_tiers_with_a_gap_are_no_plan(tiers, word):
    with pytest.raises(ValueError, match=word):
        plan_of(PlanFigures(plan_id="p", kind="metered_tiers"), tiers)


def test_an_unknown_kind_is_no_plan():
    with pytest.raises(ValueError, match="barter"):
        plan_of(PlanFigures(plan_id="p", kind="barter"))
