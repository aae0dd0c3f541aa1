"""The prices that support an optimum: both ends of their lattice, exactly.

Given whole awards of a network book, the rules are difference constraints y ≤ x + w between unknowns:

    p ≤ rate of an offer with units left              p ≥ rate of an offer with units sold
    p ≤ standard ≤ guaranteed, equal where the better tier's limit is slack
    a ≤ price − worth     every arc: refused, it is not worth its price beyond what the bid keeps
    a ≥ price − worth     used arcs: served, it is worth its price
    a ≤ c ≤ 0             a = −(u + v) per bid and slot, c = −u per bid
    a = c where the width is slack, c = 0 where the hours are

The greatest solution is the shortest distance from 0 to every unknown, the least one the longest way
back. Both are found by relaxing all constraints at once until nothing moves. A constraint back into 0
that still wants to move, or a relaxation that never ends, is a cycle of gain: the awards were no optimum.
"""

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints
from pricing.problem import MarketProblem

BOUNDED = NEVER // 2


class NotOptimal(Exception):
    """No prices support the awards: they are not of greatest welfare."""


class Residual(msgspec.Struct, frozen=True, eq=False):
    """What the awards leave open.

    next_rate    (P·T,) lowest rate with units left, NEVER where all are sold
    last_rate    (P·T,) highest rate with units sold, −NEVER where none is
    slack        (2, P·T) whether the limit at guaranteed, at standard or better, has room
    tier_there   (2, P·T) whether the tier has a price at all
    width_slack  (G·T,)
    hours_slack  (G,)
    used         (M,) positions of arcs with accelerators on them
    """

    next_rate: Ints
    last_rate: Ints
    slack: Bools
    tier_there: Bools
    width_slack: Bools
    hours_slack: Bools
    used: Ints


class PriceRange(msgspec.Struct, frozen=True, eq=False):
    """Least and greatest supporting price by tier, pool and slot, (3, P, T) micros; ±NEVER where nothing bounds it."""

    low: Ints
    high: Ints


def leave(problem: MarketProblem, quantity: Ints) -> Residual:
    """Read the residual of whole awards (N,). Raises ClearingFailed when they do not fit the book."""
    supply, demand = problem.supply, problem.demand
    by_tier = problem.by_node(quantity)
    better = np.cumsum(by_tier, axis=0)
    limits = supply.limits.transpose(2, 0, 1)
    by_slot = problem.by_cell(quantity)
    spare_width = (demand.count * demand.width)[:, None] - by_slot
    spare_hours = demand.count * demand.units - by_slot.sum(axis=1)
    if min(quantity.min(initial=0), (limits - better).min(initial=0), spare_width.min(initial=0), spare_hours.min(initial=0)) < 0:
        raise ClearingFailed("the awards do not fit the book", status="infeasible")
    next_rate, last_rate = _margins(problem, better[SPOT])
    there = (limits[:SPOT] > 0) & (limits[STANDARD] > 0)
    return Residual(
        next_rate=next_rate.ravel(),
        last_rate=last_rate.ravel(),
        slack=(better < limits)[:SPOT].reshape(SPOT, -1) & there.reshape(SPOT, -1),
        tier_there=there.reshape(SPOT, -1),
        width_slack=(spare_width > 0).ravel(),
        hours_slack=spare_hours > 0,
        used=np.flatnonzero(quantity),
    )


def price_range(problem: MarketProblem, quantity: Ints) -> PriceRange:
    """Both ends of the supporting prices of an optimum (N,). Raises NotOptimal when it is none."""
    residual = leave(problem, quantity)
    shape = (len(TIERS), problem.pools, problem.slots)
    return PriceRange(low=_least(problem, residual).reshape(shape), high=_greatest(problem, residual).reshape(shape))


def _margins(problem: MarketProblem, sold: Ints) -> tuple[Ints, Ints]:
    """Lowest rate left and highest rate sold (P, T), when offers are filled by rate."""
    supply = problem.supply
    next_rate = np.full(sold.shape, NEVER, dtype=np.int64)
    last_rate = np.full(sold.shape, -NEVER, dtype=np.int64)
    order = np.lexsort((supply.rates, np.broadcast_to(supply.pool_of[:, None], supply.rates.shape)), axis=0)
    hour = np.arange(problem.slots)
    remaining = sold.copy()
    for rank in order:
        pool = supply.pool_of[rank]
        left, rate = supply.left[rank, hour], supply.rates[rank, hour]
        taken = np.minimum(left, remaining[pool, hour])
        remaining[pool, hour] -= taken
        last_rate[pool, hour] = np.where(taken > 0, rate, last_rate[pool, hour])
        next_rate[pool, hour] = np.where(taken < left, np.minimum(rate, next_rate[pool, hour]), next_rate[pool, hour])
    return next_rate, last_rate


