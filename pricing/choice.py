"""Who gets what, among allocations of equal welfare: entry time decides, then the better tier.

The clearing finds the lot of each group of equal bids. Here the lot is shared: an earlier bid takes
everything it could use, and a later one nothing an earlier could still use. Then whoever would pay as
much for a better tier, where that costs no more, is moved up while the tier's limit has room.
"""

import msgspec
import numpy as np

from contracts.terms.tables import TIERS
from pricing.arrays import Ints
from pricing.problem import MarketProblem


class Lots(msgspec.Struct, frozen=True, eq=False):
    """Accelerators by bid and arc (K rows): `bid` a row of the bids, `arc` a position, `tier` perhaps better than the arc's."""

    bid: Ints
    arc: Ints
    tier: Ints
    quantity: Ints

    def sold(self, problem: MarketProblem) -> Ints:
        """Accelerators by tier, pool and slot: (3, P, T)."""
        total = np.zeros((len(TIERS), problem.pools, problem.slots), dtype=np.int64)
        np.add.at(total, (self.tier, problem.arcs.pool[self.arc], problem.arcs.slot[self.arc]), self.quantity)
        return total

    def joined(self, other: "Lots") -> "Lots":
        """These lots, then the others."""
        return Lots(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__struct_fields__))


def share(problem: MarketProblem, quantity: Ints, *, price: Ints | None) -> Lots:
    """Share the quantity on each arc (N,) among its group's bids, at tier prices (3, P, T).

    Without prices nobody is moved up: in a book with blocks only the integer optimum decides on tiers.
    """
    found: list[tuple[int, int, int]] = []
    used = np.flatnonzero(quantity)
    groups = problem.arcs.group[used]
    for arcs in np.split(used, np.flatnonzero(np.diff(groups)) + 1) if len(used) else []:
        found += _share_group(problem, int(problem.arcs.group[arcs[0]]), lot={int(arc): int(quantity[arc]) for arc in arcs})
    stay = [(bid, arc, int(problem.arcs.tier[arc]), part) for bid, arc, part in found]
    lots = _upgrade(problem, found, price=price) if price is not None else stay
    columns = np.array(lots, dtype=np.int64).reshape(-1, 4).T
    return Lots(*columns)


def _share_group(problem: MarketProblem, group: int, *, lot: dict[int, int]) -> list[tuple[int, int, int]]:
    """(bid, arc, quantity) of one group, members served in order of entry.

    In every slot the best tier goes first. What the later m bids cannot use, a slot's lot above m widths, the earlier must take.
    """
    demand, slot_of = problem.demand, problem.arcs.slot
    width, units = int(demand.width[group]), int(demand.units[group])
    queue: dict[int, list[int]] = {}
    for arc in sorted(lot, key=lambda arc: (problem.arcs.tier[arc], problem.arcs.pool[arc])):
        queue.setdefault(int(slot_of[arc]), []).append(arc)
    total = {slot: sum(lot[arc] for arc in queue[slot]) for slot in sorted(queue)}
    shared = []
    for after, bid in reversed(list(enumerate(reversed(demand.members[group])))):
        must = {slot: max(0, left - after * width) for slot, left in total.items()}
        spare = min(units, sum(min(width, left) for left in total.values())) - sum(must.values())
        for slot, left in total.items():
            more = min(spare, min(width, left) - must[slot])
            spare -= more
            taken = must[slot] + more
            total[slot] -= taken
            shared += [(bid, arc, part) for arc, part in _take(queue[slot], lot, wanted=taken)]
    assert not any(lot.values()), f"group {group} kept {lot} to itself"
    return shared


def _take(queue: list[int], lot: dict[int, int], *, wanted: int) -> list[tuple[int, int]]:
    """The next `wanted` accelerators of a slot's lot, arc by arc, taken out of it."""
    parts = []
    for arc in queue:
        part = min(wanted, lot[arc])
        if part:
            lot[arc] -= part
            wanted -= part
            parts.append((arc, part))
    return parts


def _upgrade(problem: MarketProblem, lots: list[tuple[int, int, int]], *, price: Ints) -> list[tuple[int, int, int, int]]:
    """(bid, arc, tier, quantity): every lot at the best tier that is worth as much, costs no more and has room.

    Room exists only where the premium is 0, so nothing is lost or gained by the move.
    """
    arcs, limits = problem.arcs, problem.supply.limits
    gross = problem.worth.gross
    filled = np.zeros_like(limits)
    for _, arc, quantity in lots:
        filled[arcs.pool[arc], arcs.slot[arc], arcs.tier[arc] :] += quantity
    moved = []
    for bid, arc, quantity in sorted(lots, key=lambda lot: (problem.demand.turn[lot[0]], lot[1])):
        group, pool, slot, tier = (int(column[arc]) for column in (arcs.group, arcs.pool, arcs.slot, arcs.tier))
        left = quantity
        for better in range(tier):
            equal = gross[group, pool, better] == gross[group, pool, tier] and price[better, pool, slot] == price[tier, pool, slot]
            if not equal:
                continue
            room = (limits - filled)[pool, slot, better:tier].min()
            part = min(left, max(0, int(room)))
            filled[pool, slot, better:tier] += part
            left -= part
            moved.append((bid, arc, better, part))
        moved.append((bid, arc, tier, left))
    return [lot for lot in moved if lot[3]]
