"""The exact finish: awards and both ends of the prices as the convex path has them, by a road that shares only the book."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from pricing.arrays import NEVER, PRICE_MAX
from pricing.auction import Indication, hold_auction
from pricing.auction_proof import welfare_of
from pricing.choice import flow_of
from pricing.convex import optimum
from pricing.exact import finish
from pricing.network import Flow, Network
from pricing.problem import build
from pricing.residual import PriceRange, price_range
from pricing.results import sold_by
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import market_books
from tests.strategies_worlds import worlds


def from_nothing(network: Network) -> Indication:
    """No awards at all, and the lowest rates as prices: the worst start there is."""
    nothing = np.zeros(0, dtype=np.int64)
    price = np.where(network.limits.transpose(2, 0, 1) > 0, network.cheapest, NEVER)
    return Indication(flow=Flow(nothing, nothing, nothing, nothing), price=price, welfare=0, bound=0)


def finished(network: Network, start: Indication | None = None) -> tuple[Flow, PriceRange]:
    return finish(network, start or from_nothing(network), progress=lambda _: None)


def agree(market: MarketBook) -> None:
    """Welfare is that of the convex path; wherever both sold something, so are both ends of every tier on sale."""
    problem = build(market)
    quantity = optimum(problem, lambda _: None)
    theirs, their_ends = flow_of(problem, quantity), price_range(problem, quantity)
    ours, ends = finished(problem.network)
    assert welfare_of(problem.network, ours) == welfare_of(problem.network, theirs)
    sold = [sold_by(problem, flow).sum(axis=0) > 0 for flow in (ours, theirs)]
    shown = (problem.network.limits.transpose(2, 0, 1) > 0) & sold[0] & sold[1]
    assert np.array_equal(ends.low[shown], their_ends.low[shown])
    assert np.array_equal(ends.high[shown], their_ends.high[shown])


@given(market_books())
@settings(max_examples=100)
def test_it_finds_what_the_convex_path_finds(market: MarketBook):
    agree(market)


@given(worlds())
@settings(max_examples=40)
def test_and_in_worlds_of_policies_and_power(market: MarketBook):
    agree(market)


@given(market_books(), st.sampled_from([0.05, 0.5]))
@settings(max_examples=30)
def test_where_it_starts_changes_neither_welfare_nor_ends(market: MarketBook, gap: float):
    problem = build(market)
    start = hold_auction(problem.network, gap=max(gap, 0.9), progress=lambda _: None)
    (one, ends), (other, other_ends) = finished(problem.network, start), finished(problem.network)
    assert welfare_of(problem.network, one) == welfare_of(problem.network, other) >= start.welfare
    both = (sold_by(problem, one).sum(axis=0) > 0) & (sold_by(problem, other).sum(axis=0) > 0)
    shown = (problem.network.limits.transpose(2, 0, 1) > 0) & both
    assert np.array_equal(ends.low[shown], other_ends.low[shown])
    assert np.array_equal(ends.high[shown], other_ends.high[shown])


@given(market_books(), st.integers(min_value=0, max_value=2**32 - 1))
@settings(max_examples=30)
def test_any_prices_will_do_to_start_from(market: MarketBook, seed: int):
    """Prices drawn by lot, tiers out of order: all that is idle above its rate, or wanted below it, is put right."""
    problem = build(market)
    network, nothing = problem.network, np.zeros(0, dtype=np.int64)
    drawn = np.random.default_rng(seed).integers(
        0, 2 * max(1, int(network.worth.max(initial=0))), size=network.limits.transpose(2, 0, 1).shape
    )
    price = np.where(network.limits.transpose(2, 0, 1) > 0, drawn, NEVER)
    one, _ = finished(network, Indication(flow=Flow(nothing, nothing, nothing, nothing), price=price, welfare=0, bound=0))
    assert welfare_of(network, one) == welfare_of(network, flow_of(problem, optimum(problem, lambda _: None)))


def test_the_price_of_the_last_accelerator_lies_between_the_one_it_is_worth_more_to_and_the_other():
    """One accelerator at 1.00, bids of 3.00 and 2.00: any price from 2.00 to 3.00 supports the award."""
    market = book(
        offers=[an_offer(quantity=1, rate_micros=1_000_000, firm=False)],
        bids=[
            a_bid(bid_id="b1", width=1, hours=1.0, limit_spot_micros=3_000_000),
            a_bid(bid_id="b2", width=1, hours=1.0, limit_spot_micros=2_000_000),
        ],
        slots=1,
    )
    problem = build(market)
    flow, ends = finished(problem.network)
    assert flow.quantity.tolist() == [1]
    assert (int(ends.low[2, 0, 0]), int(ends.high[2, 0, 0])) == (2_000_000, 3_000_000)


def test_the_largest_worths_there_may_be_are_finished_like_any_other():
    """One accelerator at a micro; bids of 2^50 micros and of one less."""
    bids = [a_bid(bid_id=name, width=1, hours=1.0, limit_spot_micros=PRICE_MAX - less) for less, name in enumerate(("b1", "b2"))]
    market = book(offers=[an_offer(quantity=1, rate_micros=1, firm=False)], bids=bids, slots=1)
    flow, ends = finished(build(market).network)
    assert flow.quantity.tolist() == [1]
    assert (int(ends.low[2, 0, 0]), int(ends.high[2, 0, 0])) == (PRICE_MAX - 1, PRICE_MAX)