def _greatest(problem: MarketProblem, residual: Residual) -> Ints:
    """Shortest distance from 0 to every tier price (3, P·T): from above, nothing tighter than needed."""
    slots, used = problem.slots, residual.used
    price = np.full((len(TIERS), problem.pools * slots), NEVER, dtype=np.int64)
    price[SPOT] = residual.next_rate
    hours = np.zeros(problem.groups, dtype=np.int64)
    own = np.zeros(problem.groups * slots, dtype=np.int64)
    starts, cells = _runs(problem.cell)
    for _ in range(_most_rounds(problem)):
        before = price.copy()
        _equalise_down(price, residual)
        if len(starts):
            dearest = np.minimum.reduceat(price.ravel()[problem.node] - problem.arcs.worth, starts)
            own[cells] = np.minimum(own[cells], dearest)
        free = np.where(residual.width_slack, own, 0).reshape(-1, slots)
        hours = np.minimum(hours, free.min(axis=1, initial=0))
        own = np.minimum(own, np.repeat(hours, slots))
        np.minimum.at(price.reshape(-1), problem.node[used], problem.arcs.worth[used] + own[problem.cell[used]])
        if np.array_equal(before, price):
            if (hours[residual.hours_slack] < 0).any() or (price[SPOT] < residual.last_rate).any():
                break
            return price
    raise NotOptimal


def _least(problem: MarketProblem, residual: Residual) -> Ints:
    """The least supporting tier prices (3, P·T): from below, nothing higher than needed."""
    slots, used = problem.slots, residual.used
    price = np.full((len(TIERS), problem.pools * slots), -NEVER, dtype=np.int64)
    price[SPOT] = residual.last_rate
    hours = np.where(residual.hours_slack, 0, -NEVER)
    own = np.full(problem.groups * slots, -NEVER, dtype=np.int64)
    order = np.argsort(problem.node, kind="stable")
    starts, nodes = _runs(problem.node[order])
    cell, worth = problem.cell[order], problem.arcs.worth[order]
    for _ in range(_most_rounds(problem)):
        before = price.copy()
        _equalise_up(price, residual)
        np.maximum.at(own, problem.cell[used], price.ravel()[problem.node[used]] - problem.arcs.worth[used])
        hours = np.maximum(hours, own.reshape(-1, slots).max(axis=1, initial=-NEVER))
        own = np.where(residual.width_slack, np.maximum(own, np.repeat(hours, slots)), own)
        if len(starts):
            flat = price.reshape(-1)
            flat[nodes] = np.maximum(flat[nodes], np.maximum.reduceat(own[cell] + worth, starts))
        if np.array_equal(before, price):
            if (hours > 0).any() or (price[SPOT] > residual.next_rate).any():
                break
            return price
    raise NotOptimal


def _equalise_down(price: Ints, residual: Residual) -> None:
    """p ≤ standard ≤ guaranteed from above: a worse tier costs at most the better, equal where there is room."""
    for _ in TIERS:
        for better, worse in ((GUARANTEED, STANDARD), (STANDARD, SPOT)):
            there, slack = residual.tier_there[better], residual.slack[better]
            price[worse] = np.where(there, np.minimum(price[worse], price[better]), price[worse])
            price[better] = np.where(slack, np.minimum(price[better], price[worse]), price[better])


def _equalise_up(price: Ints, residual: Residual) -> None:
    """The same from below: a better tier costs at least the worse, equal where there is room."""
    for _ in TIERS:
        for better, worse in ((STANDARD, SPOT), (GUARANTEED, STANDARD)):
            there, slack = residual.tier_there[better], residual.slack[better]
            price[better] = np.where(there, np.maximum(price[better], price[worse]), price[better])
            price[worse] = np.where(slack, np.maximum(price[worse], price[better]), price[worse])


def _runs(keys: Ints) -> tuple[Ints, Ints]:
    """Where each run of equal keys starts, and its key."""
    starts = np.flatnonzero(np.concatenate(([len(keys) > 0], keys[1:] != keys[:-1])))
    return starts, keys[starts]


def _most_rounds(problem: MarketProblem) -> int:
    """Longer than any path that visits nothing twice."""
    return len(TIERS) * problem.pools * problem.slots + problem.groups * (problem.slots + 1) + 2
