"""`gridfare verify --mine` as a buyer runs it: what she is told, and how it ends."""

import json
from functools import partial
from pathlib import Path

import pytest

from broker.files.market import write_market
from tests.broker.terminal import Ended, run
from tests.builders import a_bid, an_offer, book


@pytest.fixture
def gridfare(capsys: pytest.CaptureFixture[str]):
    """Run the program in this process."""
    return partial(run, capsys)


@pytest.fixture
def cleared(gridfare, tmp_path: Path) -> tuple[Path, Path]:
    """A market of two offers and two bids, and its result."""
    offers = [an_offer("o1", quantity=8, rate_micros=1_000_000), an_offer("o2", quantity=8, rate_micros=2_000_000)]
    bids = [a_bid("b1", width=12, limit_spot_micros=3_000_000), a_bid("b2", width=4, limit_spot_micros=1_500_000)]
    write_market(tmp_path / "market", book(offers=offers, bids=bids))
    assert gridfare("clear", tmp_path / "market", "--out", tmp_path / "out").code == 0
    return tmp_path / "market", tmp_path / "out"


def root_of(out: Path) -> str:
    return str(json.loads((out / "certificate.json").read_text())["merkle_root"])


def test_a_buyer_checks_her_part_from_the_extract_alone(gridfare, cleared: tuple[Path, Path], tmp_path: Path):
    market, out = cleared
    mine = tmp_path / "mine.json"
    written = gridfare("verify", market, out, "--mine", "b2", "--to", mine)
    assert written.code == 0
    assert root_of(out) in written.out
    checked = gridfare("verify", "--mine", mine, "--root", root_of(out), "--prices", out / "prices.csv")
    assert checked.code == 0
    assert "nothing at the published prices would gain the bid more than the 0 micros it has" in checked.out
    assert "b1" not in json.dumps(json.loads(mine.read_text())["pools"])


def told(ended: Ended, *, code: int, words: str) -> None:
    assert (ended.code, words in ended.out + ended.err) == (code, True), ended


def test_what_was_changed_is_said(gridfare, cleared: tuple[Path, Path], tmp_path: Path):
    market, out = cleared
    mine = tmp_path / "mine.json"
    gridfare("verify", market, out, "--mine", "b1", "--to", mine)
    text = mine.read_text()
    mine.write_text(text.replace('"quantity": 8', '"quantity": 9'))
    told(gridfare("verify", "--mine", mine), code=3, words="something in the file was changed after it was written")
    told(gridfare("verify", "--mine", mine), code=3, words="bid, outcome and awards are not those under the root")
    mine.write_text(text + "\n")
    told(gridfare("verify", "--mine", mine), code=3, words="the file is not written as an extract is")
    mine.write_text(text)
    told(gridfare("verify", "--mine", mine, "--root", "ab" * 32), code=3, words="published is abab")
    mine.write_text(text[:-3])
    told(gridfare("verify", "--mine", mine), code=2, words="the file is not an extract")


def test_a_changed_root_of_a_result_is_said(gridfare, cleared: tuple[Path, Path]):
    market, out = cleared
    certificate = out / "certificate.json"
    certificate.write_text(certificate.read_text().replace(root_of(out), "ab" * 32))
    told(gridfare("verify", market, out), code=3, words="merkle_root is stated as abab")


def test_what_is_missing_is_asked_for(gridfare, cleared: tuple[Path, Path], tmp_path: Path):
    market, out = cleared
    told(gridfare("verify", market), code=2, words="a market directory and its result are needed")
    told(gridfare("verify", market, out, "--mine", "b9"), code=2, words="no bid of the book has this id")
    told(gridfare("verify", "--mine", tmp_path / "nothing.json"), code=2, words="there is no such extract")
    told(gridfare("verify", "--mine", "x.json", "--to", "y.json"), code=2, words="--to writes the extract of a bid")
    told(gridfare("verify", market, out, "--root", "ab"), code=2, words="are what an extract is held to")
    told(gridfare("verify", "--help"), code=0, words="gridfare verify --mine mine.json")
