"""Every kind of fault in otherwise readable tables is found, with its table, row and column."""

from datetime import timedelta

import pytest

from contracts.ledger_checks import settlement_faults, usage_faults
from contracts.ledger_tables import SETTLEMENT_TABLES
from tests.contracts.golden import golden_book


def frames(name="plans"):
    book = golden_book(name)
    return {table.name: getattr(book, table.name) for table in SETTLEMENT_TABLES if hasattr(book, table.name)}


def spoiled(table, row, **cells):
    """The golden tables with some cells of one row (from 1) changed."""
    found = frames()
    rows = found[table].to_dicts()
    rows[row - 1] |= cells
    return found | {table: type(found[table])(rows, schema=found[table].schema)}


def places(tables):
    usage = usage_faults(tables["usage"], leases=tables["leases"], periods=tables["periods"])
    found = [*settlement_faults(tables), *usage]
    return [(fault.facts.get("file"), fault.facts.get("row"), fault.facts.get("column")) for fault in found]


def test_sound_tables_have_no_faults():
    assert places(frames()) == []
    assert places(frames("corrections")) == []


@pytest.mark.parametrize(
    ("table", "row", "cells", "column"),
    [
        ("usage", 2, {"lease_id": "nobody"}, "lease_id"),
        ("leases", 1, {"account_id": "nobody"}, "account_id"),
        ("leases", 6, {"hardware": "ABACUS"}, "hardware"),
        ("accounts", 3, {"plan_id": "none"}, "plan_id"),
        ("accounts", 3, {"currency": "euro"}, "currency"),
        ("plan_tiers", 4, {"plan_id": "none"}, "plan_id"),
        ("leases", 2, {"lease_id": "lease-cleared"}, "lease_id"),
        ("periods", 2, {"period": 3}, "period"),
    ],
)
def test_a_name_nobody_has_or_a_key_said_twice(table, row, cells, column):
    assert (table, row, column) in places(spoiled(table, row, **cells))


def test_a_record_that_ends_before_it_starts():
    start = frames()["usage"]["start"][0]
    assert places(spoiled("usage", 1, end=start - timedelta(seconds=1))) == [("usage", 1, "end")]


def test_a_record_without_length_but_with_seconds():
    start = frames()["usage"]["start"][0]
    assert places(spoiled("usage", 1, end=start)) == [("usage", 1, "accelerator_seconds")]
    assert places(spoiled("usage", 1, end=start, accelerator_seconds=0)) == []


def test_a_record_before_the_first_month():
    first = frames()["periods"]["month_start"][0]
    assert places(spoiled("usage", 4, start=first - timedelta(microseconds=1))) == [("usage", 4, "start")]


def test_a_month_that_does_not_join_or_does_not_end():
    second = frames()["periods"].row(1, named=True)
    assert places(spoiled("periods", 2, month_start=second["month_start"] + timedelta(days=1))) == [("periods", 2, "month_start")]
    assert ("periods", 2, "month_end") in places(spoiled("periods", 2, month_end=second["month_start"]))


def test_a_close_before_its_month_ends_or_out_of_turn():
    second = frames()["periods"].row(1, named=True)
    assert places(spoiled("periods", 2, closes_at=second["month_end"] - timedelta(seconds=1))) == [("periods", 2, "closes_at")]
    first = frames()["periods"].row(0, named=True)
    assert ("periods", 2, "closes_at") in places(spoiled("periods", 1, closes_at=second["closes_at"]))
    assert first["closes_at"] < second["closes_at"]


def test_no_period_at_all():
    tables = frames()
    assert ("periods", None, None) in places(tables | {"periods": tables["periods"].clear()})


@pytest.mark.parametrize(
    "cells", [{"lo_units": 1}, {"hi_units": 86_399_999}, {"hi_units": None}], ids=["starts late", "leaves a gap", "ends twice open"]
)
def test_tiers_that_leave_something_out(cells):
    reached = [i for i, plan in enumerate(frames()["plan_tiers"]["plan_id"], 1) if plan == "reached"]
    assert places(spoiled("plan_tiers", reached[0], **cells)) == [("plan_tiers", reached[0], "lo_units")]


def test_a_tiered_plan_without_tiers():
    tables = frames()
    kept = tables["plan_tiers"].filter(tables["plan_tiers"]["plan_id"] != "stepped")
    row = tables["plans"]["plan_id"].to_list().index("stepped") + 1
    assert places(tables | {"plan_tiers": kept}) == [("plans", row, "plan_id")]
