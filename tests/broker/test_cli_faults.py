"""Bad input ends in one clear sentence with its place and its remedy, and exit code 2; nothing is written."""

from pathlib import Path

import polars as pl
import pytest

from broker.files.market import write_market
from tests.broker.terminal import run
from tests.builders import a_bid, an_offer, book


@pytest.fixture
def market(tmp_path: Path) -> Path:
    offers = [an_offer("o1", quantity=8)]
    around = {"commitments": [{"lease_id": "l1", "offer_id": "o1", "slot": 0, "tier": "spot", "quantity": 1}]}
    write_market(tmp_path / "market", book(offers=offers, bids=[a_bid("b1", limit_spot_micros=2_000_000)], around=around))
    return tmp_path / "market"


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("offers.csv", "GPU,,,8,", "GPU,,,8.5,", "file offers.csv, row 1, column quantity: the cell is not a whole number; found '8.5'"),
        ("offers.csv", ",1000000,", ",-1,", "file offers.csv, row 1, column rate_micros: the cell is below 0; found '-1'"),
        ("offers.csv", "rate_micros", "rate", "file offers.csv, column rate_micros: the column is missing"),
        ("offers.csv", ",FR,", ",France,", "file offers.csv, row 1, column country: this is no country code; found 'France'"),
        ("bids.csv", "GPU:1", "GPU=1", "file bids.csv, row 1, column hardware: hardware is not named like this; found 'GPU=1'"),
        ("bids.csv", "00:00:00Z", "00:00:00", "file bids.csv, row 1, column entered_at: the cell is not a time in UTC"),
        ("bids.csv", ",2000000,", ",,", "file bids.csv, row 1, column limit_spot_micros: the bid wants no tier"),
        ("commitments.csv", ",o1,", ",o7,", "file commitments.csv, row 1, column offer_id: no offer has this id; found 'o7'"),
        (
            "commitments.csv",
            "spot,1",
            "spot,9",
            "file commitments.csv, row 1, column quantity: leases hold more than the offer has in the slot",
        ),
        ("commitments.csv", ",0,", ",5,", "file commitments.csv, row 1, column slot: there is no such slot; found '5'; 0 to 0 would do"),
        ("market.toml", "slots = 1", "slot = 1", "file market.toml, column slot: nobody knows this setting; found 'slot'; slots would do"),
        ("market.toml", "currency =", "currency", "file market.toml: the file is not TOML"),
    ],
)
def test_each_kind_of_bad_input_ends_in_its_sentence(capsys, market: Path, tmp_path: Path, file, old, new, sentence):
    path = market / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    ended = run(capsys, "clear", market, "--out", tmp_path / "out")
    assert ended.code == 2
    assert ended.err.startswith("Refused: ")
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_not_there(capsys, tmp_path: Path):
    ended = run(capsys, "clear", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert (ended.code, "there is no such directory" in ended.err) == (2, True)


def test_a_table_that_is_not_there(capsys, market: Path, tmp_path: Path):
    (market / "bids.csv").unlink()
    ended = run(capsys, "clear", market, "--out", tmp_path / "out")
    assert (ended.code, "file bids.csv: the market directory has no such table" in ended.err) == (2, True)


def test_a_result_that_is_not_there(capsys, market: Path, tmp_path: Path):
    ended = run(capsys, "verify", market, tmp_path / "out")
    assert (ended.code, "the result has no such table" in ended.err) == (2, True)


def test_a_place_that_cannot_be_written(capsys, market: Path):
    ended = run(capsys, "clear", market, "--out", market / "market.toml")
    assert (ended.code, "market.toml: File exists" in ended.err.replace("\n", "")) == (2, True)


def test_a_bid_of_a_later_release(capsys, market: Path, tmp_path: Path):
    """A virtual cluster is read and understood; this release cannot clear it and says which row asks for it."""
    path = market / "bids.csv"
    bids = pl.read_csv(path)
    bids.with_columns(sites_max=pl.lit(2)).write_csv(path)
    ended = run(capsys, "clear", market, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "row 1, column sites_max" in ended.err


@pytest.mark.parametrize("arguments", [("clear",), ("clear", "here"), ("clear", "here", "--out", "there", "--gap", "2"), ("tidy",)])
def test_a_command_line_that_cannot_be_read(capsys, arguments: tuple[str, ...]):
    assert run(capsys, *arguments).code == 2
