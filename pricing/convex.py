"""The convex path: the book as a linear programme, solved whole, or on few arcs and checked against all of them.

Up to a million arcs the programme goes to the solver whole. A bigger book has millions of arcs and uses thousands: its
programme starts with the best few arcs of every bid and slot; its duals price every other arc; those that would still gain come
in, until none does. What remains is an optimum of the whole book, in whole accelerators since it is a network.
"""

from collections.abc import Callable

import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.errors import ClearingFailed
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, SPOT, STANDARD, Bools, Floats, Ints
from pricing.problem import MarketProblem
from pricing.solver import LinearProgramme, solve

# A book of up to so many arcs is solved at once. With every arc there, its own upper bound may stand beside the rows that imply
# it: the simplex then needs a third of the time, a quarter of what sifting takes.
WHOLE_MOST = 1_000_000

# Sifting: start with the best arcs of every bid and slot and take in the best of those that would gain, until few are left; then
# the arcs near their price. An upper bound of an arc would take from the duals that price the arcs left out. A small book is sifted
# too, its first answer near enough: that costs nothing there, and of many equal optima it stays with the one it always had.
SMALL = 20_000
FIRST_ARCS = 6
MORE_ARCS = 12
FEW = 500
ROUNDS = 200
PRUNED = 20  # rounds in which arcs may also be dropped; later ones only add, so that they end

# Gains in micros, or as shares of the median worth. The least stands clear of the solver's own tolerance of 1e-7.
LEAST_GAIN = 1e-6
ROUGH_GAIN = 1e-4
NEAR = 1e-2
FAR = 1e-1

# Accelerators, as the solver's floats tell them: served at all between two corners; whole at one.
SERVED = 1e-2
WHOLE = 1e-4

# What leans among equals, in micros.
EARLIER = 1e-2
LOWER_NAME = 1e-4

Progress = Callable[[str], None]


class _Rows(msgspec.Struct, frozen=True, eq=False):
    """Where each kind of row sits in the programme; −1 where its limit can never bind and no row is needed.

    pool (P·T,), standard (P·T,), guaranteed (P·T,), cell (G·T,), group (G,); room (m,) of all rows in order
    """

    pool: Ints
    standard: Ints
    guaranteed: Ints
    cell: Ints
    group: Ints
    room: Floats


class _Supplies(msgspec.Struct, frozen=True, eq=False):
    """The columns of supply, offers of one pool, slot and rate together: place pool·T + slot, rate, quantity (K,)."""

    place: Ints
    rate: Ints
    quantity: Ints


def optimum(problem: MarketProblem, progress: Progress, *, split_ties: bool = True) -> Ints:
    """The accelerators on every arc (N,) at greatest welfare. Raises ClearingFailed when the solver does.

    split_ties   whether equals go to the earlier slot, then to the pool of the lower name
    """
    arcs = problem.arcs
    quantity = np.zeros(len(arcs.worth), dtype=np.int64)
    if not len(arcs.worth):
        return quantity
    rows, supplies = _rows(problem), _supplies(problem)
    cheapest = problem.supply.cheapest[arcs.pool, arcs.slot]
    worth = arcs.worth + (_tie(problem)[arcs.pool * problem.slots + arcs.slot] if split_ties else 0.0)
    if SMALL < len(quantity) <= WHOLE_MOST:
        every = np.arange(len(quantity))
        bounded = _bounded(problem, _programme(problem, rows, supplies=supplies, chosen=every, worth=worth))
        progress(f"the whole programme: {len(quantity)} arcs")
        return _whole(solve(bounded).quantity[: len(quantity)])
    chosen = best_of(problem.cell, worth - cheapest, most=FIRST_ARCS)
    near, scale = len(quantity) <= SMALL, float(np.median(arcs.worth))
    for number in range(1, ROUNDS + 1):
        solution = solve(_programme(problem, rows, supplies=supplies, chosen=chosen, worth=worth))
        served = solution.quantity[: len(chosen)]
        gain = worth - _costs(problem, rows, dual=solution.dual, sold=_sold(problem, chosen[served > WHOLE]))
        least = LEAST_GAIN if near else ROUGH_GAIN * scale
        wanting = np.setdiff1d(np.flatnonzero(gain > least), chosen, assume_unique=True)
        progress(f"round {number}: {len(chosen)} of {len(quantity)} arcs, {len(wanting)} more would gain")
        if near and not len(wanting):
            quantity[chosen] = _whole(served)
            return quantity
        if near:
            chosen = np.union1d(chosen, wanting)
        elif len(wanting) > FEW:
            kept = chosen[(gain[chosen] > -FAR * scale) | (served > SERVED) | (number > PRUNED)]
            chosen = np.union1d(kept, wanting[best_of(problem.cell[wanting], gain[wanting], most=MORE_ARCS)])
        else:
            near = True
            chosen = np.union1d(np.flatnonzero(gain > -NEAR * scale), chosen[served > SERVED])
    raise ClearingFailed("the arcs would not settle", rounds=ROUNDS)


