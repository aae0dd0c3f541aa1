"""A clause costs what the market without it gains; nobody is ever better served for the book being narrower."""

import pytest
from hypothesis import given, settings

from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook
from pricing.questions.rules_cost import RULES, relaxed_book, rules_cost, users_of
from pricing.questions.tally import run
from tests.builders import a_bid, an_offer, book
from tests.strategies_policy import policy_books

MILLION = 1_000_000


def test_keeping_to_a_country_costs_the_difference_in_rates():
    """Four hours at home at 3.00 that Sweden sells at 1.00: the clause costs its buyer and the market 2.00 an hour, 8.00 in all."""
    offers = [
        an_offer("o1", quantity=8, rate_micros=3 * MILLION),
        an_offer("o2", quantity=8, rate_micros=MILLION, country="SE", site="south"),
    ]
    market = book(offers=offers, bids=[a_bid("b1", width=4, limit_spot_micros=4 * MILLION, countries=["FR"])])
    found = rules_cost(run(market))
    (cost,) = found.rules
    assert (cost.clause, cost.users, cost.buyers_micros, cost.market_micros) == ("countries", 1, 8 * MILLION, 8 * MILLION)
    assert cost.payments_micros == 8 * MILLION
    assert found.text == (
        "countries (the site stands in named countries) costs one bid 8.00 USD (2.0000 an hour) and the market 8.00: "
        "4 hours in place of 4, the all-in price +200 %."
    )


def test_a_clause_of_one_may_pay_and_of_all_cost():
    """b1 and b2 keep out of the south, where four stand at 1.00 beside the north's eight at 3.00.

    Alone b1 would take the south whole and save 8.00; if both may come, they share it and the market saves the same 8.00 once.
    """
    offers = [
        an_offer("o1", quantity=8, rate_micros=3 * MILLION),
        an_offer("o2", quantity=4, rate_micros=MILLION, country="SE", site="south"),
    ]
    bids = [a_bid(name, width=4, limit_spot_micros=5 * MILLION, countries=["FR"], entered=at) for at, name in enumerate(("b1", "b2"))]
    base = run(book(offers=offers, bids=bids))
    (alone,) = rules_cost(base, bid_id="b1").rules
    (both,) = rules_cost(base).rules
    assert (alone.users, both.users) == (1, 2)
    assert alone.market_micros == both.market_micros == 8 * MILLION
    assert both.before.paid_micros == 32 * MILLION  # the north sold out between 3.00 and 5.00


def test_avoiding_carbon_is_counted_by_what_it_costs_and_what_it_saves():
    """One kilowatt an hour at 500 g or, for 0.20 more, at 100 g; worth 1.00 a kilogram the buyer takes the cleaner: 0.20 for 0.4 kg."""
    offers = [
        an_offer("o1", rate_micros=1_000_000, zone="coal", watts=1000.0),
        an_offer("o2", rate_micros=1_200_000, zone="hydro", watts=1000.0, site="south"),
    ]
    zones = [{"zone": "coal", "slot": 0, "carbon_g_per_kwh": 500.0}, {"zone": "hydro", "slot": 0, "carbon_g_per_kwh": 100.0}]
    market = book(offers=offers, bids=[a_bid("b1", limit_spot_micros=2 * MILLION, carbon_micros_per_kg=MILLION)], around={"zones": zones})
    (cost,) = rules_cost(run(market)).rules
    assert (cost.clause, cost.market_micros, cost.buyers_micros) == ("carbon_micros_per_kg", 200_000, 200_000)
    assert cost.avoided_kg == pytest.approx(0.4)
    assert "0.4 kg of carbon are avoided, at 0.50 a kilogram to the market" in rules_cost(run(market)).text


def test_a_clause_nobody_would_use_otherwise_costs_nothing():
    market = book(offers=[an_offer("o1", trust="certified")], bids=[a_bid("b1", limit_spot_micros=2 * MILLION, trust_min="certified")])
    (cost,) = rules_cost(run(market)).rules
    assert (cost.kind, cost.buyers_micros, cost.market_micros) == ("trust", 0, 0)


def test_the_providers_clauses_are_told_apart():
    market = book(
        offers=[an_offer("o1", open_to=["FR"]), an_offer("o2", closed_to=["DE"])], bids=[a_bid("b1", limit_spot_micros=2 * MILLION)]
    )
    found = rules_cost(run(market))
    assert (found.rules, found.providers_clauses) == ((), 2)
    assert found.text == "No clause of these kinds is in use."
    with pytest.raises(NotFound):
        rules_cost(run(market), bid_id="b9")


def test_every_rule_is_found_and_given_up():
    """Each clause set alone is in use; given up it is in use no more, and nothing else of the book has changed."""
    values: dict[str, object] = {
        "countries": ["FR"], "operator_countries": ["FR"], "countries_denied": ["SE"], "subdivisions": ["FR-75"],
        "chip_origins_denied": ["XX"], "trust_min": "verified", "certifications": ["c5"],
        "rtt_ms_max": 5.0, "distance_km_max": 9.0, "carbon_micros_per_kg": 1,
    }  # fmt: skip
    assert set(values) == {rule.column for rule in RULES}
    for rule in RULES:
        market = book(offers=[an_offer("o1")], bids=[a_bid("b1", limit_spot_micros=1, **{rule.column: values[rule.column]})])
        assert [other.column for other in RULES if users_of(market, other)] == [rule.column]
        plain = book(offers=[an_offer("o1")], bids=[a_bid("b1", limit_spot_micros=1)])
        assert relaxed_book(market, rule, users=["b1"]).bids.equals(plain.bids)
        assert users_of(market, rule, bid_id="b2") == []


@settings(max_examples=25, deadline=None)
@given(policy_books())
def test_a_looser_policy_never_lowers_welfare(market: MarketBook):
    for cost in rules_cost(run(market)).rules:
        assert cost.market_micros >= 0, cost.clause
