"""The invariants of an entry, its four states, and the trial balance."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.exports.beancount import BRANCHES
from contracts.journal import ACCOUNTS, JournalEntry, Posting, post, reverse, totals, trial_balance, void
from contracts.terms.errors import WrongState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def an_entry(*amounts: int, state="posted") -> JournalEntry:
    postings = tuple(Posting(account="receivable", party="a", amount_micros=amount, currency="EUR") for amount in amounts)
    return JournalEntry(id="ent_1", kind="charge", state=state, at=NOW, reason="test", postings=postings)


def a_hold() -> JournalEntry:
    return an_entry(5_000_000, -5_000_000, state="pending")


def test_an_entry_that_does_not_sum_to_zero_cannot_exist():
    with pytest.raises(ValueError, match="off by 1 micros"):
        an_entry(3, -2)


def test_currencies_do_not_balance_each_other():
    with pytest.raises(ValueError, match="sum to zero per currency"):
        JournalEntry(
            id="e",
            kind="charge",
            state="posted",
            at=NOW,
            reason="test",
            postings=(
                Posting(account="receivable", amount_micros=1, currency="EUR"),
                Posting(account="tax", amount_micros=-1, currency="USD"),
            ),
        )


def test_an_entry_has_two_postings_and_none_of_them_is_nothing():
    with pytest.raises(ValueError, match="at least two"):
        an_entry()
    with pytest.raises(ValueError, match="was 0"):
        an_entry(1, 0, -1)


def test_an_account_outside_the_chart_is_refused():
    with pytest.raises(ValueError, match="petty_cash"):
        Posting(account="petty_cash", amount_micros=1, currency="EUR")


def test_a_pending_entry_is_posted_or_voided_once():
    assert post(a_hold()).state == "posted"
    assert void(a_hold()).state == "voided"
    for settled in (post(a_hold()), void(a_hold())):
        for move in (post, void):
            with pytest.raises(WrongState):
                move(settled)


@given(st.lists(st.integers(-(2**60), 2**60).filter(bool), min_size=1, max_size=6).filter(lambda amounts: sum(amounts) != 0))
def test_a_reversal_takes_back_exactly_what_was_posted(amounts):
    entry = an_entry(*amounts, -sum(amounts))
    marked, opposite = reverse(entry, at=NOW)
    assert marked.state == "reversed"
    assert [p.amount_micros + q.amount_micros for p, q in zip(entry.postings, opposite.postings, strict=True)] == [0] * len(entry.postings)
    assert totals((*entry.postings, *opposite.postings)) == {"EUR": 0}
    with pytest.raises(WrongState):
        reverse(marked, at=NOW)


def test_a_trial_balance_ends_with_a_zero_for_each_currency():
    postings = pl.DataFrame(
        [
            ("EUR", "receivable", 5, "posted"),
            ("EUR", "tax", -2, "posted"),
            ("EUR", "plan_margin", -3, "posted"),
            ("EUR", "hold", 99, "pending"),
            ("USD", "receivable", 7, "reversed"),
            ("USD", "plan_margin", -7, "reversed"),
        ],
        schema=["currency", "account", "amount_micros", "state"],
        orient="row",
    )
    assert trial_balance(postings).rows() == [
        ("EUR", "plan_margin", -3),
        ("EUR", "receivable", 5),
        ("EUR", "tax", -2),
        ("EUR", "total", 0),
        ("USD", "plan_margin", -7),
        ("USD", "receivable", 7),
        ("USD", "total", 0),
    ]


def test_every_account_of_the_chart_has_its_place_in_beancount():
    assert set(BRANCHES) == set(ACCOUNTS)
    assert len(set(BRANCHES.values())) == len(BRANCHES)
