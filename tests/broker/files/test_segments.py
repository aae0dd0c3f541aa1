"""Segments are the same usage with numbers for names: settled, they give the same rows."""

import json

import polars as pl
import pytest

from broker.files import segments, usage_parts
from broker.files.settlement import read_settlement
from contracts.settlement import settle
from tests.broker.files.test_usage_parts import SCHEMAS, facts, written
from tests.broker.terminal import run
from tests.contracts.months import book_of, random_month


@pytest.mark.parametrize("seed", range(400, 412))
@pytest.mark.parametrize("large", [0, 10**9])
def test_segments_settle_to_the_same_rows(tmp_path, monkeypatch, capsys, seed, large):
    monkeypatch.setattr(usage_parts, "LARGE", large)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 60)
    tables = random_month(seed, records=150)
    month = written(tables, tmp_path / "month", parts=seed % 4)
    assert run(capsys, "segments", month, "--to", tmp_path / "segments").code == 0
    reading = read_settlement(tmp_path / "segments")
    as_of = (None, 3)[seed % 2]
    assert facts(reading.settle(as_of=as_of)) == facts(settle(book_of(tables), as_of=as_of))
    assert set(reading.inputs) == set(tables)


@pytest.fixture
def numbered(tmp_path, capsys):
    tables = random_month(5)
    run(capsys, "segments", written(tables, tmp_path / "month"), "--to", tmp_path / "segments")
    return tmp_path / "segments"


def test_nothing_of_the_month_is_lost(tmp_path, numbered):
    """Numbers read back as names are the usage that was written."""
    folder = numbered / "usage"
    names = pl.read_parquet(folder / "ids-00000.parquet")["usage_id"]
    leases = pl.read_parquet(folder / "leases.parquet")["lease_id"]
    rows = pl.read_parquet(folder / "rows-00000.parquet")
    back = rows.select(
        usage_id=names.gather(rows["usage_id"]),
        rev="rev",
        lease_id=leases.gather(rows["lease"]),
        start=pl.col("start").cast(SCHEMAS["usage"]["start"]),
        end=pl.col("end").cast(SCHEMAS["usage"]["end"]),
        accelerator_seconds="accelerator_seconds",
        status=pl.Series(sorted(["delivered", "preempted", "provider_failed"])).gather(rows["status"]),
        received_at=pl.col("received_at").cast(SCHEMAS["usage"]["received_at"]),
    )
    assert back.rows() == pl.read_parquet(numbered.parent / "month" / "usage.parquet").rows()


def test_a_changed_segment_is_refused(tmp_path, numbered, capsys):
    path = numbered / "usage" / "rows-00000.parquet"
    rows = pl.read_parquet(path)
    rows.with_columns(pl.col("accelerator_seconds") + 1).write_parquet(path)
    ended = run(capsys, "settle", numbered, "--out", tmp_path / "closed")
    assert ended.code == 2
    assert "usage/rows-00000.parquet: the file is not as it was written" in ended.err
    assert not (tmp_path / "closed").exists()


def test_a_usage_id_that_comes_again_unmarked_is_refused(tmp_path, numbered, capsys):
    """Marks are not believed: a number that is not marked and not greater than all before it has been there."""
    path = numbered / "usage" / "repeats-00000.parquet"
    pl.read_parquet(path).head(0).write_parquet(path)
    ended = run(capsys, "settle", numbered, "--out", tmp_path / "closed")
    assert ended.code == 2
    assert "comes again that should not" in ended.err


def test_a_lease_that_is_gone_is_named(tmp_path, numbered, capsys):
    leases = pl.read_parquet(numbered / "leases.parquet")
    leases.tail(-1).write_parquet(numbered / "leases.parquet")
    ended = run(capsys, "settle", numbered, "--out", tmp_path / "closed")
    assert ended.code == 2
    assert f"found '{leases['lease_id'][0]}'" in ended.err


def test_segments_are_not_written_over_usage(numbered, capsys):
    ended = run(capsys, "segments", numbered.parent / "month", "--to", numbered)
    assert ended.code == 2
    assert "has usage already" in ended.err
    assert json.loads((numbered / "usage" / "segments.json").read_text())["version"] == 1
