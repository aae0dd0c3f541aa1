"""A usage table read in batches comes to the same close as one that is held, however it is cut, ordered and typed."""

import os
import subprocess
import sys

import polars as pl
import pytest

from broker.files import usage_parts
from broker.files.settlement import read_settlement
from contracts import usage_stream
from contracts.ledger_tables import SETTLEMENT_TABLES
from contracts.settlement import settle
from contracts.terms.errors import BadInput
from tests.contracts.golden import rows_of
from tests.contracts.months import book_of, random_month

SCHEMAS = {table.name: table.schema for table in SETTLEMENT_TABLES}


@pytest.fixture(autouse=True)
def any_table_is_large(monkeypatch):
    monkeypatch.setattr(usage_parts, "LARGE", 0)


def written(tables, directory, *, parts=0, usage=None):
    """The tables as Parquet, usage in one file or in some parts."""
    directory.mkdir()
    frames = {name: pl.DataFrame(rows, schema=SCHEMAS[name]) for name, rows in tables.items()}
    for name, frame in frames.items():
        if name != "usage":
            frame.write_parquet(directory / f"{name}.parquet")
    rows = frames["usage"] if usage is None else usage
    if not parts:
        rows.write_parquet(directory / "usage.parquet", row_group_size=50)
        return directory
    (directory / "usage").mkdir()
    for number in range(parts):
        rows.gather_every(parts, number).write_parquet(directory / "usage" / f"{number}.parquet")
    return directory


def facts(settlement):
    reading = settlement.reading
    names = ("duplicates", "rows", "rows_later", "seconds", "seconds_later", "seconds_above")
    return rows_of(settlement), {name: getattr(reading, name) for name in names}


def batched(directory, **options):
    reading = read_settlement(directory)
    assert reading.parts is not None
    return facts(reading.settle(**options))


@pytest.mark.parametrize("seed", range(300, 324))
def test_batches_come_to_the_same_as_one_frame(tmp_path, seed):
    tables = random_month(seed, records=200, sla=seed % 2 == 0)
    as_of = (None, 2)[seed % 2]
    assert batched(written(tables, tmp_path / "m", parts=seed % 4), as_of=as_of) == facts(settle(book_of(tables), as_of=as_of))


@pytest.mark.parametrize(
    ("limit", "least"),
    [("CELLS_MAX", 0), ("TOTAL_MAX", 10_000), ("SECONDS_MAX", 40_000), ("LENGTH_MAX", 3_700_000_000), ("PARTS_MAX", 1), ("EDGES_FEW", 0)],
)
def test_no_limit_of_the_quick_way_changes_a_figure(tmp_path, monkeypatch, limit, least):
    tables = random_month(7, records=300)
    monkeypatch.setattr(usage_stream, limit, least)
    if limit == "PARTS_MAX":
        monkeypatch.setattr(usage_stream, "CELLS_MAX", 0)
    assert batched(written(tables, tmp_path / "m", parts=3)) == facts(settle(book_of(tables)))


def test_products_that_would_wrap_are_put_aside(tmp_path):
    """2⁶² accelerators for 45 days could do more than 64 bits hold: nothing is counted as above what they could."""
    tables = random_month(16, records=200)
    tables["leases"] = [row | {"accelerators": 2**62 - number} for number, row in enumerate(tables["leases"])]
    found = batched(written(tables, tmp_path / "m"))
    assert found == facts(settle(book_of(tables)))
    assert found[1]["seconds_above"] == 0


def test_ids_whose_first_bits_are_the_same_are_told_apart(tmp_path, monkeypatch):
    """With one bit to tell them by, every row is put aside, and compared letter by letter."""
    tables = random_month(8, records=300)
    monkeypatch.setattr(usage_stream, "KEY_BITS", 1)
    assert batched(written(tables, tmp_path / "m")) == facts(settle(book_of(tables)))