def best_of(cell: Ints, gain: Ints | Floats, *, most: int) -> Ints:
    """The `most` arcs of greatest gain in every cell, of equals the first; positions ascending."""
    order = np.lexsort((np.arange(len(cell)), -gain, cell))
    sorted_cells = cell[order]
    start = np.flatnonzero(np.concatenate(([True], sorted_cells[1:] != sorted_cells[:-1])))
    rank = np.arange(len(cell)) - np.repeat(start, np.diff(np.append(start, len(cell))))
    best: Ints = np.sort(order[rank < most])
    return best


def _rows(problem: MarketProblem) -> _Rows:
    """Number the rows that can bind, and their room."""
    supply, demand = problem.supply, problem.demand
    used = np.zeros((problem.pools, problem.slots), dtype=bool)
    used[problem.arcs.pool, problem.arcs.slot] = True
    limits = supply.limits.reshape(-1, len(TIERS))
    wanted = np.zeros((problem.groups, problem.slots), dtype=bool)
    wanted[problem.arcs.group, problem.arcs.slot] = True
    reach = demand.width * wanted.sum(axis=1)
    kinds: list[tuple[Bools, Ints]] = [
        (used.ravel(), np.zeros(used.size, dtype=np.int64)),
        (used.ravel() & (limits[:, STANDARD] < limits[:, SPOT]), limits[:, STANDARD]),
        (used.ravel() & (limits[:, GUARANTEED] < np.minimum(limits[:, STANDARD], limits[:, SPOT])), limits[:, GUARANTEED]),
        (((demand.width < demand.units)[:, None] & wanted).ravel(), np.repeat(demand.count * demand.width, problem.slots)),
        (((demand.units < reach) | (demand.units <= demand.width)) & wanted.any(axis=1), demand.count * demand.units),
    ]
    numbers, start = [], 0
    for binding, _ in kinds:
        numbers.append(np.where(binding, start + np.cumsum(binding) - 1, -1))
        start += int(binding.sum())
    pool, standard, guaranteed, cell, group = numbers
    room = np.concatenate([most[binding] for binding, most in kinds]).astype(np.float64)
    return _Rows(pool=pool, standard=standard, guaranteed=guaranteed, cell=cell, group=group, room=room)


def _supplies(problem: MarketProblem) -> _Supplies:
    supply = problem.supply
    offer, slot = np.nonzero(supply.left)
    keys = np.stack([supply.pool_of[offer] * problem.slots + slot, supply.rates[offer, slot]], axis=1)
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    quantity = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(quantity, which.ravel(), supply.left[offer, slot])
    return _Supplies(distinct[:, 0], distinct[:, 1], quantity)


