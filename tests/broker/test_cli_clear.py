"""`gridfare clear` and `gridfare verify` as a person runs them: what is said, what is written, how it ends."""

import hashlib
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import polars as pl
import pytest

from broker.cli import COMMANDS
from broker.commands import clear as clear_module
from broker.files.market import write_market
from pricing.certificate import certify
from pricing.clearing import clear
from tests.broker.terminal import run
from tests.builders import a_bid, an_offer, book


@pytest.fixture
def gridfare(capsys: pytest.CaptureFixture[str]):
    """Run the program in this process."""

    return partial(run, capsys)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Eight accelerators at 1.00 and eight at 2.00; bids of 12 at 3.00 and of 4 at 1.50: the second seller sets the price."""
    offers = [an_offer("o1", quantity=8, rate_micros=1_000_000), an_offer("o2", quantity=8, rate_micros=2_000_000)]
    bids = [a_bid("b1", width=12, limit_spot_micros=3_000_000), a_bid("b2", width=4, limit_spot_micros=1_500_000)]
    write_market(tmp_path / "market", book(offers=offers, bids=bids))
    return tmp_path / "market"


def test_a_market_is_cleared_certified_and_verified(gridfare, market: Path, tmp_path: Path):
    out = tmp_path / "out"
    done = gridfare("clear", market, "--out", out)
    assert done.code == 0
    assert "Certified. The result is in" in done.out
    assert " ".join(done.out.split()).startswith(
        "Path convex, not approximate Welfare 20.00 USD Bound from prices 20.00 USD Gap 0.00% Bids served 1 of 2"
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "awards.csv", "certificate.json", "outcomes.csv", "prices.csv", "receipts.csv", "report.html", "timing.json",
    ]  # fmt: skip
    assert (out / "awards.csv").read_text() == (
        "bid_id,offer_id,slot,tier,quantity,rate_micros,charge_micros\nb1,o1,0,spot,8,2000000,16000000\nb1,o2,0,spot,4,2000000,8000000\n"
    )
    verdict = gridfare("verify", market, out)
    assert verdict.code == 0
    assert "Every check holds." in verdict.out
    assert "FAILS" not in verdict.out


def test_the_certificate_says_what_it_rests_on(gridfare, market: Path, tmp_path: Path):
    gridfare("clear", market, "--out", tmp_path / "out")
    stated = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert stated["holds"] is True
    assert (stated["welfare_micros"], stated["bound_micros"], stated["gap"]) == (20_000_000, 20_000_000, 0.0)
    for name in ("awards", "prices", "outcomes", "receipts"):
        assert stated["hashes"][name] == hashlib.sha256((tmp_path / "out" / f"{name}.csv").read_bytes()).hexdigest()


def test_a_replay_gives_the_same_bytes(gridfare, market: Path, tmp_path: Path):
    for name in ("one", "two"):
        gridfare("clear", market, "--out", tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        if path.name != "timing.json":
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_parquet_is_written_on_request_and_verified(gridfare, market: Path, tmp_path: Path):
    gridfare("clear", market, "--out", tmp_path / "out")
    assert gridfare("clear", market, "--out", tmp_path / "out", "--parquet").code == 0
    assert not list((tmp_path / "out").glob("*.csv"))
    assert pl.read_parquet(tmp_path / "out" / "awards.parquet")["quantity"].to_list() == [8, 4]
    assert gridfare("verify", market, tmp_path / "out").code == 0


def test_a_bid_is_explained(gridfare, market: Path, tmp_path: Path):
    done = gridfare("clear", market, "--out", tmp_path / "out", "--explain", "b2")
    assert "Bid b2 found nothing." in done.out
    assert "At spot it needed a limit of 2.000000 USD per reference hour (north, slot 0); it gave 1.500000." in done.out
    unknown = gridfare("clear", market, "--out", tmp_path / "other", "--explain", "b9")
    assert unknown.code == 2
    assert "--explain names a bid the book does not have; found 'b9'; a bid_id of the bids would do" in unknown.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("awards.csv", "8,2000000,16000000", "9,2000000,18000000", "FAILS  capacity"),
        ("awards.csv", "16000000", "16000001", "FAILS  charges"),
        ("prices.csv", "2000000,2000000,2000000", "2000001,2000001,2000001", "FAILS  bound"),
        ("prices.csv", "2000000,2000000,2000000", "2000000,1999999,2000001", "FAILS  low ends"),
        ("receipts.csv", "16000000", "15999999", "FAILS  receipts"),
        ("outcomes.csv", "24000000", "24000001", "FAILS  outcomes"),
        ("certificate.json", '"welfare_micros": 20000000', '"welfare_micros": 20000001', "FAILS  figures"),
    ],
)
def test_a_result_that_was_touched_is_found_out(gridfare, market: Path, tmp_path: Path, file, old, new, said):
    gridfare("clear", market, "--out", tmp_path / "out")
    path = tmp_path / "out" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    verdict = gridfare("verify", market, tmp_path / "out")
    assert verdict.code == 3
    assert said in verdict.out
    assert "must not be applied" in verdict.out


def test_a_market_that_was_touched_is_found_out(gridfare, market: Path, tmp_path: Path):
    gridfare("clear", market, "--out", tmp_path / "out")
    bids = market / "bids.csv"
    bids.write_text(bids.read_text().replace(",buyer,FR", ",other,FR"))
    verdict = gridfare("verify", market, tmp_path / "out")
    assert verdict.code == 3
    assert "FAILS  hashes            bids is not the table that was certified" in verdict.out


def test_a_result_that_fails_is_written_marked_and_refused(gridfare, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A clearing that forgets its last receipt: exit 3, the files there, `holds` false."""

    def forgetful(book_, **options):
        result = clear(book_, **options)
        return msgspec.structs.replace(result, receipts=result.receipts.head(1))

    monkeypatch.setattr(clear_module, "clear", forgetful)
    done = gridfare("clear", market, "--out", tmp_path / "out")
    assert done.code == 3
    assert "must not be applied" in done.err
    assert "receipts: offer o2, slot 0 has no receipt" in done.err
    assert json.loads((tmp_path / "out" / "certificate.json").read_text())["holds"] is False
    assert "not to be applied" in (tmp_path / "out" / "report.html").read_text()


