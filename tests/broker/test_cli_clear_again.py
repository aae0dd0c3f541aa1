"""`gridfare clear --previous`: a book that changed a little, from the result of the one before."""

from pathlib import Path

import polars as pl
import pytest

from broker.files.market import write_market
from tests.broker.terminal import run
from tests.builders import a_bid, an_offer, book


@pytest.fixture
def cleared(capsys, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A market and its result, and the market with one more bid."""
    offers = [an_offer("o1", quantity=16, rate_micros=1_000_000)]
    bids = [a_bid(name, width=8, limit_spot_micros=limit) for name, limit in (("b1", 5_000_000), ("b2", 3_000_000))]
    write_market(tmp_path / "was", book(offers=offers, bids=bids[:1]))
    write_market(tmp_path / "now", book(offers=offers, bids=bids))
    assert run(capsys, "clear", tmp_path / "was", "--out", tmp_path / "held").code == 0
    return tmp_path / "was", tmp_path / "held", tmp_path / "now"


def test_it_is_certified_like_any_other_and_verifies(capsys, cleared: tuple[Path, Path, Path], tmp_path: Path):
    was, held, now = cleared
    ended = run(capsys, "clear", now, "--out", tmp_path / "out", "--previous", was, held)
    assert (ended.code, "Certified." in ended.out) == (0, True), ended.err
    assert pl.read_csv(tmp_path / "out" / "awards.csv")["bid_id"].to_list() == ["b1", "b2"]
    assert run(capsys, "verify", now, tmp_path / "out").code == 0


def test_a_result_of_another_book_is_refused_and_nothing_written(capsys, cleared: tuple[Path, Path, Path], tmp_path: Path):
    was, held, now = cleared
    refused = run(capsys, "clear", was, "--out", tmp_path / "out", "--previous", now, held)
    assert (refused.code, "not of this market" in refused.err, (tmp_path / "out").exists()) == (2, True, False), refused.err
    refused = run(capsys, "clear", now, "--out", tmp_path / "out", "--previous", was, held, "--path", "exact")
    assert (refused.code, "--previous without --path" in refused.err) == (2, True)
    assert run(capsys, "clear", now, "--out", tmp_path / "out", "--previous", was).code == 2
