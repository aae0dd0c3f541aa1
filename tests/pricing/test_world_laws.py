"""The laws of a clearing on generated worlds: real policies, energy, carbon, data to move, latency, leases, ties, several steps of rate.

The certificate is the judge: it shares nothing with the paths, reads the policy its own slow way and proves the optimum.
"""

from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.world import shipped_book
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.canonical import result_hashes
from pricing.certificate import certify
from pricing.clearing import PATHS, clear
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec

SEED_WORLD = shipped_book(datetime(2027, 1, 4, tzinfo=UTC))
few = settings(max_examples=12, deadline=None)

# What makes a policy tighter: the column, and what it becomes.
TIGHTER = {
    "countries": pl.concat_list("buyer_country"),
    "operator_countries": pl.concat_list("buyer_country"),
    "countries_denied": pl.concat_list("countries_denied", pl.lit(["US", "CN", "DE"])).list.unique().list.sort(),
    "certifications": pl.concat_list("certifications", pl.lit(["iso27001"])).list.unique().list.sort(),
    "chip_origins_denied": pl.concat_list("chip_origins_denied", pl.lit(["CN"])).list.unique().list.sort(),
    "trust_min": pl.lit("certified"),
    "uptime_min": pl.max_horizontal(pl.col("uptime_min").fill_null(0.0), pl.lit(99.5)),
    "memory_gb_min": pl.max_horizontal(pl.col("memory_gb_min").fill_null(0.0), pl.lit(80.0)),
    "hardware": pl.col("hardware").list.head(1),
    "slot_first": pl.min_horizontal(pl.col("slot_first") + 1, pl.col("slot_end") - 1),
    "limit_spot_micros": pl.col("limit_spot_micros") // 2,
    "width": pl.max_horizontal(pl.col("width") // 2, pl.lit(1)),
}


@st.composite
def worlds(draw: st.DrawFn) -> MarketBook:
    """A world of a few dozen bids, tempered one way or another."""
    share = st.sampled_from((0.0, 0.5))
    spec = WorldSpec(
        bids=draw(st.integers(10, 60)),
        core_sites=draw(st.integers(1, 4)),
        edge_sites=draw(st.integers(0, 4)),
        slots=draw(st.integers(1, 5)),
        tightness=draw(st.sampled_from((0.5, 1.0, 3.0))),
        rate_spread=draw(st.sampled_from((0.0, 0.3))),
        tied_share=draw(share),
        open_share=draw(share),
        data_share=draw(share),
        carbon_share=draw(share),
        tier_mix=draw(st.sampled_from((None, (1, 1, 1)))),
    )
    return generate(SEED_WORLD, spec=spec, seed=draw(st.integers(0, 2**20)))


def welfare(book: MarketBook) -> int:
    """Micros, as the certificate proves them to be the most."""
    result = clear(book)
    certificate = certify(book, result, path=result.path)
    assert [check for check in certificate.checks if not check.holds] == []
    assert certificate.gap == 0
    return certificate.welfare_micros


@pytest.mark.parametrize("path", [path for path in PATHS if path not in {"auto", "convex"}])
@few
@given(worlds())
def test_every_path_agrees_within_what_it_certifies(path: str, book: MarketBook):
    """The welfare of the convex path lies between a path's welfare and its bound; an exact one has the same ends of every price."""
    reference, result = clear(book, path="convex"), clear(book, path=path)
    certificate = certify(book, result, path=path, approximate=result.approximate)
    assert [check for check in certificate.checks if not check.holds] == []
    optimum = certify(book, reference, path="convex").welfare_micros
    assert certificate.welfare_micros <= optimum <= certificate.bound_micros
    if not result.approximate:
        assert certificate.welfare_micros == optimum
        keys, ends = ["pool", "slot", "tier"], ["rate_low_micros", "rate_high_micros"]
        traded = (frame.prices.filter(pl.col("sold").sum().over("pool", "slot") > 0) for frame in (reference, result))
        one, other = (frame.select(*keys, *ends) for frame in traded)
        both = one.join(other, on=keys, suffix="_other")
        assert both.filter(pl.any_horizontal(pl.col(end) != pl.col(f"{end}_other") for end in ends)).is_empty()


@few
@given(worlds(), st.sampled_from(sorted(TIGHTER)), st.data())
def test_a_tighter_bid_never_raises_welfare(book: MarketBook, column: str, data: st.DataObject):
    chosen = data.draw(st.sampled_from([0.1, 1.0]))
    some = pl.col("bid_id").is_in(Random(column).sample(book.bids["bid_id"].to_list(), max(1, int(chosen * book.bids.height))))
    tighter = pl.when(some).then(TIGHTER[column]).otherwise(column).cast(book.bids.schema[column]).alias(column)
    assert welfare(msgspec.structs.replace(book, bids=book.bids.with_columns(tighter))) <= welfare(book)


@few
@given(worlds(), st.sampled_from(("open_to", "closed_to")))
def test_an_offer_open_to_fewer_never_raises_welfare(book: MarketBook, column: str):
    """Of interruptible offers: closing a firm one may split its pool, whose tiers then have other limits."""
    countries = pl.lit(["FR", "DE", "US"] if column == "open_to" else ["CN", "US"])
    fewer = pl.when("firm").then(column).otherwise(countries).alias(column)
    assert welfare(msgspec.structs.replace(book, offers=book.offers.with_columns(fewer))) <= welfare(book)


@few
@given(worlds(), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_a_replay_changes_a_byte(book: MarketBook, random: Random):
    mixed = {name: frame[random.sample(range(frame.height), frame.height)] for name, frame in book.tables().items()}
    assert result_hashes(clear(msgspec.structs.replace(book, **mixed))) == result_hashes(clear(book)) == result_hashes(clear(book))


@few
@given(worlds())
def test_better_tiers_cost_no_less_and_nobody_pays_more_than_its_limit(book: MarketBook):
    result = clear(book)
    wide = result.prices.pivot("tier", index=["pool", "slot"], values="rate_micros")
    for better, lesser in pairwise(TIERS):
        if {better, lesser} <= set(wide.columns):
            assert wide.filter(pl.col(better) < pl.col(lesser)).is_empty()
    factors = book.bids.select("bid_id", *(f"limit_{tier}_micros" for tier in TIERS), pl.col("hardware")).explode("hardware")
    factors = factors.with_columns(pl.col("hardware").str.split_exact(":", 1).struct.rename_fields(["class", "factor"])).unnest("hardware")
    served = result.awards.join(book.offers.select("offer_id", "hardware"), on="offer_id")
    served = served.join(factors, left_on=["bid_id", "hardware"], right_on=["bid_id", "class"])
    assert served.height == result.awards.height
    for tier in TIERS:
        most = pl.col(f"limit_{tier}_micros") * pl.col("factor").cast(pl.Float64)
        assert served.filter((pl.col("tier") == tier) & ~(pl.col("rate_micros") <= most + 1)).is_empty()
    fee = book.rules.fee_bps
    owed = (result.outcomes["paid_micros"] * fee + 5_000) // 10_000
    assert result.outcomes["fee_micros"].equals(owed, check_names=False)
    assert result.awards["charge_micros"].sum() == result.receipts["received_micros"].sum()