def test_the_report_needs_no_network(gridfare, market: Path, tmp_path: Path):
    gridfare("clear", market, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    assert "GPU, 2027-01-01T00:00:00Z: 12 sold at 2.00 USD an hour on average." in page


def test_a_path_nobody_knows_is_refused_with_those_there_are(gridfare, market: Path, tmp_path: Path):
    done = gridfare("clear", market, "--out", tmp_path / "out", "--path", "shortest")
    assert done.code == 2
    assert "shortest" in done.err
    assert "auction" in done.err


def test_an_auction_says_that_its_prices_are_indicative(gridfare, market: Path, tmp_path: Path):
    done = gridfare("clear", market, "--out", tmp_path / "out", "--path", "auction", "--gap", 1)
    assert done.code == 0
    assert "Path auction, approximate: prices are indicative Welfare" in " ".join(done.out.split())


def test_a_gap_beyond_what_was_asked_is_not_to_be_applied(gridfare, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clear_module, "certify", lambda *a, **k: msgspec.structs.replace(certify(*a, **k), approximate=True, gap=0.031))
    done = gridfare("clear", market, "--out", tmp_path / "out", "--gap", "0.03")
    assert done.code == 3
    assert "The gap is 3.10%, and --gap allows 3.00%" in done.err


def test_a_bug_is_one_sentence_and_a_file(gridfare, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clear_module, "clear", lambda *_, **__: 1 // 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = gridfare("clear", market, "--out", tmp_path / "out")
    assert done.code == 1
    assert "Something broke: ZeroDivisionError" in done.err
    assert "Traceback" not in done.err
    (log,) = tmp_path.glob("gridfare-*.log")
    assert "Traceback" in log.read_text()
    assert str(log) in done.err.replace("\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(gridfare, name: str):
    said = gridfare(name, *(["offers"] if name == "import" else []), "--help")
    assert said.code == 0
    assert "Example: " in said.out
    assert f"gridfare {name}" in said.out.split("Example: ")[1]


def test_help_lists_the_commands_at_once():
    """In a new process: no solver, server or chart is imported to print the list."""
    heavy = "{'cvxpy', 'polars', 'vl_convert', 'litestar'}"
    probe = f"import sys, broker.cli as c\ntry:\n c.main(['--help'])\nfinally:\n print(sorted({heavy} & set(sys.modules)))"
    start = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("[]")
    assert all(name in ended.stdout for name in COMMANDS)
    assert time.perf_counter() - start < 10
