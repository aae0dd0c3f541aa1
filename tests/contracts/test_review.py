"""What a reviewer is shown: figures that can be checked by hand."""

import msgspec
import polars as pl
import pytest

from contracts.close import CloseRecord, Counts
from contracts.ledger_tables import INVOICES
from contracts.review import Bill, Bounds, Outlier, Unbilled, bills, changes, outliers

COUNTS = Counts(usage_rows=9, duplicates=0, conflicts=0, rows_later=0, seconds_later=0, seconds_above_lease=0)


def record(period: int, **counts: int) -> CloseRecord:
    facts = msgspec.structs.replace(COUNTS, **counts)
    return CloseRecord(rules="1", as_of=period, previous=None, inputs={}, outputs={}, counts=facts, reconciliations=(), hash="")


def invoices(*rows: tuple[str, int, int]) -> pl.DataFrame:
    """Account, period, cents payable; no tax, and a cost of nine tenths."""
    return pl.DataFrame(
        [(name, period, "USD", cents * 10_000, 0, cents * 10_000, cents, 0, cents, cents * 9_000, 0) for name, period, cents in rows],
        schema=INVOICES.schema,
        orient="row",
    )


def found(table: pl.DataFrame, period: int, *, kinds: dict[str, str] | None = None, **counts: int) -> list[Outlier]:
    return list(outliers(table, record=record(period, **counts), kinds=kinds or {}, unbilled=Unbilled(), bounds=Bounds()))


def test_an_invoice_above_three_times_the_mean_is_flagged_and_one_at_it_is_not():
    """100.00 and 300.00 are 200.00 on average: 600.00 is three times, 600.01 is more."""
    past = [("a", 1, 10_000), ("a", 2, 30_000)]
    assert not found(invoices(*past, ("a", 3, 60_000)), 3)
    (flag,) = found(invoices(*past, ("a", 3, 60_001)), 3)
    assert (flag.rule, flag.subject, flag.found, flag.limit) == ("large invoice", "a", 60_001, 60_000)


def test_only_the_last_months_count_for_the_mean_and_small_invoices_never():
    """Of 12 months the last 6 count; and 99.00 is below what is looked at, whatever came before."""
    table = invoices(
        *(("a", period, 1_000_000) for period in range(1, 7)), *(("a", period, 10_000) for period in range(7, 13)), ("a", 13, 40_000)
    )
    assert [each.rule for each in found(table, 13)] == ["large invoice"]
    assert not found(invoices(("a", 1, 100), ("a", 2, 9_900)), 2)


def test_a_first_invoice_has_no_mean():
    assert not found(invoices(("a", 1, 10**9)), 1)


def test_a_buyer_below_cost_is_flagged_unless_a_grant_pays():
    table = invoices(("a", 1, 100)).with_columns(cost_micros=pl.lit(1_000_001))
    (flag,) = found(table, 1, kinds={"a": "flat_rate"})
    assert (flag.rule, flag.found) == ("negative margin", -1)
    assert not found(table, 1, kinds={"a": "grant"})


def test_credit_notes_and_missing_invoices_are_flagged():
    table = invoices(("a", 1, 20_000), ("b", 1, 20_000), ("a", 2, -500)).with_columns(cost_micros=pl.lit(-(10**9)))
    assert [(each.rule, each.subject, each.found) for each in found(table, 2)] == [("credit note", "a", 500), ("missing invoice", "b", 0)]


@pytest.mark.parametrize(("count", "rule"), [("seconds_above_lease", "seconds above lease"), ("conflicts", "conflicts")])
def test_usage_that_cannot_be_is_flagged(count, rule):
    (flag,) = found(invoices(), 1, **{count: 7})
    assert (flag.rule, flag.found) == (rule, 7)


def test_what_the_close_leaves_out_is_flagged():
    waits = Unbilled(records_waiting=3, leases_silent=("lse_1", "lse_2"))
    flags = outliers(invoices(), record=record(1), kinds={}, unbilled=waits, bounds=Bounds())
    assert [(each.rule, each.found) for each in flags] == [("unbilled usage", 3), ("silent lease", 0), ("silent lease", 0)]


def test_changes_add_up_to_the_difference_of_the_previews():
    def a_bill(name: str, cents: int) -> Bill:
        return Bill(account_id=name, currency="USD", subtotal_micros=cents * 10_000, tax_micros=0, payable_cents=cents, cost_micros=0)

    before = (a_bill("a", 100), a_bill("b", 200))
    now = (a_bill("a", 150), a_bill("c", 70))
    rows = changes(now, before)
    assert [(each.bill.account_id, each.bill.payable_cents, each.before_cents, each.change_cents) for each in rows] == [
        ("a", 150, 100, 50),
        ("b", 0, 200, -200),
        ("c", 70, 0, 70),
    ]
    assert sum(each.change_cents for each in rows) == 220 - 300
    assert [each.before_cents for each in changes(now, None)] == [None, None]
    assert bills(invoices(("a", 1, 5), ("a", 2, 6)), 2) == (
        Bill(account_id="a", currency="USD", subtotal_micros=60_000, tax_micros=0, payable_cents=6, cost_micros=54_000),
    )
