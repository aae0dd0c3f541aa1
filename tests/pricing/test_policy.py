"""The slow reading of every clause: worked cases, and the compiled reading held equal to it."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.supply import take_stock
from pricing.policy import CLAUSES, READS, STANDING_CLAUSES, great_circle_km, refusals
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.policy_worth import earliest_slot, rate, transfer_rate, worth
from pricing.problem import build
from tests.builders import Row, a_bid, an_offer, book
from tests.oracles.arcs import all_arcs
from tests.oracles.sharing import members
from tests.strategies_policy import policy_books

AROUND = {
    "latency": [{"place": "P", "site": "north", "rtt_ms": 12.5}],
    "transfer": [{"from_country": "DE", "to_country": "FR", "micros_per_tb": 2_000_000, "gbps": 8.0}],
    "zones": [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 100_000_000, "carbon_g_per_kwh": 400.0}],
}


def refused(bid: Row, offer: Row, *, tier: str = "spot", slot: int = 0, around: Mapping[str, list[Row]] = AROUND) -> list[str]:
    """Clauses that keep a rich bid (10.00 at spot) from an offer (1.00) in a market of four hours."""
    market = book(offers=[an_offer(**offer)], bids=[a_bid(**{"limit_spot_micros": 10_000_000, **bid})], around=around, slots=4)
    return refusals(bids_of(market)[0], offers_of(market)[0], facts=facts_of(market), slot=slot, tier=tier)


def test_a_plain_bid_meets_a_plain_offer():
    assert refused({}, {}) == []


@pytest.mark.parametrize(
    ("clause", "bid", "offer"),
    [
        ("hardware", {"hardware": ["TPU:1"]}, {}),
        ("memory", {"memory_gb_min": 80.0}, {"memory_gb": 79.9}),
        ("memory", {"memory_gb_min": 80.0}, {}),
        ("uptime", {"uptime_min": 99.9}, {"uptime": 99.0}),
        ("uptime", {"uptime_min": 99.9}, {}),
        ("countries", {"countries": ["SE"]}, {}),
        ("countries", {"countries": ["SE"]}, {"country": None, "operator_country": "SE", "parent_country": "SE"}),
        ("operator_countries", {"operator_countries": ["FR"]}, {"parent_country": "US"}),
        ("operator_countries", {"operator_countries": ["FR"]}, {"parent_country": None}),
        ("countries_denied", {"countries_denied": ["US"]}, {"parent_country": "US"}),
        ("countries_denied", {"countries_denied": ["US"]}, {"operator_country": None, "parent_country": "FR"}),
        ("subdivisions", {"subdivisions": ["FR-A"]}, {"subdivision": "FR-B"}),
        ("subdivisions", {"subdivisions": ["FR-A"]}, {}),
        ("certifications", {"certifications": ["c5", "hds"]}, {"certifications": ["c5"]}),
        ("certifications", {"certifications": ["c5"]}, {"certifications": None}),
        ("trust", {"trust_min": "certified"}, {"trust": "verified"}),
        ("trust", {"trust_min": "community"}, {"trust": None}),
        ("chip_origin", {"chip_origins_denied": ["CN"]}, {"chip_origin": "CN"}),
        ("chip_origin", {"chip_origins_denied": ["CN"]}, {}),
        ("open_to", {}, {"open_to": ["SE"]}),
        ("open_to", {"buyer_parent_country": None}, {"open_to": ["FR"]}),
        ("closed_to", {"buyer_parent_country": "CN"}, {"closed_to": ["CN"]}),
        ("closed_to", {"buyer_country": None}, {"closed_to": ["CN"]}),
        ("latency", {"place": "P", "rtt_ms_max": 12.4}, {}),
        ("latency", {"place": "Q", "rtt_ms_max": 99.0}, {}),
        ("latency", {"rtt_ms_max": 99.0}, {}),
        ("distance", {"latitude": 0.0, "longitude": 0.0, "distance_km_max": 111.0}, {"latitude": 1.0, "longitude": 0.0}),
        ("distance", {"latitude": 0.0, "longitude": 0.0, "distance_km_max": 9e9}, {"latitude": 1.0}),
        ("transfer", {"data_tb": 1.0, "data_country": "US"}, {}),
        ("window", {"slot_first": 1}, {}),
        ("window", {}, {"slot_first": 1}),
        ("window", {"data_tb": 0.45, "data_country": "DE"}, {}),
        ("tier", {"limit_spot_micros": None, "limit_guaranteed_micros": 1}, {}),
        ("worth", {"limit_spot_micros": 999_999}, {}),
    ],
)
def test_each_clause_can_be_the_one_that_refuses(clause: str, bid: Row, offer: Row):
    assert refused(bid, offer) == [clause]


def test_every_clause_is_among_the_cases():
    cases = {mark.args[1][i][0] for mark in test_each_clause_can_be_the_one_that_refuses.pytestmark for i in range(len(mark.args[1]))}
    assert cases == set(CLAUSES)


@pytest.mark.parametrize(
    ("bid", "offer"),
    [
        ({"memory_gb_min": 80.0}, {"memory_gb": 80.0}),
        ({"uptime_min": 99.9}, {"uptime": 99.9}),
        ({"trust_min": "verified"}, {"trust": "verified"}),
        ({"place": "P", "rtt_ms_max": 12.5}, {}),
        ({"latitude": 1.0, "longitude": 2.0, "distance_km_max": 0.0}, {"latitude": 1.0, "longitude": 2.0}),
        ({"limit_spot_micros": 1_000_000}, {}),
        ({"certifications": ["c5"]}, {"certifications": ["hds", "c5"]}),
    ],
)
def test_just_enough_is_enough(bid: Row, offer: Row):
    assert refused(bid, offer) == []


def test_what_is_not_asked_may_stay_unknown():
    unknown = {"country": None, "operator_country": None, "parent_country": None, "trust": None, "certifications": None}
    assert refused({"buyer_country": None, "buyer_parent_country": None}, unknown) == []


def test_tiers_above_spot_need_a_firm_offer():
    wants_all = {"limit_standard_micros": 10_000_000}
    assert refused(wants_all, {"firm": False}, tier="standard") == ["tier"]
    assert refused(wants_all, {"firm": True}, tier="standard") == []


def test_a_degree_of_latitude_is_111_195_km():
    """2π · 6371.0088 ÷ 360 = 111.195; so 111.2 reaches what 111.0 does not."""
    assert great_circle_km((0, 0), (1, 0)) == pytest.approx(111.19508, abs=1e-4)
    near = {"latitude": 0.0, "longitude": 0.0, "distance_km_max": 111.2}
    assert refused(near, {"latitude": 1.0, "longitude": 0.0}) == []


def test_data_arrives_and_is_paid_by_the_hour():
    """0.45 TB at 8 Gb/s is 450 s: an eighth of an hour, so slot 1. 0.9 units of money over 2 hours: 0.45 an hour."""
    wants = a_bid(data_tb=0.45, data_country="DE", hours=2.0, limit_spot_micros=10_000_000)
    market = book(offers=[an_offer()], bids=[wants], around=AROUND, slots=4)
    bid, offer, facts = bids_of(market)[0], offers_of(market)[0], facts_of(market)
    assert earliest_slot(bid, offer, facts=facts) == 1
    assert transfer_rate(bid, offer, facts=facts) == 450_000
    assert worth(bid, offer, facts=facts, slot=1, tier="spot") == 9_550_000


def test_transfer_is_rounded_up_and_worth_down():
    """0.9 over 0.7 hours is 1.2857142…; a limit of 1.00 with a factor of 0.333333 and a fee of 1 % is 0.3300326…"""
    wants = a_bid(data_tb=0.45, data_country="DE", hours=0.7, limit_spot_micros=1_000_000, hardware=["GPU:0.333333"])
    market = book(offers=[an_offer()], bids=[wants], around=AROUND, slots=4, fee_bps=100)
    bid, offer, facts = bids_of(market)[0], offers_of(market)[0], facts_of(market)
    assert transfer_rate(bid, offer, facts=facts) == 1_285_715
    assert worth(bid, offer, facts=facts, slot=1, tier="spot") == 330_032 - 1_285_715


def test_data_moves_freely_within_a_country_the_table_does_not_name():
    assert refused({"data_tb": 900.0, "data_country": "FR"}, {}) == []
    assert refused({"data_tb": 900.0, "data_country": None}, {}) == []
    assert refused({"data_tb": 900.0, "data_country": "US"}, {}, around={}) == []


def test_energy_raises_the_rate_and_carbon_lowers_the_worth():
    """700 W × 1.2 at 100 a MWh: 0.084 an hour. At 400 g a kWh: 336 g, at 0.1 a kg 0.0336 an hour."""
    offer_row = an_offer(zone="Z", watts=700.0, pue=1.2, energy_indexed=True)
    wants = a_bid(carbon_micros_per_kg=100_000, limit_spot_micros=10_000_000)
    market = book(offers=[offer_row], bids=[wants], around=AROUND, slots=4)
    bid, offer, facts = bids_of(market)[0], offers_of(market)[0], facts_of(market)
    assert [rate(offer, facts, slot=slot) for slot in (0, 1)] == [1_084_000, 1_000_000]
    assert [worth(bid, offer, facts=facts, slot=slot, tier="spot") for slot in (0, 1)] == [9_966_400, 10_000_000]


@settings(max_examples=80, deadline=None)
@given(policy_books())
def test_the_compiled_policy_is_the_slow_one(market: MarketBook):
    """Every arc of the clearing, and its worth, is found by reading clause after clause, and no other is."""
    bids, stock = bids_of(market), take_stock(market, facts_of(market))
    by_clause = {(bids[b].id, stock.names[pool], slot, tier): value for (b, pool, slot, tier), value in all_arcs(market).items()}
    problem = build(market)
    arcs, names = problem.arcs, problem.supply.pools["pool"].to_list()
    compiled = {
        (problem.demand.bid_ids[row], names[pool], int(slot), int(tier)): int(value)
        for group, pool, slot, tier, value in zip(arcs.group, arcs.pool, arcs.slot, arcs.tier, arcs.worth, strict=True)
        for row in members(problem.demand)[group]
    }
    assert compiled == by_clause


@settings(max_examples=30, deadline=None)
@given(policy_books(offers_max=3, bids_max=3))
def test_an_arc_is_where_nothing_refuses(market: MarketBook):
    """The arcs the certificate counts are those of `refusals`, wherever something is on sale at a rate within reach."""
    facts, bids = facts_of(market), bids_of(market)
    stock = take_stock(market, facts)
    found = all_arcs(market)
    for b, bid in enumerate(bids):
        for row, offer in enumerate(stock.offers):
            pool = int(stock.pool_of[row])
            for slot in range(facts.slots):
                for tier, name in enumerate(TIERS):
                    open_ = not refusals(bid, offer, facts=facts, slot=slot, tier=name)
                    if open_ and stock.left[row, slot] and stock.on_sale[pool, slot, tier]:
                        assert (b, pool, slot, tier) in found
                    if (b, pool, slot, tier) in found and stock.rates[row, slot] == stock.lowest[pool, slot] and stock.left[row, slot]:
                        assert open_


def test_every_standing_clause_says_what_it_reads():
    assert set(READS) == set(STANDING_CLAUSES)
    assert set(CLAUSES) - set(READS) == {"window", "tier", "worth"}
