"""Clocks answer in UTC; only the machine's moves by itself, and none goes back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from broker.clock import Clock, FixedClock, SimulatedClock, SystemClock

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def test_the_machines_clock_is_in_utc():
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


def test_a_fixed_clock_stands_still():
    clock: Clock = FixedClock(NOON)
    assert clock.now() == clock.now() == NOON


def test_a_simulated_clock_moves_when_told():
    clock = SimulatedClock(NOON)
    assert clock.advance(timedelta(hours=1)) == clock.now() == NOON + timedelta(hours=1)
    assert clock.advance(timedelta(0)) == NOON + timedelta(hours=1)


def test_time_does_not_turn():
    clock = SimulatedClock(NOON)
    with pytest.raises(ValueError, match="set back"):
        clock.advance(timedelta(microseconds=-1))
    assert clock.now() == NOON


@pytest.mark.parametrize("moment", [NOON.replace(tzinfo=None), datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=1)))])
def test_a_clock_is_set_in_utc(moment):
    for kind in (FixedClock, SimulatedClock):
        with pytest.raises(ValueError, match="UTC"):
            kind(moment)
