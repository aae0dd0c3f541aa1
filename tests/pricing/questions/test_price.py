"""A price is explained by orders a reader can point at, and the order said to hold an end does hold it."""

from decimal import Decimal

import pytest
from hypothesis import given, settings

from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketBook
from pricing.clearing import clear
from pricing.questions.price import PriceExplanation, explain_price
from tests.builders import Row, a_bid, an_offer, book
from tests.strategies_market import market_books

MILLION = 1_000_000


def explained(
    offers: list[Row], bids: list[Row], *, tier: str = "spot", pool: str = "o1", slot: int = 0, **rules: object
) -> PriceExplanation:
    market = book(offers=offers, bids=bids, **rules)
    return explain_price(market, clear(market), pool=pool, slot=slot, tier=tier)


def an_offer_at(name: str, quantity: int, rate: float, **facts: object) -> Row:
    return an_offer(name, quantity=quantity, rate_micros=round(rate * MILLION), **facts)


def a_bid_at(name: str, width: int, limit: float, **facts: object) -> Row:
    return a_bid(name, width=width, limit_spot_micros=round(limit * MILLION), **facts)


def test_between_two_offers_and_two_bids():
    """8 at 1.00 sold, 8 at 2.45 left; b1 worth 2.60 served, b2 worth 2.20 refused: 2.20 to 2.45, the middle is 2.325."""
    offers = [an_offer_at("o1", 8, 1.00), an_offer_at("o2", 8, 2.45)]
    found = explained(offers, [a_bid_at("b1", 8, 2.60), a_bid_at("b2", 8, 2.20)])
    assert (found.kind, found.low_micros, found.high_micros, found.rate_micros) == ("traded", 2_200_000, 2_450_000, 2_325_000)
    assert (found.marginal.offer_id, found.marginal.sold, found.next.offer_id) == ("o1", 8, "o2")
    assert (found.last_served.bid_id, found.first_refused.bid_id) == ("b1", "b2")
    assert found.text == (
        "GPU at north (pool o1) in slot 0, spot: 2.325000 USD an accelerator-hour. "
        "The marginal offer is o1 at 1.000000 (sold 8 of 8); the next would be o2 at 2.450000. "
        "The last bid served, b1, finds it worth 2.600000; to the first refused, b2, it is worth 2.200000. "
        "Any price from 2.200000 to 2.450000 supports the awards: below it b2, refused, would buy, above it o2 would sell more; "
        "the rule takes the middle."
    )


def test_a_marginal_offer_that_is_half_sold_pins_the_price():
    """12 of 16 sold at 2.10: below nobody would sell the twelfth, above the thirteenth would be for sale."""
    found = explained([an_offer_at("o1", 16, 2.10)], [a_bid_at("b1", 12, 3.00)])
    assert found.low_micros == found.high_micros == 2_100_000
    assert "(sold 12 of 16), and it has the next accelerator too." in found.text
    assert found.text.endswith("No other price supports the awards: below it o1 would not sell, above it o1 would sell more.")


def test_a_pool_that_sold_nothing_shows_an_offers_rate():
    found = explained([an_offer_at("o1", 8, 2.00), an_offer_at("o2", 8, 3.00)], [a_bid_at("b1", 4, 1.50)])
    assert found.kind == "untraded"
    assert found.text == (
        "GPU at north (pool o1) in slot 0, spot: 2.000000 USD an accelerator-hour. "
        "Nothing was sold here: this is the rate of o1, the lowest of what leases left, not a trade."
    )


def test_a_premium_names_the_limit_that_is_used_up():
    """10 accelerators, a fifth held back: 8 guaranteed sell to the 9 who want them at 3.00, so the premium takes what spot leaves."""
    offers = [an_offer_at("o1", 10, 1.00)]
    bids = [a_bid("b1", width=8, limit_guaranteed_micros=3 * MILLION), a_bid("b2", width=1, limit_guaranteed_micros=2 * MILLION)]
    found = explained(offers, bids, tier="guaranteed", headroom_guaranteed=Decimal("0.2"))
    assert (found.low_micros, found.high_micros, found.rate_micros) == (2 * MILLION, 3 * MILLION, 2_500_000)
    assert (found.limit, found.used, found.premium_micros) == (8, 8, 1_500_000)
    assert "1.500000 of it is premium over the tier below: all 8 accelerators this tier and better may have are sold." in found.text
    spot = explained(offers, bids, headroom_guaranteed=Decimal("0.2"))
    assert (spot.rate_micros, spot.last_served, spot.premium_micros) == (MILLION, None, 0)
    assert "No other price supports the awards: below it o1 would not sell, above it o1 would sell more." in spot.text


def test_without_a_limit_in_the_way_there_is_no_premium():
    found = explained([an_offer_at("o1", 10, 1.00)], [a_bid("b1", width=4, limit_standard_micros=3 * MILLION)], tier="standard")
    assert found.premium_micros == 0
    assert found.text.endswith("It has no premium over the tier below: 4 of the 10 accelerators it may have are sold.")


