"""One result under examination: the book counted again, the result laid over it, and the figures both give."""

from fractions import Fraction

import msgspec
import numpy as np

from contracts.terms.clearing import Check, Clearing
from contracts.terms.orders import MarketBook
from pricing.audit.clauses import Ruling, read_clauses
from pricing.audit.demand import Demand, take_demand
from pricing.audit.reach import Reach, find_reach
from pricing.audit.result import Layout
from pricing.audit.supply import Stock, take_stock
from pricing.audit.terms import Terms, read_terms
from pricing.audit.whole import Bools, Ints, gathered, halves_up, times
from pricing.policy_facts import Facts, facts_of


class Counted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A book counted again: what is sold, what is wanted, and what surrounds both."""

    book: MarketBook
    facts: Facts
    stock: Stock
    demand: Demand


class Audit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything the checks look at. A awards, in the order of the table.

    approximate                   whether the prices are indicative, so that they need not support the awards
    rulings                       the standing clauses, read slowly once for each pair of demand and fact
    sold_by_offer, sold_by_pool   (O, T, 3), (K, T, 3) accelerators
    taken                         (B, T) accelerators awarded
    used                          (B,) accelerator-slots awarded; of work, parts of a reference hour a slot
    worths                        (A, 3) micros per accelerator-hour by tier; 0 where the bid may not be there at all
    award_worth, award_transfer   (A,) at the award's tier
    """

    book: MarketBook
    clearing: Clearing
    approximate: bool
    facts: Facts
    stock: Stock
    demand: Demand
    rulings: list[Ruling]
    reach: Reach
    layout: Layout
    sold_by_offer: Ints
    sold_by_pool: Ints
    taken: Ints
    used: Ints
    worths: Ints
    award_worth: Ints
    award_transfer: Ints

    @property
    def terms(self) -> Terms:
        """What worth follows from."""
        return self.reach.terms

    @property
    def slot_hours(self) -> Fraction:
        """h, exact."""
        return self.facts.slot_hours

    @property
    def award_pool(self) -> Ints:
        """(A,) the pool of each award."""
        pools: Ints = self.stock.pool_of[self.layout.offer]
        return pools

    @property
    def traded(self) -> Bools:
        """(K, T) whether a pool sold anything in a slot."""
        found: Bools = self.sold_by_pool.sum(axis=2) > 0
        return found

    def money(self, micros_per_hour: Ints, quantity: Ints) -> Ints:
        """Rate × accelerators over one slot, rounded half up: the amount of each line."""
        return halves_up(times(micros_per_hour, quantity), self.slot_hours)


def count(book: MarketBook) -> Counted:
    """Count a book again from its rows. Raises NotSupported for a block by work."""
    facts = facts_of(book)
    return Counted(book=book, facts=facts, stock=take_stock(book, facts), demand=take_demand(book, facts))


def examine(counted: Counted, clearing: Clearing, *, layout: Layout, approximate: bool = False) -> Audit:
    """The figures that a book and a result laid over it give."""
    stock, demand, facts = counted.stock, counted.demand, counted.facts
    rulings = read_clauses(demand.kinds, stock.offers, facts=facts)
    terms = read_terms(demand, stock, facts=facts)
    pool = stock.pool_of[layout.offer]
    worths = terms.worth(layout.bid, pool, slot=layout.slot)
    wanted = demand.limits[layout.bid, layout.tier] >= 0
    return Audit(
        book=counted.book,
        clearing=clearing,
        approximate=approximate,
        facts=facts,
        stock=stock,
        demand=demand,
        rulings=rulings,
        reach=find_reach(demand, stock, rulings=rulings, terms=terms),
        layout=layout,
        sold_by_offer=layout.sold_by_offer(stock),
        sold_by_pool=layout.sold_by_pool(stock),
        taken=layout.taken_by_bid(len(demand.ids), facts.slots),
        used=_used(demand, layout, hardware=terms.hardware[pool]),
        worths=worths,
        award_worth=worths[np.arange(len(pool)), layout.tier],
        award_transfer=np.where(wanted & terms.known(layout.bid, pool), terms.transfer(layout.bid, pool), 0),
    )


def _used(demand: Demand, layout: Layout, *, hardware: Ints) -> Ints:
    """(B,) accelerator-slots, or for work the parts of reference hours they are worth."""
    weight = np.where(demand.work[layout.bid], demand.factors[demand.kind[layout.bid], hardware], 1)
    return gathered(np.asarray(times(layout.quantity, weight), dtype=np.int64), layout.bid, size=len(demand.ids))


def verdict(name: str, faults: list[str], *, finding: str) -> Check:
    """A check that holds when nothing is wrong with it, else its first faults in words."""
    if not faults:
        return Check(name=name, holds=True, finding=finding)
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return Check(name=name, holds=False, finding="; ".join(faults[:3]) + more)
