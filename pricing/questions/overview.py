"""A clearing seen from above: where each class cleared, what each place cost, how much stood ready beyond what was sold."""

import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, SPOT, STANDARD, Ints
from pricing.pools import gather

HEADROOM = {
    "hardware": pl.String(),
    "offered": pl.Int64(),
    "guaranteed": pl.Int64(),
    "standard": pl.Int64(),
    "spot": pl.Int64(),
    "free": pl.Int64(),
    "held_back": pl.Int64(),
}


def class_points(clearing: Clearing) -> pl.DataFrame:
    """Each hardware class that traded, in the slot that sold most of it; those that sold most first.

    hardware, slot, sold; rate, low and high: means by what was sold, micros per accelerator-hour.
    """
    sold = pl.col("sold")
    means = [
        ((pl.col(f"{name}_micros").cast(pl.Int128) * sold).sum() // sold.sum()).cast(pl.Int64) for name in ("rate", "rate_low", "rate_high")
    ]
    return (
        clearing.prices.filter(sold > 0)
        .group_by("hardware", "slot")
        .agg(sold.sum(), *(mean.alias(name) for mean, name in zip(means, ("rate", "low", "high"), strict=True)))
        .sort("sold", "hardware", "slot", descending=[True, False, False])
        .unique("hardware", keep="first", maintain_order=True)
    )


def price_map(clearing: Clearing, hardware: str, *, sites_most: int, spans: int) -> pl.DataFrame:
    """Spot prices of a class: site, slot_first, slot_end, rate (mean over pools and slots by what is offered), sold at all tiers.

    The sites that sold most, then those that offered most; slots are put together so that there are at most so many spans.
    """
    mine = clearing.prices.filter(pl.col("hardware") == hardware)
    if mine.is_empty():
        return pl.DataFrame(
            schema={"site": pl.String(), "slot_first": pl.Int64(), "slot_end": pl.Int64(), "rate": pl.Int64(), "sold": pl.Int64()}
        )
    sites = mine.group_by("site").agg(pl.col("sold").sum(), pl.col("offered").sum())
    shown = sites.sort("sold", "offered", "site", descending=[True, True, False]).head(sites_most)["site"].to_list()
    length = -(-(int(mine["slot"].max()) + 1) // spans)  # type: ignore[arg-type]  # never empty, so a number
    first = (pl.col("slot") // length * length).alias("slot_first")
    offered, rate = pl.col("offered").filter(pl.col("tier") == TIERS[SPOT]), pl.col("rate_micros").filter(pl.col("tier") == TIERS[SPOT])
    cells = (
        mine.filter(pl.col("site").is_in(shown))
        .group_by("site", first)
        .agg(rate=((rate.cast(pl.Int128) * offered).sum() // offered.sum()).cast(pl.Int64), sold=pl.col("sold").sum())
        .with_columns(
            slot_end=pl.col("slot_first") + length,
            order=pl.col("site").replace_strict(shown, list(range(len(shown))), return_dtype=pl.Int64),
        )
    )
    return cells.sort("order", "slot_first").select("site", "slot_first", "slot_end", "rate", "sold")


def headroom(book: MarketBook, clearing: Clearing) -> pl.DataFrame:
    """Accelerator-slots by class: offered = guaranteed + standard + spot (sold) + free + held_back; those that offered most first.

    free        what standard could still have had
    held_back   the rest of what was left: open to spot alone, as headroom or because it is not firm
    """
    supply = gather(book)
    sold = _sold(clearing, pools=supply.pools["pool"].to_list(), slots=book.rules.slots)
    left = supply.offered - sold.sum(axis=2)
    firm_sold = sold[:, :, GUARANTEED] + sold[:, :, STANDARD]
    free = np.clip(supply.limits[:, :, STANDARD] - firm_sold, 0, left)
    frame = pl.DataFrame(
        {
            "hardware": supply.pools["hardware"],
            "offered": supply.offered.sum(axis=1),
            **{name: sold[:, :, tier].sum(axis=1) for tier, name in enumerate(TIERS)},
            "free": free.sum(axis=1),
            "held_back": (left - free).sum(axis=1),
        },
        schema=HEADROOM,
    )
    return frame.group_by("hardware").agg(pl.all().sum()).sort("offered", "hardware", descending=[True, False])


def _sold(clearing: Clearing, *, pools: list[str], slots: int) -> Ints:
    """(P, T, 3) accelerators sold by tier."""
    row = {name: number for number, name in enumerate(pools)}
    sold = np.zeros((len(pools), slots, len(TIERS)), dtype=np.int64)
    for pool, slot, tier, quantity in clearing.prices.filter(pl.col("sold") > 0).select("pool", "slot", "tier", "sold").iter_rows():
        sold[row[pool], slot, TIERS.index(tier)] = quantity
    return sold
