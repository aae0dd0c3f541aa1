"""What awards are worth, by the column, held to the slow reading of the policy, award by award."""

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from pricing.clearing import clear
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.policy_worth import carbon_milligrams, rate, worth
from pricing.questions.tally import Run, tally, valued
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import block_books, market_books
from tests.strategies_policy import policy_books


@settings(max_examples=60, deadline=None)
@given(st.one_of(policy_books(), market_books(), block_books()))
def test_every_award_is_valued_as_the_policy_reads_it(market: MarketBook):
    awards = clear(market).awards
    facts = facts_of(market)
    bids, offers = {bid.id: bid for bid in bids_of(market)}, {offer.id: offer for offer in offers_of(market)}
    found = valued(market, awards)
    assert found.select(awards.columns).equals(awards)
    for row in found.iter_rows(named=True):
        bid, offer, slot = bids[row["bid_id"]], offers[row["offer_id"]], row["slot"]
        assert row["worth_micros"] == worth(bid, offer, facts=facts, slot=slot, tier=row["tier"])
        assert row["cost_micros"] == rate(offer, facts, slot=slot)
        assert row["carbon_mg"] == carbon_milligrams(offer, facts, slot=slot)


def test_a_clearing_comes_to_its_hours_money_and_gain():
    """Two accelerators at a rate of 1.50, the middle of what they are sold for and worth: 1.00 and 2.00."""
    market = book(offers=[an_offer(quantity=2, rate_micros=1_000_000)], bids=[a_bid("b1", width=2, limit_spot_micros=2_000_000)])
    base = Run(book=market, clearing=clear(market))
    found = tally(base)
    assert (found.bids, found.served, found.hours, found.reference_hours) == (1, 1, 2.0, 2.0)
    assert (found.paid_micros, found.gain_micros, found.welfare_micros) == (3_000_000, 1_000_000, 2_000_000)
    assert found.all_in_micros == 1_500_000
    assert tally(base, []).hours == 0
    dearer = msgspec.structs.replace(market, bids=market.bids.with_columns(limit_spot_micros=pl.lit(5_000_000)))
    assert tally(base, valued_by=dearer).welfare_micros == 8_000_000


@pytest.mark.parametrize("change", [{"bid_id": "b9"}, {"offer_id": "o9"}, {"tier": "guaranteed"}])
def test_an_award_the_book_knows_nothing_of_has_no_value(change: dict[str, str]):
    market = book(offers=[an_offer()], bids=[a_bid("b1", limit_spot_micros=2_000_000)])
    odd = clear(market).awards.with_columns(**{name: pl.lit(value) for name, value in change.items()})
    with pytest.raises(KeyError, match="does not say"):
        valued(market, odd)
