"""Eight markets a reader clears by hand; the manual tells them in words.

One slot of an hour unless said; rates are per accelerator-hour, M being one unit of currency.
"""

from decimal import Decimal

import polars as pl

from contracts.terms.orders import MarketBook
from pricing.clearing import clear
from tests.builders import Row, a_bid, an_offer, book, rows_of

M = 1_000_000


def test_a_tie_is_settled_in_the_middle():
    """A sells 8 at 1.00, B 8 at 2.00; one buyer wants 8 at 3.00. Any price from 1.00 to 2.00 would do: 1.50."""
    result = clear(
        book(
            offers=[an_offer("a", quantity=8, rate_micros=1 * M, firm=False), an_offer("b", quantity=8, rate_micros=2 * M, firm=False)],
            bids=[a_bid(width=8, limit_spot_micros=3 * M)],
        )
    )
    assert rows_of(result.prices, "rate_low_micros", "rate_micros", "rate_high_micros", "sold", "offered") == [
        (1 * M, 1_500_000, 2 * M, 8, 16)
    ]
    assert rows_of(result.awards, "offer_id", "quantity", "charge_micros") == [("a", 8, 12 * M)]


def _headroom(spot_limit: int | None) -> MarketBook:
    """Ten firm accelerators at 1.00, X with 6 and Y with 4; a fifth held back from guaranteed leaves it 8."""
    return book(
        offers=[an_offer("x", quantity=6), an_offer("y", quantity=4)],
        bids=[
            a_bid("ann", width=6, limit_guaranteed_micros=5 * M),
            a_bid("ben", width=4, limit_guaranteed_micros=4 * M, limit_spot_micros=spot_limit),
        ],
        headroom_guaranteed=Decimal("0.20"),
    )


def test_headroom_earns_its_premium():
    """Ann takes 6 guaranteed at up to 5.00, Ben 2 of his 4 at 4.00: the eighth sets the price. Two stand by.

    Guaranteed 4.00, spot 1.00: a premium of 3.00 on 8, so 24.00, shared 6 to 4 among X and Y.
    """
    result = clear(_headroom(None))
    assert rows_of(result.prices, "tier", "rate_micros", "sold") == [("guaranteed", 4 * M, 8), ("spot", 1 * M, 0), ("standard", 1 * M, 0)]
    assert rows_of(result.outcomes, "bid_id", "status", "hours") == [("ann", "filled", 6.0), ("ben", "partial", 2.0)]
    assert rows_of(result.receipts, "offer_id", "sold", "received_micros", "premium_micros") == [
        ("x", 6, 20_400_000, 14_400_000),
        ("y", 2, 11_600_000, 9_600_000),
    ]


def test_what_guaranteed_cannot_hold_falls_back_to_spot():
    """Ben would also run on spot at up to 1.50. He gets 2 of each, and is as glad of either: 4.00 − 3.75 = 1.50 − 1.25.

    All ten are sold: spot may cost 1.00 to 1.50, guaranteed always 2.50 more, what guaranteed is worth to Ben above spot.
    """
    result = clear(_headroom(1_500_000))
    assert rows_of(result.prices, "tier", "rate_low_micros", "rate_micros", "rate_high_micros", "sold") == [
        ("guaranteed", 3_500_000, 3_750_000, 4 * M, 8),
        ("spot", 1 * M, 1_250_000, 1_500_000, 2),
        ("standard", 1 * M, 1_250_000, 1_500_000, 0),
    ]
    ben = result.awards.filter(pl.col("bid_id") == "ben")
    assert rows_of(ben, "tier", "quantity", "charge_micros") == [("guaranteed", 2, 7_500_000), ("spot", 2, 2_500_000)]


def test_leases_in_force_come_first():
    """Of ten accelerators four are leased, guaranteed. Two stay back from the whole pool, so guaranteed has 10 − 2 − 4 = 4 left."""
    lease = {"lease_id": "l1", "offer_id": "x", "slot": 0, "tier": "guaranteed", "quantity": 4}
    result = clear(
        book(
            offers=[an_offer("x", quantity=10)],
            bids=[a_bid(width=6, limit_guaranteed_micros=3 * M)],
            around={"commitments": [lease]},
            headroom_guaranteed=Decimal("0.20"),
        )
    )
    assert rows_of(result.prices, "tier", "rate_micros", "sold", "offered") == [
        ("guaranteed", 3 * M, 4, 6),
        ("spot", 1 * M, 0, 6),
        ("standard", 1 * M, 0, 6),
    ]


