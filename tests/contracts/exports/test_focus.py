"""The Cost and Usage dataset as an independent toolkit reads it, and the sums it must keep."""

import csv
import io
from collections import defaultdict
from decimal import Decimal

import polars as pl
import pytest
from focus_data_toolkit import Mode, convert_to_focus_1_4, detect_focus_schema
from focus_data_toolkit.model.validator import check_column_value
from focus_data_toolkit.schema.registry import mandatory_columns, version_columns

from contracts.exports.focus import COLUMNS, export
from tests.contracts.published import golden, random_close

DATASET = "Cost and Usage"
REMOVED_SINCE = {"ProviderName", "PublisherName"}


def rows_of(book):
    return list(csv.DictReader(io.StringIO(export(book)["focus.csv"].decode())))


@pytest.fixture(scope="module")
def close():
    return random_close(4)


@pytest.fixture(scope="module")
def rows(close):
    return rows_of(close)


def test_it_is_focus_1_2_with_all_57_columns(rows):
    found = detect_focus_schema(list(rows[0]))
    assert (found.dataset, found.detected_version, found.exact_match) == (DATASET, "1.2", True)
    assert set(COLUMNS) == version_columns(DATASET, "1.2")
    assert len(COLUMNS) == 57


def test_every_cell_has_the_form_the_specification_asks_for(rows):
    wrong = {
        (column, cell, fault)
        for row in rows
        for column, cell in row.items()
        if cell and column not in REMOVED_SINCE and (fault := check_column_value(DATASET, column, cell))
    }
    assert not wrong


def test_mandatory_columns_are_filled(rows):
    may_be_null = {"ChargeClass", "PricingQuantity", "PricingUnit"}
    assert all(row[column] for row in rows for column in mandatory_columns(DATASET, "1.2") - may_be_null)


def test_the_toolkit_takes_it_on_to_the_next_version(rows):
    """Its conversion refuses facts that contradict each other: units without quantities, costs that are not price × quantity."""
    result = convert_to_focus_1_4([row for row in rows if row["ChargeCategory"] != "Credit"], mode=Mode.STRICT)
    report = result.reports[DATASET]
    assert report.ok, report.messages()[:5]


def test_billed_cost_of_an_invoice_is_what_is_payable(close, rows):
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["InvoiceId"]] += Decimal(row["BilledCost"])
    payable = {
        f"{account}:{period}": Decimal(cents).scaleb(-2)
        for account, period, cents in close.invoices.select("account_id", "period", "payable_cents").iter_rows()
    }
    assert {invoice: cost for invoice, cost in payable.items() if cost} == {invoice: cost for invoice, cost in sums.items() if cost}


def test_costs_to_the_micro_add_up_to_subtotals(close, rows):
    costs = sum(Decimal(row["EffectiveCost"]) for row in rows if row["ChargeCategory"] != "Tax")
    assert costs == Decimal(close.invoices["subtotal_micros"].sum()).scaleb(-6)


def test_price_times_quantity_is_the_cost(rows):
    for row in rows:
        if row["PricingQuantity"]:
            assert Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"]) == Decimal(row["ListCost"])
            assert Decimal(row["ListUnitPrice"]) >= 0


def test_categories_and_periods_of_a_month_worked_out_by_hand():
    rows = rows_of(golden("corrections"))
    found = {
        (row["InvoiceId"], row["ChargeCategory"], row["ChargeClass"], row["ChargePeriodStart"], row["BilledCost"], row["ConsumedQuantity"])
        for row in rows
    }
    january, february = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    assert found == {
        ("lab:1", "Usage", "", january, "0.650000", "650.000000"),
        ("lab:2", "Usage", "Correction", january, "0.060000", "60.000000"),
        ("lab:2", "Usage", "", february, "1.050000", "1050.000000"),
        ("lab:2", "Credit", "", february, "-0.300000", ""),
    }


def test_fee_trueup_and_tax_have_their_categories():
    by_category = defaultdict(set)
    for row in rows_of(golden("plans")):
        by_category[row["ChargeCategory"]].add((row["BillingAccountId"], row["BilledCost"]))
    assert by_category["Purchase"] == {("flat", "500.000000"), ("committed", "5.000000"), ("committed", "-5.000000")}
    assert by_category["Tax"] == {("cleared", "0.110000")}
    assert ("cleared", "0.050000") in by_category["Usage"]


def test_the_parquet_file_holds_the_same_in_decimals(close, rows):
    frame = pl.read_parquet(io.BytesIO(export(close)["focus.parquet"]))
    assert frame.columns == list(COLUMNS)
    assert frame.schema["BilledCost"] == pl.Decimal(38, 6)
    assert frame.schema["ChargePeriodStart"] == pl.Datetime("us", "UTC")
    assert [str(cost) for cost in frame["BilledCost"]] == [row["BilledCost"] for row in rows]


def test_twice_the_same_bytes(close):
    assert export(close) == export(close)
