"""The named worlds: each is what its name says, and stays what it was."""

from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest

from broker.files.market import read_market_aloud
from broker.world import shipped_book
from contracts.terms.orders import MarketBook
from pricing.canonical import book_hashes
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec
from pricing.simulation.suite import SUITE
from pricing.simulation.temper import SOVEREIGNTY
from tests.broker.terminal import run

SEED_WORLD = shipped_book(datetime(2027, 1, 4, tzinfo=UTC))
SMALL = WorldSpec(bids=2_000, core_sites=6, edge_sites=14)


def bids(**changed: object) -> pl.DataFrame:
    """The bids of a small world, tempered."""
    return generate(SEED_WORLD, spec=msgspec.structs.replace(SMALL, **changed), seed=5).bids


def small(name: str) -> MarketBook:
    """A world of the suite with 300 bids and 20 sites."""
    spec = msgspec.structs.replace(SUITE[name].spec, bids=300, core_sites=10, edge_sites=10)
    return generate(SEED_WORLD, spec=spec, seed=SUITE[name].seed)


@pytest.mark.parametrize("name", SUITE)
def test_names_say_how_many_bids(name):
    size = {"k": 1000}.get(name[-1], 1) * int(name.split("-")[1].rstrip("k"))
    assert SUITE[name].spec.bids == size


def test_a_world_is_the_same_bytes_whenever_it_is_made():
    """These hashes may change with the generator or the shipped world, and then every published figure is measured again."""
    assert {name: book_hashes(small(name))["bids"][:8] for name in ("plain-1k", "tiers-10k", "blocks-10k")} == {
        "plain-1k": "e3d74386",
        "tiers-10k": "5837cf76",
        "blocks-10k": "cbadb533",
    }


def test_a_share_of_nothing_moves_nothing_and_each_share_only_its_own():
    plain = bids()
    green = bids(carbon_share=1.0)
    assert green.drop("carbon_micros_per_kg").equals(plain.drop("carbon_micros_per_kg"))
    home = bids(home_share=0.5)
    assert home.drop("countries", "operator_countries").equals(plain.drop("countries", "operator_countries"))


def test_who_stays_at_home_wants_site_and_operator_there():
    home = bids(home_share=1.0).filter(pl.col("buyer_country").is_not_null())
    own = home["buyer_country"].to_list()
    assert home["countries"].to_list() == [[country] for country in own] == home["operator_countries"].to_list()


def test_who_gives_up_sovereignty_demands_nothing_of_it():
    assert bids(open_share=1.0).select(pl.col(SOVEREIGNTY).list.len().sum()).row(0) == (0,) * len(SOVEREIGNTY)


def test_data_comes_from_where_data_may_leave():
    loaded = bids(data_share=0.5).filter(pl.col("data_tb") > 0)
    assert 0.4 < loaded.height / SMALL.bids < 0.65
    assert SEED_WORLD.transfer is not None
    assert set(loaded["data_country"].drop_nulls()) <= set(SEED_WORLD.transfer["from_country"]) | set(SEED_WORLD.bids["data_country"])


def test_tiers_are_drawn_by_weight_and_fall_back_for_less():
    tiered = bids(tier_mix=(1, 1, 2))
    limits = ["limit_guaranteed_micros", "limit_standard_micros", "limit_spot_micros"]
    best = tiered.select(pl.col(limits).is_not_null().sum()).row(0)
    assert best[2] == SMALL.bids
    assert 0.44 < best[1] / SMALL.bids < 0.56
    assert 0.2 < best[0] / SMALL.bids < 0.3
    falling = tiered.filter(pl.col(limits[0]).is_not_null())
    assert falling.filter((pl.col(limits[0]) <= pl.col(limits[1])) | (pl.col(limits[1]) <= pl.col(limits[2]))).is_empty()


def test_blocks_are_whole_and_fit_their_window():
    made = bids(block_share=0.3)
    blocks = made.filter(pl.col("kind") == "block")
    assert 0.25 < blocks.height / SMALL.bids < 0.35
    runs = blocks["hours"] / blocks["width"]
    assert (runs == runs.round()).all()
    assert (runs >= 1).all()
    assert (runs <= blocks["slot_end"] - blocks["slot_first"]).all()
    assert set(blocks["width"]) <= {1, 2, 4, 8, 16, 32, 64}
    assert made.filter(pl.col("kind") != "block").equals(bids().filter(pl.Series(made["kind"] != "block")))


def test_a_named_world_is_written_by_the_program(capsys, tmp_path):
    assert run(capsys, "world", tmp_path, "--suite", "plain-100").code == 0
    assert read_market_aloud(tmp_path).book.bids.height == 100


def test_an_unknown_name_is_told_the_known_ones(capsys, tmp_path):
    ended = run(capsys, "world", tmp_path, "--suite", "plain-1m")
    assert ended.code == 2
    assert "plain-100k" in ended.err


@pytest.mark.parametrize("wrong", [{"home_share": 2.0}, {"block_share": -0.1}, {"tier_mix": (0, 0, 0)}, {"tier_mix": (1, -1, 1)}])
def test_an_impossible_temper_cannot_be_asked_for(wrong):
    with pytest.raises(ValueError, match="must be"):
        msgspec.structs.replace(SMALL, **wrong)
