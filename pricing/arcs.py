"""The arcs of the market: which flexible group may run where, when and at which tier, and what that is worth.

An arc exists where every clause holds: the timeless ones of `eligibility.py`, the window (asked for,
and data arrived), the tier (wanted, and its limit above nothing) and worth ≥ the pool's lowest rate.
Arcs are kept sorted by (group, slot, pool, tier), so that what belongs to one bid in one slot is a run.
"""

import msgspec
import numpy as np

from pricing.arrays import SPOT, STANDARD, Bools, Ints
from pricing.network import Network
from pricing.worth import carbon_cost

CELLS_AT_ONCE = 4_000_000


class Arcs(msgspec.Struct, frozen=True, eq=False):
    """The N arcs. Nodes number (tier, pool, slot) as (tier·P + pool)·T + slot, cells (group, slot) as group·T + slot.

    group, slot, pool, tier   (N,)
    worth                     (N,) micros per accelerator-hour
    """

    group: Ints
    slot: Ints
    pool: Ints
    tier: Ints
    worth: Ints


def find_arcs(network: Network) -> Arcs:
    """Every arc of the flexible groups of a network, a few pairs at a time so that memory stays in bounds."""
    slots = network.limits.shape[1]
    pairs = np.flatnonzero(network.flexible[network.group])
    step = max(1, CELLS_AT_ONCE // (slots * network.limits.shape[2]))
    found = [_some_arcs(network, pairs[start : start + step]) for start in range(0, len(pairs), step)]
    nothing: Ints = np.empty(0, dtype=np.int64)
    pair, slot, tier, worth = (np.concatenate([nothing, *(part[column] for part in found)]) for column in range(4))
    order = np.lexsort((tier, pair, slot, network.group[pair]))
    pair, slot, tier, worth = pair[order], slot[order], tier[order], worth[order]
    group, pool = network.group[pair].astype(np.int64), network.pool[pair].astype(np.int64)
    return Arcs(group=group, slot=slot, pool=pool, tier=tier, worth=worth)


def _some_arcs(network: Network, pairs: Ints) -> tuple[Ints, ...]:
    """The arcs of some pairs as columns: pair, slot, tier, worth."""
    pool, group = network.pool[pairs], network.group[pairs]
    hour = np.arange(network.limits.shape[1])
    window = (hour >= network.first[pairs][:, None]) & (hour < network.end[group][:, None])
    net = network.worth[pairs][:, None, :] - carbon_cost(network.carbon[group][:, None], network.grams[pool])[..., None]
    there = window[..., None] & (network.limits[pool] > 0) & (net >= network.cheapest[pool][..., None])
    which = np.nonzero(there)
    row, slot, tier = (index.astype(np.int64) for index in which)
    return pairs[row], slot, tier, net[which]


def served(limits: Ints) -> Bools:
    """Tiers (P, T, 3) with room for anyone: guaranteed runs inside standard's limit."""
    room: Bools = limits > 0
    room[..., :SPOT] &= room[..., STANDARD : STANDARD + 1]
    return room
