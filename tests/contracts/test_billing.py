"""All accounts at once in 128 bits, and one by one in Python's integers: the same bills."""

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import month_facts
from contracts.billing import bill_all, half_up
from contracts.month_facts import ledger_of
from contracts.settlement import Published, periods_until, settle, settle_reading
from contracts.terms import money
from contracts.usage import read_usage
from contracts.wide_bills import bill_wide
from tests.contracts.months import book_of, random_month


@pytest.mark.parametrize("seed", range(200, 212))
def test_accounts_priced_at_once_and_one_by_one_are_billed_the_same(seed):
    book = book_of(random_month(seed, accounts=20, records=150, sla=seed % 3 > 0))
    changes = read_usage(book.usage, leases=book.leases, periods=book.periods).changes
    together = bill_all(ledger_of(changes, book, periods=4))
    alone = bill_wide(changes, book, accounts=set(book.accounts["account_id"]), periods=range(1, 5))
    for name in ("lines", "bills"):
        frame = getattr(alone, name)
        assert set(getattr(together, name).select(frame.columns).iter_rows()) == set(frame.iter_rows()), name
    moved = alone.dues.filter((pl.col("gross") != 0) | (pl.col("cost") != 0) | (pl.col("due") != 0))
    assert set(together.dues.select(moved.columns).iter_rows()) == set(moved.iter_rows())


@pytest.mark.parametrize("denominator", [1, 2, 3, 3600, 86_400_000])
def test_the_two_roundings_are_one(denominator):
    amounts = [0, 1, -1, 5, -5, 1799, 1800, 1801, -1800, 43_200_000, -43_200_000, 10**30 + 1]
    found = pl.DataFrame({"n": pl.Series(amounts, dtype=pl.Int128)}).select(n=half_up(pl.col("n"), denominator))["n"].to_list()
    assert found == [money.half_up(amount, denominator) for amount in amounts]


def after_a_close(book, *, as_of, published):
    """A settlement that takes the periods of an earlier close from its tables."""
    periods = periods_until(book.periods, as_of)
    reading = read_usage(book.usage, leases=book.leases, periods=periods)
    tables = settle(book, as_of=published).tables()
    return settle_reading(
        msgspec.structs.replace(reading, standing=published),
        book,
        periods=periods,
        published=Published(as_of=published, tables=tables),
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), published=st.integers(1, 3), more=st.integers(1, 3), sla=st.booleans())
def test_periods_billed_before_need_not_be_billed_again(seed, published, more, sla):
    """Prices are cumulative: what later periods bill does not depend on how the price came to be."""
    book = book_of(random_month(seed, records=90, sla=sla))
    as_of = min(4, published + more)
    found, whole = after_a_close(book, as_of=as_of, published=published), settle(book, as_of=as_of)
    for name, table in whole.tables().items():
        assert found.tables()[name].equals(table), name


def test_nor_where_accounts_are_billed_one_by_one(monkeypatch):
    book = book_of(random_month(1, records=90))
    whole = settle(book)
    monkeypatch.setattr(month_facts, "ROOM", 0.0)
    found = after_a_close(book, as_of=4, published=2)
    for name, table in whole.tables().items():
        assert found.tables()[name].equals(table), name


def test_what_was_billed_from_another_reading_is_not_taken():
    book = book_of(random_month(2))
    reading = read_usage(book.usage, leases=book.leases, periods=book.periods)
    with pytest.raises(AssertionError, match="another reading"):
        settle_reading(reading, book, periods=book.periods, published=Published(as_of=2, tables=settle(book, as_of=2).tables()))
