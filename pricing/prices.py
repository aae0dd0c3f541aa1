"""The published prices: per pool, slot and tier, both ends of the tie range and the rate between.

Any price between the ends supports the same awards, and so does the middle rounded down, since every
rule is a difference between whole micros. A pool that sold nothing shows its lowest rate: an offer's
rate, not a trade.
"""

import numpy as np
import polars as pl

from contracts.terms.tables import PRICES, TIERS
from pricing.arcs import served
from pricing.arrays import Ints
from pricing.problem import CompiledBook
from pricing.residual import BOUNDED, PriceRange


def publish(compiled: CompiledBook, ends: PriceRange, *, sold: Ints) -> PriceRange:
    """The ends as published, (3, P, T): a side nothing bounds takes the other, a pool without trade its lowest rate. sold (3, P, T)."""
    low = np.where(ends.low < -BOUNDED, ends.high, ends.low)
    high = np.where(ends.high > BOUNDED, ends.low, ends.high)
    traded = sold.sum(axis=0) > 0
    cheapest = compiled.supply.cheapest
    return PriceRange(low=np.where(traded, low, cheapest), high=np.where(traded, high, cheapest))


def midpoint(ends: PriceRange) -> Ints:
    """The published rate (3, P, T): ⌊(low + high) ÷ 2⌋."""
    rate: Ints = (ends.low + ends.high) // 2
    return rate


def price_table(compiled: CompiledBook, ends: PriceRange, *, sold: Ints) -> pl.DataFrame:
    """Rows of `prices`: none where nothing is offered, nor for a tier nobody could be served at. sold (3, P, T)."""
    supply, rate = compiled.supply, midpoint(ends)
    pool, slot, tier = np.nonzero(served(supply.limits) & (supply.offered > 0)[..., None])
    facts = supply.pools[pool].select("pool", "site", "hardware", "firm")
    figures: dict[str, Ints | pl.Series] = {
        "slot": slot.astype(np.int64),
        "tier": pl.Series(TIERS).gather(tier),
        "rate_micros": rate[tier, pool, slot],
        "rate_low_micros": ends.low[tier, pool, slot],
        "rate_high_micros": ends.high[tier, pool, slot],
        "sold": sold[tier, pool, slot],
        "offered": supply.offered[pool, slot],
    }
    return (
        facts.with_columns(**{name: pl.Series(name, values, dtype=PRICES.schema[name]) for name, values in figures.items()})
        .select(list(PRICES.schema))
        .sort(PRICES.key)
    )
