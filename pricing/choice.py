"""Who gets what, among awards of equal welfare: entry time decides, then the better tier.

The clearing finds the lot of each group of equal bids. Here the lot is shared: an earlier bid takes
everything it could use, and a later one nothing an earlier could still use. Then whoever would pay as
much for a better tier, where that costs no more, is moved up while the tier's limit has room.
"""

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed
from contracts.terms.tables import TIERS
from pricing.arrays import SPOT, Bools, Ints
from pricing.laying import lay_along, rank_within
from pricing.network import Flow, Network
from pricing.problem import CompiledBook, MarketProblem


class Takings(msgspec.Struct, frozen=True, eq=False):
    """Accelerators by owner, slot, tier and pool, K rows: owners are groups of equal bids, or bids once those have shared."""

    owner: Ints
    slot: Ints
    tier: Ints
    pool: Ints
    quantity: Ints


class Grants(msgspec.Struct, frozen=True, eq=False):
    """What each bid gets: accelerators by bid (a row of the bids), pool, slot and tier, K rows sorted so and none twice."""

    bid: Ints
    pool: Ints
    slot: Ints
    tier: Ints
    quantity: Ints

    def sold(self, compiled: CompiledBook) -> Ints:
        """Accelerators by tier, pool and slot: (3, P, T)."""
        total = np.zeros((len(TIERS), compiled.pools, compiled.slots), dtype=np.int64)
        np.add.at(total, (self.tier, self.pool, self.slot), self.quantity)
        return total


class Lots(msgspec.Struct, frozen=True, eq=False):
    """Accelerators by bid and arc (K rows): `bid` a row of the bids, `arc` a position, `tier` perhaps better than the arc's."""

    bid: Ints
    arc: Ints
    tier: Ints
    quantity: Ints

    def joined(self, other: "Lots") -> "Lots":
        """These lots, then the others."""
        return Lots(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__struct_fields__))

    def granted(self, problem: MarketProblem) -> Grants:
        """The same by pool and slot, arcs forgotten."""
        where = Takings(
            owner=self.bid, slot=problem.arcs.slot[self.arc], tier=self.tier, pool=problem.arcs.pool[self.arc], quantity=self.quantity
        )
        return _summed(problem, where)


def flow_of(problem: MarketProblem, quantity: Ints) -> Flow:
    """Accelerators on arcs (N,) as a flow on the pairs of the problem's network."""
    network, arcs = problem.network, problem.arcs
    used = np.flatnonzero(quantity)
    key = network.group.astype(np.int64) * problem.pools + network.pool
    pair = np.searchsorted(key, arcs.group[used] * problem.pools + arcs.pool[used])
    order = np.lexsort((arcs.tier[used], arcs.slot[used], pair))
    used, pair = used[order], pair[order]
    return Flow(pair=pair, slot=arcs.slot[used], tier=arcs.tier[used], quantity=quantity[used])


def grant_flow(compiled: CompiledBook, flow: Flow, *, price: Ints | None, network: Network | None = None) -> Grants:
    """Share a flow among the bids of each group, at tier prices (3, P, T), without which nobody is moved up.

    network   the one the flow is of, where that is not the book's own
    """
    pairs = compiled.network if network is None else network
    group, pool = pairs.group[flow.pair].astype(np.int64), pairs.pool[flow.pair].astype(np.int64)
    takings = Takings(owner=group, slot=flow.slot, tier=flow.tier, pool=pool, quantity=flow.quantity)
    bid, row, quantity = _share(compiled, takings)
    where = Takings(owner=bid, slot=takings.slot[row], tier=takings.tier[row], pool=takings.pool[row], quantity=quantity)
    return _summed(compiled, where if price is None else _upgrade(compiled, where, price=price))


def share(problem: MarketProblem, quantity: Ints) -> Lots:
    """Share the quantity on each arc (N,) among its group's bids.

    Nobody is moved up: with blocks only the integer optimum decides on tiers.
    """
    arcs, used = problem.arcs, np.flatnonzero(quantity)
    takings = Takings(owner=arcs.group[used], slot=arcs.slot[used], tier=arcs.tier[used], pool=arcs.pool[used], quantity=quantity[used])
    bid, row, part = _share(problem, takings)
    return Lots(bid=bid, arc=used[row], tier=arcs.tier[used][row], quantity=part)


def _share(compiled: CompiledBook, takings: Takings) -> tuple[Ints, Ints, Ints]:
    """Bid, row of the takings, and quantity (n,): in every slot the best tier goes to the first in order of entry."""
    demand, slots = compiled.demand, compiled.slots
    alone = demand.count[takings.owner] == 1
    single, several = np.flatnonzero(alone), np.flatnonzero(~alone)
    queue = several[np.lexsort(tuple(column[several] for column in (takings.pool, takings.tier, takings.slot, takings.owner)))]
    bid, cell, taken = _in_turn(compiled, takings, rows=several)
    row_cell = takings.owner[queue] * slots + takings.slot[queue]
    wanted, row, part = lay_along(cell, taken, stock_place=row_cell, stock=takings.quantity[queue])
    first = demand.ordered[demand.start[takings.owner[single]]]
    return (
        np.concatenate([first, bid[wanted]]),
        np.concatenate([single, queue[row]]),
        np.concatenate([takings.quantity[single], part]),
    )


