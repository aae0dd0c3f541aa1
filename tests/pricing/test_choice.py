"""Equal bids are served by time of entry, and nobody sits on a worse tier for the same money."""

from decimal import Decimal

import pytest

from contracts.terms.errors import BadInput, NotSupported
from pricing.clearing import clear
from pricing.demand import gather_bids
from tests.builders import Row, a_bid, an_offer, book, rows_of


def test_of_equal_bids_the_earlier_is_served():
    result = clear(
        book(
            offers=[an_offer(quantity=3, firm=False)],
            bids=[a_bid(name, width=2, entered=entered, limit_spot_micros=2_000_000) for name, entered in (("a", 9), ("b", 1), ("c", 5))],
        )
    )
    assert rows_of(result.outcomes, "bid_id", "status", "hours", "reason") == [
        ("a", "rejected", 0.0, "priced out"),
        ("b", "filled", 2.0, ""),
        ("c", "partial", 1.0, ""),
    ]


def test_of_bids_entered_at_once_the_lower_id_is_served():
    result = clear(book(offers=[an_offer(firm=False)], bids=[a_bid(name, limit_spot_micros=2_000_000) for name in ("b", "a")]))
    assert rows_of(result.awards, "bid_id") == [("a",)]


def test_an_earlier_bid_keeps_within_its_width_in_every_slot():
    """Two equal bids of width 1 for two hours; slot 0 has two accelerators, slot 1 one. The earlier runs in both."""
    result = clear(
        book(
            offers=[an_offer(quantity=2, firm=False)],
            bids=[a_bid(name, entered=entered, hours=2.0, limit_spot_micros=2_000_000) for name, entered in (("late", 2), ("soon", 1))],
            around={"offer_slots": [{"offer_id": "o1", "slot": 1, "quantity": 1, "rate_micros": 1_000_000}]},
            slots=2,
        )
    )
    assert rows_of(result.awards, "bid_id", "slot") == [("late", 0), ("soon", 0), ("soon", 1)]


def test_an_earlier_bid_leaves_the_later_what_only_both_can_use():
    """Width 2, three hours each; slot 0 has two accelerators, slot 1 four. Whoever takes slot 1 by halves leaves the other 1 + 2."""
    result = clear(
        book(
            offers=[an_offer(quantity=4, firm=False)],
            bids=[
                a_bid(name, entered=entered, width=2, hours=3.0, limit_spot_micros=2_000_000)
                for name, entered in (("late", 2), ("soon", 1))
            ],
            around={"offer_slots": [{"offer_id": "o1", "slot": 0, "quantity": 2, "rate_micros": 1_000_000}]},
            slots=2,
        )
    )
    assert rows_of(result.awards, "bid_id", "slot", "quantity") == [("late", 0, 1), ("late", 1, 2), ("soon", 0, 1), ("soon", 1, 2)]


def test_a_better_tier_at_the_same_price_goes_to_the_earlier_while_there_is_room():
    """Four accelerators of which guaranteed may use three; two bids of two would pay the same for any tier."""
    limits: Row = dict.fromkeys(("limit_guaranteed_micros", "limit_standard_micros", "limit_spot_micros"), 2_000_000)
    result = clear(
        book(
            offers=[an_offer(quantity=4), an_offer("o2", quantity=1)],
            bids=[a_bid("late", width=2, entered=1, **limits, memory_gb_min=None), a_bid("soon", width=2, hours=2.5, **limits)],
            headroom_guaranteed=Decimal("0.4"),
        )
    )
    assert rows_of(result.awards.sort("bid_id", "tier"), "bid_id", "tier", "quantity", "rate_micros") == [
        ("late", "guaranteed", 1, 1_000_000),
        ("late", "standard", 1, 1_000_000),
        ("soon", "guaranteed", 2, 1_000_000),
    ]


def test_equals_go_to_the_earlier_slot_then_the_pool_of_the_lower_name():
    offers = [an_offer(name, site=name, firm=False) for name in ("a", "b")]
    one = clear(book(offers=offers, bids=[a_bid(width=1, limit_spot_micros=2_000_000)], slots=3))
    assert rows_of(one.awards, "offer_id", "slot") == [("a", 0)]


def test_offers_are_filled_by_rate_then_name():
    offers = [
        an_offer("c", quantity=1, rate_micros=5, firm=False),
        an_offer("b", rate_micros=7, firm=False),
        an_offer("a", rate_micros=7, firm=False),
    ]
    result = clear(book(offers=offers, bids=[a_bid(width=2, limit_spot_micros=9)]))
    assert rows_of(result.awards, "offer_id", "quantity") == [("a", 1), ("c", 1)]


@pytest.mark.parametrize(("column", "value", "beside"), [("semantics", "work", {"kind": "block"}), ("sites_max", 2, {})])
def test_what_this_release_cannot_clear_is_refused_by_name(column: str, value: object, beside: Row):
    unusual: Row = {column: value, **beside}
    with pytest.raises(NotSupported, match=f"bid odd has {column} {value}") as refusal:
        clear(book(offers=[an_offer()], bids=[a_bid("even", limit_spot_micros=1), a_bid("odd", limit_spot_micros=1, **unusual)]))
    assert (refusal.value.facts["file"], refusal.value.facts["row"], refusal.value.facts["column"]) == ("bids", 2, column)
    assert refusal.value.facts["would_do"]


def test_a_path_nobody_knows_is_refused():
    with pytest.raises(NotSupported, match="no path shortest; auto, convex, auction, exact are"):
        clear(book(offers=[], bids=[]), path="shortest")


@pytest.mark.parametrize("entry", ["GPU", "GPU:x", "GPU:-1", "GPU:0.1234567", ":1", "GPU:inf"])
def test_a_factor_that_cannot_be_read_is_refused(entry: str):
    with pytest.raises(BadInput, match="hardware is a list of classes"):
        gather_bids(book(offers=[], bids=[a_bid(hardware=[entry])]))


def test_bids_that_differ_only_in_the_writing_of_their_lists_are_equal():
    one = a_bid("a", hardware=["GPU:1", "TPU:0.50"], countries=["FR", "DE"])
    other = a_bid("b", hardware=["TPU:0.5", "GPU:1.0"], countries=["DE", "FR"])
    assert gather_bids(book(offers=[], bids=[one, other])).count.tolist() == [2]


def test_hours_that_are_no_whole_slots_are_rounded_down():
    """0.7 hours in quarter-hour slots are two accelerator-slots; the bid stays partial."""
    result = clear(
        book(offers=[an_offer(firm=False)], bids=[a_bid(hours=0.7, limit_spot_micros=2_000_000)], slots=4, slot_hours=Decimal("0.25"))
    )
    assert rows_of(result.outcomes, "status", "hours", "paid_micros") == [("partial", 0.5, 500_000)]


def test_an_empty_book_clears_to_nothing():
    result = clear(book(offers=[], bids=[]))
    assert all(frame.is_empty() for frame in result.tables().values())


def test_a_market_without_bids_shows_its_rates():
    assert rows_of(clear(book(offers=[an_offer(rate_micros=7)], bids=[])).prices, "tier", "rate_micros", "sold") == [
        ("spot", 7, 0),
        ("standard", 7, 0),
    ]
