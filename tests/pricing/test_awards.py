"""Charges and receipts to the micro: what is rounded, and who gets the odd one."""

from decimal import Decimal

from pricing.clearing import clear
from tests.builders import a_bid, an_offer, book, rows_of


def test_premiums_are_shared_by_quantity_leases_included():
    """Ten accelerators, three of X's five leased, guaranteed; one node is held back, so guaranteed has 10 − 1 − 3 = 6 left.

    A buyer of 7 at 3.00 gets 6, at 3.00; spot is 1.00. Premiums of 12.00 are shared five to five, though X sold less.
    """
    lease = {"lease_id": "l", "offer_id": "x", "slot": 0, "tier": "guaranteed", "quantity": 3}
    result = clear(
        book(
            offers=[an_offer("x", quantity=5), an_offer("y", quantity=5)],
            bids=[a_bid(width=7, limit_guaranteed_micros=3_000_000)],
            around={"commitments": [lease]},
        )
    )
    assert rows_of(result.receipts, "offer_id", "sold", "received_micros", "premium_micros") == [
        ("x", 2, 8_000_000, 6_000_000),
        ("y", 4, 10_000_000, 6_000_000),
    ]


def test_an_offer_standing_by_is_paid_its_share_and_one_too_dear_to_call_is_not():
    """X, Y, Z hold one each at 1, 1 and 2; W at 4 is above three times the lowest. Guaranteed may use 2 and costs 8.

    Spot is 2 at most (Z has one left) and 1 at least: 1. Two premiums of 7 are 14: 5, 5 and 4 by largest remainder.
    """
    offers = [an_offer(name, rate_micros=rate) for name, rate in (("w", 4), ("x", 1), ("y", 1), ("z", 2))]
    result = clear(book(offers=offers, bids=[a_bid(width=3, limit_guaranteed_micros=8)]))
    assert rows_of(result.prices, "tier", "rate_low_micros", "rate_micros", "rate_high_micros") == [
        ("guaranteed", 8, 8, 8),
        ("spot", 1, 1, 2),
        ("standard", 1, 1, 2),
    ]
    assert rows_of(result.receipts, "offer_id", "sold", "received_micros", "premium_micros") == [
        ("x", 1, 6, 5),
        ("y", 1, 6, 5),
        ("z", 0, 4, 4),
    ]


def test_each_award_is_rounded_once_half_up():
    """Accelerators at 3 micros for a quarter of an hour: one is 0.75, so 1; two together 1.5, so 2."""
    offers = [an_offer("a", quantity=2, rate_micros=3, firm=False), an_offer("b", rate_micros=3, firm=False)]
    result = clear(book(offers=offers, bids=[a_bid(width=3, hours=0.75, limit_spot_micros=3)], slot_hours=Decimal("0.25")))
    assert rows_of(result.awards, "offer_id", "charge_micros") == [("a", 2), ("b", 1)]
    assert rows_of(result.receipts, "offer_id", "received_micros") == [("a", 2), ("b", 1)]
    assert rows_of(result.outcomes, "paid_micros", "reference_hours") == [(3, 0.75)]


def test_reference_hours_follow_the_factor_and_transfer_the_data():
    """Two accelerators for an hour at factor 1.5; a terabyte at 3 micros over two hours is 2 micros an hour, rounded up."""
    routes = [{"from_country": "DE", "to_country": "FR", "micros_per_tb": 3, "gbps": 1_000_000.0}]
    bid = a_bid(width=2, limit_spot_micros=2_000_000, hardware=["GPU:1.5"], data_tb=1.0, data_country="DE", slot_end=2)
    result = clear(book(offers=[an_offer(quantity=2, firm=False)], bids=[bid], around={"transfer": routes}, slots=2))
    assert rows_of(result.outcomes, "hours", "reference_hours", "transfer_micros") == [(2.0, 3.0, 4)]
