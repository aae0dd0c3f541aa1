"""The one entry to clearing: a book in; awards, prices, outcomes and receipts out."""

import msgspec

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed, NotSupported
from contracts.terms.orders import MarketBook, MarketRules
from pricing.arrays import Ints
from pricing.auction import Indication, hold_auction
from pricing.blocks import find_columns
from pricing.choice import flow_of
from pricing.committing import place_by_rounds
from pricing.convex import Progress, optimum
from pricing.exact import finish
from pricing.mixed import Placement, clear_mixed, place_exactly
from pricing.network import Flow
from pricing.problem import CompiledBook, MarketProblem, compile_book, spell_out
from pricing.residual import NotOptimal, PriceRange, price_range
from pricing.results import settle_flow, tables

PATHS = ("auto", "convex", "auction", "exact")
GAP = 0.002

# Pairs of a group and a pool. Up to the first, arcs are spelt out and a solver takes them; up to the second the exact finish does.
SMALL = 50_000
LARGE = 10_000_000
# How near the auction comes from which the exact finish starts.
NEAR_ENOUGH = 0.005
# How near it is asked to come in each round of a book with blocks.
ROUND_GAP = 0.001


def clear(book: MarketBook, *, path: str = "auto", gap: float = GAP, progress: Progress | None = None) -> Clearing:
    """Choose the awards of greatest welfare and the prices that support them.

    path       `convex` hands the book to a solver, `exact` to an auction and its exact finish: both leave no gap. `auction`
               leaves one, its prices are indicative, and where it does not come near it is finished exactly. `auto` takes
               the first for a small book, the second for one of up to some hundred thousand bids, and the third where
               exact prices would take minutes
    gap        the most the auction may leave, (bound − welfare) ÷ bound
    progress   told a sentence at each stage, if given

    With blocks or work the awards are those of greatest welfare in whole pieces, the prices those of the relaxation, and what
    they leave a winner short of is uplift; a block goes back if the fund cannot pay it. A large book of blocks is
    cleared in rounds of prices and commitments, and says that it is approximate.
    The same book gives the same frames, whatever the order of its rows. Raises NotSupported for another
    path or a bid this release cannot clear, ClearingFailed when no certified answer is found.
    """
    if path not in PATHS:
        raise NotSupported(f"there is no path {path}; {', '.join(PATHS)} are", path=path, would_do="auto")
    tell = progress or _silence
    compiled = compile_book(book)
    pairs = len(compiled.network.pool)
    tell(f"{compiled.groups} kinds of bids, {compiled.pools} pools, {compiled.slots} slots, {pairs} pairs of the two")
    way = path if path != "auto" else "convex" if pairs <= SMALL else "exact" if pairs <= LARGE else "auction"
    if compiled.demand.lumpy:
        return _clear_lumps(compiled, book.rules, way=way, tell=tell)
    if way == "convex":
        flow, ends = _solve(spell_out(compiled), tell)
    else:
        found = hold_auction(compiled.network, gap=gap if way == "auction" else NEAR_ENOUGH, progress=tell)
        if way == "auction" and found.gap <= gap:
            result = tables(settle_flow(compiled, found.flow, ends=PriceRange(low=found.price, high=found.price)), book.rules)
            return msgspec.structs.replace(result, path=way, approximate=True)
        way = "exact"
        flow, ends = finish(compiled.network, found, progress=tell)
    tell("prices: both ends of the range found")
    return msgspec.structs.replace(tables(settle_flow(compiled, flow, ends=ends), book.rules), path=way)


def _clear_lumps(compiled: CompiledBook, rules: MarketRules, *, way: str, tell: Progress) -> Clearing:
    """A book with blocks or work: whole at once where it is small, in rounds where it is large."""
    if way == "convex" or compiled.demand.has_work:
        problem = spell_out(compiled)
        tell(f"{len(problem.columns.group)} columns of blocks")
        return clear_mixed(
            problem,
            rules,
            place=lambda count: place_exactly(problem, count, flexible=lambda after: _solve(after, tell)[0], tell=tell),
            tell=tell,
        )
    columns = find_columns(compiled.network, fitting=True)
    tell(f"{len(columns.group)} columns of blocks")

    def auctioned(after: CompiledBook) -> Indication:
        return hold_auction(after.network, gap=ROUND_GAP, progress=tell)

    def place(count: Ints) -> Placement:
        return place_by_rounds(compiled, columns, count=count, flexible=auctioned, tell=tell)

    result = clear_mixed(compiled, rules, place=place, tell=tell)
    return msgspec.structs.replace(result, path="auction")


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
