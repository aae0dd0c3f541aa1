"""A lost site: what it held is found again by the holder's own rules, guaranteed first, at no more than it cost, or not at all."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings

from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.questions.losses import losses
from pricing.questions.outage import Outage, outage
from pricing.questions.tally import Run, run, tally
from tests.builders import Row, a_bid, an_offer, book
from tests.strategies_market import market_books

MILLION = 1_000_000


def two_sites(south: Row, *bids: Row, **facts: object) -> Run:
    """Eight at 1.00 in the north, and what a test says of the south."""
    offers = [
        an_offer("o1", quantity=8, rate_micros=MILLION),
        an_offer("o2", **{"site": "south", "quantity": 8, "rate_micros": MILLION, **south}),
    ]
    return run(book(offers=offers, bids=list(bids), **facts))


def of(found: Outage, holder: str) -> tuple[float, float, int, int, int]:
    """Hours lost and found, old and new charges, credit base of a holder."""
    (loser,) = (loser for loser in found.losers if loser.holder == holder)
    return loser.hours, loser.replaced, loser.old_micros, loser.new_micros, loser.credit_base_micros


def test_what_was_lost_is_found_at_the_other_site():
    """b1 holds four of the north's eight at 1.00; the south has eight at 1.00: everything is found for the same money."""
    base = two_sites({}, a_bid("b1", width=4, limit_spot_micros=3 * MILLION))
    found = outage(base, "north")
    assert of(found, "b1") == (4.0, 4.0, 4 * MILLION, 4 * MILLION, 0)
    assert found.losers[0].sites == ("south",)
    assert (found.extra_micros, found.credit_base_micros, found.welfare_lost_micros, found.stranded) == (0, 0, 0, ())
    assert found.text.splitlines()[:2] == [
        "north is lost from slot 0 on: 1 holder loses 4 accelerator-hours, 4 of them are found elsewhere at the old rate.",
        "Spot: 4 of 4 hours of 1 holder.",
    ]
    assert found.text.splitlines()[2] == (
        "What is found costs 0.00 USD more than it did and does 4.0 reference hours of work in place of 4.0; "
        "credits are due on 0.00, and 0.00 of welfare is lost."
    )


def test_a_dearer_place_is_no_place_at_the_old_rate():
    """The south wants 1.50 where the north took 1.00: though b1 would pay 3.00, nothing is found; 4.00 of credit base, 8.00 of welfare."""
    found = outage(two_sites({"rate_micros": 1_500_000}, a_bid("b1", width=4, limit_spot_micros=3 * MILLION)), "north")
    assert of(found, "b1") == (4.0, 0.0, 4 * MILLION, 0, 4 * MILLION)
    assert found.welfare_lost_micros == 8 * MILLION
    assert [loser.holder for loser in found.stranded] == ["b1"]
    assert found.text.splitlines()[-1] == "Nothing is found for b1."


def test_its_own_clauses_hold_in_an_outage_too():
    found = outage(two_sites({"country": "SE"}, a_bid("b1", width=4, limit_spot_micros=3 * MILLION, countries=["FR"])), "north")
    assert of(found, "b1")[:2] == (4.0, 0.0)


def test_the_guaranteed_go_first_then_standard_then_spot():
    """Each tier holds two in the north; the south has five: guaranteed and standard find two each, spot the last one."""
    bids = [a_bid(f"b_{tier}", width=2, **{f"limit_{tier}_micros": 3 * MILLION}) for tier in TIERS]
    base = two_sites({"quantity": 5}, *bids)
    assert set(base.clearing.awards["offer_id"]) == {"o1"}
    found = outage(base, "north")
    assert [(loser.tier, loser.replaced) for loser in found.losers] == [("guaranteed", 2.0), ("standard", 2.0), ("spot", 1.0)]
    assert of(found, "b_spot") == (2.0, 1.0, 2 * MILLION, MILLION, MILLION)


def test_who_holds_the_other_site_is_not_touched():
    """The south's eight belong to b2, who would pay less than b1; b1 finds none of them."""
    bids = [a_bid("b1", width=8, limit_spot_micros=9 * MILLION), a_bid("b2", width=8, limit_spot_micros=2 * MILLION, countries=["SE"])]
    found = outage(two_sites({"country": "SE"}, *bids), "north")
    assert of(found, "b1")[:2] == (8.0, 0.0)


