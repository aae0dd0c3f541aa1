"""What makes a generated crowd harder to serve: stricter or looser sovereignty, data to move, carbon to avoid, tiers.

Each share is drawn by itself, so that raising one moves no other bid's needs; a share of nothing leaves the crowd as it was.
"""

import numpy as np
import polars as pl

from pricing.simulation.spec import Dice, Ints, WorldSpec

SOVEREIGNTY = ("countries", "subdivisions", "operator_countries", "countries_denied", "certifications", "chip_origins_denied")
QUARTERS_OF_TB_MAX = 64
CARBON_MICROS = (50_000, 500_000)
# What the tiers below a bid's best are worth to it, in thousandths of its limit at standard.
TIER_WORTH = {"limit_guaranteed_micros": 1150, "limit_standard_micros": 1000, "limit_spot_micros": 700}
BLOCK_WIDEST = 64


def tempered(bids: pl.DataFrame, transfer: pl.DataFrame | None, *, spec: WorldSpec, dice: Dice) -> pl.DataFrame:
    """The same bids with the needs `spec` adds or takes; `transfer` names the countries data may come from."""
    bids = _sovereign(bids, spec, dice=dice)
    bids = _loaded(bids, transfer, spec=spec, dice=dice)
    green = pl.Series(dice.chance(spec.carbon_share, bids.height))
    paid = pl.Series(dice.between(*CARBON_MICROS, size=bids.height))
    bids = bids.with_columns(carbon_micros_per_kg=pl.when(green).then(paid).otherwise("carbon_micros_per_kg"))
    return bids if spec.tier_mix is None else _tiered(bids, spec.tier_mix, dice=dice)


def in_blocks(bids: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """Some of the bids all or nothing: a power of two wide, in consecutive slots, for about the hours they asked for.

    At most as many slots as the window has and `BLOCK_WIDEST` wide, so that a block asks for what a site might have.
    """
    whole = pl.Series(dice.chance(spec.block_share, bids.height))
    width: Ints = 1 << np.log2(np.clip(bids["width"].to_numpy(), 1, BLOCK_WIDEST)).astype(np.int64)
    window = (bids["slot_end"] - bids["slot_first"]).to_numpy()
    run = np.clip(np.rint(bids["hours"].to_numpy() / width).astype(np.int64), 1, window)
    return bids.with_columns(
        kind=pl.when(whole).then(pl.lit("block")).otherwise("kind"),
        width=pl.when(whole).then(pl.Series(width)).otherwise("width"),
        hours=pl.when(whole).then(pl.Series(width * run, dtype=pl.Float64)).otherwise("hours"),
    )


def _sovereign(bids: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """Bids that give up every demand of sovereignty, and bids that stay at home; who does both stays at home."""
    free = pl.Series(dice.chance(spec.open_share, bids.height))
    home = pl.Series(dice.chance(spec.home_share, bids.height)) & bids["buyer_country"].is_not_null()
    nothing = pl.lit([], dtype=pl.List(pl.String))
    bids = bids.with_columns(pl.when(free).then(nothing).otherwise(name).alias(name) for name in SOVEREIGNTY)
    own = pl.concat_list("buyer_country")
    return bids.with_columns(pl.when(home).then(own).otherwise(name).alias(name) for name in ("countries", "operator_countries"))


def _loaded(bids: pl.DataFrame, transfer: pl.DataFrame | None, *, spec: WorldSpec, dice: Dice) -> pl.DataFrame:
    """Bids with a quarter to sixteen terabytes waiting in a country that data may leave."""
    moved = pl.Series(dice.chance(spec.data_share, bids.height))
    size = pl.Series(dice.between(1, QUARTERS_OF_TB_MAX, size=bids.height)) / 4
    if transfer is None or transfer.is_empty():
        return bids
    countries = transfer["from_country"].unique().sort()
    origin = countries[dice.among(len(countries), bids.height)]
    return bids.with_columns(
        data_tb=pl.when(moved).then(size).otherwise("data_tb"), data_country=pl.when(moved).then(origin).otherwise("data_country")
    )


def _tiered(bids: pl.DataFrame, mix: tuple[int, int, int], *, dice: Dice) -> pl.DataFrame:
    """Bids whose best tier is drawn by weight, and who would fall back to every tier below it, for less."""
    steps = pl.Series(np.searchsorted(np.cumsum(mix), dice.among(sum(mix), bids.height), side="right"))
    base = pl.coalesce("limit_standard_micros", "limit_guaranteed_micros", "limit_spot_micros")
    return bids.with_columns(
        pl.when(steps <= tier).then(base * worth // 1000).otherwise(None).alias(name)
        for tier, (name, worth) in enumerate(TIER_WORTH.items())
    )
