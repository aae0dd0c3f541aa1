"""The choice among awards of equal welfare, bid by bid and accelerator lot by lot: the readable second writing of `choice.py`.

Lots are tuples. A group's lot in a slot goes to its bids in order of entry; then every bid is moved to a better tier that is
worth as much, costs as much and has room.
"""

from collections import defaultdict

import numpy as np

from pricing.arrays import Ints
from pricing.demand import Demand
from pricing.problem import CompiledBook

# (slot, tier, pool) of a group's lot; (bid, pool, slot, tier) of a bid's
Place = tuple[int, int, int]
Grant = tuple[int, int, int, int]


def members(demand: Demand) -> list[list[int]]:
    """(G) rows of the bids of each group, by (entered_at, bid_id)."""
    return [rows.tolist() for rows in np.split(demand.ordered, demand.start[1:-1])] if len(demand.count) else []


def share_group(members: list[int], lot: dict[Place, int], *, width: int, units: int) -> dict[tuple[int, Place], int]:
    """Accelerators by bid and place, members served in order; better tiers go first, then pools of the lower name."""
    left = dict(lot)
    total: dict[int, int] = defaultdict(int)
    for (slot, _, _), quantity in sorted(lot.items()):
        total[slot] += quantity
    shared: dict[tuple[int, Place], int] = defaultdict(int)
    for after, bid in reversed(list(enumerate(reversed(members)))):
        must = {slot: max(0, quantity - after * width) for slot, quantity in total.items()}
        spare = min(units, sum(min(width, quantity) for quantity in total.values())) - sum(must.values())
        for slot in sorted(total):
            more = min(spare, min(width, total[slot]) - must[slot])
            spare -= more
            wanted = must[slot] + more
            total[slot] -= wanted
            for place in sorted(place for place in left if place[0] == slot):
                part = min(wanted, left[place])
                left[place] -= part
                wanted -= part
                shared[bid, place] += part
    assert not any(left.values())
    return shared


def move_up(compiled: CompiledBook, shared: dict[Grant, int], *, price: Ints) -> dict[Grant, int]:
    """Every lot at the best tier that is worth as much, costs no more and has room, in order of entry."""
    demand, limits = compiled.demand, compiled.supply.limits
    filled = np.zeros_like(limits)
    for (_, pool, slot, tier), quantity in shared.items():
        filled[pool, slot, tier:] += quantity
    moved: dict[Grant, int] = defaultdict(int)
    for (bid, pool, slot, tier), quantity in sorted(shared.items(), key=lambda item: (demand.turn[item[0][0]], item[0][2], item[0][1:])):
        gross = compiled.worth.gross_at(demand.group_of[bid], pool)
        left = quantity
        for better in range(tier):
            if gross[better] == gross[tier] and price[better, pool, slot] == price[tier, pool, slot]:
                part = min(left, max(0, int((limits - filled)[pool, slot, better:tier].min())))
                filled[pool, slot, better:tier] += part
                moved[bid, pool, slot, better] += part
                left -= part
        moved[bid, pool, slot, tier] += left
    return {place: quantity for place, quantity in moved.items() if quantity}
