"""A month's lines shared among leases: by hand once, and for every random month to the micro."""

from collections import Counter

import polars as pl
import pytest

from contracts.plan_comparison import lines_in, lines_of, month_total, own_book
from contracts.settlement import settle
from contracts.settlement_book import SettlementBook
from contracts.spend_by_lease import NO_LEASE, LeaseMonth, by_lease
from tests.contracts.months import book_of, random_month
from tests.contracts.test_plan_comparison import FEBRUARY, HOUR, JANUARY, MARCH, NONE, USD


def shared(book: SettlementBook, account_id: str) -> list[LeaseMonth]:
    own = own_book(book, account_id)
    settled = settle(own)
    return by_lease(own, settled, lines=lines_in(settled))


def two_leases(plan_id: str) -> SettlementBook:
    """In January 10 hours of X at 2.00 on `l1`, 5 at 4.00 on `l2`, and 2 of these 4.00 failed beside; nothing in February."""

    def record(name: str, lease_id: str, hours: int, status: str = "delivered") -> dict[str, object]:
        facts = {"usage_id": name, "rev": 0, "lease_id": lease_id, "start": JANUARY, "end": JANUARY + HOUR, "received_at": JANUARY + HOUR}
        return facts | {"accelerator_seconds": hours * 3600, "status": status}

    lease = {"account_id": "a", "provider_id": "p", "hardware": "X", "accelerators": 30, "tier": "spot"}
    return book_of(
        {
            "usage": [record("u1", "l1", 10), record("u2", "l2", 5), record("u3", "l2", 2, "provider_failed")],
            "leases": [{"lease_id": "l1", "rate_micros": 2 * USD, **lease}, {"lease_id": "l2", "rate_micros": 4 * USD, **lease}],
            "accounts": [
                {"account_id": "a", "name": "A", "plan_id": plan_id, "tax_bps": 0, "take_bps": 100, "currency": "USD", "country": "DE"}
            ],
            "hardware": [{"hardware": "X", "tflops": 1000}],
            "plans": [
                {"plan_id": "metered", "kind": "metered_cleared", **NONE},
                {"plan_id": "flat", "kind": "flat_rate", **NONE, "fee_micros": 30 * USD, "fair_use_units": 10**12},
            ],
            "periods": [
                {"period": 1, "month_start": JANUARY, "month_end": FEBRUARY, "closes_at": FEBRUARY + HOUR},
                {"period": 2, "month_start": FEBRUARY, "month_end": MARCH, "closes_at": MARCH + HOUR},
            ],
            "sla": [{"tier": "spot", "credit_bps": 1000}],
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("plan_id", "expected"),
    [
        # 20.00 each and 1 % take each; the credit, 10 % of 8.00, is of the lease that failed.
        ("metered", [(1, "l1", 36_000, 20_200_000), (1, "l2", 18_000, 19_400_000)]),
        # The fee half and half, as 20.00 to 20.00; February has a fee and no lease.
        ("flat", [(1, "l1", 0, 15_000_000), (1, "l2", 0, 14_200_000), (2, NO_LEASE, 0, 30_000_000)]),
    ],
)
def test_each_lease_bears_what_it_brought(plan_id: str, expected: list[tuple[int, str, int, int]]):
    found = [(each.month, each.lease_id, each.seconds, each.micros) for each in shared(two_leases(plan_id), "a")]
    assert [row for row in found if row[3] or row[2]] == expected


@pytest.mark.parametrize("seed", range(5))
def test_leases_add_up_to_every_month_to_the_micro_on_every_plan(seed: int):
    book = book_of(random_month(seed))
    for account_id in book.accounts["account_id"]:
        own = own_book(book, account_id)
        found, lines = shared(book, account_id), lines_of(own)
        sums = Counter[int]()
        for each in found:
            sums[each.month] += each.micros
        for month in book.periods["period"]:
            assert sums[month] == month_total(lines, month), (account_id, month)
        named = {each.lease_id for each in found} - {NO_LEASE}
        assert named <= set(own.leases.filter(pl.col("account_id") == account_id)["lease_id"]), "nobody bears another's lease"
        assert len({(each.month, each.lease_id) for each in found}) == len(found)


def test_the_order_of_rows_changes_nothing():
    rows = random_month(3)
    turned = book_of({name: table[::-1] for name, table in rows.items()})
    for account_id in turned.accounts["account_id"][:4]:
        assert shared(turned, account_id) == shared(book_of(rows), account_id)
