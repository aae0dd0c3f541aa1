"""The prices of a book with blocks: they support its relaxation over columns, the convex hull of what each bid may do.

The relaxation is solved once. A price vector supports its optimum exactly when it is feasible in the dual and leaves
nothing on the table (complementary slackness): what is served is worth its price, what has room is free. Those vectors
are not a lattice; the published ends are the vectors of least and of greatest sum of all tier prices, and of equals the
one of least, or greatest, sum weighted by place, so that no solver's whim is left. A pool's price is never below its lowest rate.
"""

import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.tables import TIERS
from pricing.arcs import served
from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Floats, Ints
from pricing.convex import best_of
from pricing.mixture import Mixture, mix
from pricing.problem import MarketProblem
from pricing.residual import PriceRange
from pricing.solver import LinearProgramme, LinearSolution, solve, solve_growing

# Up to so many arcs and columns all rows of a face are looked at at once; beyond, those further from their room than this
# part of the largest only when they are broken, which is told in UNIT.
SMALL = 20_000
NEAR = 0.03
BROKEN = 1e-6
# Arcs and columns of every bid (and slot) that the relaxation begins with, and that come in at once; the least gain (micros) of those.
FIRST, MORE = 6, 12
LEAST_GAIN = 1e-3

# Accelerators, or blocks, as the solver's floats tell them: its own tolerance is 1e-7.
USED = 1e-6
# A dual or reduced cost that is not nothing; the sums' weights are whole.
TELLING = 1e-9
# Micros in the unit that prices are sought in, so that the solver's tolerance is a small part of one.
UNIT = 1000.0
# Micros: a price this near to a whole number is that number.
WHOLE = 1e-3


class _Face(msgspec.Struct, frozen=True, eq=False):
    """The supporting vectors: base + y with 0 ≤ y ≤ most, rows @ y ≤ room, equal where `tight`.

    base, most (m,) UNIT; rows (n, m); room (n,) UNIT; tight (n,). A block's own gain is that of one of its accelerators.
    """

    base: Floats
    most: Floats
    rows: sp.csr_array
    room: Floats
    tight: Bools


def column_prices(problem: MarketProblem, count: Ints) -> PriceRange:
    """Both ends of the supporting prices, (3, P, T) micros each, when each group has `count` bids (G,).

    Raises ClearingFailed when the solver does.
    """
    mixture = mix(problem, count)
    if not mixture.arcs + mixture.columns:
        quiet = np.broadcast_to(problem.supply.cheapest, (len(TIERS), problem.pools, problem.slots))
        return PriceRange(low=quiet, high=quiet)
    face = _supporting(problem, mixture)
    sums, places = _sums(problem, len(face.base))
    ends = []
    near = np.ones(len(face.room), dtype=bool) if len(face.room) <= SMALL else face.room < NEAR * np.abs(face.room).max()
    for sign in (1.0, -1.0):
        vector = _extreme(face, [sign * aim for aim in (sums, places)], near=near)
        ends.append(_tier_prices(problem, vector))
    return PriceRange(low=np.minimum(*ends), high=np.maximum(*ends))


def relax(problem: MarketProblem, mixture: Mixture, *, allowed: Bools | None = None) -> LinearSolution:
    """An optimum of the relaxation, a corner: x (n,) and the dual of each row.

    allowed   (N + K,) arcs and columns that may be used; all of them if not given
    A large one begins with the best few arcs and columns of every bid (and slot), and takes in what would gain. A pool asks
    for its lowest rate at least, also where its dual is nothing because no arc or column there is in yet.
    """
    programme = mixture.programme
    bids, places = mixture.arcs + mixture.columns, problem.pools * problem.slots
    may = np.ones(bids, dtype=bool) if allowed is None else allowed.copy()
    if bids <= SMALL and may.all():
        return solve(programme)
    floor = np.zeros(len(programme.room))
    offered = problem.supply.offered.ravel() > 0
    floor[SPOT * places : (SPOT + 1) * places][offered] = problem.supply.cheapest.ravel()[offered]
    owner = np.concatenate([problem.cell, problem.groups * problem.slots + problem.columns.group])
    takes = sp.csr_array(programme.rows[:, :bids].T)

    def gaining(dual: Floats, most: int = MORE) -> Ints:
        """The best of every bid (and slot) among those that gain at a dual; once only."""
        gain = programme.value[:bids] - takes @ np.maximum(dual, floor)
        wanting = np.flatnonzero(may & (gain > LEAST_GAIN))
        best = wanting[best_of(owner[wanting], gain[wanting], most=most)] if len(wanting) else wanting
        may[best] = False
        return best

    first = np.concatenate([gaining(floor, FIRST), np.arange(bids, len(programme.value))])
    return solve_growing(programme, first, more=gaining)


