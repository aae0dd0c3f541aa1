"""A refusal is explained with numbers a reader can count, and nothing is told to whom nothing is open."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook
from pricing.clearing import clear
from pricing.explain import Explanation, Need, Relaxation, Removal, explain
from pricing.policy import CLAUSES
from tests.builders import Row, a_bid, an_offer, book
from tests.strategies_policy import policy_books

OFFERS = [
    an_offer("o1", site="paris", country="FR", rate_micros=3_000_000, quantity=4, memory_gb=80.0),
    an_offer("o2", site="lyon", country="FR", rate_micros=2_500_000, quantity=2, memory_gb=40.0),
    an_offer("o3", site="lulea", country="SE", rate_micros=1_000_000, quantity=8, memory_gb=80.0),
    an_offer("o4", site="kiruna", country="SE", rate_micros=1_100_000, quantity=8, memory_gb=40.0),
    an_offer("o5", site="secret", country="SE", rate_micros=900_000, quantity=8, memory_gb=80.0, open_to=["SE"]),
]
FUSSY: Row = {"countries": ["FR"], "memory_gb_min": 64.0, "limit_spot_micros": 2_000_000}


def explained(**bid: object) -> Explanation:
    market = book(offers=OFFERS, bids=[a_bid("b1", **bid)])
    return explain(market, "b1", clearing=clear(market))


def test_what_each_clause_removes_and_what_giving_way_finds():
    """Of four offers it may see: two stand in Sweden, two lack memory, and the one left asks 3.00 of a limit of 2.00."""
    found = explained(**FUSSY)
    assert (found.status, found.visible, found.open) == ("rejected", 4, 1)
    assert found.removals == (
        Removal(clause="memory", offers=2),
        Removal(clause="countries", offers=2),
        Removal(clause="worth", offers=1),
    )
    assert found.relaxations == (
        Relaxation(clause="memory", change="accept 40 GB of memory", accelerators=2, rate_micros=2_500_000),
        Relaxation(clause="countries", change="allow SE", accelerators=8, rate_micros=1_000_000),
    )
    assert found.needs == (Need(tier="spot", limit_micros=3_000_000, limit_given_micros=2_000_000, site="paris", slot=0),)


def test_the_sentences():
    assert explained(**FUSSY).text.splitlines() == [
        "Bid b1 found nothing. Of 4 offers it may see, 1 meet every clause but perhaps the price.",
        "Counted clause by clause, of these offers",
        "  2 have too little memory, or do not say (memory)",
        "  2 stand in other countries (countries)",
        "  1 cost more than they are worth to it (worth)",
        "Giving way in one clause, the others kept, would find",
        "  2 accelerators from 2.500000 USD an hour: accept 40 GB of memory",
        "  8 accelerators from 1.000000 USD an hour: allow SE",
        "At spot it needed a limit of 3.000000 USD per reference hour (paris, slot 0); it gave 2.000000.",
    ]


def test_a_limit_as_needed_would_have_been_served():
    """With a fee of 1 % and a factor of 0.9 the limit must be 3.00 × 1.01 ÷ 0.9, rounded up: 3.366667."""
    wants = a_bid("b1", limit_spot_micros=1, hardware=["GPU:0.9"], countries=["FR"], memory_gb_min=64.0)
    market = book(offers=OFFERS, bids=[wants], fee_bps=100)
    (need,) = explain(market, "b1", clearing=clear(market)).needs
    assert need.limit_micros == 3_366_667
    served = book(offers=OFFERS, bids=[{**wants, "limit_spot_micros": need.limit_micros}], fee_bps=100)
    short = book(offers=OFFERS, bids=[{**wants, "limit_spot_micros": need.limit_micros - 1}], fee_bps=100)
    assert clear(served).outcomes["status"].to_list() == ["filled"]
    assert clear(short).outcomes["status"].to_list() == ["rejected"]


def test_a_denied_buyer_is_told_no_more():
    closed = [{**offer, "open_to": ["SE"], "closed_to": []} for offer in OFFERS]
    market = book(offers=closed, bids=[a_bid("b1", limit_spot_micros=9_000_000)])
    found = explain(market, "b1", clearing=clear(market))
    assert found.text == "Bid b1: no offer is open to this buyer."
    assert (found.removals, found.relaxations, found.needs) == ((), (), ())


def test_a_filled_bid_needs_no_advice():
    found = explained(limit_spot_micros=9_000_000)
    assert found.text.startswith("Bid b1 has everything it wanted.")
    assert (found.relaxations, found.needs) == ((), ())


def test_a_stranger_is_not_explained():
    market = book(offers=OFFERS, bids=[a_bid("b1", limit_spot_micros=1)])
    with pytest.raises(NotFound, match="no bid of the book has the id"):
        explain(market, "b2", clearing=clear(market))


@settings(max_examples=25, deadline=None)
@given(policy_books(), st.data())
def test_the_counts_agree_with_each_other(market: MarketBook, data: st.DataObject):
    bid = data.draw(st.sampled_from(market.bids["bid_id"].to_list()))
    found = explain(market, bid, clearing=clear(market))
    assert found.text
    assert {removal.clause for removal in found.removals} <= set(CLAUSES) - {"open_to", "closed_to"}
    assert all(0 < removal.offers <= found.visible <= market.offers.height for removal in found.removals)
    assert sum(removal.offers for removal in found.removals if removal.clause != "worth") >= found.visible - found.open
    assert all(relaxation.accelerators > 0 for relaxation in found.relaxations)
    assert all(need.limit_micros > need.limit_given_micros for need in found.needs)
