"""What a generated world should look like, and the dice it is thrown with."""

from datetime import datetime

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
THOUSAND = 1000


class WorldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The size and temper of a generated market.

    start                UTC instant of slot 0; None keeps the seed world's
    slots                hourly slots
    bids                 how many bids
    core_sites           large sites: a node of eight is the least they sell
    edge_sites           small sites: single accelerators
    tightness            accelerator-hours bid for ÷ accelerator-hours offered
    rate_spread          spread of rates and limits about the seed's (standard deviation of the logarithm)
    interruptible_share  of the firm offers that also sell an interruptible part
    indexed_share        of the offers that turn energy-indexed
    slot_share           of the offers with another quantity or rate in some slots
    tied_share           of the bids that repeat another in all but id, buyer and time of entry
    committed_share      of the firm offers with a lease in force

    What follows makes a market harder; at these defaults needs are those of the seed's bids, and nobody bids in blocks.

    block_share          of the bids that are blocks
    home_share           of the bids that stay in their buyer's country: site, operator and its parent
    open_share           of the bids that give up every demand of sovereignty
    data_share           of the bids with data to move first
    carbon_share         of the bids that would pay to emit less
    tier_mix             how often a bid's best tier is guaranteed, standard, spot (weights); it would also take those below, for less
    """

    bids: int
    core_sites: int = 50
    edge_sites: int = 500
    slots: int = 24
    start: datetime | None = None
    tightness: float = 0.8
    rate_spread: float = 0.2
    interruptible_share: float = 0.25
    indexed_share: float = 0.2
    slot_share: float = 0.1
    tied_share: float = 0.05
    committed_share: float = 0.1
    block_share: float = 0.0
    home_share: float = 0.0
    open_share: float = 0.0
    data_share: float = 0.0
    carbon_share: float = 0.0
    tier_mix: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("bids", "core_sites", "edge_sites"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, was {getattr(self, name)}")
        if self.core_sites + self.edge_sites < 1 or self.slots < 1:
            raise ValueError("a world needs at least one site and one slot")
        if self.tightness <= 0:
            raise ValueError(f"tightness must be positive, was {self.tightness}")
        for name in (name for name in self.__struct_fields__ if name.endswith("_share")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, was {getattr(self, name)}")
        if self.tier_mix is not None and (min(self.tier_mix) < 0 or not sum(self.tier_mix)):
            raise ValueError(f"tier_mix must be weights, one of them positive, was {self.tier_mix}")


class Dice:
    """Every random choice of a world, in one order, from one seed: the same seed throws the same world."""

    def __init__(self, seed: int, *, cup: int = 0) -> None:
        self._seed = seed
        self._random = np.random.default_rng([seed, cup] if cup else seed)

    def aside(self, cup: int) -> "Dice":
        """Other dice from the same seed: throwing them moves none of these."""
        return Dice(self._seed, cup=cup)

    def among(self, count: int, size: int) -> Ints:
        """`size` indices below `count`, each as likely."""
        return self._random.integers(0, count, size=size, dtype=np.int64)

    def between(self, low: int, high: int, *, size: int) -> Ints:
        """`size` whole numbers from low to high, both included."""
        return self._random.integers(low, high + 1, size=size, dtype=np.int64)

    def chance(self, share: float, size: int) -> NDArray[np.bool_]:
        """`size` draws that hold with probability `share`."""
        return self._random.random(size) < share

    def spread(self, sigma: float, size: int) -> Ints:
        """`size` log-normal multipliers about one, in thousandths: rates stay whole numbers throughout."""
        factors: NDArray[np.float64] = np.rint(THOUSAND * np.exp(sigma * self._random.standard_normal(size)))
        return np.maximum(1, factors).astype(np.int64)

    def near(self, width: float, size: int) -> NDArray[np.float64]:
        """`size` shifts, uniform within ± width."""
        return self._random.uniform(-width, width, size)


def scaled(values: pl.Series, thousandths: Ints) -> pl.Series:
    """Whole numbers times thousandths, rounded down; a missing value stays missing."""
    return values * pl.Series(thousandths) // THOUSAND


def numbered(prefix: str, count: int) -> list[str]:
    """`count` ids in text order: prefix000000, prefix000001 …"""
    width = max(6, len(str(count)))
    return [f"{prefix}{number:0{width}d}" for number in range(count)]


def shifted(start: datetime, seconds: Ints) -> pl.Series:
    """Instants that many whole seconds before `start`."""
    return pl.select(pl.lit(start, dtype=pl.Datetime("us", "UTC")) - pl.duration(seconds=pl.lit(pl.Series(seconds)))).to_series()