def test_narrow_types_and_a_missing_rev_are_read_the_same(tmp_path):
    tables = random_month(9, records=200)
    usage = pl.DataFrame(tables["usage"], schema=SCHEMAS["usage"]).filter(pl.col("rev") == 0).drop("rev")
    narrow = usage.with_columns(
        pl.col("lease_id", "status").cast(pl.Categorical),
        pl.col("accelerator_seconds").cast(pl.Int32),
        pl.col("start").dt.cast_time_unit("ns"),
    )
    plain = settle(book_of(tables | {"usage": usage.with_columns(rev=0).to_dicts()}))
    assert batched(written(tables, tmp_path / "m", usage=narrow)) == facts(plain)


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ({"lease_id": "lease-nobody"}, "table leases has no such lease_id"),
        ({"status": "lost"}, "none of the words known here"),
        ({"accelerator_seconds": -1}, "below 0"),
        ({"rev": -1}, "below 0"),
        ({"usage_id": None}, "the cell is empty"),
        ({"start": None}, "the cell is empty"),
    ],
)
def test_faults_are_named_with_file_row_and_column(tmp_path, monkeypatch, spoiled, said):
    monkeypatch.setattr(usage_parts, "ROWS_SLOW", 20)
    tables = random_month(10)
    usage = pl.DataFrame(tables["usage"], schema=SCHEMAS["usage"])
    (column, cell), *_ = spoiled.items()
    at_row = pl.int_range(pl.len()).is_in([36, 41])
    bad = usage.with_columns(pl.when(at_row).then(pl.lit(cell, SCHEMAS["usage"][column])).otherwise(pl.col(column)).alias(column))
    with pytest.raises(BadInput) as refusal:
        read_settlement(written(tables, tmp_path / "m", usage=bad)).settle()
    for row in (37, 42):
        assert f"file usage.parquet, row {row}, column {column}" in str(refusal.value)
    assert said in str(refusal.value)


def test_a_record_that_ends_before_it_starts_is_named(tmp_path):
    tables = random_month(11)
    usage = pl.DataFrame(tables["usage"], schema=SCHEMAS["usage"])
    first = pl.int_range(pl.len()) == 0
    for change, said in (
        ({"end": pl.col("start") - pl.duration(seconds=1)}, "ends before it starts"),
        ({"start": pl.col("start") - pl.duration(days=400)}, "starts before the first month"),
        ({"end": pl.col("start"), "accelerator_seconds": pl.lit(5)}, "without length"),
    ):
        bad = usage.with_columns(pl.when(first).then(value).otherwise(pl.col(name)).alias(name) for name, value in change.items())
        with pytest.raises(BadInput, match=said):
            read_settlement(written(tables, tmp_path / said.replace(" ", "-"), usage=bad)).settle()


def test_any_number_of_threads_writes_the_same_bytes(tmp_path):
    tables = random_month(12, records=400)
    month = written(tables, tmp_path / "month", parts=4)
    program = "from broker.files import usage_parts; usage_parts.LARGE = 0; from broker.cli import main; main()"
    for threads in ("1", "3"):
        command = [sys.executable, "-c", program, "settle", str(month), "--out", str(tmp_path / threads)]
        subprocess.run(command, check=True, env=os.environ | {"POLARS_MAX_THREADS": threads}, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert "close.json" in names
    assert [(tmp_path / "1" / name).read_bytes() for name in names] == [(tmp_path / "3" / name).read_bytes() for name in names]


def test_progress_ends_at_the_last_row(tmp_path):
    seen = {}
    tables = random_month(13)
    reading = read_settlement(written(tables, tmp_path / "m"))
    reading.settle(progress=lambda stage, done, of: seen.update({stage: (done, of)}))
    assert set(seen.values()) == {(len(tables["usage"]), len(tables["usage"]))}
    assert len(seen) == 2


def test_ids_that_share_all_their_bits_are_told_apart(tmp_path, monkeypatch):
    """As if every hash were the same: ids are compared as they are written."""
    for module in (usage_stream, usage_parts):
        monkeypatch.setattr(module, "id_keys", lambda column: pl.col(column).str.len_bytes().cast(pl.UInt64).alias(column))
    tables = random_month(14, records=300)
    assert batched(written(tables, tmp_path / "m")) == facts(settle(book_of(tables)))


def test_rows_put_aside_may_be_read_some_ids_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(usage_stream, "ASIDE_ROWS", 20)
    tables = random_month(15, records=300)
    assert batched(written(tables, tmp_path / "m")) == facts(settle(book_of(tables)))
