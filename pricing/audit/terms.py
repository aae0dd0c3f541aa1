"""Worth by the column: what bids would give at pools, in the exact integers of `policy_worth`, many rows at a time.

worth = ⌊limit · factor · 10,000 ÷ (10,000 + fee_bps)⌋ − transfer − carbon. How data travels is read by the slow reading
itself, once for each different amount and country it comes from, and each country it goes to.
"""

from fractions import Fraction
from math import gcd

import msgspec
import numpy as np

from contracts.terms.money import BASIS_POINTS
from pricing.audit.clauses import hashable
from pricing.audit.demand import NOT_WANTED, Demand
from pricing.audit.supply import Stock
from pricing.audit.whole import Bools, Ints, Whole, ceiled, floored, parts, times
from pricing.policy_facts import Bid, Facts, Offer
from pricing.policy_worth import MILLION, data_can_come, earliest_slot, route

NO_WAY = -1


class Terms(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the worth of any bid at any pool follows from. D kinds of bids, K pools, W ways of data to C countries.

    hardware, country     (K,) column of the pool's class (the last, of no factor, where nobody names it), of its country
    carbon                (K, T) milligrams an accelerator-hour
    moves                 (D,) whether a kind has data to move
    way                   (D,)
    delay, tariff         (W, C) slots until the data is there, and micros per terabyte; NO_WAY where it cannot come
    data, data_unit       (D,) terabytes, in parts of which `data_unit` are one
    """

    demand: Demand
    fee_bps: int
    hardware: Ints
    country: Ints
    carbon: Ints
    moves: Bools
    way: Ints
    delay: Ints
    tariff: Ints
    data: Whole
    data_unit: int

    def gross(self, bid: Ints, hardware: Ints) -> Ints:
        """Worth of some bids on some classes before transfer and carbon, (n, 3); of a tier not wanted it means nothing."""
        demand = self.demand
        factor = demand.factors[demand.kind[bid], hardware]
        share = gcd(BASIS_POINTS, BASIS_POINTS + self.fee_bps)
        limit = np.maximum(demand.limits[bid], 0)
        return floored(
            times(times(limit, factor[:, None]), BASIS_POINTS // share), demand.factor_unit * ((BASIS_POINTS + self.fee_bps) // share)
        )

    def transfer(self, bid: Ints, pool: Ints) -> Ints:
        """What moving the data of some bids to some pools adds, rounded up, (n,); 0 where nothing moves or it cannot."""
        demand = self.demand
        kind = demand.kind[bid]
        tariff = self.tariff[self.way[kind], self.country[pool]]
        paid = np.flatnonzero(tariff > 0)
        added = np.zeros(len(bid), dtype=np.int64)
        if len(paid):
            spent = times(times(self.data[kind[paid]], tariff[paid]), demand.hours_unit)
            added[paid] = ceiled(spent, times(demand.hours[bid[paid]], self.data_unit))
        return added

    def carbon_of(self, bid: Ints, pool: Ints) -> Ints:
        """What the carbon of an accelerator-hour is worth to some bids at some pools, slot by slot: (n, T)."""
        return ceiled(times(self.demand.carbon[bid, None], self.carbon[pool]), MILLION)

    def delay_of(self, kind: Ints, pool: Ints) -> Ints:
        """Slots until the data of some kinds of bids is at some pools, NO_WAY where it cannot come: (n,)."""
        found: Ints = self.delay[self.way[kind], self.country[pool]]
        return found

    def known(self, bid: Ints, pool: Ints) -> Bools:
        """Whether a worth is defined: the class is named, and the data has a way; tiers apart. (n,)"""
        kind = self.demand.kind[bid]
        there: Bools = (self.demand.factors[kind, self.hardware[pool]] > 0) & (self.delay_of(kind, pool) != NO_WAY)
        return there

    def worth(self, bid: Ints, pool: Ints, *, slot: Ints) -> Ints:
        """Worth of some bids at some pools in some slots, by tier, (n, 3); 0 where the bid has no business there."""
        net = self.gross(bid, self.hardware[pool]) - self.transfer(bid, pool)[:, None]
        shuns = np.flatnonzero(self.demand.carbon[bid])
        emitted = self.carbon[pool[shuns], slot[shuns]]
        net[shuns] -= ceiled(times(self.demand.carbon[bid[shuns]], emitted), MILLION)[:, None]
        return np.where((self.demand.limits[bid] != NOT_WANTED) & self.known(bid, pool)[:, None], net, 0)


def read_terms(demand: Demand, stock: Stock, *, facts: Facts) -> Terms:
    """Read the ways of data, and where each pool stands."""
    heads = stock.heads
    countries: dict[str | None, Offer] = {}
    for offer in heads:
        countries.setdefault(offer.country, offer)
    column = {country: place for place, country in enumerate(countries)}
    senders: dict[tuple[object, ...], Bid] = {}
    for bid in demand.kinds:
        senders.setdefault((hashable(bid.data_tb), bid.data_country), bid)
    number = {sender: place for place, sender in enumerate(senders)}
    ways = [[_way(bid, offer, facts=facts) for offer in countries.values()] for bid in senders.values()]
    table = np.array(ways, dtype=np.int64).reshape(len(senders), len(countries), 2)
    data, data_unit = parts([bid.data_tb for bid in demand.kinds])
    return Terms(
        demand=demand,
        fee_bps=facts.fee_bps,
        hardware=np.array([demand.hardware.get(offer.hardware, len(demand.hardware)) for offer in heads], dtype=np.int64),
        country=np.array([column[offer.country] for offer in heads], dtype=np.int64),
        carbon=stock.carbon,
        moves=np.array([bid.data_tb > Fraction(0) for bid in demand.kinds], dtype=np.bool_),
        way=np.array([number[hashable(bid.data_tb), bid.data_country] for bid in demand.kinds], dtype=np.int64),
        delay=table[:, :, 0],
        tariff=table[:, :, 1],
        data=data,
        data_unit=data_unit,
    )


def _way(bid: Bid, offer: Offer, *, facts: Facts) -> tuple[int, int]:
    """Slots until the data of a bid is at an offer's site, and micros per terabyte."""
    if not data_can_come(bid, offer, facts=facts):
        return NO_WAY, 0
    return earliest_slot(bid, offer, facts=facts) - bid.slot_first, route(bid, offer, facts=facts)[0]
