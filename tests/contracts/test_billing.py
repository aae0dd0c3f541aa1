"""All accounts at once in 128 bits, and one by one in Python's integers: the same bills."""

import polars as pl
import pytest

from contracts.billing import bill_all, half_up
from contracts.month_facts import ledger_of
from contracts.terms import money
from contracts.usage import read_usage
from contracts.wide_bills import bill_wide
from tests.contracts.months import book_of, random_month


@pytest.mark.parametrize("seed", range(200, 212))
def test_accounts_priced_at_once_and_one_by_one_are_billed_the_same(seed):
    book = book_of(random_month(seed, accounts=20, records=150, sla=seed % 3 > 0))
    changes = read_usage(book.usage, leases=book.leases, periods=book.periods).changes
    together = bill_all(ledger_of(changes, book, periods=4))
    alone = bill_wide(changes, book, accounts=set(book.accounts["account_id"]), periods=4)
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
