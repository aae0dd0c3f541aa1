"""What a clearing would cost by class and tier: the means that are shown before a gate, and how many buyers stand behind each."""

import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook

MEANS = {"hardware": pl.String(), "tier": pl.String(), "rate_micros": pl.Int64(), "buyers": pl.Int64()}


def class_means(book: MarketBook, clearing: Clearing, *, tick_micros: int) -> pl.DataFrame:
    """The mean price of what sells, by class and tier in their order: hardware, tier, rate_micros, buyers.

    The mean goes by quantity over pools and slots, as the headline of a cycle does, to the nearest `tick_micros`; `buyers` are
    the different ones who win some of it. Nothing is said of what does not sell.
    """
    sums = (
        clearing.prices.filter(pl.col("sold") > 0)
        .with_columns(weighted=pl.col("rate_micros").cast(pl.Int128) * pl.col("sold"))
        .group_by("hardware", "tier")
        .agg(pl.col("weighted").sum(), pl.col("sold").sum())
    )
    buyers = (
        clearing.awards.join(book.offers.select("offer_id", "hardware"), on="offer_id")
        .join(book.bids.select("bid_id", "buyer"), on="bid_id")
        .group_by("hardware", "tier")
        .agg(buyers=pl.col("buyer").n_unique())
    )
    rows = [
        (hardware, tier, tick_micros * half_up(weighted, sold * tick_micros), count)
        for hardware, tier, weighted, sold, count in sums.join(buyers, on=["hardware", "tier"]).sort("hardware", "tier").iter_rows()
    ]
    return pl.DataFrame(rows, schema=MEANS, orient="row")
