"""Checks of quantities: nothing sold twice, nobody served where the policy forbids it, everyone in turn."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from contracts.terms.clearing import Check
from contracts.terms.tables import TIERS
from pricing.audit.demand import demands
from pricing.audit.examination import Audit, verdict
from pricing.audit.supply import STANDARD
from pricing.policy import refusals
from pricing.policy_worth import worth

_BESIDE_TERMS = frozenset({"id", "entered_at"})


def check_goods(audit: Audit) -> list[Check]:
    """Every check that needs no money."""
    sold = int(audit.layout.quantity.sum())
    # With blocks the integer optimum alone decides on tiers.
    out_of_place = [*_out_of_turn(audit), *_out_of_order(audit), *([] if audit.has_blocks else _below_best(audit))]
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
    better = np.cumsum(audit.sold_by_pool, axis=2)
    for pool, slot, tier in np.argwhere(better > audit.stock.limits):
        limit = audit.stock.limits[pool, slot, tier]
        yield f"pool {audit.stock.names[pool]} sold {better[pool, slot, tier]} at {TIERS[tier]} or better in slot {slot}, limit {limit}"


def _over_bids(audit: Audit) -> Iterator[str]:
    for number, bid in enumerate(audit.bids):
        taken = audit.taken[number]
        if taken.max(initial=0) > bid.width:
            yield f"bid {bid.id} has {taken.max()} at once, width {bid.width}"
        if audit.hours_of(number) > bid.hours:
            yield f"bid {bid.id} has {float(audit.hours_of(number))} hours of {float(bid.hours)}"
    yield from _broken_blocks(audit)


def _broken_blocks(audit: Audit) -> Iterator[str]:
    """A block runs at its width, in consecutive slots, in one pool and one tier, or not at all."""
    places = defaultdict(set)
    for b, o, q in zip(audit.layout.bid, audit.layout.offer, audit.layout.tier, strict=True):
        places[int(b)].add((int(audit.stock.pool_of[o]), int(q)))
    for number, where in places.items():
        bid, taken = audit.bids[number], audit.taken[number]
        running = np.flatnonzero(taken)
        whole = len(where) == 1 and running[-1] - running[0] + 1 == len(running) == audit.units(number) / bid.width
        if bid.kind == "block" and not (whole and (taken[running] == bid.width).all()):
            yield f"block {bid.id} is broken"


def _refused(audit: Audit) -> Iterator[str]:
    layout = audit.layout
    for b, o, slot, tier in zip(layout.bid, layout.offer, layout.slot, layout.tier, strict=True):
        bid, offer = audit.bids[b], audit.stock.offers[o]
        found = refusals(bid, offer, facts=audit.facts, slot=int(slot), tier=TIERS[tier])
        # A block is worth its cost over its whole run, not in every slot of it.
        found = [clause for clause in found if clause != "worth" or bid.kind == "flexible"]
        if found:
            yield f"bid {bid.id} is at offer {offer.id} in slot {slot} against {', '.join(found)}"


def _out_of_order(audit: Audit) -> Iterator[str]:
    """An offer sold while a cheaper one of its pool had some left (of equal rates, one of lower id)."""
    stock, sold = audit.stock, audit.sold_by_offer.sum(axis=2)
    for rows in (np.array(pool) for pool in stock.pools if len(pool) > 1):
        for slot in range(sold.shape[1]):
            order = rows[np.argsort(stock.rates[rows, slot], kind="stable")]
            sells = sold[order, slot] > 0
            had_room = np.r_[False, np.logical_or.accumulate(sold[order, slot] < stock.left[order, slot])[:-1]]
            for row in order[sells & had_room]:
                yield f"offer {stock.offers[row].id} sold in slot {slot} before a cheaper one of its pool"


def _out_of_turn(audit: Audit) -> Iterator[str]:
    """Of bids equal in all but id, buyer and time, a later one served where an earlier still had room."""
    alike = defaultdict(list)
    for number, bid in enumerate(audit.bids):
        alike[demands(bid, apart_from=_BESIDE_TERMS)].append(number)
    for group in (group for group in alike.values() if len(group) > 1):
        order = sorted(group, key=lambda number: (audit.bids[number].entered_at, audit.bids[number].id))
        for place, earlier in enumerate(order):
            bid = audit.bids[earlier]
            room = (audit.taken[earlier] < bid.width) | (bid.kind == "block")
            if audit.taken[earlier].sum() >= audit.units(earlier):
                continue
            for later in order[place + 1 :]:
                if (room & (audit.taken[later] > 0)).any():
                    yield f"bid {audit.bids[later].id} is served where {bid.id}, entered before it, still had room"


def _below_best(audit: Audit) -> Iterator[str]:
    """An award at a tier where a better one is worth as much more than its price, and has room."""
    better_sold = np.cumsum(audit.sold_by_pool, axis=2)
    room = audit.stock.on_sale & (better_sold < audit.stock.limits)
    layout, rates = audit.layout, audit.layout.rates
    for b, o, t, q, gained in zip(layout.bid, layout.offer, layout.slot, layout.tier, audit.award_worth, strict=True):
        bid, pool = audit.bids[b], audit.stock.pool_of[o]
        if bid.kind != "flexible" or audit.stock.offers[o].hardware not in bid.factors:
            continue
        for tier in range(q):
            opens = room[pool, t, tier] and (STANDARD in (tier, q) or room[pool, t, STANDARD])
            if TIERS[tier] not in bid.limits or not opens:
                continue
            there = worth(bid, audit.stock.offers[o], facts=audit.facts, slot=int(t), tier=TIERS[tier])
            if there - rates[pool, t, tier] >= gained - rates[pool, t, q]:
                yield f"bid {bid.id} is at {TIERS[q]} in slot {t} where {TIERS[tier]} has room at no more cost"
