"""The world shipped with the project: places, grids, power, buyers and one day of bids, each fact with its source.

The tables under `data/` are the facts; `data/world.toml` holds every number that is an assumption. What the
tables call `modelled` is a model of ours and is never said to be real.
"""

from broker.world.book import shipped_book, shipped_frames
from broker.world.catalogue import (
    WorldModel,
    accounts,
    countries,
    hardware,
    hardware_classes,
    model,
    places,
    providers,
    sites,
    subdivisions,
)

__all__ = [
    "WorldModel",
    "accounts",
    "countries",
    "hardware",
    "hardware_classes",
    "model",
    "places",
    "providers",
    "shipped_book",
    "shipped_frames",
    "sites",
    "subdivisions",
]
