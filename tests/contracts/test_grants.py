"""Tranches are used in the months they are valid in, those that end first first; what is left expires, and nothing is used twice."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.grants import MonthUnits, Tranche, TrancheHold, TrancheStanding, micro_pf_days, standings, tranche_entries
from contracts.terms.errors import GrantExceeded
from contracts.terms.time import Period

PD = 86_400_000
STARTS = [datetime(2028, month, 1, tzinfo=UTC) for month in range(1, 8)]
MONTHS = [Period(start, end) for start, end in itertools.pairwise(STARTS)]


def tranche(name: str, micro_pf_days: int, *, first: int = 0, last: int = 5) -> Tranche:
    """A tranche valid from the first to the last of six months, both counted."""
    valid = Period(MONTHS[first].start, MONTHS[last].end)
    return Tranche(id=name, account_id="acct", pledged_by="prv", micro_pf_days=micro_pf_days, valid=valid)


def months(*units: int) -> list[MonthUnits]:
    return [MonthUnits(month, each) for month, each in zip(MONTHS, units, strict=False)]


def test_what_ends_first_is_used_first():
    """Three PF-days in January: two of the tranche that ends then, and one of the other; in February half of one more."""
    given_ = [tranche("a", 5_000_000), tranche("b", 2_000_000, last=0)]
    assert standings(given_, months(3 * PD)) == {"a": TrancheStanding(1_000_000), "b": TrancheStanding(2_000_000)}
    assert standings(given_, months(3 * PD, PD // 2))["a"] == TrancheStanding(1_500_000)


def test_a_tranche_counts_only_in_its_months():
    late = [tranche("a", 1_000_000, first=1, last=1)]
    assert standings(late, months(PD)) == {"a": TrancheStanding()}
    assert standings(late, months(PD, PD // 4)) == {"a": TrancheStanding(250_000, 750_000)}
    assert standings(late, months(PD, PD // 4, PD)) == {"a": TrancheStanding(250_000, 750_000)}


def test_a_third_of_a_pf_day_is_rounded_once():
    third = PD // 3
    assert standings([tranche("a", 1_000_000)], months(third)) == {"a": TrancheStanding(333_333)}
    assert standings([tranche("a", 1_000_000)], months(third, third, third)) == {"a": TrancheStanding(1_000_000)}


SPANS = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)
TRANCHES = st.lists(st.tuples(st.integers(1, 10**15), SPANS), max_size=5)
UNITS = st.lists(st.integers(0, 10**24), max_size=6)


@given(TRANCHES, UNITS)
def test_nothing_is_used_twice_and_what_is_over_is_used_or_expired(sizes, units):
    given_ = [tranche(f"t{n}", size, first=first, last=last) for n, (size, (first, last)) in enumerate(sizes)]
    found = standings(given_, months(*units))
    assert sum(each.used for each in found.values()) <= sum(units) * 1_000_000 // PD + len(given_)
    for each in given_:
        standing = found[each.id]
        assert 0 <= standing.used <= standing.used + standing.expired <= each.micro_pf_days
        if units and each.valid.end <= MONTHS[len(units) - 1].end:
            assert standing.used + standing.expired == each.micro_pf_days
        else:
            assert standing.expired == 0


@given(TRANCHES, st.lists(UNITS, min_size=1, max_size=5))
def test_whatever_was_known_when_the_entries_add_up_to_what_is_known_last(sizes, known):
    """Every close posts what it learns: used and expired in the ledger are those of the last close, and entries balance."""
    given_ = [tranche(f"t{n}", size, first=first, last=last) for n, (size, (first, last)) in enumerate(sizes)]
    for each in given_:
        posted = {"grant_used": 0, "grant_expired": 0}
        for period, units in enumerate(known, 1):
            standing = standings(given_, months(*units))[each.id]
            for entry in tranche_entries(each, standing, posted=posted, period=period, at=MONTHS[0].end):
                posted[entry.kind] += entry.postings[0].amount_micros
                assert sum(posting.amount_micros for posting in entry.postings) == 0
        assert posted == {"grant_used": standing.used, "grant_expired": standing.expired}
        assert tranche_entries(each, standing, posted=posted, period=9, at=MONTHS[0].end) == []


def keeps(micros: int, *, first: int = 0, last: int = 0) -> TrancheHold:
    """A bid that may run from the first to the last of the months."""
    span = Period(MONTHS[first].start, MONTHS[last].end)
    return TrancheHold(kind="grant_bid_hold", account_id="acct", bid_id="bid", event="e", micro_pf_days=micros, span=span)


def test_what_may_run_longer_than_a_tranche_is_valid_is_not_kept_of_it():
    short, long = tranche("a", 5, last=0), tranche("b", 7, last=1)
    assert keeps(6).allotted([long, short], {"a": 5, "b": 7}) == {"a": 5, "b": 1}
    assert keeps(6, last=1).allotted([long, short], {"a": 5, "b": 7}) == {"b": 6}
    with pytest.raises(GrantExceeded, match=r"0\.000 left") as refusal:
        keeps(1, last=2).allotted([long, short], {"a": 5, "b": 7})
    assert refusal.value.facts == {"micro_pf_days": 1, "available_micro_pf_days": 0}


def test_computing_is_rounded_up():
    """One accelerator-second of 989 TFLOP/s is 11.4 millionths of a PF-day; an hour of eight, 329,666.7."""
    assert (micro_pf_days(0, 989), micro_pf_days(1, 989), micro_pf_days(8 * 3600, 989)) == (0, 12, 329_667)


@given(TRANCHES, st.integers(0, 10**16), st.lists(st.integers(-5, 10**15), min_size=5, max_size=5), SPANS)
def test_a_hold_is_whole_or_refused_and_takes_nothing_that_is_not_left(sizes, wanted, free, span):
    given_ = [tranche(f"t{n}", size, first=first, last=last) for n, (size, (first, last)) in enumerate(sizes)]
    left = {each.id: least for each, least in zip(given_, free, strict=False)}
    hold = keeps(wanted, first=span[0], last=span[1])
    valid = [each for each in given_ if each.valid.start <= hold.span.start and hold.span.end <= each.valid.end]
    there = sum(max(0, left[each.id]) for each in valid)
    if wanted > there:
        with pytest.raises(GrantExceeded):
            hold.allotted(given_, left)
        return
    found = hold.allotted(given_, left)
    assert sum(found.values()) == wanted
    assert all(0 < part <= left[name] for name, part in found.items())
    entry = hold.entry(found, at=MONTHS[0].start)
    assert (entry is None) == (wanted == 0)
    assert entry is None or sum(posting.amount_micros for posting in entry.postings) == 0
