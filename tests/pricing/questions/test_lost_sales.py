"""Every hour an offer has left has one cause, and a rate asked otherwise is the gate cleared again with it."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings

from contracts.terms.errors import BadInput, NotFound
from contracts.terms.orders import MarketBook
from pricing.questions.lost_sales import CAUSES, OfferSales, sales_of
from pricing.questions.rate_asked import at_rate, rate_asked
from pricing.questions.tally import Run, run
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import market_books

MILLION = 1_000_000
MINE = {"provider": "prv_mine", "site": "mine"}


def mine(market: MarketBook, offer_id: str = "m1") -> OfferSales:
    return next(each for each in sales_of(run(market), "prv_mine") if each.offer_id == offer_id)


def lost(found: OfferSales) -> dict[str, float]:
    return {cause: hours for cause, hours in found.lost.items() if hours}


def test_nobody_asked_for_what_no_bid_is_as_wide_as():
    """Eight at 1.00; one bid takes three of them: five are left that nobody asked for."""
    found = mine(book(offers=[an_offer("m1", quantity=8, **MINE)], bids=[a_bid("b1", width=3, limit_spot_micros=2 * MILLION)]))
    assert (found.offered, found.leased, found.sold, found.left, lost(found)) == (8.0, 0.0, 3.0, 5.0, {"unasked": 5.0})


def test_each_cause_has_its_hours():
    """Twenty at 2.00 in France. One bid of 3 wants Spain; one of 4 pays 1.99; one of 5 buys at 1.00 next door; 8 are not asked for."""
    offers = [an_offer("m1", quantity=20, rate_micros=2 * MILLION, **MINE), an_offer("r1", quantity=5)]
    bids = [
        a_bid("b1", width=3, limit_spot_micros=3 * MILLION, countries=["ES"]),
        a_bid("b2", width=4, limit_spot_micros=1_990_000, uptime_min=None),
        a_bid("b3", width=5, limit_spot_micros=3 * MILLION),
    ]
    found = mine(book(offers=offers, bids=bids))
    assert lost(found) == {"unasked": 8.0, "kept_away": 3.0, "too_dear": 4.0, "elsewhere": 5.0}
    assert [(each.clause, each.bids, each.alone, each.hours) for each in found.refusals] == [("countries", 1, 1, 3.0)]
    assert (found.marginal_micros, found.dearer_bps) == (MILLION, 10_000), "twice the marginal offer's 1.00 is 100 % dearer"
    assert found.bids == 3


def test_three_per_cent_dearer_than_the_marginal_offer():
    offers = [an_offer("m1", rate_micros=2_060_000, **MINE), an_offer("r1", rate_micros=2 * MILLION), an_offer("r2", rate_micros=MILLION)]
    bids = [a_bid("b1", width=2, limit_spot_micros=3 * MILLION)]
    found = mine(book(offers=offers, bids=bids))
    assert (found.dearer_bps, lost(found)) == (300, {"elsewhere": 1.0})


def test_what_is_held_back_as_headroom_is_said_so():
    """Ten, of which half are held back from standard: a bid of eight at standard has five, and three more have no room."""
    offers = [an_offer("m1", quantity=10, **MINE)]
    bids = [a_bid("b1", width=8, limit_standard_micros=3 * MILLION)]
    found = mine(book(offers=offers, bids=bids, headroom_standard=Decimal("0.5"), headroom_guaranteed=Decimal("0.5")))
    assert (found.sold, lost(found)) == (5.0, {"unasked": 2.0, "held_back": 3.0})


def test_a_bid_asks_for_no_more_hours_than_it_wants():
    """Four accelerators over six hours; a bid of width two wants three hours in all, in Spain: three hours are kept away, not twelve."""
    bids = [a_bid("b1", width=2, hours=3.0, slot_end=6, limit_spot_micros=3 * MILLION, countries=["ES"])]
    found = mine(book(offers=[an_offer("m1", quantity=4, **MINE)], bids=bids, slots=6))
    assert lost(found) == {"unasked": 21.0, "kept_away": 3.0}


def test_leases_in_force_are_neither_sold_nor_lost():
    leases = [{"lease_id": "l1", "offer_id": "m1", "slot": 0, "tier": "spot", "quantity": 3}]
    found = mine(book(offers=[an_offer("m1", quantity=4, **MINE)], bids=[], around={"commitments": leases}))
    assert (found.offered, found.leased, found.sold, found.left) == (4.0, 3.0, 0.0, 1.0)


def test_a_clause_that_never_keeps_a_bid_away_alone_comes_last():
    """One bid wants Spain and 99.99 % uptime, another only Spain: giving way in uptime alone would find nobody."""
    bids = [
        a_bid("b1", limit_spot_micros=3 * MILLION, countries=["ES"], uptime_min=99.99),
        a_bid("b2", limit_spot_micros=3 * MILLION, countries=["ES"]),
    ]
    found = mine(book(offers=[an_offer("m1", quantity=4, uptime=99.0, **MINE)], bids=bids))
    assert [(each.clause, each.bids, each.alone) for each in found.refusals] == [("countries", 2, 1), ("uptime", 1, 0)]


@settings(max_examples=60)
@given(market_books())
def test_every_hour_left_has_one_cause(market: MarketBook):
    cleared = run(market)
    providers = sorted(set(market.offers["provider"]))
    found = [each for provider in providers for each in sales_of(cleared, provider)]
    assert len(found) == market.offers.height
    for each in found:
        assert set(each.lost) == set(CAUSES)
        assert min(each.lost.values()) >= 0
        assert sum(each.lost.values()) == pytest.approx(each.left)
        assert each.offered == pytest.approx(each.leased + each.sold + each.left)
    sold = cleared.clearing.awards["quantity"].sum() * float(market.rules.hours)
    assert sum(each.sold for each in found) == pytest.approx(sold)


def two_sellers(rate_micros: int) -> MarketBook:
    """m1 with 10 at some rate beside 4 at 2.00 next door; two bids of 5 and 6, at 3.00 and 1.95."""
    offers = [an_offer("m1", quantity=10, rate_micros=rate_micros, **MINE), an_offer("r1", quantity=4, rate_micros=2 * MILLION)]
    return book(
        offers=offers, bids=[a_bid("b1", width=5, limit_spot_micros=3 * MILLION), a_bid("b2", width=6, limit_spot_micros=1_950_000)]
    )


def test_at_a_lower_rate_it_would_have_sold_more():
    """At 2.10 it sells the one accelerator that 2.00 next door has no more of; at 1.90 all ten."""
    dear = run(two_sellers(2_100_000))
    found = rate_asked([dear], "m1", rate_micros=1_900_000)
    cheap = run(two_sellers(1_900_000)).clearing.receipts.filter(pl.col("offer_id") == "m1")
    assert (found.sold, found.hours_more) == (1.0, 9.0)
    assert found.received_micros + found.micros_more == cheap["received_micros"].sum() + cheap["uplift_micros"].sum()
    assert found.text.startswith("At 1.90 USD it would have sold 9 more accelerator-hours at the last gate; the provider had received ")
    assert found.gates[0].would_sell == 10.0


def test_at_its_own_rate_nothing_changes():
    found = rate_asked([run(two_sellers(2_100_000))], "m1", rate_micros=2_100_000)
    assert (found.hours_more, found.micros_more) == (0.0, 0)
    assert "as many accelerator-hours" in found.text


def test_an_hour_offered_at_two_gates_is_sold_more_once():
    """Two gates over the same hours: what would have been sold at both counts at one; a gate an hour later is another hour."""
    first = run(two_sellers(2_100_000))
    assert rate_asked([first, first], "m1", rate_micros=1_900_000).hours_more == 9.0
    rules = msgspec.structs.replace(first.book.rules, start=first.book.rules.start + timedelta(hours=1))
    later = Run(book=msgspec.structs.replace(first.book, rules=rules), clearing=first.clearing)
    assert rate_asked([first, later], "m1", rate_micros=1_900_000).hours_more == 18.0


def test_a_rate_asked_goes_into_every_slot():
    around = {"offer_slots": [{"offer_id": "m1", "slot": 0, "quantity": 3, "rate_micros": 7 * MILLION}]}
    market = at_rate(book(offers=[an_offer("m1", **MINE)], bids=[], around=around), "m1", rate_micros=5)
    assert (market.offers["rate_micros"].to_list(), market.offer_slots["rate_micros"].to_list()) == ([5], [5])


def test_an_offer_of_no_gate_and_a_rate_below_nothing_are_refused():
    cleared = run(two_sellers(MILLION))
    with pytest.raises(NotFound):
        rate_asked([cleared], "m2", rate_micros=1)
    with pytest.raises(BadInput):
        rate_asked([cleared], "m1", rate_micros=-1)