def test_a_refusal_says_whether_it_was_the_rules_or_the_price():
    """A hospital needs Germany and C5. One site has the country, one the certificate; a third has both, for 4.00."""
    needs: Row = {"countries": ["DE"], "certifications": ["c5"], "limit_standard_micros": 3 * M}
    near = [an_offer("a", country="DE"), an_offer("b", site="south", country="FR", certifications=["c5"])]
    both = an_offer("c", site="east", country="DE", certifications=["c5"], quantity=2, rate_micros=4 * M)
    without = clear(book(offers=near, bids=[a_bid("hospital", **needs)]))
    dear = clear(book(offers=[*near, both], bids=[a_bid("hospital", **needs)]))
    assert rows_of(without.outcomes, "status", "reason") == [("rejected", "no eligible pool")]
    assert rows_of(dear.outcomes, "status", "reason") == [("rejected", "priced out")]
    assert set(dear.prices.filter(pl.col("pool") == "c")["rate_micros"]) == {4 * M}


def _with_data(german_rate: int) -> MarketBook:
    """Two terabytes in Germany, four hours of work worth 3.00. France asks 1.00; moving there costs 2.00 a terabyte at 1 Gb/s."""
    return book(
        offers=[
            an_offer("fr", site="paris", country="FR", rate_micros=1 * M, firm=False),
            an_offer("de", site="berlin", country="DE", rate_micros=german_rate, firm=False),
        ],
        bids=[a_bid(width=1, hours=4.0, limit_spot_micros=3 * M, data_tb=2.0, data_country="DE")],
        around={"transfer": [{"from_country": "DE", "to_country": "FR", "micros_per_tb": 2 * M, "gbps": 1.0}]},
        slots=10,
    )


def test_the_dearer_site_wins_where_the_data_lies():
    """4.00 to move over 4 hours is 1.00 an hour: France costs 2.00 all told, Germany 1.50."""
    result = clear(_with_data(1_500_000))
    assert rows_of(result.awards, "offer_id", "slot") == [("de", 0), ("de", 1), ("de", 2), ("de", 3)]
    assert rows_of(result.outcomes, "paid_micros", "transfer_micros") == [(6 * M, 0)]


def test_data_that_moves_arrives_later_and_is_charged_apart():
    """At 2.50 Germany is too dear. 16,000 gigabits at 1 Gb/s take 4.4 hours: the first slot in France is the sixth."""
    result = clear(_with_data(2_500_000))
    assert rows_of(result.awards, "offer_id", "slot") == [("fr", 5), ("fr", 6), ("fr", 7), ("fr", 8)]
    assert rows_of(result.outcomes, "paid_micros", "transfer_micros") == [(4 * M, 4 * M)]


def test_a_limit_is_all_in_the_fee_included():
    """One accelerator at 1.00, a fee of 5 %. Limits of 2.52 and 2.10 are worth 2.40 and 2.00 before it: the rate is 2.20.

    The winner pays 2.20 and 0.11 of fee, 2.31 in all, within her 2.52.
    """
    result = clear(
        book(
            offers=[an_offer(firm=False)],
            bids=[a_bid("ann", limit_spot_micros=2_520_000), a_bid("ben", limit_spot_micros=2_100_000)],
            fee_bps=500,
        )
    )
    assert rows_of(result.prices, "rate_low_micros", "rate_micros", "rate_high_micros") == [(2 * M, 2_200_000, 2_400_000)]
    assert rows_of(result.outcomes, "bid_id", "paid_micros", "fee_micros", "reason") == [
        ("ann", 2_200_000, 110_000, ""),
        ("ben", 0, 0, "priced out"),
    ]


def test_a_block_runs_whole_and_the_fund_makes_the_dearer_provider_whole():
    """A has 6 at 1.00, B 6 at 3.00; a block of 10 at 2.20 is worth 22.00 and costs 18.00. B is 0.80 short on each of four.

    With 3.00 in the fund the block is taken out, nothing trades, and the block is paradoxical.
    """
    offers = [an_offer("a", quantity=6, rate_micros=1 * M, firm=False), an_offer("b", quantity=6, rate_micros=3 * M, firm=False)]
    block = a_bid("ten", kind="block", width=10, limit_spot_micros=2_200_000)
    result = clear(book(offers=offers, bids=[block]))
    assert rows_of(result.prices, "rate_low_micros", "rate_micros", "rate_high_micros") == [(2_200_000, 2_200_000, 2_200_000)]
    assert rows_of(result.outcomes, "status", "paid_micros", "uplift_micros") == [("filled", 22 * M, 0)]
    assert rows_of(result.receipts, "offer_id", "received_micros", "uplift_micros") == [("a", 13_200_000, 0), ("b", 8_800_000, 3_200_000)]
    poor = clear(book(offers=offers, bids=[block], uplift_fund_micros=3 * M))
    assert rows_of(poor.outcomes, "status", "paid_micros") == [("paradoxical", 0)]
    assert rows_of(poor.prices, "rate_micros", "sold") == [(1 * M, 0)]
