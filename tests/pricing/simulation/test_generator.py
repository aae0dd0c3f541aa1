"""A generated world has the size asked for, the shape of its seed, and is the same every time."""

from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.files.market import read_market_aloud, write_market
from broker.world import shipped_book
from contracts.terms.tables import MARKET_TABLES
from pricing.clearing import clear
from pricing.simulation.generator import generate
from pricing.simulation.spec import Dice, WorldSpec

SEED_WORLD = shipped_book(datetime(2027, 1, 4, tzinfo=UTC))
SMALL = WorldSpec(bids=200, core_sites=6, edge_sites=14)
NEEDS = ("hardware", "countries", "certifications", "chip_origins_denied", "place", "rtt_ms_max", "buyer_country")


@pytest.fixture(scope="module")
def book():
    return generate(SEED_WORLD, spec=SMALL, seed=7)


def test_the_world_has_the_size_asked_for(book):
    assert book.bids.height == 200
    assert book.offers["site"].n_unique() == 20
    assert book.rules.slots == 24
    assert book.offers["offer_id"].is_unique().all()
    assert book.bids["bid_id"].is_unique().all()


def test_the_same_seed_gives_the_same_book_and_another_another(book):
    again, other = generate(SEED_WORLD, spec=SMALL, seed=7), generate(SEED_WORLD, spec=SMALL, seed=8)
    assert all(frame.equals(again.tables()[name]) for name, frame in book.tables().items())
    assert not book.offers.equals(other.offers)
    assert not book.bids.equals(other.bids)


def test_the_book_reads_back_as_itself(book, tmp_path):
    write_market(tmp_path, book)
    reading = read_market_aloud(tmp_path)
    assert reading.warnings == ()
    assert all(frame.equals(reading.book.tables()[name]) for name, frame in book.tables().items())


def test_the_book_clears_with_trades_and_refusals(book):
    statuses = set(clear(book).outcomes["status"])
    assert {"filled", "rejected"} <= statuses


@pytest.mark.parametrize("tightness", [0.2, 0.8, 2.0])
def test_bids_want_about_the_tightness_times_what_is_offered(tightness):
    made = generate(SEED_WORLD, spec=msgspec.structs.replace(SMALL, bids=2000, tightness=tightness), seed=3)
    offered = made.offers["quantity"].sum() * 24
    assert made.bids["hours"].sum() == pytest.approx(tightness * offered, rel=0.25)


def test_no_bid_wants_more_than_its_window_holds(book):
    window = pl.col("slot_end") - pl.col("slot_first")
    assert book.bids.filter((pl.col("hours") > pl.col("width") * window) | (window < 1) | (pl.col("slot_end") > 24)).is_empty()


def test_ties_repeat_a_bid_in_all_but_id_buyer_and_time():
    spec = msgspec.structs.replace(SMALL, bids=500, tied_share=0.5)
    bids = generate(SEED_WORLD, spec=spec, seed=1).bids.sort("bid_id")
    same = pl.all().exclude("bid_id", "buyer", "entered_at")
    alike = bids.select(same).with_columns(pl.col(pl.List(pl.String)).list.join(";")).is_duplicated().sum()
    assert alike > 300
    none = generate(SEED_WORLD, spec=msgspec.structs.replace(spec, tied_share=0.0), seed=1).bids
    assert none.select(same).with_columns(pl.col(pl.List(pl.String)).list.join(";")).is_duplicated().sum() < 10


def test_needs_are_those_of_the_seed(book):
    told = {str(row) for row in SEED_WORLD.bids.select(NEEDS).rows()}
    made = {str(row) for row in book.bids.select(NEEDS).rows()}
    assert made <= told
    assert len(made) > len(told) / 2


def test_core_sites_sell_nodes_and_edge_sites_single_accelerators(book):
    core = book.offers.filter(pl.col("site").str.starts_with("core"))
    edge = book.offers.filter(pl.col("site").str.starts_with("edge"))
    assert set(core["node_size"]) == {8}
    assert (core["quantity"] % 8 == 0).all()
    assert set(edge["node_size"]) == {1}
    assert (book.offers["quantity"] >= 1).all()
    assert edge["quantity"].median() < core["quantity"].median()


