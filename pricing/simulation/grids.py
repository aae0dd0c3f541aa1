"""The supply side of a generated world: sites cloned from a seed world, their offers, leases and distances."""

import msgspec
import numpy as np
import polars as pl

from contracts.terms.tables import COMMITMENTS, LATENCY, OFFER_SLOTS, OFFERS
from pricing.simulation.spec import THOUSAND, Dice, WorldSpec, numbered, scaled

CORE_NODE = 8
EDGE_PART = 16
CORE_QUANTITY = 48
RATE_STEPS = 3
INTERRUPTIBLE_RATE = (350, 600)
INDEXED_RATE = 750
LEASED_PART = 5


class Grids(msgspec.Struct, frozen=True, eq=False):
    """The tables of supply: offers, offer_slots, commitments and latency, in the published columns."""

    offers: pl.DataFrame
    offer_slots: pl.DataFrame
    commitments: pl.DataFrame
    latency: pl.DataFrame


def build_grids(offers: pl.DataFrame, latency: pl.DataFrame, *, spec: WorldSpec, dice: Dice) -> Grids:
    """New sites in the image of those that make the seed offers; a seed without latencies makes none."""
    sites = _sites(offers, spec, dice=dice)
    made = _offers(offers, sites, dice=dice, spec=spec)
    near = latency.join(sites.select("site", "template"), left_on="site", right_on="template", suffix="_made")
    return Grids(
        made,
        _offer_slots(made, spec, dice=dice),
        _commitments(made, spec, dice=dice),
        near.select("place", site="site_made", rtt_ms="rtt_ms").cast(LATENCY.schema),  # type: ignore[arg-type]
    )


def _sites(offers: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """site, template, core, and how far from the template it stands (degrees): large sites are cloned from large ones."""
    held = offers.group_by("site").agg(pl.col("quantity").max()).sort("site")
    large = held.filter(pl.col("quantity") >= CORE_QUANTITY)["site"].to_list() or held["site"].to_list()
    every = held["site"].to_list()
    templates = [large[i] for i in dice.among(len(large), spec.core_sites)] + [every[i] for i in dice.among(len(every), spec.edge_sites)]
    count = len(templates)
    return pl.DataFrame(
        {
            "site": [f"core-{i:04d}" for i in range(spec.core_sites)] + [f"edge-{i:04d}" for i in range(spec.edge_sites)],
            "template": templates,
            "core": [True] * spec.core_sites + [False] * spec.edge_sites,
            "north": dice.near(0.3, count),
            "east": dice.near(0.3, count),
        },
        schema_overrides={"template": pl.String},
    )


def _offers(offers: pl.DataFrame, sites: pl.DataFrame, *, spec: WorldSpec, dice: Dice) -> pl.DataFrame:
    """Each site sells what its template sells, in one to three steps of rate, some of it also interruptible."""
    steps = sites.join(offers.rename({"site": "template"}), on="template", maintain_order="left_right")
    steps = steps[np.repeat(np.arange(steps.height), dice.between(1, RATE_STEPS, size=steps.height))]
    count = steps.height
    node = pl.when("core").then(pl.lit(CORE_NODE)).otherwise(pl.lit(1))
    size = pl.when("core").then(pl.col("quantity")).otherwise(pl.col("quantity") // EDGE_PART)
    indexed = pl.Series(dice.chance(spec.indexed_share, count))
    firm = steps.with_columns(
        node_size=node,
        quantity=pl.max_horizontal(node, size * pl.Series(dice.spread(0.5, count)) // THOUSAND // node * node),
        rate_micros=scaled(steps["rate_micros"], dice.spread(spec.rate_spread, count)),
        latitude=(pl.col("latitude") + pl.col("north")).clip(-90, 90),
        longitude=pl.col("longitude") + pl.col("east"),
    ).with_columns(
        rate_micros=pl.when(indexed & ~pl.col("energy_indexed"))
        .then(pl.col("rate_micros") * INDEXED_RATE // THOUSAND)
        .otherwise("rate_micros"),
        energy_indexed=pl.col("energy_indexed") | indexed,
        slot_first=pl.lit(0),
        slot_end=pl.lit(spec.slots),
    )
    made = pl.concat([firm, _interruptible(firm, spec, dice=dice)])
    made = made.with_columns(offer_id=pl.Series(numbered("ofr_g", made.height)))
    return made.select(list(OFFERS.schema)).cast(OFFERS.schema)  # type: ignore[arg-type]


def _interruptible(offers: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """A smaller, cheaper part of some firm offers, which may be withdrawn; nothing is promised of its uptime."""
    twins = offers.filter(pl.col("firm") & pl.Series(dice.chance(spec.interruptible_share, offers.height)))
    discount = dice.between(*INTERRUPTIBLE_RATE, size=twins.height)
    return twins.with_columns(
        firm=pl.lit(value=False),
        uptime=pl.lit(None, dtype=pl.Float64),
        quantity=pl.max_horizontal("node_size", pl.col("quantity") // 3 // pl.col("node_size") * pl.col("node_size")),
        rate_micros=scaled(twins["rate_micros"], discount),
    )


def _offer_slots(offers: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """Runs of slots in which an offer has from half to all of its quantity, at 0.8 to 1.3 times its rate."""
    some = offers.filter(pl.Series(dice.chance(spec.slot_share, offers.height)))
    first = dice.among(spec.slots, some.height)
    length = np.minimum(dice.between(1, max(1, spec.slots // 4), size=some.height), spec.slots - first)
    kept, rates = dice.between(500, 1000, size=some.height), dice.between(800, 1300, size=some.height)
    runs = some.select(
        "offer_id",
        slot=pl.int_ranges(pl.Series(first), pl.Series(first + length)),
        quantity=scaled(some["quantity"], kept),
        rate_micros=scaled(some["rate_micros"], rates),
    )
    return runs.explode("slot").cast(OFFER_SLOTS.schema).select(list(OFFER_SLOTS.schema))  # type: ignore[arg-type]


def _commitments(offers: pl.DataFrame, spec: WorldSpec, *, dice: Dice) -> pl.DataFrame:
    """Standard leases in force on the first slots, of at most a fifth of what an offer holds."""
    some = offers.filter(pl.col("firm") & pl.Series(dice.chance(spec.committed_share, offers.height))).filter(
        pl.col("quantity") >= LEASED_PART
    )
    until = dice.between(1, max(1, spec.slots // 2), size=some.height)
    leases = some.select(
        "offer_id",
        lease_id=pl.Series(numbered("lse_g", some.height), dtype=pl.String),
        slot=pl.int_ranges(pl.lit(0), pl.Series(until)),
        tier=pl.lit("standard"),
        quantity=pl.col("quantity") // LEASED_PART,
    )
    return leases.explode("slot").cast(COMMITMENTS.schema).select(list(COMMITMENTS.schema))  # type: ignore[arg-type]