def _supporting(problem: MarketProblem, mixture: Mixture) -> _Face:
    """Solve the relaxation and write down what its optimum leaves open."""
    programme = mixture.programme
    quantity = relax(problem, mixture).quantity
    places, bids = problem.pools * problem.slots, mixture.arcs + mixture.columns
    used = quantity > USED
    has_room = programme.room - programme.rows @ quantity > USED
    sold, left = used[bids:], quantity[bids:] < programme.most[bids:] - USED
    lowest, highest = problem.supply.cheapest.ravel().copy(), np.full(places, NEVER, dtype=np.int64)
    np.maximum.at(lowest, mixture.place[sold], mixture.rate[sold])
    np.minimum.at(highest, mixture.place[left], mixture.rate[left])
    offered = problem.supply.offered.ravel() > 0
    base, most = np.zeros(len(has_room)), np.where(has_room, 0.0, np.inf)
    spot = slice(SPOT * places, (SPOT + 1) * places)
    base[spot] = np.where(offered, lowest, 0)
    bounded = np.where(highest == NEVER, np.inf, np.maximum(highest - lowest, 0))
    most[spot] = np.where(offered & ~has_room[spot], bounded, 0)
    there = served(problem.supply.limits).transpose(2, 0, 1).reshape(len(TIERS), -1) & offered
    for tier in (GUARANTEED, STANDARD):
        most[tier * places : (tier + 1) * places][~there[tier]] = 0
    wide = np.concatenate([np.ones(mixture.arcs), problem.columns.width])
    own = np.ones(len(base))
    own[len(base) - problem.groups :] = np.where(problem.demand.run > 0, problem.demand.width, 1)
    rows = sp.csr_array(sp.diags_array(-1 / wide) @ programme.rows[:, :bids].T @ sp.diags_array(own))
    room = -programme.value[:bids] / wide - rows @ base
    return _Face(base=base / UNIT, most=most / UNIT, rows=rows, room=room / UNIT, tight=used[:bids])


def _sums(problem: MarketProblem, unknowns: int) -> tuple[Floats, Floats]:
    """What each unknown (m,) adds to the sum of all tier prices, and to the sum weighted by their place, 1 and up."""
    there = served(problem.supply.limits) & (problem.supply.offered > 0)[..., None]
    number = np.cumsum(there.ravel()).reshape(there.shape)
    weights = []
    for each in (there.astype(np.float64), np.where(there, number, 0).astype(np.float64)):
        weight = np.zeros(unknowns)
        reached = np.cumsum(each, axis=2).transpose(2, 0, 1).ravel()  # a premium is part of its tier's price and the better ones'
        weight[: len(reached)] = reached
        weights.append(weight)
    return weights[0], weights[1]


def _extreme(face: _Face, aims: list[Floats], *, near: Bools) -> Floats:
    """The vector (m,) that makes the first aim least, among those the second."""
    for aim in aims:
        solution, near = _least(face, aim, near=near)
        at_cost = np.abs(-aim - face.rows.T @ solution.dual) > TELLING
        vector = np.where(at_cost, np.where(solution.quantity > face.most / 2, face.most, 0.0), 0.0)
        found = face.base + solution.quantity
        face = _Face(
            base=face.base + vector,
            most=np.where(at_cost, 0.0, face.most),
            rows=face.rows,
            room=face.room - face.rows @ vector,
            tight=face.tight | (np.abs(solution.dual) > TELLING),
        )
    return found


def _least(face: _Face, aim: Floats, *, near: Bools) -> tuple[LinearSolution, Bools]:
    """The vector on a face of least aim, with the dual (n,) of every row, and the rows that were looked at.

    A tight row is an equation: its dual is that of the one side less that of the other. Rows far from their room are left
    out until they are broken; a row never looked at has no dual, and the answer is that of all rows.
    """
    tight = np.flatnonzero(face.tight)
    near = near | face.tight
    while True:
        kept = np.flatnonzero(near)
        rows = sp.vstack([face.rows[kept], -face.rows[tight]])
        room = np.concatenate([face.room[kept], -face.room[tight]])
        solution = solve(LinearProgramme(value=-aim, most=face.most, rows=sp.csc_array(rows), room=room))
        broken = (face.rows @ solution.quantity - face.room > BROKEN) & ~near
        if not broken.any():
            dual = np.zeros(len(face.room))
            dual[kept] = solution.dual[: len(kept)]
            dual[tight] -= solution.dual[len(kept) :]
            return LinearSolution(solution.quantity, dual), near
        near = near | broken


def _tier_prices(problem: MarketProblem, vector: Floats) -> Ints:
    """Tier prices (3, P, T) of a vector, each rounded down to a micro."""
    parts = UNIT * vector[: len(TIERS) * problem.pools * problem.slots].reshape(len(TIERS), problem.pools, problem.slots)
    price = np.cumsum(parts[::-1], axis=0)[::-1]
    nearest = np.rint(price)
    whole: Ints = np.where(np.abs(price - nearest) < WHOLE, nearest, np.floor(price)).astype(np.int64)
    return whole
