"""The one entry to clearing: a book in; awards, prices, outcomes and receipts out."""

import msgspec
import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed, NotSupported
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.choice import flow_of, share
from pricing.convex import Progress, optimum
from pricing.integers import Chosen, add_blocks, after_blocks, choose_columns
from pricing.network import Flow
from pricing.prices import midpoint, publish
from pricing.problem import MarketProblem, build
from pricing.relaxation import column_prices
from pricing.residual import NotOptimal, PriceRange, price_range
from pricing.results import Settled, settle_flow, tables
from pricing.uplift import admitted, costliest_block, total_uplift

PATHS = ("auto", "convex")


def clear(book: MarketBook, *, path: str = "auto", progress: Progress | None = None) -> Clearing:
    """Choose the awards of greatest welfare and the prices that support them.

    path       `auto` or `convex`; both take the convex path in this release
    progress   told a sentence at each stage, if given

    With blocks the awards are those of greatest welfare in whole blocks, the prices those of the relaxation over columns,
    and what they leave a winner short of is uplift; a block goes back if the fund cannot pay it.
    The same book gives the same frames, whatever the order of its rows. Raises NotSupported for another
    path or a bid this release cannot clear, ClearingFailed when no certified optimum is found.
    """
    if path not in PATHS:
        raise NotSupported(f"the path {path} is not in this release; {' or '.join(PATHS)} would do", path=path, would_do="auto")
    tell = progress or _silence
    problem = build(book)
    tell(f"{problem.groups} kinds of bids, {problem.pools} pools, {problem.slots} slots, {len(problem.arcs.worth)} arcs")
    if problem.demand.has_blocks:
        return _clear_with_blocks(book, problem, tell=tell)
    flow, ends = _solve(problem, tell)
    tell("prices: both ends of the range found")
    return tables(settle_flow(problem, flow, ends), book.rules)


def _clear_with_blocks(book: MarketBook, problem: MarketProblem, *, tell: Progress) -> Clearing:
    """Clear, and clear again without the block that costs the uplift fund most, until the fund can pay."""
    tell(f"{len(problem.columns.group)} columns of blocks")
    members = [list(rows) for rows in problem.demand.members]
    bound: int | None = None
    while True:
        chosen, settled = _settle(problem, members, tell=tell)
        bound = max(chosen.bound, settled.welfare()) if bound is None else bound
        result = tables(settled, book.rules)
        fund, due = book.rules.uplift_fund_micros, total_uplift(result)
        if fund is None or due <= fund:
            return msgspec.structs.replace(result, bound_integer_micros=half_up(bound * book.rules.hours))
        out = costliest_block(problem, result.outcomes["uplift_micros"].to_list(), members=members)
        tell(f"uplift of {due} micros is due, the fund holds {fund}: block {problem.demand.bid_ids[out]} is taken out")
        members[int(problem.demand.group_of[out])].remove(out)


def _settle(problem: MarketProblem, members: list[list[int]], *, tell: Progress) -> tuple[Chosen, Settled]:
    """Whole awards of greatest welfare for the bids still in the book, (G) rows in order of entry, and the relaxation's prices."""
    count = np.array([len(rows) for rows in members], dtype=np.int64)
    chosen = choose_columns(problem, count)
    tell(f"{int(chosen.blocks.sum())} of {int(count[problem.demand.run > 0].sum())} blocks run")
    after = after_blocks(problem, chosen.blocks)
    quantity, _ = _optimum(after, tell)
    grown, blocks = add_blocks(problem, chosen.blocks, members=members)
    grants = share(after, quantity).joined(blocks).granted(grown)
    ends = publish(problem, column_prices(problem, count), sold=grants.sold(problem))
    tell("prices: both ends of the relaxation's range found")
    return chosen, Settled(problem, ends, grants=grants, admitted=admitted(problem, midpoint(ends)))


def _solve(problem: MarketProblem, tell: Progress) -> tuple[Flow, PriceRange]:
    """The flow of greatest welfare and both ends of its prices."""
    quantity, ends = _optimum(problem, tell)
    return flow_of(problem, quantity), ends


def _optimum(problem: MarketProblem, tell: Progress) -> tuple[Ints, PriceRange]:
    """The awards on arcs (N,) and both ends of their prices, proved to be an optimum."""
    for split_ties in (True, False):
        quantity = optimum(problem, tell, split_ties=split_ties)
        try:
            return quantity, price_range(problem, quantity)
        except NotOptimal:
            tell("no prices support these awards; solving again, ties left alone")
    raise ClearingFailed("the awards are not of greatest welfare: no prices support them", status="not optimal")


def _silence(_: str) -> None:
    """Tell nobody."""