def _programme(problem: MarketProblem, rows: _Rows, *, supplies: _Supplies, chosen: Ints, worth: Floats) -> LinearProgramme:
    """The programme on the chosen arcs; unknowns are those arcs, then the supplies."""
    arcs = problem.arcs
    place = arcs.pool[chosen] * problem.slots + arcs.slot[chosen]
    tier = arcs.tier[chosen]
    entries = (
        rows.pool[place],
        np.where(tier <= STANDARD, rows.standard[place], -1),
        np.where(tier == GUARANTEED, rows.guaranteed[place], -1),
        rows.cell[problem.cell[chosen]],
        rows.group[arcs.group[chosen]],
    )
    sold_at = rows.pool[supplies.place]
    row = np.concatenate([*entries, sold_at])
    count, more = len(chosen), len(supplies.place)
    column = np.concatenate([np.tile(np.arange(count), len(entries)), np.arange(count, count + more)])
    sign = np.concatenate([np.ones(count * len(entries)), -np.ones(more)])
    kept = row >= 0
    shape = (len(rows.room), count + more)
    return LinearProgramme(
        value=np.concatenate([worth[chosen], -supplies.rate]).astype(np.float64),
        most=np.concatenate([np.full(count, np.inf), supplies.quantity]),
        rows=sp.csc_array((sign[kept], (row[kept], column[kept])), shape=shape),
        room=rows.room,
    )


def _bounded(problem: MarketProblem, programme: LinearProgramme) -> LinearProgramme:
    """The programme on all arcs, each bounded by what its group may use in a slot and its tier may carry."""
    arcs, demand = problem.arcs, problem.demand
    own = demand.count * np.minimum(demand.width, demand.units)
    most = np.minimum(own[arcs.group], problem.supply.limits[arcs.pool, arcs.slot, arcs.tier])
    return msgspec.structs.replace(programme, most=np.concatenate([most, programme.most[len(most) :]]).astype(np.float64))


def _tie(problem: MarketProblem) -> Floats:
    """What splits equals, in micros by pool and slot (P·T,): the earlier slot first, then the pool of the lower name.

    Little more than a hundredth of a micro, so that welfare decides first, and above nothing, so that a trade that
    gains nobody anything is made. Where many of them add up to a micro the awards may be no optimum of the book:
    the residual finds that out, and the book is solved without.
    """
    pool, slot = np.indices((problem.pools, problem.slots))
    tie: Floats = (EARLIER * (1 - slot / problem.slots) + LOWER_NAME * (1 - pool / problem.pools)).ravel()
    return tie


def _sold(problem: MarketProblem, used: Ints) -> Bools:
    sold = np.zeros((problem.pools, problem.slots), dtype=bool)
    sold[problem.arcs.pool[used], problem.arcs.slot[used]] = True
    return sold


def _costs(problem: MarketProblem, rows: _Rows, *, dual: Floats, sold: Bools) -> Floats:
    """What a unit on each arc (N,) costs at the programme's prices, its bid's own scarcity included.

    A pool that sells nothing may ask its lowest rate at every tier and still support the awards: without
    that, its dual (nothing) would draw in every arc it has.
    """
    duals = np.append(dual, 0.0)
    spot = duals[rows.pool].reshape(sold.shape)
    tiers = np.stack([duals[rows.guaranteed], duals[rows.standard], np.zeros(sold.size)]).reshape(len(TIERS), *sold.shape)
    premium = np.cumsum(tiers[::-1], axis=0)[::-1]
    price = np.where(sold, spot + premium, problem.supply.cheapest)
    own = duals[rows.cell][problem.cell] + duals[rows.group][problem.arcs.group]
    costs: Floats = price.ravel()[problem.node] + own
    return costs


def _whole(served: Floats) -> Ints:
    """Whole accelerators. A corner of a network is whole; anything else is the solver's failure."""
    nearest = np.rint(served)
    if np.abs(served - nearest).max(initial=0.0) > WHOLE:
        raise ClearingFailed("the solver left parts of an accelerator", status="fractional")
    return nearest.astype(np.int64)
