"""The one entry to clearing: a book in; awards, prices, outcomes and receipts out."""

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed, NotSupported
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.awards import award_table, grant, receipt_table
from pricing.choice import share
from pricing.convex import Progress, optimum
from pricing.outcomes import outcome_table
from pricing.prices import midpoint, price_table, publish
from pricing.problem import MarketProblem, build
from pricing.residual import NotOptimal, PriceRange, price_range

PATHS = ("auto", "convex")


def clear(book: MarketBook, *, path: str = "auto", progress: Progress | None = None) -> Clearing:
    """Choose the awards of greatest welfare and the prices that support them.

    path       `auto` or `convex`; both take the convex path in this release
    progress   told a sentence at each stage, if given

    The same book gives the same frames, whatever the order of its rows. Raises NotSupported for another
    path or a bid this release cannot clear, ClearingFailed when no certified optimum is found.
    """
    if path not in PATHS:
        raise NotSupported(f"the path {path} is not in this release; {' or '.join(PATHS)} would do", path=path, would_do="auto")
    tell = progress or _silence
    hours = book.rules.hours
    problem = build(book)
    tell(f"{problem.groups} kinds of bids, {problem.pools} pools, {problem.slots} slots, {len(problem.arcs.worth)} arcs")
    quantity, ends = _solve(problem, tell)
    tell("prices: both ends of the range found")
    rate = midpoint(ends)
    lots = share(problem, quantity, price=rate)
    awards = grant(problem, lots, price=rate, hours=hours)
    return Clearing(
        awards=award_table(problem, awards),
        prices=price_table(problem, ends, sold=lots.sold(problem)),
        outcomes=outcome_table(problem, awards, hours=hours, fee_bps=book.rules.fee_bps),
        receipts=receipt_table(problem, awards, price=rate, hours=hours),
    )


def _solve(problem: MarketProblem, tell: Progress) -> tuple[Ints, PriceRange]:
    """The awards on arcs (N,) and both ends of their prices, proved to be an optimum."""
    for split_ties in (True, False):
        quantity = optimum(problem, tell, split_ties=split_ties)
        try:
            return quantity, publish(problem, price_range(problem, quantity), quantity=quantity)
        except NotOptimal:
            tell("no prices support these awards; solving again, ties left alone")
    raise ClearingFailed("the awards are not of greatest welfare: no prices support them", status="not optimal")


def _silence(_: str) -> None:
    """Tell nobody."""
