"""Packing blocks: what it finds fits, is no better than the best, and is the same every time."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
from hypothesis import given, settings

from contracts.terms.orders import MarketBook
from pricing.arrays import SPOT
from pricing.blocks import find_columns
from pricing.integers import choose_columns
from pricing.packing import pack
from pricing.problem import build
from tests.builders import Row, a_bid, an_offer, book
from tests.strategies_market import block_books

M = 1_000_000


def a_block(bid_id: str, *, width: int, run: int = 1, **fields: Any) -> Row:
    """A block of `run` slots of an hour."""
    return a_bid(bid_id, kind="block", width=width, hours=float(width * run), **fields)


def three_blocks() -> MarketBook:
    """Ten accelerators at 1.00. Six at 3.00 each are the densest, and leave no room for the two of five at 2.90 that are worth more."""
    bids = [a_block("six", width=6, limit_spot_micros=3 * M), *(a_block(name, width=5, limit_spot_micros=2_900_000) for name in ("a", "b"))]
    return book(offers=[an_offer(quantity=10, firm=False)], bids=bids)


def test_two_fives_are_better_than_a_six():
    problem = build(three_blocks())
    blocks = pack(problem.network, problem.columns, count=problem.demand.count)
    running = [(width, many) for width, many in zip(problem.columns.width.tolist(), blocks.tolist(), strict=True) if many]
    assert running == [(5, 2)]


def test_where_others_give_more_a_block_stays_away():
    """Flexible bids would take the pool's accelerators at 2.95: only the six at 3.00 gain anything there."""
    problem = build(three_blocks())
    toll = np.full((3, 1, 1), 2_950_000)
    blocks = pack(problem.network, problem.columns, count=problem.demand.count, toll=toll, contested=np.ones((1, 1), dtype=bool))
    assert problem.columns.width[blocks > 0].tolist() == [6]


@settings(max_examples=40, deadline=None)
@given(block_books())
def test_what_is_packed_fits_and_never_beats_the_best(market: MarketBook):
    problem = build(_blocks_alone(market))
    columns = problem.columns.some(problem.columns.fit(problem.network.limits))
    blocks = pack(problem.network, columns, count=problem.demand.count)
    assert np.array_equal(blocks, pack(problem.network, columns, count=problem.demand.count))
    taken = columns.taken(blocks, shape=problem.supply.offered.shape)
    assert (np.cumsum(taken, axis=0).transpose(1, 2, 0) <= problem.supply.limits).all()
    assert (np.bincount(columns.group, weights=blocks, minlength=problem.groups) <= problem.demand.count).all()
    worth = int((blocks * columns.width * columns.worth).sum())
    cost = _cheapest(problem.network, taken.sum(axis=0))
    assert 0 <= worth - cost <= choose_columns(problem, problem.demand.count).bound


def test_of_a_column_that_fits_nowhere_nothing_is_packed():
    market = book(offers=[an_offer(quantity=3, firm=False)], bids=[a_block("wide", width=4, limit_spot_micros=9 * M)])
    problem = build(market)
    fitting = problem.columns.some(problem.columns.fit(problem.network.limits))
    assert len(problem.columns.group) == 1
    assert not len(fitting.group)
    assert not len(pack(problem.network, fitting, count=problem.demand.count))


def test_columns_are_found_where_the_run_is_worth_it():
    """Two slots at 1.00 and one at 4.00: at 2.60 an hour a run of two is worth 5.20, and so starts in slot 0 (2.00) or 1 (5.00)."""
    dear_last = [{"offer_id": "o1", "slot": 2, "quantity": 2, "rate_micros": 4 * M}]
    bids = [a_block("k", width=2, run=2, limit_spot_micros=2_600_000)]
    market = book(offers=[an_offer(quantity=2, firm=False)], bids=bids, around={"offer_slots": dear_last}, slots=3)
    columns = find_columns(build(market).network)
    assert list(zip(columns.first.tolist(), columns.tier.tolist(), columns.worth.tolist(), strict=True)) == [
        (0, SPOT, 5_200_000),
        (1, SPOT, 5_200_000),
    ]


def _blocks_alone(market: MarketBook) -> MarketBook:
    return msgspec.structs.replace(market, bids=market.bids.filter(pl.col("kind") == "block"))


def _cheapest(network: Any, taken: np.ndarray) -> int:
    """What so much of every pool and slot (P, T) costs, one accelerator at a time."""
    cost = 0
    for place, quantity in enumerate(taken.ravel().tolist()):
        steps = range(network.step[place], network.step[place + 1])
        units = [int(network.rate[step]) for step in steps for _ in range(int(network.quantity[step]))]
        cost += sum(sorted(units)[:quantity])
    return cost
