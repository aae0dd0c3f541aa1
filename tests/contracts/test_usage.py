"""Which records count, from when, and in which month."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ledger_tables import LEASES, PERIODS, USAGE
from contracts.usage import UsageRecord, read_usage

JAN, FEB, MARCH = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
DAY = timedelta(days=1)
PERIOD_ROWS = pl.DataFrame([(1, JAN, FEB, FEB + DAY), (2, FEB, MARCH, MARCH + DAY)], schema=PERIODS.schema, orient="row")
LEASE_ROWS = pl.DataFrame([(name, "a", "p", "REF", 1, 0, "spot") for name in "lk"], schema=LEASES.schema, orient="row")


def row(**changed):
    plain = {
        "usage_id": "u",
        "rev": 0,
        "lease_id": "l",
        "start": JAN,
        "end": JAN + DAY,
        "accelerator_seconds": 100,
        "status": "delivered",
        "received_at": JAN + DAY,
    }
    return plain | changed


def frame(*rows):
    return pl.DataFrame(list(rows), schema=USAGE.schema)


def read(*rows):
    return read_usage(frame(*rows), leases=LEASE_ROWS, periods=PERIOD_ROWS)


def changes(*rows):
    """(month, period, seconds) of every change."""
    reading = read(*rows)
    return set(reading.changes.select("month", "period", "seconds").iter_rows())


def test_a_record_that_arrives_at_the_close_belongs_to_the_next_period():
    close = FEB + DAY
    assert changes(row(received_at=close - timedelta(microseconds=1))) == {(1, 1, 100)}
    assert changes(row(received_at=close)) == {(1, 2, 100)}


def test_the_first_days_of_a_month_wait_for_their_own_period():
    """January's close already knows it, but February is not billed before February's close."""
    assert changes(row(start=FEB, end=FEB + timedelta(hours=1), received_at=FEB + timedelta(hours=2))) == {(2, 2, 100)}


def test_a_higher_revision_takes_over_in_the_period_that_learns_of_it():
    assert changes(row(), row(rev=4, accelerator_seconds=30, received_at=FEB + 2 * DAY)) == {(1, 1, 100), (1, 2, -70)}


def test_a_lower_revision_that_arrives_later_changes_nothing():
    assert changes(row(rev=3, accelerator_seconds=30), row(rev=1, received_at=FEB + 2 * DAY)) == {(1, 1, 30)}


def test_a_void_takes_everything_back():
    assert changes(row(), row(rev=1, accelerator_seconds=0, received_at=FEB + 2 * DAY)) == {(1, 1, 100), (1, 2, -100)}


def test_a_revision_may_move_to_another_month():
    moved = row(rev=1, start=FEB, end=FEB + DAY, received_at=FEB + 2 * DAY)
    assert changes(row(), moved) == {(1, 1, 100), (1, 2, -100), (2, 2, 100)}


def test_seconds_up_to_a_month_end_are_rounded_down_and_the_rest_falls_after():
    """10 s over three hours, a third of them in January: 3 and 7."""
    over = row(start=FEB - timedelta(hours=1), end=FEB + timedelta(hours=2), accelerator_seconds=10, received_at=FEB)
    assert changes(over) == {(1, 1, 3), (2, 2, 7)}


@given(st.integers(0, 59 * 86_400_000_000 - 1), st.integers(1, 59 * 86_400_000_000), st.integers(0, 2**62))
def test_the_months_of_a_record_and_what_is_later_add_up_to_it(start, length, seconds):
    begins = JAN + timedelta(microseconds=start)
    reading = read_usage(
        frame(row(start=begins, end=begins + timedelta(microseconds=length), accelerator_seconds=seconds)),
        leases=LEASE_ROWS,
        periods=PERIOD_ROWS,
    )
    assert reading.changes["seconds"].sum() + reading.seconds_later == seconds == reading.seconds


def test_of_copies_the_first_to_arrive_is_kept_then_the_least():
    first = row(accelerator_seconds=9, received_at=JAN)
    reading = read(row(accelerator_seconds=1), first, row(accelerator_seconds=8, received_at=JAN))
    assert (reading.seconds, reading.duplicates) == (8, 2)
    assert reading.conflicts.rows() == [("u", 0, ["accelerator_seconds"])]


def test_a_conflict_names_what_differs_in_the_order_of_columns():
    reading = read(row(), row(status="preempted", lease_id="k", received_at=FEB))
    assert reading.conflicts["differs"].to_list() == [["lease_id", "status"]]


def test_copies_that_agree_are_no_conflict():
    reading = read(row(), row(received_at=FEB))
    assert reading.duplicates == 1
    assert not reading.conflicts.height


def test_seconds_above_are_those_beyond_what_the_accelerators_could_do():
    """One accelerator for ten seconds: ten are possible, an eleventh is above."""
    ten = {"start": JAN, "end": JAN + timedelta(seconds=10)}
    assert read(row(**ten, accelerator_seconds=10)).seconds_above == 0
    assert read(row(**ten, accelerator_seconds=11)).seconds_above == 1


def test_a_record_without_length_has_no_seconds():
    with pytest.raises(ValueError, match="without length"):
        UsageRecord(usage_id="u", lease_id="l", start=JAN, end=JAN, accelerator_seconds=1, received_at=JAN)
