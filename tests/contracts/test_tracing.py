"""A line of an invoice taken apart: its records add up to it, and the rules come to it again."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settlement import settle
from contracts.terms.errors import NotFound
from contracts.tracing import LineName, Trace, trace
from tests.contracts.months import MONTHS, START, Rows, book_of, random_month

HOUR = timedelta(hours=1)


def two_leases() -> Rows:
    """January on a metered plan: 8 h at 2.00 and 4 h at 3.00 of one class, an hour of another, half an hour failed."""
    none = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
    lease = {"account_id": "a", "provider_id": "p", "hardware": "H100-SXM", "accelerators": 8, "tier": "guaranteed"}
    record = {"rev": 0, "start": START, "end": START + HOUR, "status": "delivered", "received_at": START + HOUR}
    return {
        "hardware": [{"hardware": "H100-SXM", "tflops": 989}, {"hardware": "A100-80", "tflops": 312}],
        "plans": [{"plan_id": "metered", "kind": "metered_cleared", **none}],
        "accounts": [
            {"account_id": "a", "name": "A", "plan_id": "metered", "tax_bps": 0, "take_bps": 100, "currency": "USD", "country": "DE"}
        ],
        "periods": [{"period": 1, "month_start": MONTHS[0], "month_end": MONTHS[1], "closes_at": MONTHS[1] + HOUR}],
        "leases": [
            lease | {"lease_id": "l1", "rate_micros": 2_000_000},
            lease | {"lease_id": "l2", "rate_micros": 3_000_000},
            lease | {"lease_id": "l3", "rate_micros": 1_000_000, "hardware": "A100-80"},
        ],
        "sla": [{"tier": "guaranteed", "credit_bps": 5_000}],
        "usage": [
            record | {"usage_id": "u1", "lease_id": "l1", "accelerator_seconds": 8 * 3600},
            record | {"usage_id": "u2", "lease_id": "l2", "accelerator_seconds": 5 * 3600},
            record | {"usage_id": "u2", "lease_id": "l2", "accelerator_seconds": 4 * 3600, "rev": 1},
            record | {"usage_id": "u3", "lease_id": "l3", "accelerator_seconds": 3600},
            record | {"usage_id": "u4", "lease_id": "l1", "accelerator_seconds": 1800, "status": "provider_failed"},
        ],
    }


def traced(rows: Rows, kind: str, hardware: str | None = None) -> Trace:
    return trace(book_of(rows), LineName(month=1, kind=kind, hardware=hardware), account_id="a", period=1)


def test_a_usage_line_is_the_records_of_its_class_at_their_rates():
    """8 × 2.00 + 4 × 3.00 = 28.00: of the record that was corrected, what the correction says."""
    found = traced(two_leases(), "usage", "H100-SXM")
    assert [(each.lease_id, each.records, each.seconds, each.amount_micros) for each in found.leases] == [
        ("l1", 1, 28_800, 16_000_000),
        ("l2", 1, 14_400, 12_000_000),
    ]
    assert [(each.usage_id, each.rev, each.seconds) for each in found.records] == [("u1", 0, 28_800), ("u2", 1, 14_400)]
    assert (found.seconds, found.amount_micros) == (43_200, 28_000_000)
    assert "÷ 3,600" in found.rule


def test_a_credit_is_the_seconds_that_failed_and_a_take_is_of_all_that_did_not():
    """Half an hour at 2.00, half of it given back: 0.50. One per cent of 16.00 + 12.00 + 1.00: 0.29."""
    credit, take = traced(two_leases(), "credit"), traced(two_leases(), "take")
    assert ([each.usage_id for each in credit.records], credit.amount_micros) == (["u4"], -500_000)
    assert ([each.usage_id for each in take.records], take.amount_micros) == (["u1", "u2", "u3"], 290_000)
    assert take.figures == {"take_bps": 100}


def test_a_record_moved_to_anothers_lease_is_gone_from_the_line():
    """Of 28.00, the 16.00 of u1 are b's by its revision."""
    rows = two_leases()
    rows["accounts"].append(rows["accounts"][0] | {"account_id": "b"})
    rows["leases"].append(rows["leases"][0] | {"lease_id": "l4", "account_id": "b"})
    rows["usage"].append(rows["usage"][0] | {"rev": 1, "lease_id": "l4"})
    found = traced(rows, "usage", "H100-SXM")
    assert ([each.usage_id for each in found.records], found.amount_micros) == (["u2"], 12_000_000)


def test_what_no_rule_comes_to_is_not_there():
    with pytest.raises(NotFound, match="no line of fee"):
        traced(two_leases(), "fee")


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_every_line_is_its_records_and_comes_out_again(seed, chance):
    """Whatever was late, copied, corrected, voided or moved to another's lease."""
    book = book_of(random_month(seed, accounts=10, records=40))
    lines = settle(book).lines.to_dicts()
    assert lines
    for line in chance.sample(lines, min(12, len(lines))):
        name = LineName(month=line["month"], kind=line["kind"], hardware=line["hardware"])
        found = trace(book, name, account_id=line["account_id"], period=line["period"])
        assert found.amount_micros == line["amount_micros"]
        assert found.seconds == sum(each.seconds for each in found.leases) == sum(each.seconds for each in found.records)
        if line["kind"] == "usage":
            assert found.seconds == line["quantity_seconds"]


def test_the_rows_of_a_book_may_come_in_any_order():
    rows = two_leases()
    book = book_of(rows)
    turned = book_of(rows | {"usage": rows["usage"][::-1]})
    assert turned.usage["usage_id"].to_list() != book.usage["usage_id"].to_list()
    assert traced(rows, "usage", "H100-SXM") == traced(rows | {"usage": rows["usage"][::-1]}, "usage", "H100-SXM")
