"""Settlement against the oracles where months are large: no row differs."""

import pytest

from broker.files import usage_parts
from broker.files.settlement import read_settlement
from contracts.settlement import settle
from tests.benchmarks.settlement_months import MonthSpec, write_month
from tests.contracts.golden import rows_of
from tests.contracts.months import book_of, in_microseconds, random_month
from tests.oracles.settlement_files import plain_rows, settle_files_in_sql
from tests.oracles.settlement_python import Oracle
from tests.oracles.settlement_sql import settle_in_sql


def test_the_oracle_for_files_finds_the_same_rows(tmp_path, monkeypatch):
    """Two thousand rows of a generated ledger: files and batches, both oracles, one result."""
    monkeypatch.setattr(usage_parts, "LARGE", 0)
    month = write_month(MonthSpec(rows=2_000, accounts=40, leases=2, periods=4, part_rows=700), tmp_path / "month", folder=True)
    found = rows_of(read_settlement(month).settle())
    assert found == settle_files_in_sql(month)
    tables = plain_rows(month)
    tables["usage"] = [row for rows in plain_rows(month / "usage").values() for row in rows]
    assert found == Oracle(tables).run()
    assert found["conflicts"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_300))
def test_a_thousand_records_of_every_kind(seed):
    month = random_month(seed, accounts=21, records=600, sla=seed % 2 == 0)
    as_of = (None, 2, 3)[seed % 3]
    found = rows_of(settle(book_of(month), as_of=as_of))
    assert found == Oracle(in_microseconds(month), as_of).run()
    if seed % 10 == 0:
        assert found == settle_in_sql(in_microseconds(month), as_of)


@pytest.mark.slow
def test_a_million_records_against_both_oracles(tmp_path):
    month = write_month(MonthSpec(rows=1_000_000, accounts=1_000), tmp_path / "month")
    found = rows_of(read_settlement(month).settle())
    assert found == settle_files_in_sql(month)
    assert found == Oracle(plain_rows(month)).run()


@pytest.mark.slow
def test_ten_million_records_against_sql(tmp_path):
    month = write_month(MonthSpec(rows=10_000_000), tmp_path / "month", folder=True)
    assert rows_of(read_settlement(month).settle()) == settle_files_in_sql(month)
