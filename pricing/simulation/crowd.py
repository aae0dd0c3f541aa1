"""The demand side of a generated world: many bids in the image of a few."""

from datetime import datetime

import numpy as np
import polars as pl

from contracts.terms.tables import BIDS
from pricing.simulation.spec import Dice, WorldSpec, numbered, scaled, shifted
from pricing.simulation.temper import in_blocks

LIMITS = ("limit_guaranteed_micros", "limit_standard_micros", "limit_spot_micros")
DAY_SECONDS = 86_400
WIDEST = 256
SIZE_SPREAD = 0.8


def build_crowd(bids: pl.DataFrame, *, offered_hours: int, start: datetime, spec: WorldSpec, dice: Dice) -> pl.DataFrame:
    """Bids that together ask for about `spec.tightness` times the accelerator-hours on offer.

    Each row keeps its needs and gets a size, a window and limits of its own. Ties repeat the bid before them in everything
    but id, buyer and time of entry.
    """
    count, made = bids.height, bids
    first = dice.among(spec.slots, count)
    end = np.minimum(spec.slots, first + dice.between(1, spec.slots, size=count))
    width, hours = _sizes(made, spec, dice=dice, offered_hours=offered_hours, length=end - first)
    limits = dice.spread(spec.rate_spread, count)
    made = made.with_columns(
        *(scaled(made[name], limits).alias(name) for name in LIMITS),
        kind=pl.lit("flexible"),
        width=pl.Series(width),
        hours=pl.Series(hours, dtype=pl.Float64),
        slot_first=pl.Series(first),
        slot_end=pl.Series(end),
        sites_max=pl.lit(1),
        semantics=pl.lit("hours"),
    )
    made = in_blocks(made, spec, dice=dice.aside(2))[_ties(spec, dice)]
    return made.with_columns(
        bid_id=pl.Series(numbered("bid_g", count), dtype=pl.String),
        buyer=pl.Series([f"acct_g{buyer:05d}" for buyer in dice.among(max(1, count // 3), count)], dtype=pl.String),
        entered_at=shifted(start, dice.between(1, DAY_SECONDS, size=count)),
    ).select(list(BIDS.schema))


def _sizes(bids: pl.DataFrame, spec: WorldSpec, *, dice: Dice, offered_hours: int, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width (accelerators) and hours of every bid, whole: shares of the total, never more than its window can hold."""
    told = bids["width"].to_numpy().astype(np.int64) * dice.spread(SIZE_SPREAD, bids.height)
    share = told / max(1, int(told.sum()))
    wanted = share * offered_hours * spec.tightness
    width = np.clip(np.ceil(2 * wanted / length), 1, WIDEST).astype(np.int64)
    hours = np.clip(np.rint(wanted), 1, width * length).astype(np.int64)
    return width, hours


def _ties(spec: WorldSpec, dice: Dice) -> np.ndarray:
    """For each bid, which bid it repeats: itself, or for a tie what the one before repeats."""
    index = np.arange(spec.bids)
    original = np.where(dice.chance(spec.tied_share, spec.bids), 0, index)
    return np.maximum.accumulate(original) if spec.bids else original
