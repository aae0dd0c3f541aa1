"""The certificate's columnar reading of a book, held to the slow reading of the policy, row by row."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from pricing.audit.bound import bound
from pricing.audit.clauses import read_clauses
from pricing.audit.examination import Audit, count
from pricing.audit.reach import FAR, NO_ARC
from pricing.audit.terms import read_terms
from pricing.policy import standing_refusals
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.policy_worth import carbon_milligrams, energy_rate, quantity, rate
from tests.audits import audit_of
from tests.builders import a_bid, an_offer, book
from tests.oracles.arcs import Arc, all_arcs, best_response
from tests.strategies_market import block_books, market_books
from tests.strategies_policy import policy_books

some = settings(max_examples=60, deadline=None)


def arcs_of(audit: Audit) -> dict[Arc, int]:
    """The implicit arcs of an audit, written down: at price 0 the margin of an arc is its worth."""
    reach, on_sale = audit.reach, audit.stock.on_sale
    free = np.zeros(on_sale.shape, dtype=np.int64)
    found = {}
    for pool in range(len(audit.stock.pools)):
        alone = on_sale & (np.arange(len(on_sale)) == pool)[:, None, None]
        margins = reach.margins(slice(0, len(reach.bid)), reach.cells.cheapest(free, alone))
        for row, slot, tier in np.argwhere(margins > NO_ARC).tolist():
            found[int(reach.bid[row]), pool, slot, tier] = int(margins[row, slot, tier])
    return found


@some
@given(st.one_of(policy_books(), market_books(), block_books()))
def test_the_columns_hold_every_arc_and_no_other(market: MarketBook):
    assert arcs_of(audit_of(market)) == all_arcs(market, even_below_cost=True)


@some
@given(st.one_of(policy_books(), market_books(), block_books()))
def test_the_best_arc_of_a_bid_is_the_best_of_all(market: MarketBook):
    """The greatest worth less price among the arcs of each bid and slot, and no bid twice."""
    audit = audit_of(market)
    prices = audit.layout.rates
    best: dict[tuple[int, int], int] = {}
    for (bid, pool, slot, tier), worth in arcs_of(audit).items():
        best[bid, slot] = max(best.get((bid, slot), -FAR), worth - int(prices[pool, slot, tier]))
    parts = list(audit.reach.best_margins(audit.reach.cells.cheapest(prices, audit.stock.on_sale)))
    found = {
        (bid, slot): int(margin)
        for bids, margins in parts
        for slot, row in enumerate(margins)
        for bid, margin in zip(bids.tolist(), row, strict=True)
    }
    assert {place: margin for place, margin in found.items() if margin > NO_ARC} == best
    assert len(found) == sum(margins.size for _, margins in parts)


@some
@given(policy_books())
def test_every_clause_is_answered_as_if_read_for_each_bid_and_offer(market: MarketBook):
    counted = count(market)
    facts, demand, offers = counted.facts, counted.demand, counted.stock.offers
    rulings = read_clauses(demand.kinds, offers, facts=facts)
    for number, bid in enumerate(bids_of(market)):
        for row, offer in enumerate(offers):
            against = [ruling.name for ruling in rulings if not ruling.met[ruling.of_kind[demand.kind[number]], ruling.of_offer[row]]]
            assert against == standing_refusals(bid, offer, facts=facts)


@some
@given(st.one_of(policy_books(), market_books()))
def test_the_stock_is_that_of_the_rows(market: MarketBook):
    counted, facts = count(market), facts_of(market)
    stock = counted.stock
    for row, offer in enumerate(sorted(offers_of(market), key=lambda offer: offer.id)):
        for slot in range(facts.slots):
            assert stock.gross[row, slot] == quantity(offer, facts, slot=slot)
            assert stock.rates[row, slot] == rate(offer, facts, slot=slot) >= energy_rate(offer, facts, slot=slot)
            assert stock.carbon[stock.pool_of[row], slot] == carbon_milligrams(offer, facts, slot=slot)


@some
@given(st.one_of(policy_books(), block_books()), st.data())
def test_the_bound_is_best_responses_rents_and_premiums(market: MarketBook, data: st.DataObject):
    """Against the definition, bid by bid and offer by offer, at any prices with premiums ≥ 0."""
    audit = audit_of(market)
    stock, shape = audit.stock, audit.layout.rates.shape
    steps = data.draw(st.lists(st.integers(0, 400_000), min_size=3 * shape[0], max_size=3 * shape[0]))
    grid = np.array(steps).reshape(shape[0], 1, 3).cumsum(axis=2)[:, :, ::-1].repeat(shape[1], axis=1)
    prices = {(int(p), int(t), int(q)): int(grid[p, t, q]) for p, t, q in np.argwhere(stock.on_sale)}
    bids = sum(best_response(market, number, prices=prices) for number in range(market.bids.height))
    rents = sum(
        max(0, int(grid[stock.pool_of[row], slot, 2]) - int(stock.rates[row, slot])) * int(stock.left[row, slot])
        for row, slot in np.ndindex(stock.left.shape)
    )
    premiums = sum(
        int(grid[pool, slot, tier] - grid[pool, slot, tier + 1]) * int(stock.limits[pool, slot, tier])
        for pool, slot, tier in np.argwhere(stock.on_sale)
        if tier < 2
    )
    assert bound(audit, grid) == (bids + rents + premiums) * market.rules.hours


def test_bids_that_ask_the_same_are_read_once():
    """Three bids, two of one kind though their limits, windows and the order of their lists differ."""
    bids = [
        a_bid("b1", limit_spot_micros=1, countries=["FR", "DE"], hardware=["GPU:1", "TPU:0.5"]),
        a_bid("b2", limit_spot_micros=2, countries=["DE", "FR"], hardware=["TPU:0.50", "GPU:1"], width=3),
        a_bid("b3", limit_spot_micros=2, countries=["DE"]),
    ]
    demand = count(book(offers=[an_offer()], bids=bids)).demand
    assert demand.kind.tolist() == [0, 0, 1]
    assert [bid.id for bid in demand.kinds] == ["b1", "b3"]


def test_bids_alike_in_their_terms_take_turns_by_time_then_id():
    bids = [a_bid(name, entered=entered, limit_spot_micros=5, buyer=name) for name, entered in (("b1", 9), ("b2", 2), ("b3", 2))]
    demand = count(book(offers=[an_offer()], bids=[*bids, a_bid("b4", entered=1, limit_spot_micros=6)])).demand
    assert demand.alike.tolist()[:3] == [demand.alike[0]] * 3
    assert demand.alike[3] != demand.alike[0]
    assert demand.turn.tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("limit", [3_000_000, 10**12, 2**50])
def test_large_orders_are_exact(limit: int):
    """⌊limit · 1.234567 ÷ 1.0025⌋ by hand in Python's integers, beyond what int64 could multiply."""
    market = book(offers=[an_offer()], bids=[a_bid(limit_spot_micros=limit, hardware=["GPU:1.234567"])], fee_bps=25)
    counted = count(market)
    gross = read_terms(counted.demand, counted.stock, facts=counted.facts).gross(np.array([0]), np.array([0]))
    assert gross[0, 2] == limit * 1_234_567 * 10_000 // (1_000_000 * 10_025)


