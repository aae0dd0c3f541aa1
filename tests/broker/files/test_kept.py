"""What an earlier close published is taken as it is only where a close of everything would publish it again."""

import polars as pl
import pytest

from broker.commands.settle import settle_command
from broker.files import usage_parts
from broker.files.settlement import read_previous, read_settlement
from contracts.ledger_tables import STATEMENT_TABLES
from tests.broker.files.test_remembered import arriving
from tests.broker.files.test_usage_parts import SCHEMAS
from tests.contracts.months import random_month


@pytest.fixture(autouse=True)
def any_table_is_large(monkeypatch):
    monkeypatch.setattr(usage_parts, "LARGE", 0)


@pytest.fixture
def closed(tmp_path):
    """Two periods closed and remembered: the tables of the month, and where it and the close are."""
    tables = random_month(4, records=200)
    month = arriving(tables, tmp_path / "month", until=2)
    settle_command(month, tmp_path / "two", as_of=2, remember=True)
    return tables, month, tmp_path / "two"


def closed_again(tables, month, two):
    """The next close, after the earlier one; its tables must be those of a close of everything."""
    arriving(tables, month)
    found = read_settlement(month, previous=two).settle(as_of=3, previous=read_previous(two))
    whole = read_settlement(month).settle(as_of=3)
    for table in STATEMENT_TABLES:
        assert found.tables()[table.name].equals(whole.tables()[table.name]), table.name
    assert found.seconds_settled == whole.seconds_settled
    return found


def test_periods_that_stand_are_not_billed_again(closed):
    found = closed_again(*closed)
    assert found.published == 2
    assert found.invoices.filter(period=3).height


@pytest.mark.parametrize("seed", range(600, 606))
def test_a_year_of_closes_each_after_the_one_before_is_the_year_closed_at_once(tmp_path, seed):
    """Each takes what the one before took; every other one is written over the one before."""
    tables = random_month(seed, records=250, sla=seed % 2 == 0)
    previous = None
    for period in range(1, 5):
        month, out = arriving(tables, tmp_path / "month", until=period), tmp_path / f"close-{period // 2}"
        settle_command(month, out, as_of=period, previous=previous, remember=True)
        settle_command(month, tmp_path / "whole", as_of=period)
        for table in STATEMENT_TABLES:
            name = f"{table.name}.csv"
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (period, name)
        assert read_previous(out).proven
        previous = out


def test_new_leases_and_accounts_that_owe_nothing_unused_change_no_earlier_period(closed):
    tables, month, two = closed
    cleared = next(plan["plan_id"] for plan in tables["plans"] if plan["kind"] == "metered_cleared")
    tables["accounts"].insert(3, tables["accounts"][0] | {"account_id": "acct-00b", "plan_id": cleared})
    lease = {"lease_id": "lease-000b", "account_id": "acct-00b", "provider_id": "prov-0b", "rate_micros": 3_600_000}
    tables["leases"].insert(5, tables["leases"][0] | lease)
    span = {"start": tables["periods"][2]["month_start"], "end": tables["periods"][2]["month_end"]}
    usage = {"usage_id": "new", "lease_id": "lease-000b", "received_at": span["end"], "accelerator_seconds": 100, "status": "delivered"}
    tables["usage"].append(tables["usage"][0] | span | usage)
    found = closed_again(tables, month, two)
    assert found.published == 2
    assert found.lines.filter(account_id="acct-00b", kind="usage")["amount_micros"].to_list() == [100_000]


@pytest.mark.parametrize("kind", ["flat_rate", "committed"])
def test_a_new_account_that_owes_for_earlier_months_has_all_billed(closed, kind):
    tables, month, two = closed
    plan = next(plan["plan_id"] for plan in tables["plans"] if plan["kind"] == kind)
    tables["accounts"].append(tables["accounts"][0] | {"account_id": "acct-99", "plan_id": plan})
    assert closed_again(tables, month, two).published == 0


@pytest.mark.parametrize("table", ["accounts", "leases", "plans", "plan_tiers", "hardware", "sla"])
def test_where_another_figure_was_published_all_is_billed(closed, table):
    tables, month, two = closed
    figure = {
        "accounts": "tax_bps",
        "leases": "rate_micros",
        "plans": "unit_price_micros",
        "plan_tiers": "unit_price_micros",
        "hardware": "tflops",
        "sla": "credit_bps",
    }[table]
    row = next(row for row in tables[table] if row[figure])
    row[figure] += 1
    assert closed_again(tables, month, two).published == 0


def test_a_row_that_should_have_been_known_then_has_all_billed(closed):
    tables, month, two = closed
    row = next(row for row in tables["usage"] if row["start"] < row["end"] < tables["periods"][0]["month_end"])
    found = row | {"usage_id": "found", "accelerator_seconds": 77, "received_at": tables["periods"][0]["month_end"]}
    pl.DataFrame([found], schema=SCHEMAS["usage"]).write_parquet(month / "usage" / "found.parquet")
    assert closed_again(tables, month, two).published == 0


@pytest.mark.parametrize("name", ["lines.csv", "close.json", "remembered/tables/lines.arrow", "remembered/tables/kept.json"])
def test_what_is_not_as_it_was_written_is_put_to_its_proof(closed, name):
    tables, month, two = closed
    content = (two / name).read_bytes()
    changed = content.replace(b"acct-0", b"acct-1", 1) if b"acct-0" in content else content.replace(b'"', b'" ', 1)
    assert changed != content
    (two / name).write_bytes(changed)
    if name != "close.json":
        assert not read_previous(two).proven
        assert closed_again(tables, month, two).published == 0
