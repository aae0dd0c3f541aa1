"""A real cluster's demand, cleared by class of service: 7,064 pods that want 6,086.80 accelerators."""

from pathlib import Path

import polars as pl
import pytest

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from tests.real_data.cluster_trace import CLASSES, PARTS, UNIT, trace_book, wanted_by_class

SMALL_TYPES = ["A10", "G3", "P100", "T4", "V100M16", "V100M32"]


def served(book: MarketBook, clearing: Clearing) -> dict[str, float]:
    """Accelerators awarded by class of service, most important first."""
    found = clearing.awards.join(book.bids.select("bid_id", "buyer"), on="bid_id").group_by("buyer").agg(pl.col("quantity").sum())
    by_class = dict(found.iter_rows())
    return {name: by_class.get(name, 0) / PARTS for name in CLASSES}


def prices(clearing: Clearing) -> dict[str, set[int]]:
    """Every rate at which a tier traded."""
    traded = clearing.prices.filter(pl.col("sold") > 0)
    return {tier: set(rows["rate_micros"]) for (tier,), rows in traded.group_by("tier")}


def test_the_trace_is_the_one_described(real_data: Path):
    assert wanted_by_class(real_data) == {"LS": 3867.52, "Guaranteed": 6.0, "Burstable": 250.0, "BE": 1963.28}


@pytest.mark.parametrize(
    ("types", "accelerators", "expected", "price"),
    [
        # The whole cluster has room for everybody, at the providers' own rate.
        (None, 6212, (3867.52, 6.0, 250.0, 1963.28), UNIT // 2),
        # On the G2 nodes alone best effort gets what is left, 4,392 − 4,123.52, and sets the price.
        (["G2"], 4392, (3867.52, 6.0, 250.0, 268.48), UNIT),
        # On all the others even what serves users does not fit: 47 % of it runs, nothing else does.
        (SMALL_TYPES, 1820, (1820.0, 0.0, 0.0, 0.0), 4 * UNIT),
    ],
    ids=["whole cluster", "G2 alone", "without G2"],
)
def test_scarcity_is_borne_from_the_least_class_up(real_data: Path, types, accelerators, expected, price):
    book = trace_book(real_data, types=types)
    assert book.offers["quantity"].sum() == accelerators * PARTS
    clearing = clear(book)
    assert tuple(served(book, clearing).values()) == expected
    assert set().union(*prices(clearing).values()) == {price}
    certificate = certify(book, clearing, path=clearing.path)
    assert [check for check in certificate.checks if not check.holds] == []
    assert certificate.gap == 0


def test_headroom_keeps_the_better_tiers_to_what_survives(real_data: Path):
    """Of the 4,392 accelerators of type G2 a fifth stands behind the guaranteed: 3,513.60 are sold so, the rest one tier down."""
    clearing = clear(trace_book(real_data, types=["G2"]))
    sold = dict(clearing.awards.group_by("tier").agg(pl.col("quantity").sum()).iter_rows())
    assert sold["guaranteed"] == 4392 * PARTS * 8 // 10
    assert sold["standard"] == (386752 + 600 + 25000) - sold["guaranteed"]
    assert sold["spot"] == 26848
