"""Bids by work: their hours are reference hours, so that an accelerator takes as much of them as its class is fast.

    Σ factor·x of a bid ≤ ⌊hours ÷ h⌋, both in millionths;   Σ x in a slot ≤ width

A factor is no 0 or 1: the book is no network, and corners of its programme need not be whole accelerators. The relaxation
takes parts of them and gives the prices; whole ones come from branch and bound, or from rounding down. Each bid by work is a
group of its own, since a lot of reference hours cannot always be shared out in whole accelerators.
"""

import numpy as np

from pricing.arrays import Bools, Floats, Ints
from pricing.distinct import distinct, numbered_sets
from pricing.problem import CompiledBook, MarketProblem

# Accelerators by which the solver's floats may fall short of a whole number and still mean it.
WHOLE = 1e-6


def factors_at(compiled: CompiledBook, group: Ints, *, pool: Ints) -> Ints:
    """Reference hours in millionths that an accelerator-hour of pools (n,) is to groups (n,)."""
    recipes, classes = compiled.demand.recipes, compiled.supply.pools["hardware"].to_list()
    class_of = compiled.worth.class_of
    names = dict(zip(class_of.tolist(), classes, strict=True))
    table = np.array([[recipe.get(names[number], 0) for number in range(len(names))] for recipe in recipes], dtype=np.int64)
    found: Ints = table.reshape(len(recipes), len(names))[compiled.demand.recipe_of[group], class_of[pool]]
    return found


def weights(problem: MarketProblem) -> tuple[Floats, Floats]:
    """What an accelerator on each arc (N,) takes of its bid's total, and that total for one bid of each group (G,).

    By the hour both count accelerator-slots; by work both are shares of the group's greatest factor, so that the solver's
    tolerances mean accelerators in either case.
    """
    demand, arcs = problem.demand, problem.arcs
    each, total = np.ones(len(arcs.group)), demand.units.astype(np.float64)
    own = np.flatnonzero(work_arcs(problem))
    if len(own):
        factor = factors_at(problem, arcs.group[own], pool=arcs.pool[own])
        top = np.ones(len(total), dtype=np.int64)
        np.maximum.at(top, arcs.group[own], factor)
        each[own] = factor / top[arcs.group[own]]
        total = np.where(demand.work, total / top, total)
    return each, total


def whole_work(problem: MarketProblem, found: Floats) -> Ints:
    """Whole accelerators (N,) on the arcs of the bids by work, rounded down from a solver's answer (N,); 0 on all others.

    Where the solver's tolerance let a bid pass its reference hours, the accelerators of least worth go until it does not.
    """
    demand, arcs = problem.demand, problem.arcs
    quantity = np.where(work_arcs(problem), np.floor(found + WHOLE), 0).astype(np.int64)
    used = np.flatnonzero(quantity)
    factor = factors_at(problem, arcs.group, pool=arcs.pool)
    taken = np.zeros(problem.groups, dtype=np.int64)
    np.add.at(taken, arcs.group[used], (factor * quantity)[used])
    for arc in used[np.argsort(arcs.worth[used], kind="stable")].tolist():
        group, each = arcs.group[arc], int(factor[arc])
        over = int(taken[group] - demand.units[group])
        if over > 0 and each:
            part = min(int(quantity[arc]), -(-over // each))
            quantity[arc] -= part
            taken[group] -= part * each
    return quantity


def without_work(problem: MarketProblem) -> MarketProblem:
    """The book without the arcs of its bids by work: a network, once its blocks are placed."""
    return problem.on_arcs(~work_arcs(problem))


def not_worth_it(problem: MarketProblem, quantity: Ints, *, left: Ints) -> Ints:
    """Accelerators of work (N,) worth less than the dearest sold beside them cost: none in an optimum, some where it was rounded.

    left   (O, T) of every offer once all is sold
    """
    supply, arcs = problem.supply, problem.arcs
    dropped = np.zeros_like(quantity)
    sold = supply.left - left
    for arc in np.flatnonzero(quantity).tolist():
        own = supply.pool_of == arcs.pool[arc]
        slot = arcs.slot[arc]
        dearer = int(sold[own & (supply.rates[:, slot] > arcs.worth[arc]), slot].sum())
        dropped[arc] = min(int(quantity[arc]), dearer)
    return dropped


def in_turn(problem: MarketProblem, quantity: Ints) -> Ints:
    """The same accelerators (N,), of equal bids by work the earlier having all it could use of what the later ones have."""
    demand, arcs = problem.demand, problem.arcs
    found = quantity.copy()
    factor = factors_at(problem, arcs.group, pool=arcs.pool)
    for queue in _equals(problem):
        rows = [slice(*np.searchsorted(arcs.group, [group, group + 1])) for group in queue.tolist()]
        lots, slot, each = np.stack([found[row] for row in rows]), arcs.slot[rows[0]], factor[rows[0]]
        hours, width = int(demand.units[queue[0]]), int(demand.width[queue[0]])
        for earlier in range(len(queue)):
            for later in range(earlier + 1, len(queue)):
                _hand_over(lots[later], lots[earlier], terms=(slot, each), most=(hours, width))
        for row, lot in zip(rows, lots, strict=True):
            found[row] = lot
    return found


def _hand_over(giver: Ints, taker: Ints, *, terms: tuple[Ints, Ints], most: tuple[int, int]) -> None:
    """Move what the taker has hours and width for, in place. terms: slot and factor of each arc; most: hours in millionths, width."""
    (slot, factor), (hours, width) = terms, most
    for arc in np.flatnonzero(giver).tolist():
        room = min(int(giver[arc]), width - int(taker[slot == slot[arc]].sum()))
        if factor[arc]:
            room = min(room, (hours - int((taker * factor).sum())) // int(factor[arc]))
        part = max(0, room)
        giver[arc] -= part
        taker[arc] += part


def _equals(problem: MarketProblem) -> list[Ints]:
    """Groups by work that are equal in all but who and when, two or more together, each by order of entry."""
    demand = problem.demand
    groups = np.flatnonzero(demand.work)
    terms = numbered_sets(demand.terms[groups].drop("hardware"))
    kinds, kind = distinct(terms.with_columns(recipe=demand.recipe_of[groups]))
    turn = demand.turn[demand.ordered[demand.start[groups]]]
    order = np.lexsort((turn, kind))
    parts = np.split(groups[order], np.cumsum(np.bincount(kind, minlength=kinds.height))[:-1]) if len(groups) else []
    return [part for part in parts if len(part) > 1]


def work_arcs(problem: MarketProblem) -> Bools:
    """Which arcs (N,) are of bids by work."""
    found: Bools = problem.demand.work[problem.arcs.group]
    return found
