"""A close that remembers spares the next one the reading, and changes no byte of it."""

import json

import polars as pl
import pytest

from broker.files import remembered, usage_parts
from broker.files.settlement import read_settlement
from contracts import usage_stream
from contracts.settlement import settle
from tests.broker.files.test_usage_parts import SCHEMAS, facts
from tests.broker.terminal import run
from tests.contracts.months import book_of, random_month


@pytest.fixture(autouse=True)
def any_table_is_large(monkeypatch):
    monkeypatch.setattr(usage_parts, "LARGE", 0)


def arriving(tables, directory, *, until=None):
    """The usage that has arrived before a period's close, a file for each period it arrived in; files once written stay."""
    (directory / "usage").mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if name != "usage":
            pl.DataFrame(rows, schema=SCHEMAS[name]).write_parquet(directory / f"{name}.parquet")
    usage = pl.DataFrame(tables["usage"], schema=SCHEMAS["usage"])
    closes = pl.Series([row["closes_at"] for row in tables["periods"]])
    known = closes.search_sorted(usage["received_at"], side="right")
    for period in range(1, len(closes) + 2):
        path = directory / "usage" / f"arrived-{period}.parquet"
        if period <= (until or 99) and not path.exists():
            usage.filter(known == period - 1).write_parquet(path)
    return directory


@pytest.mark.parametrize("seed", range(500, 516))
def test_every_close_after_a_remembered_one_is_that_of_all_rows(tmp_path, monkeypatch, seed):
    """The index is looked through as a whole, or three rows at a time."""
    monkeypatch.setattr(remembered, "WINDOW", (2**18, 3)[seed % 2])
    tables = random_month(seed, records=200, sla=seed % 2 == 0)
    previous = None
    for period in range(1, 5):
        month = arriving(tables, tmp_path / "month", until=period + seed % 3)
        out = tmp_path / f"out-{period}"
        reading = read_settlement(month, previous=previous)
        found = facts(reading.settle(as_of=period, remember=out))
        held = tables | {"usage": pl.concat([pl.read_parquet(path) for path in reading.parts.files]).to_dicts()}
        assert found == facts(settle(book_of(held), as_of=period))
        assert reading.inputs == read_settlement(month).inputs
        previous = out


def test_what_is_remembered_is_not_read_again(tmp_path, monkeypatch):
    tables = random_month(3)
    arriving(tables, tmp_path / "month", until=2)
    read_settlement(tmp_path / "month").settle(as_of=2, remember=tmp_path / "out")
    arriving(tables, tmp_path / "month", until=3)
    scanned = []
    plain = usage_parts._coded_scan

    def noted(path, leases):
        scanned.append(path.name)
        return plain(path, leases)

    counted = []
    height = usage_parts._height
    monkeypatch.setattr(usage_parts, "_coded_scan", noted)

    def noted_height(path, known):
        counted.append((path.name, known))
        return height(path, known)

    monkeypatch.setattr(usage_parts, "_height", noted_height)
    read_settlement(tmp_path / "month", previous=tmp_path / "out").settle(as_of=3)
    assert scanned == ["arrived-3.parquet"]
    assert [name for name, known in counted if known is None] == ["arrived-3.parquet"]


def test_the_program_writes_the_same_bytes_with_and_without(tmp_path, capsys):
    tables = random_month(4, records=200)
    month = arriving(tables, tmp_path / "month", until=2)
    assert run(capsys, "settle", month, "--out", tmp_path / "two", "--as-of", 2, "--remember").code == 0
    arriving(tables, tmp_path / "month")
    for name, previous in (("quick", tmp_path / "two"), ("whole", tmp_path / "plain")):
        run(capsys, "settle", month, "--out", tmp_path / "plain", "--as-of", 2)
        ended = run(capsys, "settle", month, "--out", tmp_path / name, "--previous", previous)
        assert ended.code == 0
    names = sorted(path.name for path in (tmp_path / "whole").iterdir() if path.suffix == ".csv")
    assert len(names) == 5
    assert [(tmp_path / "quick" / name).read_bytes() for name in names] == [(tmp_path / "whole" / name).read_bytes() for name in names]
    quick, whole = (json.loads((tmp_path / name / "close.json").read_text()) for name in ("quick", "whole"))
    for record in (quick, whole):
        del record["previous"], record["hash"]  # the two earlier closes had read different files
    assert quick == whole


@pytest.mark.parametrize("change", ["file", "lease", "close", "engine", "manifest"])
def test_what_has_changed_is_read_again(tmp_path, monkeypatch, change):
    """A file written anew, a lease with other accelerators, a close at another time: the memory serves no more."""
    tables = random_month(6)
    month = arriving(tables, tmp_path / "month", until=2)
    read_settlement(month).settle(as_of=2, remember=tmp_path / "out")
    if change == "file":
        path = month / "usage" / "arrived-1.parquet"
        usage = pl.read_parquet(path)
        usage.with_columns(accelerator_seconds=pl.col("accelerator_seconds") // 2).write_parquet(path, compression="uncompressed")
    if change == "lease":
        tables["leases"] = [row | {"accelerators": 1} for row in tables["leases"]]
    if change == "close":
        tables["periods"][1]["closes_at"] = tables["periods"][1]["month_end"]
    if change == "engine":
        monkeypatch.setattr(pl, "__version__", "0")
    if change == "manifest":
        (tmp_path / "out" / "remembered" / "memory.json").write_text("{")
    arriving(tables, month, until=3)
    reading = read_settlement(month, previous=tmp_path / "out")
    held = tables | {"usage": pl.concat([pl.read_parquet(path) for path in reading.parts.files]).to_dicts()}
    assert reading.earlier is None or not reading.earlier.serves(reading.parts, reading.book.periods)
    assert facts(reading.settle(as_of=3)) == facts(settle(book_of(held), as_of=3))


def test_two_ids_of_one_key_are_told_apart_by_the_other(tmp_path, monkeypatch):
    for module in (usage_stream, usage_parts, remembered):
        monkeypatch.setattr(module, "id_keys", lambda column: pl.col(column).str.len_bytes().cast(pl.UInt64).alias(column))
    tables = random_month(8, records=120)
    month = arriving(tables, tmp_path / "month", until=2)
    read_settlement(month).settle(as_of=2, remember=tmp_path / "out")
    arriving(tables, month)
    found = read_settlement(month, previous=tmp_path / "out").settle()
    assert facts(found) == facts(settle(book_of(tables)))
