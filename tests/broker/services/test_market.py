"""What the market shows: means by hand, age and gates, pages that join up."""

import itertools
from datetime import timedelta

import pytest

from broker.clock import FixedClock
from broker.services.market import MarketService, PriceFilter, PriceTotal
from contracts.terms.errors import BadInput, NotFound
from tests.fake_market import DAY, GATE, GATES_EVERY, NOW, FakeMarket, FakeMarketReader, priced

pytestmark = pytest.mark.anyio


def a_total(**facts: object) -> PriceTotal:
    defaults: dict = {
        "hardware": "H100-SXM",
        "tier": "spot",
        "weighted": 0,
        "sold": 0,
        "offered": 10,
        "sold_any_tier": 0,
        "lowest_micros": 7,
        "highest_micros": 9,
        "sites": 1,
    }
    return PriceTotal(**(defaults | facts))


class TwoTotals(FakeMarketReader):
    """Two cycles, one group of prices each."""

    def __init__(self, now: PriceTotal, before: PriceTotal) -> None:
        super().__init__()
        self._totals = {"cyc_2": now, "cyc_1": before}

    async def totals(self, cycle_id, by, *, hardware=None):
        return [self._totals[cycle_id]]


async def test_the_headline_is_the_volume_weighted_mean_and_its_change():
    """3 sold at 2.00 and 1 at 4.00 average 2.50; 2.00 before, so it rose by a quarter; 6 of 10 are left."""
    now = a_total(weighted=10_000_000, sold=4, sold_any_tier=4)
    before = a_total(weighted=4_000_000, sold=2, sold_any_tier=2)
    market = MarketService(TwoTotals(now, before), FixedClock(NOW), currency="USD", gate_interval=GATES_EVERY)
    (price,) = (await market.now()).prices
    assert (price.rate_micros, price.previous_rate_micros, price.change_bps) == (2_500_000, 2_000_000, 2500)
    assert (price.sold_hours, price.left_hours, price.traded) == (4.0, 6.0, True)


async def test_without_a_trade_the_lowest_rate_on_offer_is_shown_and_no_change():
    market = MarketService(TwoTotals(a_total(), a_total(weighted=8, sold=1)), FixedClock(NOW), currency="USD", gate_interval=None)
    (price,) = (await market.now()).prices
    assert (price.rate_micros, price.change_bps, price.traded) == (7, None, False)


@pytest.mark.parametrize(
    ("minutes", "next_gate", "stale"),
    [(0, 60, False), (59, 60, False), (60, 120, False), (62, 120, False), (63, 120, True), (150, 180, True)],
)
async def test_the_next_gate_is_ahead_and_a_missed_one_is_said(minutes, next_gate, stale):
    """Gates every hour; a cycle has two minutes to be applied."""
    market = MarketService(FakeMarketReader(), FixedClock(GATE + timedelta(minutes=minutes)), currency="USD", gate_interval=GATES_EVERY)
    now = await market.now()
    assert now.next_gate_at == GATE + timedelta(minutes=next_gate)
    assert now.stale is stale


async def test_the_next_gate_clears_a_day_that_begins_a_quarter_of_an_hour_later():
    """The last gate was at 23:45 for the day from midnight, gates are hourly: 00:45, for the day from 01:00."""
    gate = await FakeMarket().desk.market.gate()
    assert (gate.next_gate_at, gate.first_slot_at, gate.last_slot_end) == (
        GATE + timedelta(hours=1),
        DAY + timedelta(hours=1),
        DAY + timedelta(hours=25),
    )
    assert gate.seconds_left == 56 * 60, "four minutes past the last gate"
    assert not gate.clock_runs, "a clock that stands still must not be counted down"
    assert (await FakeMarket(cycles=0).desk.market.gate()).first_slot_at is None


async def test_before_the_first_cycle_there_is_nothing_to_show():
    services = FakeMarket(cycles=0).desk
    now = await services.market.now()
    assert (now.cycle, now.prices, now.age_seconds) == (None, [], None)
    with pytest.raises(NotFound, match="not cleared yet"):
        await services.market.regions("H100-SXM")


async def test_the_curve_joins_up_and_carries_the_clearing_point():
    curve = await FakeMarket().desk.market.curve("H100-SXM", DAY + timedelta(hours=3))
    for side, falling in (("supply", 1), ("demand", -1)):
        steps = [step for step in curve.steps if step.side == side]
        assert steps[0].quantity_from == 0
        assert all(a.quantity_to == b.quantity_from and falling * (b.rate_micros - a.rate_micros) > 0 for a, b in itertools.pairwise(steps))
    sold = priced(2).filter(hardware="H100-SXM", slot=3)
    assert curve.clearing_quantity == sold["sold"].sum()


async def test_a_class_or_slot_nobody_offers_is_not_found():
    market = FakeMarket().desk.market
    with pytest.raises(NotFound, match="nobody offers"):
        await market.curve("ABACUS")
    with pytest.raises(NotFound, match="no slot"):
        await market.curve("H100-SXM", DAY + timedelta(minutes=30))


async def test_regions_are_cheapest_first():
    regions = await FakeMarket().desk.market.regions("H100-SXM")
    assert [region.rate_micros for region in regions] == sorted(region.rate_micros for region in regions)


async def test_pages_of_prices_are_the_whole_list_once():
    market = FakeMarket().desk.market
    chosen = {"hardware": "L4", "tier": "spot"}
    page = await market.prices(PriceFilter(**chosen, limit=50))
    items = list(page.items)
    while page.next_cursor:
        page = await market.prices(PriceFilter(**chosen, limit=50, cursor=page.next_cursor))
        items += page.items
    assert items == (await market.prices(PriceFilter(**chosen, limit=500))).items
    with pytest.raises(BadInput, match="cursor"):
        await market.prices(PriceFilter(cursor="made-up"))


async def test_cycles_come_newest_first_a_page_at_a_time():
    market = FakeMarket().desk.market
    first = await market.cycles(limit=1)
    second = await market.cycles(before=int(first.next_cursor or 0), limit=1)
    assert [cycle.number for cycle in first.items + second.items] == [2, 1]
    assert second.next_cursor is None
