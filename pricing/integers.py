"""The awards of a book with blocks: whole by branch and bound, the flexible part then exactly.

Branch and bound says which columns run. What they take is taken out of the supply, cheapest first, and what is left is a
network of flexible bids again: it is cleared like any other, so that its awards are whole, and proved by their prices.
"""

from math import floor

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed
from contracts.terms.tables import TIERS
from pricing.arcs import Arcs
from pricing.arrays import NEVER, SPOT, Ints
from pricing.choice import Lots
from pricing.mixture import mix
from pricing.pools import Supply, by_pool
from pricing.problem import MarketProblem
from pricing.solver import LinearProgramme, solve_whole
from pricing.worth import KILOGRAM

# The search ends here with the best answer it has; the certificate states how much better another could be.
SEARCH_SECONDS = 60.0
# Micros by which the solver's bound may fall short of a whole number and still mean it.
NOISE = 1e-2


class Chosen(msgspec.Struct, frozen=True, eq=False):
    """How many blocks run each column (K,), and the welfare per slot-hour that no awards exceed, as the solver claims.

    Where no block can run at all, nothing is claimed and the bound is 0: what the flexible bids reach is the most there is.
    """

    blocks: Ints
    bound: int


def choose_columns(problem: MarketProblem, count: Ints) -> Chosen:
    """The columns that run at greatest welfare when each group has `count` bids (G,). Raises ClearingFailed as the solver does."""
    mixture = mix(problem, count)
    columns = problem.columns
    most = mixture.programme.most.copy()
    own = slice(mixture.arcs, mixture.arcs + mixture.columns)
    most[own] = np.where(columns.fit(problem.supply.limits), count[columns.group], 0)
    if not most[own].any():
        return Chosen(np.zeros(mixture.columns, dtype=np.int64), bound=0)
    programme = LinearProgramme(mixture.programme.value, most, rows=mixture.programme.rows, room=mixture.programme.room)
    found = solve_whole(programme, np.arange(own.start, own.stop), seconds=SEARCH_SECONDS)
    return Chosen(np.rint(found.quantity[own]).astype(np.int64), bound=floor(found.bound + NOISE))


def after_blocks(problem: MarketProblem, blocks: Ints) -> MarketProblem:
    """What is left for the flexible bids when so many blocks run each column (K,). Raises ClearingFailed when they do not fit."""
    supply, columns = problem.supply, problem.columns
    taken = np.zeros((len(TIERS), problem.pools, problem.slots), dtype=np.int64)
    for column in np.flatnonzero(blocks):
        first, run = columns.first[column], columns.run[column]
        taken[columns.tier[column], columns.pool[column], first : first + run] += blocks[column] * columns.width[column]
    better = np.cumsum(taken, axis=0)
    limits = supply.limits - better.transpose(1, 2, 0)
    if limits.min(initial=0) < 0:
        raise ClearingFailed("the blocks do not fit the book", status="infeasible")
    left = _left(supply, better[SPOT])
    rates = np.where(left > 0, supply.rates, NEVER)
    cheapest = np.full_like(supply.cheapest, NEVER)
    np.minimum.at(cheapest, supply.pool_of, rates)
    after = msgspec.structs.replace(supply, left=left, offered=by_pool(left, supply.pool_of), cheapest=cheapest, limits=limits)
    return msgspec.structs.replace(problem, supply=after)


def add_blocks(problem: MarketProblem, blocks: Ints, *, members: list[list[int]]) -> tuple[MarketProblem, Lots]:
    """The problem with an arc for every slot of every column that runs, and the lots on them; an earlier block runs first.

    members   (G) rows of the bids in the book, in order of entry
    """
    columns, arcs = problem.columns, problem.arcs
    running = np.repeat(np.arange(len(blocks)), blocks)
    queues = {int(group): iter(members[group]) for group in np.unique(columns.group[running])}
    bid = np.array([next(queues[int(group)]) for group in columns.group[running]], dtype=np.int64)
    spread = np.repeat(np.arange(len(running)), columns.run[running])
    column = running[spread]
    start = np.cumsum(columns.run[running]) - columns.run[running]
    slot = columns.first[column] + np.arange(len(spread)) - start[spread]
    more = Arcs(
        group=columns.group[column],
        slot=slot,
        pool=columns.pool[column],
        tier=columns.tier[column],
        worth=_worth(problem, column, slot=slot),
        reachable=arcs.reachable,
    )
    kept = {name: np.concatenate([getattr(arcs, name), getattr(more, name)]) for name in ("group", "slot", "pool", "tier", "worth")}
    grown = msgspec.structs.replace(
        problem,
        arcs=Arcs(**kept, reachable=arcs.reachable),
        cell=np.concatenate([problem.cell, more.group * problem.slots + slot]),
        node=np.concatenate([problem.node, (more.tier * problem.pools + more.pool) * problem.slots + slot]),
    )
    lots = Lots(bid=bid[spread], arc=len(arcs.worth) + np.arange(len(spread)), tier=more.tier, quantity=columns.width[column])
    return grown, lots


def _worth(problem: MarketProblem, column: Ints, *, slot: Ints) -> Ints:
    """What an accelerator-hour of some columns (n,) is worth in a slot (n,) of their runs."""
    group, pool, tier = problem.columns.group[column], problem.columns.pool[column], problem.columns.tier[column]
    carbon = -(-problem.worth.carbon[group] * problem.supply.carbon[pool, slot] // KILOGRAM)
    worth: Ints = problem.worth.gross[group, pool, tier] - problem.worth.transfer[group, pool] - carbon
    return worth


def _left(supply: Supply, taken: Ints) -> Ints:
    """What is left of every offer (O, T) when so much is taken of each pool (P, T), cheapest first."""
    left, remaining = supply.left.copy(), taken.copy()
    hour = np.arange(left.shape[1])
    for offer in np.argsort(supply.rates, axis=0, kind="stable"):
        pool = supply.pool_of[offer]
        part = np.minimum(left[offer, hour], remaining[pool, hour])
        left[offer, hour] -= part
        remaining[pool, hour] -= part
    return left
