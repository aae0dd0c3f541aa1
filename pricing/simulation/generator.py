"""A small world made large: the same kinds of grid and buyer, many more of them, from one seed.

Nothing here is real but the shapes: quantities, rates and needs are spread about those of the seed world.
"""

import msgspec
import numpy as np
import polars as pl

from contracts.terms.orders import MarketBook, canonical_book
from contracts.terms.tables import ZONES
from pricing.simulation.crowd import build_crowd
from pricing.simulation.grids import build_grids
from pricing.simulation.spec import Dice, WorldSpec
from pricing.simulation.temper import tempered


def generate(seed_world: MarketBook, *, spec: WorldSpec, seed: int) -> MarketBook:
    """A market of the size `spec` asks for, in the image of `seed_world`; the same seed gives the same book.

    Zones repeat the seed's slots; transfer is the seed's. Raises ValueError for a seed world without offers or bids.
    """
    if seed_world.offers.is_empty() or seed_world.bids.is_empty():
        raise ValueError("a seed world needs at least one offer and one bid")
    dice = Dice(seed)
    rules = msgspec.structs.replace(seed_world.rules, start=spec.start or seed_world.rules.start, slots=spec.slots)
    grids = build_grids(seed_world.offers, seed_world.latency, spec=spec, dice=dice)
    offered = int(grids.offers["quantity"].sum()) * spec.slots
    needs = seed_world.bids[dice.among(seed_world.bids.height, spec.bids)]
    needs = tempered(needs, seed_world.transfer, spec=spec, dice=dice.aside(1))
    crowd = build_crowd(needs, offered_hours=offered, start=rules.start, spec=spec, dice=dice)
    frames = {
        "offers": grids.offers,
        "offer_slots": grids.offer_slots,
        "commitments": grids.commitments,
        "bids": crowd,
        "zones": _repeat(seed_world.zones, spec.slots),
        "latency": grids.latency,
    }
    if seed_world.transfer is not None:
        frames["transfer"] = seed_world.transfer
    return canonical_book(rules, frames)


def _repeat(zones: pl.DataFrame, slots: int) -> pl.DataFrame:
    """The seed's slots of every zone, over and over until there are `slots`."""
    if zones.is_empty():
        return zones
    known = int(zones["slot"].max()) + 1  # type: ignore[arg-type]
    slot = pl.DataFrame({"made": np.arange(slots), "slot": np.arange(slots) % known})
    return zones.join(slot, on="slot").with_columns(slot="made").select(list(ZONES.schema))
