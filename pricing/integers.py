"""The awards of a book with blocks: whole by branch and bound, the flexible part then exactly.

Branch and bound says which columns run. What they take is taken out of the supply, cheapest first, and what is left is a
network of flexible bids again: it is cleared like any other, so that its awards are whole, and proved by their prices.

A small book goes to branch and bound as it is. With many columns it begins with the answer of a packing; with many arcs it
sees only what is near its price in the relaxation, and the relaxation is the bound.
"""

from math import floor
from typing import TypeVar

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed
from pricing.arrays import NEVER, SPOT, Bools, Ints
from pricing.blocks import Columns
from pricing.choice import Grants
from pricing.compiling import with_supply
from pricing.demand import Demand
from pricing.laying import rank_within
from pricing.mixture import Mixture, mix
from pricing.packing import pack
from pricing.pools import Supply, by_pool
from pricing.problem import CompiledBook, MarketProblem
from pricing.relaxation import relax
from pricing.solver import LinearProgramme, LinearSolution, Search, solve_whole
from pricing.work import whole_work, work_arcs

# Up to so many columns that fit, and arcs, branch and bound needs no help and ends with a proof.
FEW_COLUMNS = 2_000
FEW_ARCS = 20_000
# Up to so many arcs of bids by work their accelerators are whole by branch and bound; beyond, rounded down.
FEW_WORK = 300
# Beyond that it may stop this near the bound, as a share of the answer.
NEAR_ENOUGH = 1e-4
# An arc or column that would lose less than this part of the median worth an accelerator-hour, at the relaxation's prices, is kept.
NEAR = 0.03
# Micros by which the solver's bound may fall short of a whole number and still mean it.
NOISE = 1e-2
USED = 1e-6

Book = TypeVar("Book", bound=CompiledBook)


class Chosen(msgspec.Struct, frozen=True, eq=False):
    """How many blocks run each column (K,), what the bids by work get on each arc (N,), and the welfare per slot-hour that no
    awards exceed, as the solver claims.

    Where neither can have anything, nothing is claimed and the bound is 0: what the flexible bids reach is the most there is.
    """

    blocks: Ints
    work: Ints
    bound: int


def choose_columns(problem: MarketProblem, count: Ints) -> Chosen:
    """The columns that run, and the work done, at greatest welfare when each group has `count` bids (G,).

    Raises ClearingFailed as the solver does.
    """
    columns = problem.columns
    fits = columns.fit(problem.network.limits) & (count[columns.group] > 0)
    by_work = work_arcs(problem) & (count[problem.arcs.group] > 0)
    if not (fits.any() or by_work.any()):
        return Chosen(np.zeros(len(fits), dtype=np.int64), work=np.zeros(len(by_work), dtype=np.int64), bound=0)
    mixture = mix(problem, count)
    programme = mixture.programme
    kept = np.concatenate([np.ones(mixture.arcs, dtype=bool), fits, np.ones(len(mixture.place), dtype=bool)])
    search, bound, quantity = Search(), np.inf, np.zeros(len(kept))
    if len(problem.arcs.worth) > FEW_ARCS or by_work.sum() > FEW_WORK:
        relaxed = relax(problem, mixture, allowed=kept[: mixture.arcs + mixture.columns])
        bound = float(programme.value @ relaxed.quantity)
        kept = _near(problem, mixture, kept=kept, relaxed=relaxed)
        by_work[:] = False  # rounded down from the answer
        quantity, search = relaxed.quantity, Search(gap=NEAR_ENOUGH)
    elif fits.sum() + by_work.sum() > FEW_COLUMNS:
        start = pack(problem.network, columns.some(fits), count=count) if not len(problem.arcs.worth) else None
        search = Search(gap=NEAR_ENOUGH, start=start)
    lumps = np.concatenate([by_work, fits, np.zeros(len(mixture.place), dtype=bool)]) & kept
    if lumps.any():
        found = solve_whole(_restricted(programme, kept), np.searchsorted(np.flatnonzero(kept), np.flatnonzero(lumps)), search=search)
        quantity = np.zeros(len(kept))
        quantity[kept] = found.quantity
        bound = min(bound, found.bound) if kept[: mixture.arcs].all() else bound
    blocks = np.rint(quantity[mixture.arcs : mixture.arcs + mixture.columns]).astype(np.int64)
    work = whole_work(problem, quantity[: mixture.arcs])
    return Chosen(blocks, work=work, bound=floor(bound + NOISE) if np.isfinite(bound) else NEVER)


