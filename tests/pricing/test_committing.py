"""Large books with blocks in rounds of prices and commitments, on books small enough to know the best."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from broker.world.book import shipped_book
from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.auction import Indication
from pricing.auction_proof import welfare_of
from pricing.blocks import find_columns
from pricing.certificate import certify
from pricing.choice import flow_of
from pricing.clearing import clear
from pricing.committing import place_by_rounds
from pricing.convex import optimum
from pricing.mixed import Placement, clear_mixed
from pricing.problem import CompiledBook, compile_book, spell_out
from pricing.residual import price_range
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec

NEAR_ENOUGH = 0.005


def exactly(compiled: CompiledBook) -> Indication:
    """The flexible bids of a small book at their best, as an auction would say it."""
    problem = spell_out(compiled)
    quantity = optimum(problem, lambda _: None)
    low = price_range(problem, quantity).low
    price = np.where(low > 0, low, compiled.network.cheapest)
    flow = flow_of(problem, quantity)
    welfare = welfare_of(compiled.network, flow)
    return Indication(flow=flow, price=price, welfare=welfare, bound=welfare)


@pytest.fixture(scope="module", params=[1, 2, 3])
def market(request: pytest.FixtureRequest) -> MarketBook:
    """Three hundred bids, a fifth of them blocks, on twenty sites."""
    start = datetime(2027, 1, 1, tzinfo=UTC)
    spec = WorldSpec(bids=300, core_sites=10, edge_sites=10, slots=8, block_share=0.2, start=start)
    return generate(shipped_book(start), spec=spec, seed=request.param)


def in_rounds(market: MarketBook) -> Clearing:
    """The book cleared as if it were too large for branch and bound."""
    compiled = compile_book(market)
    columns = find_columns(compiled.network, fitting=True)

    def place(count: Ints) -> Placement:
        return place_by_rounds(compiled, columns, count=count, flexible=exactly, tell=lambda _: None)

    return clear_mixed(compiled, market.rules, place=place, tell=lambda _: None)


def test_rounds_come_near_the_best_and_are_certified(market: MarketBook):
    """Within half a percent of the best of branch and bound, which the bound they state never falls short of."""
    result = in_rounds(market)
    certificate = certify(market, result, path="auction", approximate=result.approximate)
    assert certificate.holds, [check for check in certificate.checks if not check.holds]
    best = certify(market, clear(market), path="convex")
    assert certificate.bound_integer_micros is not None
    assert (1 - NEAR_ENOUGH) * best.welfare_micros <= certificate.welfare_micros <= best.welfare_micros
    assert best.welfare_micros <= certificate.bound_integer_micros
    assert result.approximate
    assert (result.prices["rate_low_micros"] == result.prices["rate_high_micros"]).all()


def test_neither_the_order_of_rows_nor_a_replay_changes_the_rounds(market: MarketBook):
    turned = msgspec.structs.replace(market, **{name: frame.reverse() for name, frame in market.tables().items()})
    first = in_rounds(market).tables()
    for again in (in_rounds(market).tables(), in_rounds(turned).tables()):
        assert all(frame.equals(again[name]) for name, frame in first.items())
