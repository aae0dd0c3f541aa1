"""A book with blocks or work: those placed whole, flexible bids on what is left, prices of the relaxation, uplift within its fund."""

from collections.abc import Callable

import msgspec
import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.money import half_up
from contracts.terms.orders import MarketRules
from pricing.arrays import Bools, Ints
from pricing.blocks import Columns, admitted
from pricing.choice import Grants, grant_flow, share
from pricing.convex import Progress
from pricing.integers import choose_columns, grant_blocks, left_of, without
from pricing.network import Flow
from pricing.prices import midpoint, publish
from pricing.problem import CompiledBook, MarketProblem
from pricing.relaxation import column_prices
from pricing.residual import PriceRange
from pricing.results import Settled, sold_by, tables
from pricing.uplift import costliest_lump, total_uplift
from pricing.work import in_turn, not_worth_it, without_work


class Placement(msgspec.Struct, frozen=True, eq=False):
    """One answer for the bids still in a book.

    columns       columns of the blocks, K: every one that runs is among them
    blocks        (K,) how many run each
    after         the book with what the blocks leave
    flow          what the flexible bids get of that
    ends          both ends of the prices, not yet published
    bound         micros per slot-hour that no awards exceed
    approximate   whether the prices are the nearest seen, and not those of the relaxation solved to its end
    work          what the bids by work get; None where there are none
    """

    columns: Columns
    blocks: Ints
    after: CompiledBook
    flow: Flow
    ends: PriceRange
    bound: int
    approximate: bool = False
    work: Grants | None = None


Place = Callable[[Ints], Placement]


def place_exactly(problem: MarketProblem, count: Ints, *, flexible: Callable[[MarketProblem], Flow], tell: Progress) -> Placement:
    """Place blocks and work by branch and bound when each group has `count` bids (G,), price them by the relaxation.

    flexible   clears a book without its blocks and work. Raises ClearingFailed when a solver does
    """
    chosen = choose_columns(problem, count)
    tell(f"{int(chosen.blocks.sum())} of {int(count[problem.demand.run > 0].sum())} blocks run")
    taken, work = problem.columns.taken(chosen.blocks, shape=(problem.pools, problem.slots)), chosen.work
    while True:
        after = without_work(without(problem, taken + problem.by_node(work)))
        flow = flexible(after)
        dropped = not_worth_it(problem, work, left=left_of(after.supply, sold_by(after, flow).sum(axis=0)))
        if not dropped.any():
            break
        tell(f"{int(dropped.sum())} accelerators of work are not worth what they take from others")
        work = work - dropped
    ends = column_prices(problem, count)
    granted = share(problem, in_turn(problem, work)).granted(problem)
    tell("prices: both ends of the relaxation's range found")
    return Placement(problem.columns, chosen.blocks, after, flow, ends, bound=chosen.bound, work=granted)


def clear_mixed(compiled: CompiledBook, rules: MarketRules, *, place: Place, tell: Progress) -> Clearing:
    """Clear, and clear again without the block, or bid by work, that costs the uplift fund most, until the fund can pay.

    place   answers for the bids still in the book, given how many each group has (G,)
    """
    demand = compiled.demand
    out = np.zeros(len(demand.bid_ids), dtype=bool)
    bound: int | None = None
    while True:
        placement = place(np.bincount(demand.group_of[~out], minlength=compiled.groups))
        settled = _settle(compiled, placement, out=out)
        bound = max(placement.bound, settled.welfare()) if bound is None else bound
        result = tables(settled, rules)
        fund, due = rules.uplift_fund_micros, total_uplift(result)
        if fund is None or due <= fund:
            claimed = half_up(bound * rules.hours)
            return msgspec.structs.replace(result, bound_integer_micros=claimed, approximate=placement.approximate)
        worst = costliest_lump(demand, result.outcomes["uplift_micros"].to_numpy(), out=out)
        tell(f"uplift of {due} micros is due, the fund holds {fund}: {demand.bid_ids[worst]} is taken out")
        out[worst] = True


def _settle(compiled: CompiledBook, placement: Placement, *, out: Bools) -> Settled:
    """Who gets what and what it costs; nobody is moved up a tier, since the integer optimum decided."""
    whole = grant_blocks(placement.columns, placement.blocks, demand=compiled.demand, out=out)
    parts = [grant_flow(placement.after, placement.flow, price=None), whole]
    grants = _joined(parts if placement.work is None else [*parts, placement.work])
    ends = publish(compiled, placement.ends, sold=grants.sold(compiled))
    return Settled(compiled, ends, grants=grants, admitted=admitted(compiled.network, midpoint(ends)))


def _joined(parts: list[Grants]) -> Grants:
    """All of them, in order of bid; no bid is in two."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Grants.__struct_fields__}
    order = np.argsort(columns["bid"], kind="stable")
    return Grants(**{name: values[order] for name, values in columns.items()})
