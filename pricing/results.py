"""The tables of a clearing, once it is settled who gets what and what it costs: whatever path found it."""

from fractions import Fraction

import msgspec
import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketRules
from pricing.arrays import Bools, Ints
from pricing.awards import award, award_table, receipt_table
from pricing.choice import Grants, grant_flow
from pricing.network import Flow
from pricing.outcomes import outcome_table, worth_of
from pricing.prices import midpoint, price_table, publish
from pricing.problem import CompiledBook
from pricing.residual import PriceRange


class Settled(msgspec.Struct, frozen=True, eq=False):
    """Who gets what, and both ends of what it costs as published: all that the tables follow from.

    admitted   (G,) blocks that the prices would admit: refused, they are paradoxical
    """

    compiled: CompiledBook
    ends: PriceRange
    grants: Grants
    admitted: Bools | None = None

    def welfare(self) -> int:
        """Σ (worth − rate)·x, micros per slot-hour."""
        awards = award(self.compiled, self.grants, price=midpoint(self.ends), hours=Fraction(1))
        gains = worth_of(self.compiled, awards) - self.compiled.supply.rates[awards.offer, awards.slot]
        return int(np.sum(gains * awards.quantity))


def settle_flow(compiled: CompiledBook, flow: Flow, *, ends: PriceRange) -> Settled:
    """What a path found on the book's network: a flow, and the ends of the prices that support it, (3, P, T) each.

    Prices are published first, then lots are shared and moved to better tiers at them.
    """
    published = publish(compiled, ends, sold=sold_by(compiled, flow))
    return Settled(compiled, published, grants=grant_flow(compiled, flow, price=midpoint(published)))


def sold_by(compiled: CompiledBook, flow: Flow) -> Ints:
    """Accelerators of a flow by tier, pool and slot: (3, P, T)."""
    total = np.zeros((3, compiled.pools, compiled.slots), dtype=np.int64)
    np.add.at(total, (flow.tier, compiled.network.pool[flow.pair], flow.slot), flow.quantity)
    return total


def tables(settled: Settled, rules: MarketRules) -> Clearing:
    """The four tables of a result."""
    compiled, rate, hours = settled.compiled, midpoint(settled.ends), rules.hours
    awards = award(compiled, settled.grants, price=rate, hours=hours)
    return Clearing(
        awards=award_table(compiled, awards),
        prices=price_table(compiled, settled.ends, sold=settled.grants.sold(compiled)),
        outcomes=outcome_table(compiled, awards, hours=hours, fee_bps=rules.fee_bps, admitted=settled.admitted),
        receipts=receipt_table(compiled, awards, price=rate, hours=hours),
    )
