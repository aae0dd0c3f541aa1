"""Awards and receipts: each bid's lot cut from the pool's offers, charged, and shared out to the offers.

The offers of a pool are filled by rate, then offer_id; bids are cut in the order of their ids. What
buyers are charged in a pool and slot is what its offers receive, to the micro: the spot part goes to
the offers that sold, the premiums to every callable offer by its quantity.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import groupby

import msgspec
import polars as pl

from contracts.terms.money import half_up, largest_remainder
from contracts.terms.tables import AWARDS, RECEIPTS, TIERS
from pricing.arrays import SPOT, Ints
from pricing.choice import Lots
from pricing.problem import MarketProblem


class Award(msgspec.Struct, frozen=True):
    """Part of one offer for one bid in one slot: rows and numbers, not yet names; charge in micros."""

    bid: int
    offer: int
    slot: int
    tier: int
    quantity: int
    rate: int
    charge: int
    arc: int


def grant(problem: MarketProblem, lots: Lots, *, price: Ints, hours: Fraction) -> list[Award]:
    """Cut every lot from its pool's offers, at tier prices (3, P, T) and slots of so many hours."""
    arcs, supply = problem.arcs, problem.supply
    waiting: dict[tuple[int, int], list[tuple[int, int, int, int]]] = defaultdict(list)
    for bid, arc, tier, quantity in zip(*(column.tolist() for column in (lots.bid, lots.arc, lots.tier, lots.quantity)), strict=True):
        waiting[int(arcs.pool[arc]), int(arcs.slot[arc])].append((bid, tier, arc, quantity))
    offers_of: dict[int, list[int]] = defaultdict(list)
    for offer, pool in enumerate(supply.pool_of.tolist()):
        offers_of[pool].append(offer)
    awards = []
    for (pool, slot), lot in waiting.items():
        queue = [
            (offer, int(supply.left[offer, slot]))
            for offer in sorted(offers_of[pool], key=lambda offer: (supply.rates[offer, slot], offer))
        ]
        for (bid, tier, arc, _), offer, part in _cut(sorted(lot), queue):
            rate = int(price[tier, pool, slot])
            charge = half_up(hours * rate * part)
            awards.append(Award(bid=bid, offer=offer, slot=slot, tier=tier, quantity=part, rate=rate, charge=charge, arc=arc))
    return awards


def _cut(lots: list[tuple[int, int, int, int]], offers: list[tuple[int, int]]) -> list[tuple[tuple[int, int, int, int], int, int]]:
    """(lot, offer, quantity): lots laid along the offers, both in order."""
    parts = []
    stock = [(offer, left) for offer, left in reversed(offers) if left]
    for lot in lots:
        wanted = lot[3]
        while wanted:
            offer, left = stock.pop()
            part = min(wanted, left)
            parts.append((lot, offer, part))
            wanted -= part
            if left > part:
                stock.append((offer, left - part))
    return parts


def award_table(problem: MarketProblem, awards: list[Award]) -> pl.DataFrame:
    """Rows of `awards`, one per bid, offer, slot and tier."""
    rows = [
        (problem.demand.bid_ids[a.bid], problem.supply.offer_ids[a.offer], a.slot, TIERS[a.tier], a.quantity, a.rate, a.charge)
        for a in awards
    ]
    return pl.DataFrame(rows, schema=AWARDS.schema, orient="row").sort(AWARDS.key)


def receipt_table(problem: MarketProblem, awards: list[Award], *, price: Ints, hours: Fraction) -> pl.DataFrame:
    """Rows of `receipts`: every offer and slot that sold, or stood by for a premium; uplift where the spot price is below its rate."""
    supply = problem.supply
    spot_part: dict[tuple[int, int], int] = defaultdict(int)
    sold: dict[tuple[int, int], int] = defaultdict(int)
    premium: dict[tuple[int, int], int] = defaultdict(int)
    place = [(int(supply.pool_of[a.offer]), a.slot) for a in awards]
    for (pool, slot), group in groupby(sorted(zip(place, awards, strict=True), key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        surplus = 0
        for _, a in group:
            part = half_up(hours * int(price[SPOT, pool, slot]) * a.quantity)
            spot_part[a.offer, slot] += part
            sold[a.offer, slot] += a.quantity
            surplus += a.charge - part
        callable_ = [offer for offer in (supply.pool_of == pool).nonzero()[0].tolist() if supply.callable[offer, slot]]
        shares = largest_remainder(surplus, [int(supply.gross[offer, slot]) for offer in callable_]) if surplus else []
        for offer, micros in zip(callable_, shares, strict=False):
            premium[offer, slot] += micros
    rows = []
    for offer, slot in {**sold, **premium}:
        quantity, extra = sold[offer, slot], premium[offer, slot]
        if quantity or extra:
            short = max(0, int(supply.rates[offer, slot] - price[SPOT, supply.pool_of[offer], slot]))
            received = spot_part[offer, slot] + extra
            rows.append((supply.offer_ids[offer], slot, quantity, received, extra, half_up(hours * short * quantity)))
    return pl.DataFrame(rows, schema=RECEIPTS.schema, orient="row").sort(RECEIPTS.key)
