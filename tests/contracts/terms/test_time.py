"""Half-open UTC time."""

import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.time import EPOCH, Period, SlotGrid, iso, month_of, seconds_grid, utc

START = datetime(2027, 1, 1, tzinfo=UTC)
moments = st.integers(0, 4 * 10**15).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds))


def test_a_period_holds_its_start_and_not_its_end():
    period = Period(START, START + timedelta(hours=1))
    assert START in period
    assert period.end not in period
    assert period.seconds == 3600


def test_a_period_cannot_exist_wrongly():
    with pytest.raises(ValueError, match="before it starts"):
        Period(START, START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="UTC"):
        Period(datetime(2027, 1, 1), datetime(2027, 1, 2))  # noqa: DTZ001 - the naive time is the point


@given(st.integers(1, 200), st.sampled_from([Fraction(1), Fraction(1, 4), Fraction(1, 3), Fraction(1, 7)]))
def test_slots_join_without_gap_or_overlap(slots: int, hours: Fraction):
    periods = [SlotGrid(START, hours, slots).period(slot) for slot in range(slots)]
    assert periods[0].start == START
    assert all(left.end == right.start for left, right in itertools.pairwise(periods))


def test_a_slot_outside_the_grid_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.3"):
        seconds_grid(START, slot_seconds=900, slots=4).period(4)


@given(moments)
def test_every_moment_is_in_its_month(moment: datetime):
    month = month_of(moment)
    assert moment in month
    assert (month.start.day, month.end.day) == (1, 1)
    assert month_of(month.end).start == month.end


@given(moments)
def test_writing_and_reading_a_time_returns_it(moment: datetime):
    assert utc(iso(moment)) == moment


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="needs its zone"):
        utc("2027-01-01T00:00:00")
