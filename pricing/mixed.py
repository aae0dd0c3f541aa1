"""A book with blocks, cleared: blocks placed whole, flexible bids on what is left, prices of the relaxation, uplift within its fund."""

from collections.abc import Callable

import msgspec
import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.money import half_up
from contracts.terms.orders import MarketRules
from pricing.arrays import Bools, Ints
from pricing.blocks import Columns
from pricing.choice import Grants, grant_flow
from pricing.convex import Progress
from pricing.integers import after_blocks, choose_columns, grant_blocks
from pricing.network import Flow
from pricing.prices import midpoint, publish
from pricing.problem import CompiledBook, MarketProblem
from pricing.relaxation import column_prices
from pricing.residual import PriceRange
from pricing.results import Settled, tables
from pricing.uplift import admitted, costliest_block, total_uplift


class Placement(msgspec.Struct, frozen=True, eq=False):
    """One answer for the bids still in a book.

    columns       every column of the blocks, K
    blocks        (K,) how many run each
    after         the book with what the blocks leave
    flow          what the flexible bids get of that
    ends          both ends of the prices, not yet published
    bound         micros per slot-hour that no awards exceed
    approximate   whether the prices are those of a relaxation not solved to its end
    """

    columns: Columns
    blocks: Ints
    after: CompiledBook
    flow: Flow
    ends: PriceRange
    bound: int
    approximate: bool = False


Place = Callable[[Ints], Placement]


def place_exactly(problem: MarketProblem, count: Ints, *, flexible: Callable[[MarketProblem], Flow], tell: Progress) -> Placement:
    """Place blocks by branch and bound when each group has `count` bids (G,), price them by the relaxation.

    flexible   clears a book without its blocks. Raises ClearingFailed when a solver does
    """
    chosen = choose_columns(problem, count)
    tell(f"{int(chosen.blocks.sum())} of {int(count[problem.demand.run > 0].sum())} blocks run")
    after = after_blocks(problem, problem.columns, blocks=chosen.blocks)
    flow = flexible(after)
    ends, exact = column_prices(problem, count)
    tell("prices: both ends of the relaxation's range found" if exact else "prices: those of the relaxation")
    return Placement(problem.columns, chosen.blocks, after, flow, ends, bound=chosen.bound, approximate=not exact)


def clear_mixed(compiled: CompiledBook, rules: MarketRules, *, place: Place, tell: Progress) -> Clearing:
    """Clear, and clear again without the block that costs the uplift fund most, until the fund can pay.

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
        worst = costliest_block(demand, result.outcomes["uplift_micros"].to_numpy(), out=out)
        tell(f"uplift of {due} micros is due, the fund holds {fund}: block {demand.bid_ids[worst]} is taken out")
        out[worst] = True


def _settle(compiled: CompiledBook, placement: Placement, *, out: Bools) -> Settled:
    """Who gets what and what it costs; nobody is moved up a tier, since the integer optimum decided."""
    whole = grant_blocks(placement.columns, placement.blocks, demand=compiled.demand, out=out)
    grants = _joined(grant_flow(placement.after, placement.flow, price=None), whole)
    ends = publish(compiled, placement.ends, sold=grants.sold(compiled))
    return Settled(compiled, ends, grants=grants, admitted=admitted(placement.columns, midpoint(ends), groups=compiled.groups))


def _joined(split: Grants, whole: Grants) -> Grants:
    """Both, in order of bid; no bid is in both."""
    parts = {name: np.concatenate([getattr(split, name), getattr(whole, name)]) for name in Grants.__struct_fields__}
    order = np.argsort(parts["bid"], kind="stable")
    return Grants(**{name: values[order] for name, values in parts.items()})
