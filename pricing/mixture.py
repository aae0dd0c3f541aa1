"""A book with blocks as one programme: arcs of the flexible bids, columns of the blocks, and the supply behind both.

    maximise    Σ worth·x + Σ width·worth·y − Σ rate·z
    such that   what x and y take in (pool, slot)      ≤ Σ z of its offers     price p
                at standard or better there            ≤ its limit             premium μs
                at guaranteed there                    ≤ its limit             premium μg
                Σ x of a group in a slot               ≤ count · width         v
                Σ x of a group                         ≤ count · units         u   (by work Σ factor·x)
                Σ y of a group                         ≤ count                 u

x, z ≥ 0 accelerators, y ≥ 0 blocks of a column: whole for the awards, any number in the relaxation that prices them.
"""

import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, SPOT, STANDARD, Floats, Ints
from pricing.problem import MarketProblem
from pricing.solver import LinearProgramme
from pricing.work import weights


class Mixture(msgspec.Struct, frozen=True, eq=False):
    """The programme and where things stand in it.

    programme       unknowns are the N arcs, then the K columns, then the S supplies; rows are the tiers' places
                    (3·P·T, best tier first), the groups' slots (G·T), the groups (G)
    arcs, columns   N and K
    place, rate     (S,) pool·T + slot and rate of each supply
    """

    programme: LinearProgramme
    arcs: int
    columns: int
    place: Ints
    rate: Ints


def mix(problem: MarketProblem, count: Ints) -> Mixture:
    """The programme of a book in which each group has `count` bids (G,)."""
    supply, demand, arcs, columns = problem.supply, problem.demand, problem.arcs, problem.columns
    places, cells = problem.pools * problem.slots, problem.groups * problem.slots
    offer, slot = np.nonzero(supply.left)
    place = supply.pool_of[offer] * problem.slots + slot
    group_row = len(TIERS) * places + cells
    numbers = np.arange(len(arcs.worth))
    each, total = weights(problem)
    entries = [
        *_tier_entries(arcs.pool * problem.slots + arcs.slot, arcs.tier, places=places, unknown=numbers),
        (len(TIERS) * places + problem.cell, numbers, np.ones(len(numbers))),
        (group_row + arcs.group, numbers, each),
    ]
    spread = np.repeat(np.arange(len(columns.group)), columns.run)
    step = np.arange(len(spread)) - np.repeat(np.cumsum(columns.run) - columns.run, columns.run)
    where = columns.pool[spread] * problem.slots + columns.first[spread] + step
    own = len(numbers) + np.arange(len(columns.group))
    entries += [
        (row, unknown, columns.width[unknown - len(numbers)].astype(np.float64))
        for row, unknown, _ in _tier_entries(where, columns.tier[spread], places=places, unknown=len(numbers) + spread)
    ]
    entries.append((group_row + columns.group, own, np.ones(len(own))))
    sold = len(numbers) + len(own) + np.arange(len(place))
    entries.append((SPOT * places + place, sold, -np.ones(len(place))))
    row, unknown, amount = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    limits = supply.limits.reshape(-1, len(TIERS)).astype(np.float64)
    by_slot, in_all = np.repeat(count * demand.width, problem.slots), count * np.where(demand.run > 0, 1, total)
    room = np.concatenate([limits[:, GUARANTEED], limits[:, STANDARD], np.zeros(places), by_slot, in_all])
    rate = supply.rates[offer, slot]
    programme = LinearProgramme(
        value=np.concatenate([arcs.worth, columns.width * columns.worth, -rate]).astype(np.float64),
        most=np.concatenate([np.full(len(numbers) + len(own), np.inf), supply.left[offer, slot]]),
        rows=sp.csc_array((amount, (row, unknown)), shape=(group_row + problem.groups, len(sold) + len(own) + len(numbers))),
        room=room,
    )
    return Mixture(programme, len(numbers), len(own), place, rate)


def _tier_entries(place: Ints, tier: Ints, *, places: int, unknown: Ints) -> list[tuple[Ints, Ints, Floats]]:
    """(row, unknown, 1) of every tier's row that an unit at a place and tier counts in: its own and the worse ones."""
    found = []
    for counted in (GUARANTEED, STANDARD, SPOT):
        inside = tier <= counted
        found.append((counted * places + place[inside], unknown[inside], np.ones(int(inside.sum()))))
    return found