def _restricted(programme: LinearProgramme, kept: Bools) -> LinearProgramme:
    """The programme with only some of its unknowns (n,)."""
    return LinearProgramme(programme.value[kept], programme.most[kept], rows=programme.rows[:, np.flatnonzero(kept)], room=programme.room)


def _near(problem: MarketProblem, mixture: Mixture, *, kept: Bools, relaxed: LinearSolution) -> Bools:
    """Which unknowns (n,) the relaxation uses, or would use for a little more; supplies are all kept."""
    programme = mixture.programme
    bids = mixture.arcs + mixture.columns
    loss = programme.rows[:, :bids].T @ relaxed.dual - programme.value[:bids]
    each = np.concatenate([np.ones(mixture.arcs), problem.columns.width * problem.columns.run])
    used = relaxed.quantity
    near = np.ones(len(kept), dtype=bool)
    near[:bids] = (loss <= NEAR * np.median(problem.arcs.worth) * each) | (used[:bids] > USED)
    return kept & near


def after_blocks(compiled: Book, columns: Columns, *, blocks: Ints) -> Book:
    """What is left for the flexible bids when so many blocks run each column (K,). Raises ClearingFailed when they do not fit."""
    return without(compiled, columns.taken(blocks, shape=(compiled.pools, compiled.slots)))


def without(compiled: Book, taken: Ints) -> Book:
    """What is left when so much is taken by tier, pool and slot, (3, P, T). Raises ClearingFailed when it does not fit."""
    supply = compiled.supply
    better = np.cumsum(taken, axis=0)
    limits = supply.limits - better.transpose(1, 2, 0)
    if limits.min(initial=0) < 0:
        raise ClearingFailed("blocks and work do not fit the book", status="infeasible")
    left = left_of(supply, better[SPOT])
    rates = np.where(left > 0, supply.rates, NEVER)
    cheapest = np.full_like(supply.cheapest, NEVER)
    np.minimum.at(cheapest, supply.pool_of, rates)
    after = msgspec.structs.replace(supply, left=left, offered=by_pool(left, supply.pool_of), cheapest=cheapest, limits=limits)
    return msgspec.structs.replace(compiled, supply=after, network=with_supply(compiled.network, after))


def grant_blocks(columns: Columns, blocks: Ints, *, demand: Demand, out: Bools) -> Grants:
    """What the running blocks get: of equals the earlier runs, those that are out (B,) never."""
    running = np.repeat(np.arange(len(blocks)), blocks)
    group = columns.group[running]
    queue = demand.ordered[~out[demand.ordered]]
    start = np.searchsorted(demand.group_of[queue], np.arange(len(demand.count)))
    bid = queue[start[group] + rank_within(group)]
    run = columns.run[running]
    spread = np.repeat(np.arange(len(running)), run)
    slot = columns.first[running][spread] + rank_within(spread)
    order = np.lexsort((slot, bid[spread]))
    column, slot, bid = running[spread][order], slot[order], bid[spread][order]
    return Grants(bid=bid, pool=columns.pool[column], slot=slot, tier=columns.tier[column], quantity=columns.width[column])


def left_of(supply: Supply, taken: Ints) -> Ints:
    """What is left of every offer (O, T) when so much is taken of each pool (P, T), cheapest first."""
    left, remaining = supply.left.copy(), taken.copy()
    hour = np.arange(left.shape[1])
    for offer in np.argsort(supply.rates, axis=0, kind="stable"):
        pool = supply.pool_of[offer]
        part = np.minimum(left[offer, hour], remaining[pool, hour])
        left[offer, hour] -= part
        remaining[pool, hour] -= part
    return left
