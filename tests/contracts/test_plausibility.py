"""What a lease can have delivered: every reason by hand, and the sums against plain integers."""

from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.ledger_tables import USAGE
from contracts.plausibility import alone, spans, together
from contracts.terms.time import utc

START = utc("2027-01-04T00:00:00Z")
TIME = pl.Datetime("us", "UTC")
HOUR = timedelta(hours=1)
SLOT = {"lease_id": pl.String(), "slot_start": TIME, "slot_end": TIME, "quantity": pl.Int64()}
KNOWN = {"usage_id": pl.String(), "rev": pl.Int64(), "lease_id": pl.String(), "start": TIME, "accelerator_seconds": pl.Int64()}


def batch(*rows):
    """Reports of `lse_a`: (usage_id, first hour, last hour, seconds), hours from START."""
    facts = [
        {"usage_id": name, "rev": 0, "lease_id": "lse_a", "start": START + first * HOUR, "end": START + last * HOUR,
         "accelerator_seconds": seconds, "status": "delivered", "received_at": START}
        for name, first, last, seconds in rows
    ]  # fmt: skip
    return pl.DataFrame(facts, schema=USAGE.schema).with_row_index("row")


def slots(*quantities):
    """One slot an hour from START."""
    rows = [("lse_a", START + hour * HOUR, START + (hour + 1) * HOUR, quantity) for hour, quantity in enumerate(quantities)]
    return pl.DataFrame(rows, schema=SLOT, orient="row")


def lease(hours):
    return pl.DataFrame({"lease_id": ["lse_a"], "starts_at": [START], "ends_at": [START + hours * HOUR]}).cast(
        {"starts_at": TIME, "ends_at": TIME}
    )


def reasons(found, *, quantities=(8, 4), now=START + 10 * HOUR):
    return alone(found, leases=lease(len(quantities)), slots=slots(*quantities), now=now)["reason"].to_list()


def test_each_reason_has_its_report():
    """A lease of 8 accelerators for an hour, then 4 for another."""
    found = batch(
        ("whole", 0, 2, 12 * 3600),
        ("above", 0, 2, 12 * 3600 + 1),
        ("second hour", 1, 2, 4 * 3600),
        ("second hour above", 1, 2, 4 * 3600 + 1),
        ("before", -1, 1, 1),
        ("after", 1, 3, 1),
        ("backwards", 1, 0, 0),
        ("no length", 1, 1, 1),
        ("void", 1, 1, 0),
    )
    outside = "outside_lease"
    assert reasons(found) == [
        None, "above_lease", None, "above_lease", outside, outside, "ends_before_start", "no_length", None,
    ]  # fmt: skip
    assert reasons(batch(("early", 0, 1, 1), ("future", 0, 2, 1)), now=START + HOUR) == [None, "not_over"]
    assert reasons(found.with_columns(lease_id=pl.lit("lse_b"))) == ["unknown_lease"] * 9


def test_a_slot_that_was_given_up_holds_nothing():
    assert reasons(batch(("kept", 0, 1, 3600), ("given up", 1, 2, 1)), quantities=(1, 0)) == [None, "above_lease"]


def test_two_meters_cannot_both_have_counted_the_hour():
    """8 accelerators for an hour, all of them reported already; the same again under another name is too much."""
    again = batch(("other", 0, 1, 8 * 3600))
    known = pl.DataFrame([("first", 0, "lse_a", START, 8 * 3600)], schema=KNOWN, orient="row")
    assert together(again, slots=slots(8), known=known).to_list() == [0]
    assert together(again, slots=slots(8), known=known.clear()).to_list() == []


def test_a_correction_takes_the_place_of_what_it_corrects():
    known = pl.DataFrame([("first", 0, "lse_a", START, 8 * 3600)], schema=KNOWN, orient="row")
    lower = batch(("first", 0, 1, 4 * 3600), ("other", 0, 1, 4 * 3600)).with_columns(rev=pl.Series([1, 0]))
    assert together(lower, slots=slots(8), known=known).to_list() == []
    assert together(lower.with_columns(rev=pl.lit(0, pl.Int64())), slots=slots(8), known=known).to_list() == [1]


def test_what_came_before_word_for_word_is_never_too_much():
    found = batch(("a", 0, 1, 8 * 3600), ("b", 1, 2, 8 * 3600))
    known = found.select(list(KNOWN))
    assert together(found, slots=slots(8, 8), known=known).to_list() == []


REPORTS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 2**40)), min_size=1, max_size=12)


@given(REPORTS, st.lists(st.integers(0, 2**30), min_size=4, max_size=4))
def test_sums_are_those_of_plain_integers(reports, quantities):
    """Taken one after the other in order of time, a report is too much from where the sum passes what the lease's span holds."""
    found = batch(*((f"u{n:02}", first, max(first, last), seconds) for n, (first, last, seconds) in enumerate(reports)))
    assert reasons(found, quantities=quantities) == [
        "no_length" if first >= last and seconds else "above_lease" if seconds > 3600 * sum(quantities[first : max(first, last)]) else None
        for first, last, seconds in reports
    ]
    ordered = sorted(found.iter_rows(named=True), key=lambda row: (row["start"], row["usage_id"]))
    begin = min(first for first, _, _ in reports)
    end = max(max(first, last) for first, last, _ in reports)
    leased, so_far, above = 3600 * sum(quantities[begin:end]), 0, []
    for row in ordered:
        so_far += row["accelerator_seconds"]
        above += [row["row"]] if so_far > leased else []
    assert together(found, slots=slots(*quantities), known=pl.DataFrame(schema=KNOWN)).to_list() == sorted(above)


def test_a_batch_speaks_of_a_span_a_lease():
    found = spans(batch(("a", 1, 2, 0), ("b", 0, 1, 0)))
    assert found.rows() == [("lse_a", START, START + 2 * HOUR)]
