"""The auction path: awards that fit, prices nobody loses at, and a bound that the best awards cannot pass."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from pricing.arrays import NEVER, SPOT
from pricing.auction import Indication, hold_auction
from pricing.auction_proof import exact_sum, taken, welfare_bound, welfare_of
from pricing.network import Flow, Network
from pricing.problem import compile_book
from pricing.worth import carbon_cost
from tests.builders import a_bid, an_offer, book
from tests.oracles.clearing import plain, welfare_by_linear_programme
from tests.strategies_market import market_books
from tests.strategies_worlds import worlds


def auctioned(network: Network, gap: float = 0.9) -> Indication:
    return hold_auction(network, gap=gap, progress=lambda _: None)


def faults_of(network: Network, flow: Flow) -> list[str]:
    """What does not fit, read off the definition of a network one award at a time."""
    slots, faults = network.grams.shape[1], []
    used: dict[tuple[str, int, int], int] = {}
    for pair, slot, tier, quantity in zip(*(column.tolist() for column in (flow.pair, flow.slot, flow.tier, flow.quantity)), strict=True):
        group, pool = int(network.group[pair]), int(network.pool[pair])
        if not network.first[pair] <= slot < network.end[group] or network.worth[pair, tier] == -NEVER or quantity <= 0:
            faults.append(f"pair {pair} may not have {quantity} in slot {slot} at tier {tier}")
        keys = [("group", group, 0), ("cell", group, slot), *(("node", pool * slots + slot, worse) for worse in range(tier, 3))]
        for key in keys:
            used[key] = used.get(key, 0) + quantity
    for (kind, place, which), quantity in used.items():
        room = {
            "group": lambda at, _: network.units[at] * network.size[at],
            "cell": lambda at, _: network.width[at] * network.size[at],
            "node": lambda at, tier: network.limits[at // slots, at % slots, tier],
        }[kind](place, which)
        if quantity > room:
            faults.append(f"{quantity} of {room} at {kind} {place} {which}")
    keys = list(zip(flow.pair.tolist(), flow.slot.tolist(), flow.tier.tolist(), strict=True))
    return faults if keys == sorted(set(keys)) else [*faults, "rows are out of order"]


def losses_of(network: Network, found: Indication) -> list[str]:
    """Who would lose at the prices: a winner above its worth, a provider below its rate, a better tier cheaper than a worse."""
    flow, price, slots = found.flow, found.price, network.grams.shape[1]
    group, pool = network.group[flow.pair], network.pool[flow.pair]
    worth = network.worth[flow.pair, flow.tier] - carbon_cost(network.carbon[group], network.grams[pool, flow.slot])
    losses = [f"award {row} is not worth its price" for row in np.flatnonzero(price[flow.tier, pool, flow.slot] > worth)]
    sold = np.zeros(len(network.step) - 1, dtype=np.int64)
    np.add.at(sold, pool * slots + flow.slot, flow.quantity)
    node = np.repeat(np.arange(len(sold)), np.diff(network.step))
    below = (taken(network, sold) > 0) & (price[SPOT].ravel()[node] < network.rate)
    losses += [f"step {step} is sold below its rate" for step in np.flatnonzero(below)]
    there = price < NEVER
    if ((price[:-1] < price[1:]) & there[:-1]).any():
        losses.append("a better tier costs less")
    return losses


@settings(max_examples=150)
@given(market_books() | worlds())
def test_awards_fit_and_nobody_loses(market: MarketBook):
    network = compile_book(market).network
    found = auctioned(network)
    assert faults_of(network, found.flow) == []
    assert losses_of(network, found) == []
    assert found.welfare == welfare_of(network, found.flow)
    assert found.bound == welfare_bound(network, found.price)


def two_for_one() -> Network:
    """Two accelerators at 1.00 in the one slot there is, and a bid that takes both, for spot."""
    market = book(offers=[an_offer(quantity=2, rate_micros=1_000_000, firm=False)], bids=[a_bid("b", width=2, limit_spot_micros=2_000_000)])
    return compile_book(market).network


@pytest.mark.parametrize(("name", "by", "told"), [("quantity", 1, "of"), ("quantity", -2, "have 0"), ("tier", -1, "tier 1")])
def test_an_award_that_does_not_fit_is_told(name: str, by: int, told: str):
    network = two_for_one()
    flow = auctioned(network).flow
    assert faults_of(network, flow) == []
    spoilt = msgspec.structs.replace(flow, **{name: getattr(flow, name) + by})
    assert told in " ".join(faults_of(network, spoilt))


@pytest.mark.parametrize(("by", "told"), [(10_000_000, "not worth its price"), (-10_000_000, "below its rate")])
def test_a_price_somebody_loses_at_is_told(by: int, told: str):
    network = two_for_one()
    found = auctioned(network)
    assert losses_of(network, found) == []
    shifted = np.where(found.price < NEVER, found.price + by, NEVER)
    assert told in " ".join(losses_of(network, msgspec.structs.replace(found, price=shifted)))


@settings(max_examples=100)
@given(market_books(), st.sampled_from((0.5, 0.05)))
def test_the_best_awards_are_within_the_bound(market: MarketBook, gap: float):
    network = compile_book(market).network
    best = welfare_by_linear_programme(plain(market))
    found = auctioned(network, gap)
    assert found.welfare <= best + 1e-3
    assert best <= found.bound + 1e-3


@settings(max_examples=40)
@given(market_books())
def test_the_same_network_gives_the_same_answer(market: MarketBook):
    network = compile_book(market).network
    one, two = auctioned(network), auctioned(network)
    assert all(np.array_equal(getattr(one.flow, name), getattr(two.flow, name)) for name in Flow.__struct_fields__)
    assert np.array_equal(one.price, two.price)


def test_two_bidders_for_one_accelerator_leave_it_to_the_one_it_is_worth_more_to():
    """One accelerator at 1.00, bids of 2.00 and 3.00: the price ends between what it is worth to the two."""
    market = book(
        offers=[an_offer(quantity=1, rate_micros=1_000_000, firm=False)],
        bids=[a_bid("low", limit_spot_micros=2_000_000), a_bid("high", limit_spot_micros=3_000_000)],
    )
    network = compile_book(market).network
    found = auctioned(network, 0.01)
    (worth,) = network.worth[found.flow.pair, SPOT]
    assert worth == network.worth[:, SPOT].max()
    assert network.worth[:, SPOT].min() - 30_000 <= found.price[SPOT, 0, 0] <= worth


def test_an_auction_that_cannot_come_close_enough_gives_the_nearest_it_came():
    market = book(
        offers=[an_offer(quantity=3, rate_micros=1_000_000, firm=False)],
        bids=[a_bid(f"b{number}", limit_spot_micros=2_000_000) for number in range(2)],
    )
    network = compile_book(market).network
    assert auctioned(network, 0.5).gap == auctioned(network, -1.0).gap == 0


def test_sums_hold_where_products_would_wrap():
    value, quantity = np.array([(1 << 50) + 7, -(1 << 50) - 9]), np.array([1 << 30, (1 << 30) + 1])
    assert exact_sum(value, quantity) == ((1 << 50) + 7) * (1 << 30) - ((1 << 50) + 9) * ((1 << 30) + 1)