def test_interruptible_offers_promise_no_uptime(book):
    assert book.offers.filter(~pl.col("firm"))["uptime"].null_count() == book.offers.filter(~pl.col("firm")).height > 0


def test_rates_keep_near_the_seed_and_without_spread_are_the_seed_s():
    still = WorldSpec(bids=1, core_sites=10, edge_sites=10, rate_spread=0.0, interruptible_share=0.0, indexed_share=0.0)
    made = generate(SEED_WORLD, spec=still, seed=2).offers
    assert set(made.select("hardware", "rate_micros", "provider").rows()) <= set(
        SEED_WORLD.offers.select("hardware", "rate_micros", "provider").rows()
    )


def test_leases_in_force_leave_their_offer_in_every_slot():
    crowded = msgspec.structs.replace(SMALL, committed_share=1.0, slot_share=1.0)
    book = generate(SEED_WORLD, spec=crowded, seed=1)
    assert book.commitments.height > 0
    held = book.commitments.join(book.offers.select("offer_id", whole="quantity"), on="offer_id")
    held = held.join(book.offer_slots.select("offer_id", "slot", part="quantity"), on=["offer_id", "slot"], how="left")
    assert held.filter(pl.col("quantity") > pl.coalesce("part", "whole")).is_empty()


def test_every_place_reaches_every_site(book):
    assert book.latency.height == SEED_WORLD.latency["place"].n_unique() * 20


def test_zones_repeat_the_seed_s_day():
    two_days = generate(SEED_WORLD, spec=msgspec.structs.replace(SMALL, slots=48), seed=1).zones
    day, night = two_days.filter(pl.col("slot") < 24), two_days.filter(pl.col("slot") >= 24)
    assert day.drop("slot").equals(night.drop("slot"))
    assert two_days.height == 2 * SEED_WORLD.zones.height


def test_an_empty_seed_world_is_refused():
    with pytest.raises(ValueError, match="at least one offer and one bid"):
        generate(msgspec.structs.replace(SEED_WORLD, bids=SEED_WORLD.bids.clear()), spec=SMALL, seed=1)


@pytest.mark.parametrize("wrong", [{"bids": -1}, {"core_sites": 0, "edge_sites": 0}, {"slots": 0}, {"tightness": 0}, {"tied_share": 1.5}])
def test_an_impossible_world_cannot_be_asked_for(wrong):
    with pytest.raises(ValueError, match=r"must|needs"):
        msgspec.structs.replace(SMALL, **wrong)


@settings(max_examples=15, deadline=None)
@given(
    st.builds(
        WorldSpec,
        bids=st.integers(0, 60),
        core_sites=st.integers(1, 5),
        edge_sites=st.integers(0, 5),
        slots=st.integers(1, 30),
        tied_share=st.floats(0, 1),
        committed_share=st.floats(0, 1),
        slot_share=st.floats(0, 1),
        interruptible_share=st.floats(0, 1),
        indexed_share=st.floats(0, 1),
    ),
    st.integers(0, 2**32),
)
def test_any_world_is_a_sound_market_directory(tmp_path_factory, spec, seed):
    made = generate(SEED_WORLD, spec=spec, seed=seed)
    folder = tmp_path_factory.mktemp("world")
    write_market(folder, made)
    assert read_market_aloud(folder).book.bids.height == spec.bids
    assert [table.name for table in MARKET_TABLES if table.name not in made.tables()] == []


def test_a_large_world_takes_seconds():
    """50 core and 500 edge sites, 100,000 bids."""
    made = generate(SEED_WORLD, spec=WorldSpec(bids=100_000), seed=5)
    assert made.bids.height == 100_000
    assert made.offers["site"].n_unique() == 550


def test_dice_fall_the_same_from_one_seed():
    one, two = Dice(4), Dice(4)
    assert one.between(0, 9, size=20).tolist() == two.between(0, 9, size=20).tolist()
    assert set(Dice(4).between(0, 9, size=1000).tolist()) == set(range(10))
