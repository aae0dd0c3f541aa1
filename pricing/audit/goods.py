"""Checks of quantities: nothing sold twice, nobody served where the policy forbids it, everyone in turn."""

from collections.abc import Iterator

import numpy as np

from contracts.terms.clearing import Check
from contracts.terms.tables import TIERS
from pricing.audit.demand import NOT_WANTED
from pricing.audit.examination import Audit, verdict
from pricing.audit.supply import NOTHING_LEFT, SPOT, STANDARD
from pricing.audit.terms import NO_WAY
from pricing.audit.turns import out_of_turn
from pricing.audit.whole import Bools, gathered, times


def check_goods(audit: Audit) -> list[Check]:
    """Every check that needs no money."""
    sold = int(audit.layout.quantity.sum())
    # With lumps the integer optimum alone decides on tiers; indicative prices may be a little off between them.
    tiers_follow_prices = not (audit.demand.lumpy or audit.approximate)
    out_of_place = [*out_of_turn(audit), *_out_of_order(audit), *(_below_best(audit) if tiers_follow_prices else [])]
    return [
        verdict("capacity", list(_oversold(audit)), finding=f"{sold} accelerator-slots sold, none beyond what leases left"),
        verdict("tier limits", list(_over_limits(audit)), finding="the headroom of every pool and slot is kept"),
        verdict("bids", list(_over_bids(audit)), finding="no bid has more than its width and hours; blocks run whole"),
        verdict("eligibility", list(_refused(audit)), finding=f"{len(audit.layout.bid)} awards meet every clause of the policy"),
        verdict("choice", out_of_place, finding="cheapest first, earliest first, best tier first"),
    ]


def _oversold(audit: Audit) -> Iterator[str]:
    stock = audit.stock
    sold = audit.sold_by_offer.sum(axis=2)
    for offer, slot in np.argwhere(sold > stock.left):
        yield f"offer {stock.offers[offer].id} sold {sold[offer, slot]} in slot {slot} of {stock.left[offer, slot]} left"


def _over_limits(audit: Audit) -> Iterator[str]:
    better, names = np.cumsum(audit.sold_by_pool, axis=2), audit.stock.names
    for pool, slot, tier in np.argwhere(better > audit.stock.limits):
        limit = audit.stock.limits[pool, slot, tier]
        yield f"pool {names[pool]} sold {better[pool, slot, tier]} at {TIERS[tier]} or better in slot {slot}, limit {limit}"


def _over_bids(audit: Audit) -> Iterator[str]:
    demand = audit.demand
    at_once = audit.taken.max(axis=1, initial=0)
    for bid in np.flatnonzero((at_once > demand.width) | (audit.used > demand.most)):
        if at_once[bid] > demand.width[bid]:
            yield f"bid {demand.ids[bid]} has {at_once[bid]} at once, width {demand.width[bid]}"
        if audit.used[bid] > demand.most[bid]:
            parts = demand.factor_unit if demand.work[bid] else 1
            had, wanted = int(audit.used[bid]) * audit.slot_hours / parts, float(int(demand.hours[bid]) / demand.hours_unit)
            yield f"bid {demand.ids[bid]} has {float(had)} {'reference ' if demand.work[bid] else ''}hours of {wanted}"
    for bid in np.flatnonzero(_broken_blocks(audit)):
        yield f"block {demand.ids[bid]} is broken"


def _broken_blocks(audit: Audit) -> Bools:
    """A block runs at its width, in consecutive slots, in one pool and one tier, or not at all."""
    demand, layout = audit.demand, audit.layout
    place = audit.award_pool * len(TIERS) + layout.tier
    least, most = np.full(len(demand.ids), np.iinfo(np.int64).max), np.full(len(demand.ids), -1)
    np.minimum.at(least, layout.bid, place)
    np.maximum.at(most, layout.bid, place)
    running = audit.taken > 0
    slots = running.sum(axis=1)
    span = np.where(slots > 0, running.shape[1] - running[:, ::-1].argmax(axis=1) - running.argmax(axis=1), 0)
    at_width = (~running | (audit.taken == demand.width[:, None])).all(axis=1)
    whole = (least == most) & (span == slots) & (slots * demand.width == demand.most) & at_width
    broken: Bools = demand.block & (slots > 0) & ~whole
    return broken


