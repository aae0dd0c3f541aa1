"""What became of every bid: filled, partial, rejected or paradoxical, what it pays, what makes it whole, why it got nothing."""

from fractions import Fraction

import numpy as np
import polars as pl

from contracts.terms.money import BASIS_POINTS
from contracts.terms.tables import OUTCOMES
from pricing.arrays import Bools, Ints
from pricing.awards import Awards
from pricing.demand import PLACES
from pricing.exactly import half_up_product, quotients, total_by
from pricing.problem import CompiledBook
from pricing.work import factors_at
from pricing.worth import carbon_cost

NO_POOL = "no eligible pool"
PRICED_OUT = "priced out"


def outcome_table(compiled: CompiledBook, awards: Awards, *, hours: Fraction, fee_bps: int, admitted: Bools | None = None) -> pl.DataFrame:
    """Rows of `outcomes`, one a bid. `hours` is the length of a slot; paid is before the fee and the uplift.

    admitted   (G,) blocks that the prices would admit: refused, they are paradoxical
    """
    demand = compiled.demand
    bids = len(demand.bid_ids)
    pool, group = compiled.supply.pool_of[awards.offer], demand.group_of[awards.bid]
    moving = half_up_product(compiled.worth.transfer_at(group, pool), awards.quantity, times=hours)
    work = awards.quantity * factors_at(compiled, group, pool=pool)
    short = (awards.rate - worth_of(compiled, awards)) * awards.quantity
    units, working, paid, moved, due = (
        total_by(awards.bid, values, places=bids) for values in (awards.quantity, work, awards.charge, moving, short)
    )
    one = np.ones(bids, dtype=np.int64)
    had = np.where(demand.work[demand.group_of], working, units)
    filled = (had == demand.units[demand.group_of]) & demand.whole[demand.group_of]
    unserved = (units == 0).nonzero()[0]
    wooed = admitted[demand.group_of] if admitted is not None else np.zeros(bids, dtype=bool)
    status = np.select([units == 0, filled], [np.where(wooed, "paradoxical", "rejected"), "filled"], "partial")
    reason = np.full(bids, "", dtype=object)
    reason[unserved] = np.where(compiled.reachable[demand.group_of[unserved]], PRICED_OUT, NO_POOL)
    return pl.DataFrame(
        {
            "bid_id": demand.bid_ids,
            "status": pl.Series(status.astype(object), dtype=pl.String),
            "hours": quotients(units, times=hours),
            "reference_hours": quotients(working, times=hours / PLACES),
            "paid_micros": paid,
            "fee_micros": half_up_product(paid, one, times=Fraction(fee_bps, BASIS_POINTS)),
            "transfer_micros": moved,
            "uplift_micros": half_up_product(np.maximum(0, due), one, times=hours),
            "reason": pl.Series(reason, dtype=pl.String),
        },
        schema=OUTCOMES.schema,
    )


def worth_of(compiled: CompiledBook, awards: Awards) -> Ints:
    """What an accelerator-hour of each award (n,) is worth to its bid, all-in: micros."""
    worth, pool = compiled.worth, compiled.supply.pool_of[awards.offer]
    group = compiled.demand.group_of[awards.bid]
    gross = worth.gross_at(group, pool)[np.arange(len(pool)), awards.tier]
    net: Ints = gross - worth.transfer_at(group, pool) - carbon_cost(worth.carbon[group], compiled.supply.carbon[pool, awards.slot])
    return net
