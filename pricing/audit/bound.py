"""The most welfare any clearing of a book could have, from published prices alone.

At any prices with premiums ≥ 0, Σ best responses of the bids + Σ rents of the offers + Σ premiums × limits is at
least the welfare of any feasible awards (weak duality). Where it equals the welfare of the awards at hand, they are
optimal and the prices support them; no solver needs to be believed.
"""

from fractions import Fraction

import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD, Bools, Ints


def welfare(audit: Audit) -> Fraction:
    """Σ h·(worth − rate)·x over the awards, micros, exact."""
    layout = audit.layout
    rates = audit.stock.rates[layout.offer, layout.slot]
    return int(((audit.award_worth - rates) * layout.quantity).sum()) * audit.slot_hours


def bound(audit: Audit, prices: Ints) -> Fraction:
    """The upper bound that prices (K, T, 3) give, micros, exact."""
    return (_best_responses(audit, prices) + _rents(audit, prices) + _premiums(audit, prices)) * audit.slot_hours


def arc_groups(audit: Audit) -> tuple[Ints, Ints]:
    """Where each bid and slot begins among the arcs, and its number bid·T + slot."""
    arcs = audit.arcs
    key = arcs.bid.astype(np.int64) * audit.facts.slots + arcs.slot
    begins = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, dtype=np.int64)
    return begins, key[begins]


def _best_responses(audit: Audit, prices: Ints) -> int:
    """Σ over bids of the most a bid could gain at the prices, micros for one hour each slot."""
    arcs = audit.arcs
    best = np.zeros((len(audit.bids), audit.facts.slots), dtype=np.int64)
    begins, places = arc_groups(audit)
    if len(begins):
        margin = arcs.worth - prices[arcs.pool, arcs.slot, arcs.tier]
        best.reshape(-1)[places] = np.maximum(0, np.maximum.reduceat(margin, begins))
    total = 0
    for number, bid in enumerate(audit.bids):
        total += (
            best_run(audit, number, prices=prices)
            if bid.kind == "block"
            else _greedy(best[number], width=bid.width, units=audit.units(number))
        )
    return total


def _greedy(gains: Ints, *, width: int, units: int) -> int:
    """The best slots first, `width` accelerators in each, until `units` are taken."""
    total = 0
    for gain in sorted(gains.tolist(), reverse=True):
        take = min(width, units)
        if gain <= 0 or take <= 0:
            break
        total += gain * take
        units -= take
    return total


def best_run(audit: Audit, number: int, *, prices: Ints) -> int:
    """What the best column of a block gains: pool, tier and first slot, at its width; nothing when none gains.

    Its worth has to reach the pool's lowest rates over the run, as an arc's does in its slot. How wide the pool is does not
    count: a bound has to hold for whatever a bid could ask, and supply speaks through the prices.
    """
    bid = audit.bids[number]
    pools, worth, fits = audit.reader.worths(bid)
    run = audit.units(number) // bid.width
    best = 0
    for place, first, tier in np.argwhere(_whole_runs(fits, run)):
        slots, pool = slice(first, first + run), pools[place]
        valued = int(worth[place, slots, tier].sum())
        if valued >= int(audit.stock.lowest[pool, slots].sum()):
            best = max(best, (valued - int(prices[pool, slots, tier].sum())) * bid.width)
    return best


def _whole_runs(fits: Bools, run: int) -> Bools:
    """Where `run` slots in a row fit, by their first slot: (n, T, 3) → the same."""
    whole = np.zeros_like(fits)
    for first in range(fits.shape[1] - run + 1):
        whole[:, first, :] = fits[:, first : first + run, :].all(axis=1)
    return whole


def _rents(audit: Audit, prices: Ints) -> int:
    """Σ over offers and slots of what the spot price leaves above their rate, on all that leases left."""
    stock = audit.stock
    return int((np.maximum(0, prices[stock.pool_of, :, SPOT] - stock.rates) * stock.left).sum())


def _premiums(audit: Audit, prices: Ints) -> int:
    """Σ premiums × limits."""
    there, limits = audit.stock.on_sale, audit.stock.limits
    total = 0
    for tier in (GUARANTEED, STANDARD):
        premium = np.where(there[:, :, tier], prices[:, :, tier] - prices[:, :, tier + 1], 0)
        total += int((premium * limits[:, :, tier]).sum())
    return total