def _refused(audit: Audit) -> Iterator[str]:
    """Every clause, for every award: the answers of the slow reading for its bid's kind and its offer."""
    layout, demand, stock = audit.layout, audit.demand, audit.stock
    kind, pool = demand.kind[layout.bid], audit.award_pool
    against = {ruling.name: ~ruling.met[ruling.of_kind[kind], ruling.of_offer[layout.offer]] for ruling in audit.rulings}
    delay = audit.terms.delay_of(kind, pool)
    first = np.array([offer.slot_first for offer in stock.offers], dtype=np.int64)[layout.offer]
    end = np.array([offer.slot_end for offer in stock.offers], dtype=np.int64)[layout.offer]
    firm = np.array([offer.firm for offer in stock.offers], dtype=np.bool_)[layout.offer]
    early = layout.slot < np.maximum(first, demand.first[layout.bid] + delay)
    late = layout.slot >= np.minimum(end, demand.end[layout.bid])
    against["window"] = (delay != NO_WAY) & (early | late)
    against["tier"] = (demand.limits[layout.bid, layout.tier] == NOT_WANTED) | ~(firm | (layout.tier == SPOT))
    against["worth"] = ~against["tier"] & audit.terms.known(layout.bid, pool) & _worth_less(audit)
    for row in np.flatnonzero(np.logical_or.reduce(list(against.values()))):
        clauses = ", ".join(name for name, refused in against.items() if refused[row])
        bid, offer = demand.ids[layout.bid[row]], stock.offers[layout.offer[row]].id
        yield f"bid {bid} is at offer {offer} in slot {layout.slot[row]} against {clauses}"


def _worth_less(audit: Audit) -> Bools:
    """Awards (A,) whose worth is below the offer's rate; of a block, below the pool's lowest rates over its whole run."""
    layout, stock = audit.layout, audit.stock
    in_slot = audit.award_worth < stock.rates[layout.offer, layout.slot]
    lowest = stock.lowest[audit.award_pool, layout.slot]
    surplus = times(audit.award_worth - np.where(lowest == NOTHING_LEFT, 0, lowest), layout.quantity)
    over_run = gathered(np.asarray(surplus, dtype=np.int64), layout.bid, size=len(audit.demand.ids)) < 0
    found: Bools = np.where(audit.demand.block[layout.bid], over_run[layout.bid], in_slot)
    return found


def _out_of_order(audit: Audit) -> Iterator[str]:
    """An offer sold while a cheaper one of its pool had some left (of equal rates, one of lower id)."""
    stock, sold = audit.stock, audit.sold_by_offer.sum(axis=2)
    if not len(stock.offers):
        return
    begins = np.r_[0, np.cumsum([len(rows) for rows in stock.pools])]
    for slot in range(sold.shape[1]):
        order = np.lexsort((np.arange(len(stock.offers)), stock.rates[:, slot], stock.pool_of))
        room = sold[order, slot] < stock.left[order, slot]
        last_room = np.r_[-1, np.maximum.accumulate(np.where(room, np.arange(len(order)), -1))[:-1]]
        for row in order[(sold[order, slot] > 0) & (last_room >= begins[stock.pool_of[order]])]:
            yield f"offer {stock.offers[row].id} sold in slot {slot} before a cheaper one of its pool"


def _below_best(audit: Audit) -> Iterator[str]:
    """An award at a tier where a better one is worth as much more than its price, and has room."""
    layout, rates, pool = audit.layout, audit.layout.rates, audit.award_pool
    room = audit.stock.on_sale & (np.cumsum(audit.sold_by_pool, axis=2) < audit.stock.limits)
    gained = audit.award_worth - rates[pool, layout.slot, layout.tier]
    known = audit.terms.known(layout.bid, pool)
    for tier in range(SPOT):
        # From spot to guaranteed, standard's limit has to have room as well.
        opens = room[pool, layout.slot, tier] & ((tier == STANDARD) | (layout.tier == STANDARD) | room[pool, layout.slot, STANDARD])
        as_good = audit.worths[:, tier] - rates[pool, layout.slot, tier] >= gained
        wanted = audit.demand.limits[layout.bid, tier] != NOT_WANTED
        for row in np.flatnonzero((layout.tier > tier) & opens & as_good & wanted & known):
            bid, slot = audit.demand.ids[layout.bid[row]], layout.slot[row]
            yield f"bid {bid} is at {TIERS[layout.tier[row]]} in slot {slot} where {TIERS[tier]} has room at no more cost"
