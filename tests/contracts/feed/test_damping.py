"""Damping by hand: points halve every quarter of an hour, in a straight line between."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.feed.damping import Damping, Penalty, charged, decayed, is_damped

START = datetime(2027, 1, 1, tzinfo=UTC)
RULES = Damping()


def later(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "points"), [(0, 4000), (450, 3000), (900, 2000), (1350, 1500), (1800, 1000), (2700, 500), (20_000, 0)])
def test_points_halve_every_quarter_of_an_hour(seconds: int, points: int):
    assert decayed(Penalty(4000, START), later(seconds), damping=RULES) == points


def test_four_withdrawals_at_once_damp_for_just_over_half_an_hour():
    """4000 points fall to 750 between the second half-life (1000) and the third (500): at 1800 + 450 s; 750 is not yet below."""
    penalty = Penalty(0, START)
    for expected in (False, False, False, True):
        penalty = charged(penalty, RULES.withdraw, now=START, damping=RULES)
        assert is_damped(penalty, START, damping=RULES) is expected
    assert is_damped(penalty, later(2250), damping=RULES)
    assert not is_damped(penalty, later(2252), damping=RULES)


def test_thirty_price_moves_are_free_and_one_more_is_not():
    penalty = Penalty(0, START)
    for _ in range(30):
        penalty = charged(penalty, RULES.price, now=START, damping=RULES)
    assert not is_damped(penalty, START, damping=RULES)
    assert is_damped(charged(penalty, RULES.price, now=START, damping=RULES), START, damping=RULES)


def test_once_damped_it_stays_so_between_the_thresholds():
    """At 1000 points: damped if it comes from above, free if it comes from below."""
    assert is_damped(Penalty(4000, START, suppressed=True), later(1800), damping=RULES)
    assert not is_damped(charged(Penalty(0, START), 1000, now=START, damping=RULES), START, damping=RULES)


@given(points=st.integers(0, 12_000), first=st.integers(0, 10_000), more=st.integers(0, 10_000))
def test_points_never_rise_by_themselves_and_halve_exactly(points: int, first: int, more: int):
    penalty = Penalty(points, START)
    assert decayed(penalty, later(first + more), damping=RULES) <= decayed(penalty, later(first), damping=RULES) <= points
    assert decayed(penalty, later(first + 900), damping=RULES) == decayed(penalty, later(first), damping=RULES) // 2


@given(charges=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 1000)), max_size=60))
def test_nothing_is_damped_for_longer_than_four_half_lives(charges):
    now, penalty = START, Penalty(0, START)
    for seconds, points in charges:
        now += timedelta(seconds=seconds)
        penalty = charged(penalty, points, now=now, damping=RULES)
        assert penalty.points <= RULES.ceiling
    assert not is_damped(penalty, now + timedelta(seconds=4 * 900 + 1), damping=RULES)
