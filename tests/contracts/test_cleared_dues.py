"""Premiums move from those who sold to those who stood by, and nothing is made; uplift follows what was delivered."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from contracts.cleared_dues import ReceiptSlot, SoldSlot, premium_gains, uplift_due
from contracts.terms.money import largest_remainder

NOON = datetime(2027, 1, 4, 12, tzinfo=UTC)
HOUR = 3600


def a_sale(provider: str, *, premium: int, delivered: int = HOUR, **facts) -> SoldSlot:
    """One accelerator for an hour, all delivered unless said."""
    plain = {"bid_id": "bid", "offer_id": f"ofr_{provider}", "pool": "p", "slot_start": NOON, "seconds_sold": HOUR}
    return SoldSlot(provider_id=provider, premium_micros=premium, seconds_delivered=delivered, **(plain | facts))


def a_receipt(provider: str, *, premium: int = 0, uplift: int = 0, **facts) -> ReceiptSlot:
    """Four accelerators stood by for an hour."""
    plain = {"offer_id": f"ofr_{provider}", "pool": "p", "slot_start": NOON, "seconds_standing": 4 * HOUR}
    return ReceiptSlot(provider_id=provider, premium_micros=premium, uplift_micros=uplift, **(plain | facts))


def test_who_stood_by_gets_its_share_from_who_sold():
    """10 of premium, all sold by a; b stood by with three times as much."""
    receipts = [a_receipt("a", premium=3), a_receipt("b", premium=7)]
    assert premium_gains([a_sale("a", premium=10)], receipts) == {"a": -7, "b": 7}
    assert premium_gains([a_sale("a", premium=10, delivered=HOUR // 2)], receipts) == {"a": -3, "b": 3}
    assert premium_gains([a_sale("a", premium=10, delivered=0)], receipts) == {"a": 0}


def test_a_unit_that_fails_gives_its_premium_back():
    """Of four of a's units one failed for the hour: its 40 are 30 beside b's 40, so of the 70 that were delivered a has 30, b 40."""
    receipts = [a_receipt("a", premium=40), a_receipt("b", premium=40)]
    sold = [a_sale("a", premium=10, delivered=0, seconds_failed=HOUR), a_sale("b", premium=70)]
    assert premium_gains(sold, receipts) == {"a": 30, "b": -30}
    assert premium_gains([msgspec.structs.replace(sold[0], seconds_failed=0), sold[1]], receipts) == {"a": 35, "b": -35}
    assert premium_gains([msgspec.structs.replace(sold[0], seconds_failed=9 * HOUR), sold[1]], receipts) == {"a": 0, "b": 0}


def test_where_nothing_stood_by_the_premium_stays_with_who_sold():
    """What c sold shares in no premium, and those that should have shared have failed."""
    sold = [a_sale("c", premium=70), a_sale("a", premium=1, delivered=0, seconds_failed=4 * HOUR)]
    assert premium_gains(sold, [a_receipt("a", premium=71)]) == {"c": 0, "a": 0}
    assert premium_gains(sold, [a_receipt("a", premium=71, uplift=1), a_receipt("b", uplift=3)]) == {"c": 0, "a": 0}


def test_pools_and_slots_do_not_mix():
    sold = [a_sale("a", premium=4), a_sale("b", premium=6, pool="q")]
    receipts = [a_receipt("c", premium=4), a_receipt("d", premium=6, pool="q")]
    assert premium_gains(sold, receipts) == {"a": -4, "b": -6, "c": 4, "d": 6}
    later = NOON + timedelta(hours=1)
    sold, receipts = [a_sale("a", premium=4, slot_start=later)], [a_receipt("b", premium=4, slot_start=later), a_receipt("c", premium=1)]
    assert premium_gains(sold, receipts) == {"a": -4, "b": 4}


SECONDS = st.integers(0, 2 * HOUR)
SALES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.integers(0, 2**50), SECONDS, SECONDS), min_size=1)
WEIGHTS = st.lists(st.integers(1, 2**31), min_size=4, max_size=4)


def cleared(sales, weights) -> tuple[list[SoldSlot], list[ReceiptSlot]]:
    """Sales and the receipts a clearing would give: each pool's premiums split over four offers by weight."""
    sold = [
        a_sale(name, premium=premium, delivered=delivered, seconds_failed=failed, pool=pool, offer_id=f"{pool}{name}")
        for name, pool, premium, delivered, failed in sales
    ]
    receipts = []
    for pool in "pq":
        whole = sum(each.premium_micros for each in sold if each.pool == pool)
        shares = largest_remainder(whole, weights)
        receipts += [
            a_receipt(name, premium=share, pool=pool, offer_id=f"{pool}{name}") for name, share in zip("abcd", shares, strict=True) if share
        ]
    return sold, receipts


@given(SALES, WEIGHTS)
def test_sharing_makes_nothing_and_takes_no_more_than_was_delivered(sales, weights):
    sold, receipts = cleared(sales, weights)
    gains = premium_gains(sold, receipts)
    assert sum(gains.values()) == 0
    for name in gains:
        assert -gains[name] <= sum(each.premium_micros for each in sold if each.provider_id == name)


@given(SALES, WEIGHTS)
def test_all_delivered_moves_what_the_clearing_says_to_the_micro(sales, weights):
    sold, receipts = cleared([(*sale[:3], HOUR, 0) for sale in sales], weights)
    gains = premium_gains(sold, receipts)
    for name in "abcd":
        given = sum(each.premium_micros for each in receipts if each.provider_id == name)
        charged = sum(each.premium_micros for each in sold if each.provider_id == name)
        assert gains.get(name, 0) == given - charged


@given(SALES, WEIGHTS)
def test_nobody_gains_by_failing(sales, weights):
    """But for the micro that the rounding of a split may turn."""
    sold, receipts = cleared(sales, weights)
    gains = premium_gains(sold, receipts)
    for name in "abc":
        honest = [msgspec.structs.replace(each, seconds_failed=0) if each.provider_id == name else each for each in sold]
        assert gains.get(name, 0) <= premium_gains(honest, receipts).get(name, 0) + 2


@given(SALES, WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_awards_and_receipts_changes_nothing(sales, weights, rng):
    sold, receipts = cleared(sales, weights)
    assert premium_gains(rng.sample(sold, len(sold)), rng.sample(receipts, len(receipts))) == premium_gains(sold, receipts)


def test_uplift_is_due_as_far_as_the_sale_was_delivered():
    """An offer sold two hours and delivered one: half its 7, rounded up. The bid bought three, and two were delivered: two thirds of 9."""
    sold = [a_sale("a", premium=0), a_sale("a", premium=0, delivered=0), a_sale("b", premium=0, delivered=2 * HOUR)]
    due = uplift_due(sold, [a_receipt("a", uplift=7), a_receipt("b", premium=1)], bids={"bid": ("acct_a", 9)})
    assert due == {("provider_payable", "a"): 4, ("prepaid", "acct_a"): 6}


@given(st.integers(0, 2**50), st.lists(st.integers(0, 2 * HOUR), min_size=1, max_size=9))
def test_uplift_never_exceeds_what_the_clearing_gave(micros, delivered):
    sold = [a_sale("a", premium=0, delivered=each) for each in delivered]
    due = uplift_due(sold, [a_receipt("a", uplift=micros)], bids={"bid": ("acct_a", micros)})
    assert all(0 <= each <= micros for each in due.values())
    if min(delivered) >= HOUR:
        assert set(due.values()) == {micros}
