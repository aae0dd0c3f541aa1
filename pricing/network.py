"""The book with its arcs implicit: what a large clearing keeps in memory.

A book of 100,000 bids, 550 sites and 24 slots has some 100 million (bid, pool, slot) arcs and a few million *pairs* of a
group of equal bids and a pool that passes every clause needing neither slot nor price. So pairs are kept, and an arc
is worked out where it is looked at: pair m in slot t at tier q exists where

    first[m] ≤ t < end[g],   limits[p, t, q] > 0,   net(m, t, q) ≥ cheapest[p, t]

with g and p the pair's group and pool and net = worth[m, q] − ⌈carbon[g]·grams[p, t] ÷ 10⁶⌉. `compiling.py` makes it from a book.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pricing.arrays import Bools, Ints

Small = npt.NDArray[np.int32]


class Network(NamedTuple):
    """G groups of equal bids, M pairs, P pools, T slots, K steps of supply; micros per accelerator-hour, accelerators.

    A NamedTuple, since compiled kernels take it whole.

    start      (G + 1,) the pairs of group g are start[g] … start[g + 1] − 1, by pool ascending
    group      (M,) int32
    pool       (M,) int32
    first      (M,) int32, earliest slot: asked for and data arrived; T where never
    worth      (M, 3) by tier, fee and transfer taken off, carbon not; −NEVER where the tier is not wanted, not carried, or cannot pay
    end        (G,) first slot too late
    width      (G,) most accelerators of one bid in a slot
    units      (G,) most accelerator-slots of one bid
    size       (G,) bids in the group: together they may use size·width in a slot and size·units in all
    run        (G,) slots a block runs; 0 for flexible bids, whose arcs alone are part of the network
    carbon     (G,) micros the bid would pay to avoid a kilogram
    grams      (P, T) milligrams an accelerator-hour emits
    cheapest   (P, T) lowest rate with anything left; NEVER where nothing is
    limits     (P, T, 3) most accelerators at guaranteed, at standard or better, at spot or better; 0 where the tier cannot be served
    step       (P·T + 1,) the steps of pool p in slot t are step[p·T + t] … , by rate ascending, rates distinct
    rate       (K,) of a step
    quantity   (K,) accelerators left at that rate
    """

    start: Ints
    group: Small
    pool: Small
    first: Small
    worth: Ints
    end: Ints
    width: Ints
    units: Ints
    size: Ints
    run: Ints
    carbon: Ints
    grams: Ints
    cheapest: Ints
    limits: Ints
    step: Ints
    rate: Ints
    quantity: Ints

    @property
    def flexible(self) -> Bools:
        """(G,) whether a group's bids may be split."""
        found: Bools = self.run == 0
        return found


class Flow(msgspec.Struct, frozen=True, eq=False):
    """Accelerators by pair, slot and tier, K rows sorted by (pair, slot, tier), each once and positive: what a path decides."""

    pair: Ints
    slot: Ints
    tier: Ints
    quantity: Ints
