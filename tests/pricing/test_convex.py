"""The path from programme to proof: the sign of duals, sifting, and refusing what is no optimum."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed
from contracts.terms.orders import MarketBook
from pricing import clearing, convex
from pricing.arrays import SPOT
from pricing.clearing import clear
from pricing.convex import optimum
from pricing.problem import MarketProblem, build
from pricing.residual import NotOptimal, PriceRange, price_range
from pricing.solver import LinearProgramme, solve
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import market_books


def _programme(room: list[float]) -> LinearProgramme:
    """Two goods worth 3 and 2; together at most room[0], the first at most room[1]."""
    rows = sp.csc_array(np.array([[1.0, 1.0], [1.0, 0.0]]))
    return LinearProgramme(value=np.array([3.0, 2.0]), most=np.array([np.inf, np.inf]), rows=rows, room=np.array(room))


def test_a_dual_is_what_one_more_unit_of_room_is_worth():
    """Five in all, two of the first: 2·3 + 3·2 = 12. A sixth place is worth 2, a third of the first 1. None is negative."""
    solution = solve(_programme([5.0, 2.0]))
    assert solution.quantity == pytest.approx([2.0, 3.0])
    assert solution.dual == pytest.approx([2.0, 1.0])


def test_a_programme_without_an_optimum_is_refused_with_its_status():
    with pytest.raises(ClearingFailed, match="no optimum") as refusal:
        solve(_programme([np.inf, 2.0]))
    assert refusal.value.facts["status"]


@settings(max_examples=15, deadline=None)
@given(market_books())
def test_sifting_finds_what_the_whole_book_finds(market: MarketBook):
    whole = clear(market)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("SMALL", 0), ("WHOLE_MOST", 0), ("FIRST_ARCS", 1), ("MORE_ARCS", 1), ("FEW", 0), ("NEAR", 0.0), ("FAR", 0.0)):
            patch.setattr(convex, name, value)
        sifted = clear(market)
    one, other = _traded(whole), _traded(sifted)
    assert {place: ends for place, ends in one.items() if place in other} == {place: ends for place, ends in other.items() if place in one}


@settings(max_examples=15, deadline=None)
@given(market_books())
def test_the_programme_given_whole_has_the_same_welfare_and_ends(market: MarketBook):
    sifted = clear(market)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convex, "SMALL", 0)
        whole = clear(market)
    one, other = _traded(whole), _traded(sifted)
    assert {place: ends for place, ends in one.items() if place in other} == {place: ends for place, ends in other.items() if place in one}


def _traded(result: Clearing) -> dict[tuple[str, int, str], tuple[int, int]]:
    """(pool, slot, tier) sold → both ends of its price."""
    rows = result.prices.select("pool", "slot", "tier", "rate_low_micros", "rate_high_micros", "sold").iter_rows()
    return {(pool, slot, tier): (low, high) for pool, slot, tier, low, high, sold in rows if sold}


def _one_trade() -> MarketProblem:
    return build(book(offers=[an_offer(quantity=2, firm=False)], bids=[a_bid(width=2, limit_spot_micros=2_000_000)]))


def test_a_trade_that_gains_nothing_is_made():
    """A limit equal to the rate is served: who names the price need not fear to miss it."""
    assert clear(book(offers=[an_offer(firm=False)], bids=[a_bid(limit_spot_micros=1_000_000)])).outcomes["status"].to_list() == ["filled"]


def test_awards_that_leave_a_gain_have_no_prices():
    """One of two accelerators is sold. One is left, so at most 1.00; the buyer wants it, so at least 2.00."""
    with pytest.raises(NotOptimal):
        price_range(_one_trade(), np.array([1]))
    assert price_range(_one_trade(), np.array([2])).low[SPOT].tolist() == [[1_000_000]]


@pytest.mark.parametrize("quantity", [3, -1])
def test_awards_beyond_the_book_are_refused(quantity: int):
    with pytest.raises(ClearingFailed, match="do not fit the book"):
        price_range(_one_trade(), np.array([quantity]))


def test_when_ties_cost_welfare_the_book_is_solved_without_them(monkeypatch: pytest.MonkeyPatch):
    """The later slot is a micro cheaper; a lean of two micros towards the earlier one would buy there."""
    monkeypatch.setattr(convex, "EARLIER", 4.0)
    told: list[str] = []
    market = book(
        offers=[an_offer(firm=False, rate_micros=1_000_001)],
        bids=[a_bid(limit_spot_micros=2_000_000)],
        around={"offer_slots": [{"offer_id": "o1", "slot": 1, "quantity": 1, "rate_micros": 1_000_000}]},
        slots=2,
    )
    assert clear(market, progress=told.append).awards["slot"].to_list() == [1]
    assert any("solving again" in line for line in told)


def test_a_clearing_that_cannot_be_proved_is_refused(monkeypatch: pytest.MonkeyPatch):
    def never(_problem: MarketProblem, _quantity: object) -> PriceRange:
        raise NotOptimal

    monkeypatch.setattr(clearing, "price_range", never)
    with pytest.raises(ClearingFailed, match="not of greatest welfare"):
        clear(book(offers=[an_offer()], bids=[a_bid(limit_spot_micros=2_000_000)]))


def test_limits_of_a_thousand_million_are_cleared_exactly():
    """The largest sums a bid may name: the refused limit is one micro short of the served, and so are the ends of the price."""
    most = 2**50
    problem = build(book(offers=[an_offer(firm=False)], bids=[a_bid("a", limit_spot_micros=most), a_bid("b", limit_spot_micros=most - 1)]))
    ends = price_range(problem, optimum(problem, lambda _: None))
    assert (ends.low[SPOT].tolist(), ends.high[SPOT].tolist()) == ([[most - 1]], [[most]])