def test_a_bid_that_could_come_over_holds_the_price_up():
    """b1 runs in the north at 2.00 of a worth of 3.00: were the south, at 1.00, cheaper than 2.00, it would be there.

    The south's four all went to b2, who would pay 5.00 but has its four; above 2.00 nothing draws b1 in, and o1's 2.00 is
    no bound of the south. So the south costs 2.00 to 5.00.
    """
    offers = [an_offer_at("o1", 4, 2.00), an_offer_at("o2", 4, 1.00, site="south")]
    bids = [a_bid_at("b1", 2, 3.00), a_bid_at("b2", 4, 5.00, countries=["SE"])]
    offers[1]["country"] = "SE"
    found = explained(offers, bids, pool="o2")
    assert (found.low_micros, found.high_micros) == (2 * MILLION, 5 * MILLION)
    assert (found.floor.kind, found.floor.name, found.floor.place) == ("drawn_in", "b1", "north, slot 0, spot")
    assert (found.ceiling.kind, found.ceiling.name) == ("served", "b2")
    assert "below it b1 would rather be here than at north, slot 0, spot, above it b2 would go without" in found.text


def test_a_bid_with_hours_left_but_no_width_comes_over_all_the_same():
    """As before, but b1 still wants two hours of a slot that has no offers: it is not refused in the south, it would move there."""
    offers = [an_offer_at("o1", 4, 2.00, slot_end=1), an_offer_at("o2", 4, 1.00, site="south", country="SE", slot_end=1)]
    bids = [a_bid_at("b1", 2, 3.00, hours=4.0), a_bid_at("b2", 4, 5.00, countries=["SE"])]
    found = explained(offers, bids, pool="o2", slots=2)
    assert (found.low_micros, found.floor.kind, found.floor.name) == (2 * MILLION, "drawn_in", "b1")
    assert found.first_refused is None


def test_a_bid_that_could_leave_holds_the_price_down():
    """Eight wanted, four at each site at 1.00 and 2.00: above 2.00 in the north the buyer would rather take the south's last four."""
    offers = [an_offer_at("o1", 4, 1.00), an_offer_at("o2", 8, 2.00, site="south")]
    found = explained(offers, [a_bid_at("b1", 8, 5.00)])
    assert (found.low_micros, found.high_micros) == (2 * MILLION, 2 * MILLION)
    assert (found.ceiling.kind, found.ceiling.place) == ("drawn_away", "south, slot 0, spot")


def test_with_blocks_the_price_is_said_to_be_of_the_hull():
    """A block of 3 worth 1.00 each faces 2 at 0.50 and 2 at 1.20: all or nothing at a mean cost of 0.733."""
    offers = [an_offer_at("o1", 2, 0.50), an_offer_at("o2", 2, 1.20)]
    found = explained(offers, [a_bid_at("b1", 3, 1.00, kind="block", hours=3.0)])
    assert found.kind == "hull"
    assert "the convex hull price" in found.text
    assert found.floor is found.ceiling is None


@pytest.mark.parametrize(
    ("facts", "tier", "reason"),
    [
        ({"firm": False}, "standard", "the pool is not firm, and serves spot alone"),
        ({"slot_end": 0}, "spot", "nothing is offered there"),
        ({"node_size": 9}, "guaranteed", "what the pool holds back and what leases have leave this tier nothing"),
    ],
)
def test_where_there_is_no_price_the_reason_is_told(facts, tier, reason):
    found = explained([an_offer_at("o1", 8, 1.00, **facts)], [a_bid_at("b1", 1, 2.00)], tier=tier)
    assert found.text == f"GPU at north (pool o1) in slot 0, {tier}: no price, for {reason}."


def test_leases_that_hold_everything_are_the_reason():
    leases = [{"lease_id": "l1", "offer_id": "o1", "slot": 0, "tier": "spot", "quantity": 8}]
    market = book(offers=[an_offer_at("o1", 8, 1.00)], bids=[a_bid_at("b1", 1, 2.00)], around={"commitments": leases})
    assert explain_price(market, clear(market), pool="o1", slot=0, tier="spot").reason == "leases hold all that is offered there"


@pytest.mark.parametrize(("pool", "slot", "tier"), [("o9", 0, "spot"), ("o1", 1, "spot"), ("o1", 0, "gold")])
def test_what_is_not_there_cannot_be_explained(pool, slot, tier):
    with pytest.raises(NotFound):
        explained([an_offer_at("o1", 8, 1.00)], [a_bid_at("b1", 1, 2.00)], pool=pool, slot=slot, tier=tier)


def test_any_offer_names_its_pool():
    offers = [an_offer_at("o1", 8, 1.00), an_offer_at("o2", 8, 2.45)]
    assert explained(offers, [a_bid_at("b1", 8, 2.60)], pool="o2").pool == "o1"


@settings(max_examples=40, deadline=None)
@given(market_books())
def test_the_orders_named_hold_the_ends(market: MarketBook):
    """Whatever trades rests on one order or one other price at either end, and that is where the end lies."""
    result = clear(market)
    for pool, slot, tier in result.prices.select("pool", "slot", "tier").iter_rows():
        found = explain_price(market, result, pool=pool, slot=slot, tier=tier)
        if found.kind == "traded":
            assert found.floor is not None, found.text
            assert found.ceiling is not None, found.text
            assert found.low_micros <= found.rate_micros <= found.high_micros
            assert found.last_served is None or found.last_served.worth_micros >= found.rate_micros
            assert found.first_refused is None or found.first_refused.worth_micros <= found.rate_micros
