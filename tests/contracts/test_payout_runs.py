"""What a payout run proposes, in figures that can be checked by hand, and what it may never do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.payout_runs import CENTS_MAX, Due, PayoutLine, PayoutPolicy, propose
from contracts.terms.money import MICROS_PER_CENT

NOW = datetime(2027, 2, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)
USD = 1_000_000


def due(owed: int, **facts: object) -> Due:
    return Due(**({"provider_id": "prv_a", "country": "DE", "owed_micros": owed, "joined_at": LONG_AGO} | facts))


def line(one: Due, **policy: int) -> PayoutLine:
    (found,) = propose([one], PayoutPolicy(**policy), now=NOW)
    return found


def test_whole_cents_of_what_is_owed_are_paid():
    """12.345678 owed: 12.34, and 0.005678 stays owed."""
    assert (line(due(12_345_678)).cents, line(due(12_345_678)).standing) == (1_234, "ready")


def test_part_is_kept_back_and_let_go_later():
    """10 % of 200.00 is kept back. Of 50.00 kept before, 20.00 were kept lately: 30.00 are let go, so 210.00 are paid."""
    found = line(due(200 * USD, kept_micros=50 * USD, kept_lately_micros=20 * USD), reserve_bps=1_000)
    assert (found.cents, found.reserve_micros) == (21_000, -10 * USD)
    first = line(due(200 * USD), reserve_bps=1_000)
    assert (first.cents, first.reserve_micros) == (18_000, 20 * USD)


@pytest.mark.parametrize(
    ("one", "standing", "word"),
    [
        (due(-5 * USD), "carried", "owes 5.000000"),
        (due(999_999), "carried", "less than is worth a transfer"),
        (due(5 * USD, joined_at=NOW - timedelta(days=13)), "blocked", "paid from 2027-02-02T00:00:00Z"),
        (due(5 * USD, joined_at=None), "blocked", "since when"),
        (due(5 * USD, affiliates=("acct_x",)), "blocked", "same parent as acct_x"),
        (due((CENTS_MAX + 1) * MICROS_PER_CENT), "blocked", "by bank"),
    ],
)
def test_what_is_not_paid_says_why(one, standing, word):
    found = line(one)
    assert (found.standing, found.cents, found.reserve_micros) == (standing, 0, 0)
    assert word in found.reason


def test_on_the_day_the_delay_is_over_a_new_provider_is_paid():
    assert line(due(5 * USD, joined_at=NOW - timedelta(days=14))).standing == "ready"


def test_nobody_with_nothing_is_in_a_run():
    assert propose([due(0)], PayoutPolicy(), now=NOW) == ()


@given(st.lists(st.integers(-(10**9), 10**9), max_size=20), st.integers(0, 10_000))
def test_run_after_run_nobody_is_paid_more_than_it_ever_earned(months, reserve_bps):
    """Earnings of either sign; what is kept back is let go after two runs. What is paid, kept and owed is what was earned."""
    policy = PayoutPolicy(reserve_bps=reserve_bps, cents_min=1)
    owed = paid = earned = most = 0
    reserves: list[int] = []
    for month in months:
        earned, owed = earned + month, owed + month
        most = max(most, earned)
        lately = sum(each for each in reserves[-2:] if each > 0)
        for found in propose([due(owed, kept_micros=sum(reserves), kept_lately_micros=lately)], policy, now=NOW):
            assert found.cents >= 0
            owed -= found.cents * MICROS_PER_CENT + found.reserve_micros
            paid += found.cents * MICROS_PER_CENT
            reserves.append(found.reserve_micros)
        assert sum(reserves) >= 0
        assert paid + owed + sum(reserves) == earned
        assert paid <= most
