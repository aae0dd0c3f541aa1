"""A cluster's own trace as a book: every pod that asked for an accelerator, at once, on the cluster's nodes.

The classes of service become limits, by worth alone: what serves users (LS) would pay 4.00 for any tier, guaranteed pods
3.00 at standard or better, burstable ones 2.00 at standard or spot, best effort 1.00 at spot; all of it costs 0.50. Quantities
are hundredths of an accelerator, in which the pods ask for parts of one. A pod is a bid of one slot that may be split:
which of a node's accelerators it sits on is no part of a market.
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl

from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS, OFFERS
from tests.builders import START, a_bid, an_offer, book
from tests.real_data.rows import filled

PARTS = 100
UNIT = 1_000_000
CLASSES = ("LS", "Guaranteed", "Burstable", "BE")
LIMITS = pl.DataFrame(
    {
        "qos_class": CLASSES,
        "limit_guaranteed_micros": [4 * UNIT, 3 * UNIT, None, None],
        "limit_standard_micros": [4 * UNIT, 3 * UNIT, 2 * UNIT, None],
        "limit_spot_micros": [4 * UNIT, 3 * UNIT, 2 * UNIT, UNIT],
    }
)


def trace_book(folder: Path, *, types: list[str] | None = None) -> MarketBook:
    """The book on the nodes whose accelerators are of these types, or on all of them."""
    nodes = pl.read_parquet(folder / "capacity_openb_nodes.parquet").filter(pl.col("gpus") > 0)
    if types is not None:
        nodes = nodes.filter(pl.col("gpu_type").is_in(types))
    offers = nodes.select(
        offer_id="node_id", site="gpu_type", hardware="gpu_type", quantity=pl.col("gpus") * PARTS, node_size=pl.col("gpus") * PARTS
    )
    kinds = [f"{kind}:1" for kind in nodes["gpu_type"].unique().sort()]
    one = book(
        offers=[an_offer(rate_micros=UNIT // 2)],
        bids=[a_bid(hardware=kinds, limit_spot_micros=1)],
        headroom_standard=Decimal("0.05"),
        headroom_guaranteed=Decimal("0.20"),
    )
    bids = (
        _pods(folder)
        .join(LIMITS, on="qos_class")
        .select(
            bid_id="job_id",
            buyer="qos_class",
            entered_at=pl.lit(START - dt.timedelta(days=365)) + pl.duration(seconds="submit_s"),
            width=_parts("gpus"),
            hours=_parts("gpus").cast(pl.Float64),
            **{name: name for name in LIMITS.columns[1:]},
        )
    )
    return MarketBook(
        rules=one.rules, offers=filled(offers, one.offers, order=list(OFFERS.schema)), bids=filled(bids, one.bids, order=list(BIDS.schema))
    )


def wanted_by_class(folder: Path) -> dict[str, float]:
    """Accelerators asked for by class of service."""
    return dict(_pods(folder).group_by("qos_class").agg(pl.col("gpus").sum().round(2)).iter_rows())


def _pods(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "demand_openb.parquet").filter(pl.col("gpus") > 0)


def _parts(name: str) -> pl.Expr:
    return (pl.col(name) * PARTS).round().cast(pl.Int64)
