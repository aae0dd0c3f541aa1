"""Every arc of a small book by reading the policy, one bid, one pool, one slot and one tier at a time; and the bound they give."""

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.supply import Stock, take_stock
from pricing.policy import fits_tier, fits_window, standing_refusals
from pricing.policy_facts import Bid, Facts, bids_of, facts_of
from pricing.policy_worth import worth

Arc = tuple[int, int, int, int]
"""Number of the bid, pool, slot and tier."""


def all_arcs(market: MarketBook, *, even_below_cost: bool = False) -> dict[Arc, int]:
    """Every arc with its worth, of whatever kind of bid; those worth less than the pool's lowest rate too, if asked."""
    facts = facts_of(market)
    stock = take_stock(market, facts)
    found = {}
    for number, bid in enumerate(bids_of(market)):
        for arc, value in _arcs(bid, stock, facts=facts).items():
            if even_below_cost or value >= stock.lowest[arc[0], arc[1]]:
                found[number, *arc] = value
    return found


def _arcs(bid: Bid, stock: Stock, *, facts: Facts) -> dict[tuple[int, int, int], int]:
    found = {}
    for pool, rows in enumerate(stock.pools):
        offer = stock.offers[rows[0]]
        if standing_refusals(bid, offer, facts=facts):
            continue
        for slot in range(facts.slots):
            # An offer's own span shows in what is left of it: a pool is open where any of its offers is.
            if not any(fits_window(bid, stock.offers[row], facts=facts, slot=slot) for row in rows):
                continue
            for tier, name in enumerate(TIERS):
                if fits_tier(bid, offer, tier=name) and stock.on_sale[pool, slot, tier]:
                    found[pool, slot, tier] = worth(bid, offer, facts=facts, slot=slot, tier=name)
    return found


def best_response(market: MarketBook, number: int, *, prices: dict[tuple[int, int, int], int]) -> int:
    """The most one bid of plain hours or a block could gain for one hour a slot, at prices by pool, slot and tier."""
    bid, facts = bids_of(market)[number], facts_of(market)
    arcs = {arc[1:]: value - prices[arc[1:]] for arc, value in all_arcs(market, even_below_cost=True).items() if arc[0] == number}
    units = int(bid.hours // facts.slot_hours)
    if bid.kind == "block":
        run = units // bid.width
        columns = ([(pool, start + step, tier) for step in range(run)] for pool, start, tier in arcs)
        gains = [bid.width * sum(arcs[arc] for arc in column) for column in columns if all(arc in arcs for arc in column)]
        return max(0, *gains, 0)
    best: dict[int, int] = {}
    for (_, slot, _), gain in arcs.items():
        best[slot] = max(best.get(slot, 0), gain)
    total = 0
    for gain in sorted(best.values(), reverse=True):
        take = min(bid.width, units)
        total, units = total + gain * take, units - take
    return total
