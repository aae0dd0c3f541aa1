"""What earlier cycles tell, on numbers a reader can check by hand."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.services.market import MarketService, PriceTotal
from broker.services.market_past import Chance, Moves, busiest_range, chance, loads, number_before
from broker.services.market_views import PriceView
from pricing.policy_worth import gross_worth
from tests.fake_market import FakeMarket, FakeMarketReader, priced

pytestmark = pytest.mark.anyio
DAY = datetime(2027, 1, 15, tzinfo=UTC)


def total(hour: int, rate_micros: int, *, sold: int = 10, tier: str = "spot", offered: int = 20) -> PriceTotal:
    """A slot in which some were sold at a rate."""
    return PriceTotal(
        hardware="H100-SXM", tier=tier, slot_start=DAY + timedelta(hours=hour), weighted=rate_micros * sold, sold=sold, offered=offered,
        sold_any_tier=sold, lowest_micros=rate_micros, highest_micros=rate_micros, sites=1,
    )  # fmt: skip


def test_a_limit_is_enough_where_some_class_cleared_at_or_below_it():
    """Of three hours that sold the first took H100 at 200, the second L4 at 59, which is 295 a reference hour, the third 400."""
    cycle = {"H100-SXM": [total(0, 200), total(1, 301), total(2, 400)], "L4": [total(0, 50), total(1, 59), total(3, 10, sold=0)]}
    worth = {"H100-SXM": Fraction(1), "L4": Fraction(1, 5)}
    found = chance([cycle], worth, tier="spot", fee_bps=0)
    assert found == Chance(needed=[200, 295, 400], cycles=1)
    assert found.enough(300) == 2
    assert chance([cycle], worth, tier="standard", fee_bps=0) == Chance(needed=[], cycles=1)
    assert Chance(needed=[], cycles=1).limit_micros(80) is None


def test_auctions_stand_in_the_order_they_were_held():
    newest, oldest = ({"H100-SXM": [total(hour, rate) for hour in (1, 0)]} for rate in (20, 10))
    assert chance([newest, oldest], {"H100-SXM": Fraction(1)}, tier="spot", fee_bps=0).needed == [10, 10, 20, 20]


@given(st.integers(1, 10**7), st.fractions(Fraction(1, 50), 4, max_denominator=10**6), st.integers(0, 2000))
def test_what_was_needed_is_the_least_limit_the_auction_itself_would_have_taken(rate, worth, fee_bps):
    (needed,) = chance([{"H100-SXM": [total(0, rate)]}], {"H100-SXM": worth}, tier="spot", fee_bps=fee_bps).needed
    assert gross_worth(needed, worth, fee_bps=fee_bps) >= rate
    assert gross_worth(needed - 1, worth, fee_bps=fee_bps) < rate


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 100))
def test_a_suggested_limit_is_the_least_that_was_enough_so_often(needed, percent):
    found = Chance(needed=needed, cycles=1)
    limit = found.limit_micros(percent)
    assert found.enough(limit) * 100 >= percent * len(needed) > found.enough(limit - 1) * 100


def test_of_a_slot_two_cycles_sold_the_later_counts():
    found = loads([[total(1, 5, sold=7)], [total(0, 5, sold=3), total(1, 5, sold=4)]])
    assert [(each.slot_start.hour, each.sold, each.offered) for each in found] == [(0, 3, 20), (1, 7, 20)]


def test_a_day_is_as_many_cycles_as_gates_fit_into_it():
    cycle = msgspec.structs.replace(FakeMarketReader()._cycle(2), number=200)
    assert number_before(cycle, 1, gate_interval=timedelta(hours=1)) == 176
    assert number_before(cycle, 7, gate_interval=timedelta(hours=6)) == 172
    assert number_before(cycle, 7, gate_interval=timedelta(minutes=30)) < 1


def test_the_range_of_a_slot_is_the_one_where_most_was_sold():
    def price(pool: str, sold: int, low: int) -> PriceView:
        return PriceView(
            cycle_number=1, pool=pool, site=pool, country="FI", hardware="H100-SXM", firm=True, slot_start=DAY, tier="spot",
            rate_micros=low, rate_low_micros=low, rate_high_micros=low + 5, sold=sold, offered=9,
        )  # fmt: skip

    assert busiest_range([price("a", 3, 100), price("b", 4, 200), price("c", 0, 300)]) == (200, 205)
    assert busiest_range([price("a", 0, 100)]) is None


async def test_the_curve_says_which_prices_would_have_cleared_as_well():
    curve = await FakeMarket().desk.market.curve("H100-SXM")
    rows = priced(2).filter(hardware="H100-SXM", slot_start=curve.slot_start).sort("sold", "pool").row(-1, named=True)
    assert (curve.range_low_micros, curve.range_high_micros) == (rows["rate_low_micros"], rows["rate_high_micros"])


async def test_a_market_younger_than_a_day_has_not_moved_on_it_and_one_with_daily_gates_has():
    hourly = FakeMarket().desk.market
    assert await hourly.moves("H100-SXM", "standard") == Moves(day_bps=None, week_bps=None)
    daily = MarketService(FakeMarketReader(), FakeMarket().desk.clock, currency="USD", gate_interval=timedelta(days=1))
    (now,) = [each for each in (await daily.now()).prices if (each.hardware, each.tier) == ("H100-SXM", "standard")]
    moves = await daily.moves("H100-SXM", "standard")
    assert (moves.day_bps, moves.week_bps) == (now.change_bps, None)