def _in_turn(compiled: CompiledBook, takings: Takings, *, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """Bid, cell (group·T + slot) and quantity (n,) of the members of groups of several, by cell, then in order of entry.

    What the later m bids cannot use, a slot's lot above m widths, the earlier must take; beyond that an earlier bid
    takes what its hours allow, earlier slots first. The first members of all groups take at once, then the second ones.
    """
    demand, slots = compiled.demand, compiled.slots
    groups, local = np.unique(takings.owner[rows], return_inverse=True)
    by_size = np.argsort(-demand.count[groups], kind="stable")
    place = np.empty_like(by_size)
    place[by_size] = np.arange(len(groups))
    groups = groups[by_size]
    left = np.zeros((len(groups), slots), dtype=np.int64)
    np.add.at(left, (place[local], takings.slot[rows]), takings.quantity[rows])
    count, width, units = demand.count[groups], demand.width[groups][:, None], demand.units[groups]
    found = [(np.empty(0, dtype=np.int64),) * 3]
    for turn in range(int(count.max(initial=0))):
        some = slice(0, int(np.searchsorted(-count, -turn, side="left")))
        lot = left[some]
        most = np.minimum(width[some], lot)
        must = np.maximum(0, lot - (count[some] - 1 - turn)[:, None] * width[some])
        spare = np.minimum(units[some], most.sum(axis=1)) - must.sum(axis=1)
        free = most - must
        taken = must + np.clip(spare[:, None] - (np.cumsum(free, axis=1) - free), 0, free)
        lot -= taken
        who, slot = np.nonzero(taken)
        found.append((demand.ordered[demand.start[groups[who]] + turn], groups[who] * slots + slot, taken[who, slot]))
    if left.any():
        raise ClearingFailed("a group of equal bids was given more than its members can use", status="infeasible")
    bid, cell, quantity = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(cell, kind="stable")
    return bid[order], cell[order], quantity[order]


def _upgrade(compiled: CompiledBook, lots: Takings, *, price: Ints) -> Takings:
    """Every lot (by bid) at the best tier that is worth as much, costs no more and has room, in order of entry.

    Room exists only where the premium is 0, so nothing is lost or gained by the move. Pools and slots do not touch each
    other: the first lot of each place moves at once, then the second ones.
    """
    equal = _equal_tiers(compiled, lots, price=price)
    places = lots.pool * compiled.slots + lots.slot
    room = compiled.supply.limits.reshape(-1, len(TIERS))[:, :SPOT].copy()
    for tier in range(SPOT):
        np.subtract.at(room[:, tier], places[lots.tier <= tier], lots.quantity[lots.tier <= tier])
    movable = np.flatnonzero(equal.any(axis=1) & (room[places].max(axis=1, initial=0) > 0))
    movable = movable[np.lexsort((lots.tier[movable], compiled.demand.turn[lots.owner[movable]], places[movable]))]
    rank = rank_within(places[movable])
    left = lots.quantity.copy()
    moved = [(np.empty(0, dtype=np.int64),) * 3]
    for turn in np.split(movable[np.argsort(rank, kind="stable")], np.cumsum(np.bincount(rank))[:-1]):
        for better in range(SPOT):
            rows = turn[equal[turn, better]]
            where, worst = places[rows], lots.tier[rows]
            between = np.arange(better, SPOT) < worst[:, None]
            most = np.where(between, room[where, better:], left[rows][:, None]).min(axis=1)
            part = np.clip(most, 0, left[rows])
            room[where, better:] -= np.where(between, part[:, None], 0)
            left[rows] -= part
            moved.append((rows, np.full(len(rows), better), part))
    row, better_tier, more = (np.concatenate(parts) for parts in zip(*moved, strict=True))
    every = np.concatenate([np.arange(len(left)), row])
    return Takings(
        owner=lots.owner[every],
        slot=lots.slot[every],
        tier=np.concatenate([lots.tier, better_tier]),
        pool=lots.pool[every],
        quantity=np.concatenate([left, more]),
    )


def _equal_tiers(compiled: CompiledBook, lots: Takings, *, price: Ints) -> Bools:
    """Whether guaranteed, and standard, are better than a lot's tier, worth as much and cost as much: (n, 2)."""
    row, tiers = np.arange(len(lots.tier)), np.arange(SPOT)
    gross = compiled.worth.gross_at(compiled.demand.group_of[lots.owner], lots.pool)
    cost = price[:, lots.pool, lots.slot].T
    same = (gross[:, :SPOT] == gross[row, lots.tier][:, None]) & (cost[:, :SPOT] == cost[row, lots.tier][:, None])
    equal: Bools = same & (tiers < lots.tier[:, None])
    return equal


def _summed(compiled: CompiledBook, lots: Takings) -> Grants:
    """Lots by bid added up by bid, pool, slot and tier, those of nothing left out."""
    some = np.flatnonzero(lots.quantity)
    slots, tiers = compiled.slots, len(TIERS)
    key = ((lots.owner[some] * compiled.pools + lots.pool[some]) * slots + lots.slot[some]) * tiers + lots.tier[some]
    order = np.argsort(key, kind="stable")
    key, quantity = key[order], lots.quantity[some][order]
    opens = np.flatnonzero(np.diff(key, prepend=-1))
    key = key[opens]
    return Grants(
        bid=key // (tiers * slots * compiled.pools),
        pool=key // (tiers * slots) % compiled.pools,
        slot=key // tiers % slots,
        tier=key % tiers,
        quantity=np.add.reduceat(quantity, opens) if len(opens) else quantity,
    )
