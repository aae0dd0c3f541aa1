"""The compiled clauses against the slow reading of the same rules, and the cases where *unknown means no*."""

import numpy as np
import pytest
from hypothesis import given, settings

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing import policy, policy_worth
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.problem import MarketProblem, build
from tests.builders import Row, a_bid, an_offer, book
from tests.strategies_worlds import worlds


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_compiled_clauses_say_what_the_slow_reading_says(world: MarketBook):
    problem, facts = build(world), facts_of(world)
    tables = {clause.name: clause.of(np.arange(problem.groups)) for clause in problem.eligibility.clauses}
    for bid_row, bid in enumerate(bids_of(world)):
        for offer_row, offer in enumerate(offers_of(world)):
            group, pool = problem.demand.group_of[bid_row], problem.supply.pool_of[offer_row]
            compiled = sorted(name for name, table in tables.items() if not table[group, pool])
            assert compiled == sorted(policy.standing_refusals(bid, offer, facts=facts))


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_arcs_are_what_the_slow_reading_allows_at_the_same_worth(world: MarketBook):
    problem, facts = build(world), facts_of(world)
    offers, bids = offers_of(world), bids_of(world)
    slow: dict[tuple[int, int, int, int], int] = {}
    for bid_row, bid in enumerate(bids):
        for offer_row, offer in enumerate(offers):
            for slot in range(3):
                for tier, word in enumerate(TIERS):
                    place = (int(problem.demand.group_of[bid_row]), slot, int(problem.supply.pool_of[offer_row]), tier)
                    if problem.supply.limits[place[2], slot, tier] and not policy.refusals(bid, offer, facts=facts, slot=slot, tier=word):
                        slow[place] = policy_worth.worth(bid, offer, facts=facts, slot=slot, tier=word)
    assert _arcs(problem) == slow


def _arcs(problem: MarketProblem) -> dict[tuple[int, int, int, int], int]:
    arcs = problem.arcs
    columns = (arcs.group, arcs.slot, arcs.pool, arcs.tier, arcs.worth)
    return {
        (group, slot, pool, tier): worth for group, slot, pool, tier, worth in zip(*(column.tolist() for column in columns), strict=True)
    }


def _passes(offer: Row, bid: Row) -> bool:
    found = build(book(offers=[an_offer(rate_micros=1, **offer)], bids=[a_bid(limit_spot_micros=10, **bid)]))
    return len(found.arcs.worth) == 1


@pytest.mark.parametrize(
    ("offer", "bid"),
    [
        ({"country": None}, {"countries": ["FR"]}),
        ({"parent_country": None, "operator_country": "FR"}, {"operator_countries": ["FR"]}),
        ({"parent_country": None, "operator_country": "FR"}, {"countries_denied": ["US"]}),
        ({"subdivision": None}, {"subdivisions": ["FR-IDF"]}),
        ({"chip_origin": None}, {"chip_origins_denied": ["CN"]}),
        ({"trust": None}, {"trust_min": "community"}),
        ({"memory_gb": None}, {"memory_gb_min": 1.0}),
        ({"uptime": None}, {"uptime_min": 1.0}),
        ({"certifications": None}, {"certifications": ["c5"]}),
        ({"latitude": None, "longitude": None}, {"latitude": 1.0, "longitude": 1.0, "distance_km_max": 20_000.0}),
        ({}, {"place": "nowhere", "rtt_ms_max": 1000.0}),
        ({"open_to": ["FR"]}, {"buyer_country": None}),
        ({"closed_to": ["US"]}, {"buyer_country": "FR", "buyer_parent_country": None}),
    ],
)
def test_unknown_fails_the_clause_that_asks_for_it_and_no_other(offer: Row, bid: Row):
    assert not _passes(offer, bid)
    if "buyer_country" in bid:
        assert _passes({}, bid)
    else:
        assert _passes(offer, {})


def test_a_bid_denied_only_by_the_party_clauses_has_no_eligible_pool():
    """France may not buy here, and nobody else sells."""
    outcome = build(book(offers=[an_offer(closed_to=["FR"])], bids=[a_bid(limit_spot_micros=9_000_000)]))
    assert not outcome.reachable[0]
