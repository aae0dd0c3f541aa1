"""The one entry to clearing: a book in; awards, prices, outcomes and receipts out."""

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed, NotSupported
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.choice import flow_of
from pricing.convex import Progress, optimum
from pricing.mixed import clear_mixed, place_exactly
from pricing.network import Flow
from pricing.problem import MarketProblem, build
from pricing.residual import NotOptimal, PriceRange, price_range
from pricing.results import settle_flow, tables

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
    if problem.demand.lumpy:
        tell(f"{len(problem.columns.group)} columns of blocks")
        return clear_mixed(
            problem,
            book.rules,
            place=lambda count: place_exactly(problem, count, flexible=lambda after: _solve(after, tell)[0], tell=tell),
            tell=tell,
        )
    flow, ends = _solve(problem, tell)
    tell("prices: both ends of the range found")
    return tables(settle_flow(problem, flow, ends=ends), book.rules)


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
