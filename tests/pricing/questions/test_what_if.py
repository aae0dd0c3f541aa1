"""A bid otherwise is the market cleared again with it: every figure can be had by clearing that other book by hand."""

import polars as pl
import pytest

from contracts.terms.errors import BadInput, NotFound
from contracts.terms.orders import MarketBook
from pricing.questions.tally import run, tally
from pricing.questions.what_if import Otherwise, WhatIf, changed, usual_ways, what_if
from tests.builders import a_bid, an_offer, book

MILLION = 1_000_000


@pytest.fixture(name="market")
def _market() -> MarketBook:
    """Eight accelerators an hour for twelve hours: at 2.00 in the first six, then at 1.38 (31 % less); in Sweden 1.00 all day."""
    later = [{"offer_id": "o1", "slot": slot, "quantity": 8, "rate_micros": 1_380_000} for slot in range(6, 12)]
    offers = [
        an_offer("o1", quantity=8, rate_micros=2 * MILLION, zone="FR", watts=1000.0),
        an_offer("o2", quantity=8, rate_micros=MILLION, country="SE", site="south", firm=False, zone="SE", watts=1000.0),
    ]
    bids = [a_bid("b1", width=4, hours=8.0, slot_end=6, limit_standard_micros=3 * MILLION, countries=["FR"])]
    zones = [{"zone": zone, "slot": slot, "carbon_g_per_kwh": grams} for zone, grams in (("FR", 50.0), ("SE", 20.0)) for slot in range(12)]
    return book(offers=offers, bids=bids, slots=12, around={"offer_slots": later, "zones": zones})


def asked(market: MarketBook, **way: object) -> WhatIf:
    return what_if(run(market), "b1", otherwise=(Otherwise(**way),))


def test_six_hours_later(market: MarketBook):
    """8 hours at 2.00, or at 1.38 in slots 6 to 11: 31 % less; 1 kW for 8 hours at 50 g is 0.4 kg either way."""
    found = asked(market, later=6)
    assert (found.before.all_in_micros, found.otherwise[0].after.all_in_micros) == (2 * MILLION, 1_380_000)
    assert found.text == (
        "6 slots later: -31 %, 2.0000 to 1.3800 USD all-in per reference hour, 8 hours in place of 8, 0.4 kg of carbon in place of 0.4."
    )


def test_spot_elsewhere(market: MarketBook):
    """At spot in any country it runs in Sweden at 1.00, half the price and 0.16 kg of carbon."""
    found = asked(market, tier="spot", countries=())
    after = found.otherwise[0].after
    assert found.otherwise[0].words == "spot only, in any country"
    assert (after.all_in_micros, after.paid_micros, after.carbon_kg) == (MILLION, 8 * MILLION, 0.16)
    assert after.gain_micros == 16 * MILLION
    assert asked(market, tier="standard", countries=()).otherwise[0].after.all_in_micros == 2 * MILLION


def test_a_way_that_finds_nothing_says_so(market: MarketBook):
    found = asked(market, countries=("DE",))
    assert (found.status, found.otherwise[0].status, found.text) == ("filled", "rejected", "in DE: it finds nothing.")


def test_the_others_make_room_and_move_the_price():
    """b1 at 3.00 and b2 at 2.00 both want the one accelerator of slot 0; moved to slot 1, b1 leaves b2 the first, and both trade."""
    bids = [a_bid("b1", limit_spot_micros=3 * MILLION, slot_end=1), a_bid("b2", limit_spot_micros=2 * MILLION, slot_end=1)]
    market = book(offers=[an_offer("o1", rate_micros=MILLION)], bids=bids, slots=2)
    found = what_if(run(market), "b1", otherwise=(Otherwise(later=1),))
    assert (found.market_welfare_micros, found.otherwise[0].market_welfare_micros) == (2 * MILLION, 3 * MILLION)
    assert (found.before.paid_micros, found.otherwise[0].after.paid_micros) == (2_500_000, 2 * MILLION)


def test_the_rest_of_the_book_stays_as_it_is(market: MarketBook):
    other = changed(market, "b1", way=Otherwise(later=-3, hardware="GPU", width=2, carbon_micros_per_kg=7))
    assert other.bids.select("slot_first", "slot_end", "width", "carbon_micros_per_kg").row(0) == (0, 3, 2, 7)
    assert other.offers.equals(market.offers)
    assert other.bids.schema == market.bids.schema
    assert changed(market, "b1", way=Otherwise()).bids.equals(market.bids)


def test_what_makes_no_bid_is_refused(market: MarketBook):
    with pytest.raises(BadInput, match="leaves the market's slots"):
        asked(market, later=12)
    with pytest.raises(BadInput, match="no such hardware"):
        asked(market, hardware="TPU")
    with pytest.raises(NotFound):
        what_if(run(market), "b9", otherwise=())


def test_the_usual_ways_are_those_that_change_something(market: MarketBook):
    words = [way.words for way in usual_ways(market, "b1")]
    assert words == ["6 slots later", "guaranteed only", "spot only", "in any country", "0.10 a kilogram to avoid carbon"]


def test_a_tally_adds_up_what_the_tables_say(market: MarketBook):
    base = run(market)
    sums = tally(base)
    assert sums.paid_micros == base.clearing.awards["charge_micros"].sum() == base.clearing.receipts["received_micros"].sum()
    assert sums.gain_micros == sums.welfare_micros == 8 * MILLION
    assert tally(base, []).served == 0
    assert tally(base, []).all_in_micros is None
    assert base.clearing.awards.filter(pl.col("slot") > 5).is_empty()
