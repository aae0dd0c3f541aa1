"""Plans compared on an account's own months: the settlement asked otherwise, and asked as it is."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from contracts.plan_comparison import at_pace, costs_by_plan, lines_of, month_total, own_book
from contracts.settlement import SettlementBook, settle
from tests.contracts.months import book_of, random_month

USD = 1_000_000
JANUARY, FEBRUARY, MARCH = (datetime(2027, month, 1, tzinfo=UTC) for month in (1, 2, 3))
HOUR = timedelta(hours=1)
NONE = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
PF_DAY = 86_400_000


def small(plan_id: str = "metered", *, closes: datetime = MARCH) -> SettlementBook:
    """10 accelerator-hours at 2.00 in January, 30 in February, on 1,000 TFLOP/s: 0.4167 and 1.25 PF-days."""
    usage = [
        {"usage_id": f"u{number}", "rev": 0, "lease_id": "l1", "start": start, "end": start + HOUR, "accelerator_seconds": hours * 3600,
         "status": "delivered", "received_at": start + HOUR}
        for number, (start, hours) in enumerate(((JANUARY, 10), (FEBRUARY, 30)))
    ]  # fmt: skip
    lease = {"account_id": "a", "provider_id": "p", "hardware": "X", "accelerators": 30, "tier": "spot", "rate_micros": 2 * USD}
    account = {"account_id": "a", "name": "A", "plan_id": plan_id, "tax_bps": 2000, "take_bps": 100, "currency": "USD", "country": "DE"}
    return book_of(
        {
            "usage": usage,
            "leases": [{"lease_id": "l1", **lease}],
            "accounts": [account, account | {"account_id": "other"}],
            "hardware": [{"hardware": "X", "tflops": 1000}],
            "plans": [
                {"plan_id": "metered", "kind": "metered_cleared", **NONE},
                {"plan_id": "flat", "kind": "flat_rate", **NONE, "fee_micros": 25 * USD, "fair_use_units": PF_DAY, "overage": "charge",
                 "unit_price_micros": 40 * USD},
                {"plan_id": "commit", "kind": "committed", **NONE, "unit_price_micros": 24 * USD, "commit_micros": 15 * USD},
                {"plan_id": "given", "kind": "grant", **NONE, "grant_units": PF_DAY, "unit_price_micros": 60 * USD},
            ],
            "periods": [
                {"period": 1, "month_start": JANUARY, "month_end": FEBRUARY, "closes_at": FEBRUARY + HOUR},
                {"period": 2, "month_start": FEBRUARY, "month_end": MARCH, "closes_at": closes + 2 * HOUR},
            ],
            "sla": [],
        }
    )  # fmt: skip


def test_the_same_months_on_each_plan():
    """Metered 20.00 and 60.00 with 1 %: 80.80. Flat 25.00 twice and a quarter PF-day over: 60.00.

    Committed: 10.00 lifted to 15.00, and 30.00 of which 5.00 make up for January: 40.00.
    """
    found = {each.plan_id: each for each in costs_by_plan(own_book(small(), "a"), fee_bps=100)}
    assert found["metered"].months == {1: 20_200_000, 2: 60_600_000}
    assert found["flat"].months == {1: 25 * USD, 2: 35 * USD}
    assert found["commit"].months == {1: 15 * USD, 2: 25 * USD}
    assert list(found) == ["commit", "flat", "metered"], "the cheapest first, and no grant for who has none"


def test_a_grant_is_compared_for_who_has_it():
    found = {each.plan_id: each.total_micros for each in costs_by_plan(own_book(small("given"), "a"), fee_bps=50)}
    assert found["given"] == 40 * USD, "two thirds of a PF-day beyond the one given"
    assert found["metered"] == 80_400_000, "on another plan the take is the market's"


def test_half_a_month_at_its_pace_is_twice_as_much():
    """Of February's 28 days 14 have passed: 30 hours become 60, and January stays as it is."""
    own = own_book(small(), "a")
    drawn = at_pace(own, now=FEBRUARY + timedelta(days=14))
    assert [month_total(lines_of(drawn), month) for month in (1, 2)] == [20_200_000, 121_200_000]
    assert at_pace(own, now=MARCH) is own
    assert at_pace(own, now=FEBRUARY) is own


@pytest.mark.parametrize("seed", range(2))
def test_on_its_own_plan_an_account_pays_what_it_was_billed(seed: int):
    """The lines by month add up to the invoices, and the comparison to the lines, for every account of a random ledger."""
    book = book_of(random_month(seed))
    invoices = settle(book).invoices.group_by("account_id").agg(pl.col("subtotal_micros").sum())
    billed = dict(invoices.iter_rows())
    for account_id, plan_id in book.accounts.select("account_id", "plan_id").iter_rows():
        own = own_book(book, account_id)
        assert sum(line.micros for line in lines_of(own)) == billed.get(account_id, 0)
        mine = next(each for each in costs_by_plan(own, fee_bps=0) if each.plan_id == plan_id)
        assert mine.total_micros == billed.get(account_id, 0)
