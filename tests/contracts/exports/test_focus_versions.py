"""The newer versions of FOCUS: their columns as an independent toolkit knows them, and the sums of 1.2."""

import csv
import io
from collections import defaultdict
from decimal import Decimal

import msgspec
import polars as pl
import pytest
from focus_data_toolkit import detect_focus_schema, lint_focus_1_4_structure
from focus_data_toolkit.schema.registry import version_columns

from contracts.exports import export
from contracts.exports.focus_versions import charges, contract_commitments
from contracts.statements import SettledBook
from contracts.terms.errors import BadInput
from tests.contracts.published import addressed, golden, random_close

DATASETS = {"focus.csv": "Cost and Usage", "contract_commitment.csv": "Contract Commitment", "invoice_detail.csv": "Invoice Detail"}


def rows_of(book: SettledBook, version: str) -> dict[str, list[dict[str, str]]]:
    files = export(book, "focus", version=version)
    return {name: list(csv.DictReader(io.StringIO(content.decode()))) for name, content in files.items() if name.endswith(".csv")}


@pytest.fixture(scope="module")
def close():
    return addressed(random_close(4))


@pytest.mark.parametrize("version", ["1.3", "1.4"])
def test_every_dataset_has_the_columns_of_its_version(close, version):
    for name, rows in rows_of(close, version).items():
        assert set(rows[0]) == version_columns(DATASETS[name], version), name
    found = detect_focus_schema(list(rows_of(close, version)["focus.csv"][0]))
    assert (found.detected_version, found.exact_match) == (version, True)


def test_the_toolkit_finds_nothing_wrong_in_1_4(close):
    for name, rows in rows_of(close, "1.4").items():
        report = lint_focus_1_4_structure(DATASETS[name], rows)
        assert report.ok, (name, report.messages()[:5])


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
def test_read_back_every_version_adds_up_to_what_is_payable(close, version):
    """To the cent an invoice, from the charges and from the invoice details alike."""
    payable = {
        f"{account}:{period}": Decimal(cents).scaleb(-2)
        for account, period, cents in close.invoices.select("account_id", "period", "payable_cents").iter_rows()
        if cents
    }
    found = rows_of(close, version)
    for name in ("focus.csv", "invoice_detail.csv"):
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in found.get(name, []):
            sums[row["InvoiceId"]] += Decimal(row["BilledCost"])
        if name in found:
            assert {invoice: cost for invoice, cost in sums.items() if cost} == payable


def test_every_detail_is_one_charge(close):
    found = rows_of(close, "1.4")
    ids = [row["InvoiceDetailId"] for row in found["invoice_detail.csv"]]
    assert len(ids) == len(set(ids))
    assert ids == [row["InvoiceDetailId"] for row in found["focus.csv"]]


def test_a_commitment_is_named_by_the_charges_that_count_towards_it():
    """`committed` has agreed to a sum each month; usage and true-up of a month together are what was committed, or more."""
    book = golden("plans")
    ((plan, commit),) = book.plans.filter(pl.col("kind") == "committed").select("plan_id", "commit_micros").iter_rows()
    commitments = {row["ContractCommitmentId"]: row for row in contract_commitments(book).iter_rows(named=True)}
    assert {row["ContractCommitmentCost"] for row in commitments.values()} == {Decimal(commit).scaleb(-6)}
    for text in charges(book, "1.4")["ContractApplied"].drop_nulls():
        (element,) = msgspec.json.decode(text)["Elements"]
        assert commitments[element["ContractCommitmentId"]]["ContractId"] == element["ContractId"] == f"committed:{plan}"


def test_the_seller_is_the_provider_where_its_price_is_passed_on():
    """`cleared` pays what the one grid asked: the grid sold and hosted it, the broker issued the invoice."""
    rows = charges(golden("plans"), "1.4").filter(pl.col("BillingAccountId") == "cleared")
    found = set(rows.select("ChargeCategory", "SkuMeter", "ServiceProviderName", "HostProviderName", "InvoiceIssuerName").iter_rows())
    provider = next(name for _, meter, name, _, _ in found if meter == "Accelerator-Seconds")
    assert provider != "Gridfare"
    assert found == {
        ("Usage", "Accelerator-Seconds", provider, provider, "Gridfare"),
        ("Usage", "take", "Gridfare", None, "Gridfare"),
        ("Tax", None, "Gridfare", None, "Gridfare"),
    }
    rest = charges(golden("plans"), "1.4").filter(pl.col("BillingAccountId") != "cleared")
    assert set(rest["ServiceProviderName"]) == {"Gridfare"}


def test_of_several_providers_none_is_named():
    """Two grids are owed for the invoice; a line says neither."""
    book = golden("plans")
    twice = book.postings.filter((pl.col("account") == "provider_payable") & (pl.col("account_id") == "cleared"))
    both = msgspec.structs.replace(book, postings=pl.concat([book.postings, twice.with_columns(party=pl.lit("another"))]))
    rows = charges(both, "1.3").filter(pl.col("BillingAccountId") == "cleared")
    assert (set(rows["ServiceProviderName"]), set(rows["HostProviderName"])) == ({"Gridfare"}, {None})


def test_versions_are_those_there_are():
    for wrong, said in ((("focus", "2.0"), "1.4"), (("ubl", "1.3"), "only focus")):
        with pytest.raises(BadInput, match=said):
            export(golden("plans"), wrong[0], version=wrong[1])
    assert export(golden("plans"), "focus", version="1.2") == export(golden("plans"), "focus")


@pytest.mark.parametrize("version", ["1.3", "1.4"])
def test_twice_the_same_bytes(close, version):
    assert export(close, "focus", version=version) == export(close, "focus", version=version)
