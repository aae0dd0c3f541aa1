"""The most welfare any clearing of a book could have, from published prices alone.

At any prices with premiums ≥ 0, Σ best responses of the bids + Σ rents of the offers + Σ premiums × limits is at
least the welfare of any feasible awards (weak duality). Where it equals the welfare of the awards at hand, they are
optimal and the prices support them; no solver needs to be believed.
"""

from fractions import Fraction

import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.lumps import best_runs, best_work
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD
from pricing.audit.whole import Ints, times, total


def welfare(audit: Audit) -> Fraction:
    """Σ h·(worth − rate)·x over the awards, micros, exact."""
    layout = audit.layout
    rates = audit.stock.rates[layout.offer, layout.slot]
    return total(times(audit.award_worth - rates, layout.quantity)) * audit.slot_hours


def bound(audit: Audit, prices: Ints) -> Fraction:
    """The upper bound that prices (K, T, 3) give, micros, exact."""
    return (_best_responses(audit, prices) + _rents(audit, prices) + _premiums(audit, prices)) * audit.slot_hours


def _best_responses(audit: Audit, prices: Ints) -> int:
    """Σ over bids of the most a bid could gain at the prices, micros for one hour each slot.

    An arc is counted even where its worth is below the pool's lowest rate. That loosens no bound that matters: the prices
    have to reach the lowest rates, and then such an arc gains nothing.
    """
    demand = audit.demand
    cheapest = audit.reach.cells.cheapest(prices, audit.stock.on_sale)
    found = total(best_runs(audit, prices)) + best_work(audit, cheapest)
    for bids, gains in audit.reach.best_margins(cheapest):
        plain = ~(demand.block[bids] | demand.work[bids])
        found += _greedy(gains[:, plain], width=demand.width[bids[plain]], units=demand.most[bids[plain]])
    return found


def _greedy(gains: Ints, *, width: Ints, units: Ints) -> int:
    """Of each bid the best slots (T, n) first, `width` accelerators in each, until `units` are taken; summed."""
    best_first = np.sort(np.maximum(gains, 0), axis=0)[::-1]
    before = np.arange(len(gains))[:, None] * width
    return total(times(best_first, np.clip(units - before, 0, width)))


def _rents(audit: Audit, prices: Ints) -> int:
    """Σ over offers and slots of what the spot price leaves above their rate, on all that leases left."""
    stock = audit.stock
    return total(times(np.maximum(0, prices[stock.pool_of, :, SPOT] - stock.rates), stock.left))


def _premiums(audit: Audit, prices: Ints) -> int:
    """Σ premiums × limits."""
    there, limits = audit.stock.on_sale, audit.stock.limits
    found = 0
    for tier in (GUARANTEED, STANDARD):
        premium = np.where(there[:, :, tier], prices[:, :, tier] - prices[:, :, tier + 1], 0)
        found += total(times(premium, limits[:, :, tier]))
    return found
