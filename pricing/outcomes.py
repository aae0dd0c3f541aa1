"""What became of every bid: filled, partial, rejected or paradoxical, what it pays, what makes it whole, why it got nothing."""

from collections import defaultdict
from fractions import Fraction

import polars as pl

from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.tables import OUTCOMES
from pricing.arrays import Bools
from pricing.awards import Award
from pricing.demand import PLACES
from pricing.energy import exact
from pricing.problem import MarketProblem
from pricing.uplift import bid_uplifts

NO_POOL = "no eligible pool"
PRICED_OUT = "priced out"


def outcome_table(
    problem: MarketProblem, awards: list[Award], *, hours: Fraction, fee_bps: int, admitted: Bools | None = None
) -> pl.DataFrame:
    """Rows of `outcomes`, one a bid. `hours` is the length of a slot; paid is before the fee and the uplift.

    admitted   (G,) blocks that the prices would admit: refused, they are paradoxical
    """
    uplift = bid_uplifts(problem, awards, hours=hours)
    demand, supply = problem.demand, problem.supply
    classes = supply.pools["hardware"].to_list()
    granted: dict[int, list[Award]] = defaultdict(list)
    for award in awards:
        granted[award.bid].append(award)
    wanted = [exact(number) for number in demand.terms["hours"]]
    rows = []
    for bid, name in enumerate(demand.bid_ids):
        group = int(demand.group_of[bid])
        mine = granted[bid]
        delivered = hours * sum(award.quantity for award in mine)
        reference = sum(
            (
                hours * award.quantity * demand.recipes[demand.recipe_of[group]][classes[supply.pool_of[award.offer]]] / PLACES
                for award in mine
            ),
            Fraction(0),
        )
        paid = sum(award.charge for award in mine)
        moving = sum(half_up(hours * int(problem.worth.transfer[group, supply.pool_of[award.offer]]) * award.quantity) for award in mine)
        status = "rejected" if not mine else "filled" if delivered == wanted[group] else "partial"
        reason = "" if mine else PRICED_OUT if problem.arcs.reachable[group] else NO_POOL
        if not mine and admitted is not None and admitted[group]:
            status = "paradoxical"
        fee = half_up(paid * fee_bps, BASIS_POINTS)
        rows.append((name, status, float(delivered), float(reference), paid, fee, moving, uplift.get(bid, 0), reason))
    return pl.DataFrame(rows, schema=OUTCOMES.schema, orient="row").sort(OUTCOMES.key)