def test_a_bid_that_runs_elsewhere_too_stays_within_its_width():
    """b1 has eight in the north and two in the south, ten at once: the south's four more would do, in the same slot only."""
    base = two_sites({"quantity": 6, "rate_micros": MILLION}, a_bid("b1", width=10, limit_spot_micros=3 * MILLION), slots=2)
    north = int(base.clearing.awards.filter(pl.col("offer_id") == "o1")["quantity"].sum())
    found = outage(base, "north")
    rows = [loss.row for loss in losses(base, ["o1"], slot_first=0)]
    lost = base.clearing.awards.filter(pl.col("offer_id") == "o1").group_by("slot").agg(pl.col("quantity").sum()).sort("slot").rows()
    assert [(row["slot_first"], row["width"]) for row in rows if row] == lost
    assert found.hours == north


def test_a_site_lost_half_way_takes_what_is_left_of_the_run():
    """A block of two over slots 0 to 2; lost from slot 1 it asks for two over slots 1 and 2, whole, and finds them in the south."""
    bid = a_bid("b1", width=2, hours=6.0, kind="block", limit_standard_micros=3 * MILLION)
    base = two_sites({}, bid, slots=3)
    site = "north" if base.clearing.awards["offer_id"][0] == "o1" else "south"
    found = outage(base, site, slot_first=1)
    assert of(found, "b1")[:2] == (4.0, 4.0)
    assert outage(base, site, slot_first=3).losers == ()


def test_a_lease_of_an_earlier_gate_goes_only_to_its_like():
    """A lease of two of the north's: the south is like it in all but the place, the east is certified less."""
    facts: Row = {"trust": "certified", "chip_origin": "US"}
    offers = [
        an_offer("o1", quantity=4, rate_micros=MILLION, **facts),
        an_offer("o2", quantity=1, rate_micros=MILLION, site="south", **facts),
        an_offer("o3", quantity=9, rate_micros=MILLION, site="east", trust="verified", chip_origin="US"),
    ]
    lease = {"lease_id": "l1", "offer_id": "o1", "slot": 0, "tier": "spot", "quantity": 2}
    base = run(book(offers=offers, bids=[a_bid("b1", limit_spot_micros=1)], around={"commitments": [lease]}))
    found = outage(base, "north")
    assert (found.losers[0].kind, found.losers[0].sites) == ("lease", ("south",))
    assert of(found, "l1") == (2.0, 1.0, 2 * MILLION, MILLION, MILLION)
    unknown = run(book(offers=[{**offers[0], "chip_origin": None}, offers[1]], bids=[], around={"commitments": [lease]}))
    assert of(outage(unknown, "north"), "l1")[1] == 0.0


def test_moving_the_data_counts_against_the_old_rate():
    """0.60 in the south is less than the 1.00 paid, but with 2.00 for the terabyte, 0.50 an hour, it is more."""
    transfer = [{"from_country": "FR", "to_country": "SE", "micros_per_tb": 2 * MILLION, "gbps": 1e9}]
    for data_tb, site in ((1.0, "north"), (0.0, "south")):
        bid = a_bid("b1", width=4, limit_spot_micros=3 * MILLION, data_tb=data_tb, data_country="FR", slot_end=2)
        base = two_sites({"country": "SE", "rate_micros": 600_000}, bid, slots=2, around={"transfer": transfer})
        assert of(outage(base, site), "b1")[1] == 0.0


def test_nobody_there_and_nowhere_else():
    base = two_sites({"rate_micros": 9 * MILLION}, a_bid("b1", width=4, limit_spot_micros=3 * MILLION))
    assert outage(base, "south").text == "south is lost from slot 0 on: nobody holds anything there."
    alone = run(book(offers=[an_offer("o1", quantity=8)], bids=[a_bid("b1", limit_spot_micros=3 * MILLION)]))
    assert of(outage(alone, "north"), "b1")[:2] == (1.0, 0.0)
    with pytest.raises(NotFound):
        outage(base, "east")


@settings(max_examples=20, deadline=None)
@given(market_books())
def test_nothing_is_found_that_was_not_lost_and_none_pays_more(market: MarketBook):
    base = run(market)
    for site in market.offers["site"].unique().sort():
        found = outage(base, site)
        ids = market.offers.filter(pl.col("site") == site)["offer_id"].to_list()
        lost = base.clearing.awards.filter(pl.col("offer_id").is_in(ids))
        awarded = [loser for loser in found.losers if loser.kind == "award"]
        assert sum(loser.hours for loser in awarded) == float(market.rules.hours * int(lost["quantity"].sum()))
        assert sum(loser.old_micros for loser in awarded) == int(lost["charge_micros"].sum())
        for loser in found.losers:
            assert 0 <= loser.replaced <= loser.hours
            assert 0 <= loser.credit_base_micros <= loser.old_micros
            assert (loser.credit_base_micros == 0) == (loser.replaced == loser.hours) or loser.old_micros < 2
        order = [TIERS.index(loser.tier) for loser in found.losers]
        assert all(one <= other for one, other in pairwise(order))
        if not market.commitments.height:
            assert found.welfare_lost_micros <= tally(base).welfare_micros
