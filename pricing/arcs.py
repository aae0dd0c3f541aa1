"""The arcs of the market: which flexible group may run where, when and at which tier, and what that is worth.

An arc exists where every clause holds: the timeless ones of `eligibility.py`, the window (asked for,
and data arrived), the tier (wanted, and its limit above nothing) and worth ≥ the pool's lowest rate.
Arcs are kept sorted by (group, slot, pool, tier), so that what belongs to one bid in one slot is a run.
"""

import msgspec
import numpy as np

from pricing.arrays import NEVER, SPOT, STANDARD, Bools, Ints
from pricing.eligibility import Eligibility
from pricing.pools import Supply
from pricing.worth import Worth

CELLS_AT_ONCE = 4_000_000
KILOGRAM = 1_000_000


class Arcs(msgspec.Struct, frozen=True, eq=False):
    """The N arcs. Nodes number (tier, pool, slot) as (tier·P + pool)·T + slot, cells (group, slot) as group·T + slot.

    group, slot, pool, tier   (N,)
    worth                     (N,) micros per accelerator-hour
    reachable                 (G,) whether some pool passes every timeless clause and could carry a wanted tier
    """

    group: Ints
    slot: Ints
    pool: Ints
    tier: Ints
    worth: Ints
    reachable: Bools


class Cells(msgspec.Struct, frozen=True, eq=False):
    """Every (group, slot, pool, tier) of some groups, g of them.

    allowed     (g, T, P, 3) whether every clause holds but worth
    worth       (g, T, P, 3) micros per accelerator-hour; of no meaning where not allowed
    reachable   (g,) as in Arcs
    """

    allowed: Bools
    worth: Ints
    reachable: Bools


def find_arcs(supply: Supply, worth: Worth, *, eligibility: Eligibility, flexible: Bools) -> Arcs:
    """Every arc of the flexible groups (of G), a few groups at a time so that memory stays in bounds."""
    groups, pools, tiers = worth.gross.shape
    slots = supply.offered.shape[1]
    step = max(1, CELLS_AT_ONCE // max(1, pools * tiers * slots))
    found = [
        _some_arcs(supply, worth, eligibility=eligibility, groups=np.arange(start, min(start + step, groups)), flexible=flexible)
        for start in range(0, groups, step)
    ]
    nothing: Ints = np.empty(0, dtype=np.int64)
    group, slot, pool, tier, worth_ = (np.concatenate([nothing, *(part[column] for part, _ in found)]) for column in range(5))
    reachable = np.concatenate([nothing.astype(bool), *(part for _, part in found)])
    return Arcs(group=group, slot=slot, pool=pool, tier=tier, worth=worth_, reachable=reachable)


def _some_arcs(supply: Supply, worth: Worth, *, eligibility: Eligibility, groups: Ints, flexible: Bools) -> tuple[tuple[Ints, ...], Bools]:
    """The arcs of some groups as columns, and whether each group has a pool at all.

    Cells are laid out (group, slot, pool, tier), which is the order of the arcs.
    """
    cells = read_cells(supply, worth, eligibility=eligibility, groups=groups)
    arc = cells.allowed & (cells.worth >= supply.cheapest.T[..., None]) & flexible[groups][:, None, None, None]
    which = np.nonzero(arc)
    group, slot, pool, tier = (index.astype(np.int64) for index in which)
    return (groups[group], slot, pool, tier, cells.worth[which]), cells.reachable


def read_cells(supply: Supply, worth: Worth, *, eligibility: Eligibility, groups: Ints) -> Cells:
    """Where and when some groups (g,) may run, and what an accelerator-hour is worth there."""
    hour = np.arange(supply.offered.shape[1])[:, None]
    eligible = eligibility.of(groups)
    window = (hour >= worth.first[groups][:, None, :]) & (hour < worth.end[groups][:, None, None])
    there = window & eligible[:, None, :] & (supply.offered.T > 0)
    wanted = worth.gross[groups] > -NEVER
    allowed = there[..., None] & wanted[:, None] & served(supply.limits).transpose(1, 0, 2)
    carbon = -(-worth.carbon[groups][:, None, None] * supply.carbon.T // KILOGRAM)
    net = worth.gross[groups][:, None] - (worth.transfer[groups][:, None, :] + carbon)[..., None]
    carries = wanted[..., SPOT] | (wanted[..., :SPOT].any(axis=2) & supply.pools["firm"].to_numpy())
    return Cells(allowed, net, np.any(eligible & carries, axis=1))


def served(limits: Ints) -> Bools:
    """Tiers (P, T, 3) with room for anyone: guaranteed runs inside standard's limit."""
    room: Bools = limits > 0
    room[..., :SPOT] &= room[..., STANDARD : STANDARD + 1]
    return room