def test_a_column_of_lists_in_any_order_is_one_demand():
    market = book(offers=[an_offer()], bids=[a_bid("b1", limit_spot_micros=1), a_bid("b2", limit_spot_micros=1)])
    twice = market.bids.with_columns(countries=pl.Series([["FR", "SE"], ["SE", "FR"]]))
    assert count(type(market)(rules=market.rules, offers=market.offers, bids=twice)).demand.alike.tolist() == [0, 0]


def test_pools_alike_but_for_carbon_are_told_apart_by_who_shuns_it():
    """700 W in zone Y at 400 g a kWh is 280 g, at 0.1 a kg 0.028; zone Z emits nothing. The same prices: Z is worth 0.028 more.

    To who shuns no carbon both are one cell.
    """
    offers = [an_offer("y", zone="Y", site="south", watts=700.0), an_offer("z", zone="Z", watts=700.0)]
    bids = [a_bid("b1", carbon_micros_per_kg=100_000, limit_spot_micros=3_000_000), a_bid("b2", limit_spot_micros=3_000_000)]
    zones = [{"zone": zone, "slot": 0, "carbon_g_per_kwh": grams} for zone, grams in (("Y", 400.0), ("Z", 0.0))]
    market = book(offers=offers, bids=bids, around={"zones": zones})
    audit = audit_of(market)
    arcs = arcs_of(audit)
    assert arcs == all_arcs(market, even_below_cost=True)
    assert [arcs[0, pool, 0, 2] for pool in (0, 1)] == [2_972_000, 3_000_000]
    assert np.diff(audit.reach.row_of).tolist() == [2, 1]


def test_data_goes_to_each_country_at_its_own_pace_and_price():
    """A TB from SE to FR at 8 Gb/s takes 1,000 s, so slot 1, for 1.00; to DE at 2 Gb/s 4,000 s, so slot 2, for 2.00; over 2 hours."""
    offers = [an_offer("d", country="DE", site="south"), an_offer("f")]
    ways = (("FR", 1_000_000, 8.0), ("DE", 2_000_000, 2.0))
    transfer = [{"from_country": "SE", "to_country": to, "micros_per_tb": micros, "gbps": gbps} for to, micros, gbps in ways]
    bid = a_bid("b1", data_tb=1.0, data_country="SE", hours=2.0, limit_spot_micros=3_000_000)
    market = book(offers=offers, bids=[bid], around={"transfer": transfer}, slots=3)
    arcs = arcs_of(audit_of(market))
    assert arcs == all_arcs(market, even_below_cost=True)
    assert {arc[1:3]: worth for arc, worth in arcs.items()} == {(0, 2): 2_000_000, (1, 1): 2_500_000, (1, 2): 2_500_000}
    reach, free = audit_of(market).reach, np.zeros((2, 3, 3), dtype=np.int64)
    ((_, best),) = reach.best_margins(reach.cells.cheapest(free, np.ones(free.shape, dtype=np.bool_)))
    assert [int(margin) if margin > NO_ARC else None for margin in best[:, 0]] == [None, 2_500_000, 2_500_000]
