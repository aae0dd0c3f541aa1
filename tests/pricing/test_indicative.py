"""Means by class and tier: by hand, and from the awards one by one."""

from collections import Counter, defaultdict

from hypothesis import given, settings

from contracts.terms.money import half_up
from pricing.clearing import clear
from pricing.indicative import class_means
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import market_books

CENT = 10_000


def test_two_pools_at_two_prices_are_one_mean_to_the_cent():
    """3 at 1.00 in the north and 1 at 2.015 in the south: 5.015 ÷ 4 = 1.25375, to the cent 1.25."""
    cheap = an_offer("n", site="north", quantity=3, rate_micros=1_000_000)
    dear = an_offer("s", site="south", quantity=9, rate_micros=2_015_000, country="DE")
    bids = [
        a_bid("x", buyer="ann", width=3, limit_spot_micros=1_000_000, countries=["FR"]),
        a_bid("y", buyer="bob", width=1, limit_spot_micros=3_000_000, countries=["DE"]),
    ]
    shown = book(offers=[cheap, dear], bids=bids)
    assert class_means(shown, clear(shown), tick_micros=CENT).rows() == [("GPU", "spot", 1_250_000, 2)]


def test_a_book_nobody_bids_in_says_nothing():
    shown = book(offers=[an_offer()], bids=[])
    assert class_means(shown, clear(shown), tick_micros=CENT).is_empty()


@settings(max_examples=30, deadline=None)
@given(market_books())
def test_a_mean_is_what_awards_cost_over_what_they_grant(shown):
    clearing = clear(shown)
    classes = dict(shown.offers.select("offer_id", "hardware").iter_rows())
    buyers = dict(shown.bids.select("bid_id", "buyer").iter_rows())
    cost: Counter[tuple[str, str]] = Counter()
    granted: Counter[tuple[str, str]] = Counter()
    won: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for bid_id, offer_id, tier, quantity, rate in clearing.awards.select(
        "bid_id", "offer_id", "tier", "quantity", "rate_micros"
    ).iter_rows():
        key = (classes[offer_id], tier)
        cost[key] += quantity * rate
        granted[key] += quantity
        won[key].add(buyers[bid_id])
    expected = [(*key, half_up(cost[key], granted[key]), len(won[key])) for key in sorted(cost)]
    assert class_means(shown, clearing, tick_micros=1).rows() == expected
