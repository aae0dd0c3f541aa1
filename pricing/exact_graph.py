"""A flow on chosen arcs of a network as a circulation: what the exact finish works on.

Accelerators run round: from the root to a group (its hours), to the group in a slot (its width), along an arc to a pool
and slot at a tier (minus the worth), down the tiers (their limits), and back to the root by a step of supply (its rate).

    root → group → cell → guaranteed → standard → spot → root

Awards of greatest welfare are a circulation of least cost. Every edge is kept twice, forth and back, so that what may still
change is read off in one place; potentials are minus the prices: π = −price at a pool, what a group or cell keeps there.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints
from pricing.auction_proof import taken
from pricing.compiled import kernel
from pricing.network import Flow, Network, Small
from pricing.worth import KILOGRAM, carbon_cost

ROOT = 0


class NearArcs(msgspec.Struct, frozen=True, eq=False):
    """Arcs chosen for being near their prices, A rows sorted by (pair, slot, tier), each once; what flows on each."""

    pair: Ints
    slot: Ints
    tier: Ints
    quantity: Ints

    def key(self, slots: int) -> Ints:
        """The arc's number among all there could be."""
        return arc_key(self.pair, self.slot, tier=self.tier, slots=slots)

    def some(self, which: Bools) -> "NearArcs":
        """Those where a mask holds."""
        return NearArcs(*(getattr(self, name)[which] for name in self.__struct_fields__))

    def joined(self, others: "NearArcs") -> "NearArcs":
        """These and others, no longer in order."""
        return NearArcs(*(np.concatenate([getattr(self, name), getattr(others, name)]) for name in self.__struct_fields__))

    def flow(self) -> Flow:
        """The arcs that carry something."""
        used = self.some(self.quantity > 0)
        return Flow(pair=used.pair, slot=used.slot, tier=used.tier, quantity=used.quantity)


class Edges(NamedTuple):
    """The residual edges of a circulation, sorted by tail; an edge and its mate are the same way forth and back.

    first   (V + 1,) the edges that leave node v are first[v] … first[v + 1] − 1
    head    (E,) int32
    mate    (E,) int32
    room    (E,) how much more may go this way
    cost    (E,) in units of the potentials
    """

    first: Ints
    head: Small
    mate: Small
    room: Ints
    cost: Ints


class Graph(msgspec.Struct, frozen=True, eq=False):
    """A circulation on chosen arcs: node 0 is the root, then G groups, 3·P·T tiers of pools and slots, then the C cells in use.

    arcs    those it is made of
    cells   (C,) group·T + slot, ascending
    edges   the residual
    arc     (A,) the edge of each arc; its mate has room for what flows
    spare   (S,) edges that say a price or a gain is not negative: closed but when prices are sought
    """

    arcs: NearArcs
    cells: Ints
    edges: Edges
    arc: Ints
    spare: Ints


def arc_key(pair: Ints, slot: Ints, *, tier: Ints, slots: int) -> Ints:
    """The number of an arc among all there could be."""
    return (pair * slots + slot) * 3 + tier


def with_quantity(arcs: NearArcs, flow: Flow, *, slots: int) -> NearArcs:
    """The arcs and those of a flow together, carrying what the flow says."""
    used = arc_key(flow.pair, flow.slot, tier=flow.tier, slots=slots)
    keys = np.union1d(arcs.key(slots), used)
    quantity = np.zeros(len(keys), dtype=np.int64)
    quantity[np.searchsorted(keys, used)] = flow.quantity
    return NearArcs(pair=keys // (3 * slots), slot=keys // 3 % slots, tier=keys % 3, quantity=quantity)


def node_of(network: Network, pool: Ints, *, slot: Ints, tier: Ints | int) -> Ints:
    """The node of a pool, slot and tier."""
    pools, slots = network.grams.shape
    node: Ints = 1 + len(network.size) + (tier * pools + pool) * slots + slot
    return node


def build_graph(network: Network, arcs: NearArcs, *, scale: int) -> Graph:
    """The residual of a flow on chosen arcs; costs are micros times `scale`."""
    slots, groups = network.grams.shape[1], len(network.size)
    group = network.group[arcs.pair].astype(np.int64)
    pool = network.pool[arcs.pair].astype(np.int64)
    cells, cell_of = np.unique(group * slots + arcs.slot, return_inverse=True)
    inside = cells // slots
    active = np.unique(inside)
    cell = 1 + groups + 3 * network.grams.size + np.arange(len(cells))
    in_cell = np.zeros(len(cells), dtype=np.int64)
    np.add.at(in_cell, cell_of, arcs.quantity)
    in_group = np.zeros(groups, dtype=np.int64)
    np.add.at(in_group, inside, in_cell)
    most = network.size * np.minimum(network.width, network.units)
    worth = network.worth[arcs.pair, arcs.tier] - carbon_cost(network.carbon[group], network.grams[pool, arcs.slot])
    room = most[group] + 1  # an arc has no limit of its own, so it is never full
    supply, closed = _supply(network, arcs, pool=pool)
    zero_groups, zero_cells = np.zeros(len(active), dtype=np.int64), np.zeros(len(cells), dtype=np.int64)
    parts = [
        (cell[cell_of], node_of(network, pool, slot=arcs.slot, tier=arcs.tier), room, -worth, arcs.quantity),
        (np.full(len(active), ROOT), 1 + active, (network.size * network.units)[active], zero_groups, in_group[active]),
        (1 + inside, cell, most[inside], zero_cells, in_cell),
        *supply,
        (cell, 1 + inside, zero_cells, zero_cells, zero_cells),
        (1 + active, np.full(len(active), ROOT), zero_groups, zero_groups, zero_groups),
        *closed,
    ]
    tail, head, size, cost, quantity = (np.concatenate([part[column] for part in parts]) for column in range(5))
    nodes = 1 + groups + 3 * network.grams.size + len(cells)
    edges, place = _both_ways(nodes, (tail, head), room=(size - quantity, quantity), cost=cost * scale)
    spare = len(cells) + len(active) + sum(len(part[0]) for part in closed)
    return Graph(arcs=arcs, cells=cells, edges=edges, arc=place[: len(arcs.pair)], spare=place[len(place) - spare :])


Part = tuple[Ints, Ints, Ints, Ints, Ints]


def _supply(network: Network, arcs: NearArcs, *, pool: Ints) -> tuple[list[Part], list[Part]]:
    """(tail, head, room, cost, flow) of the edges from tier to tier and by the steps back to the root; and of those kept closed."""
    pools, slots = network.grams.shape
    sold = np.zeros((3, pools * slots), dtype=np.int64)
    np.add.at(sold, (arcs.tier, pool * slots + arcs.slot), arcs.quantity)
    better = np.cumsum(sold, axis=0)
    found: list[Part] = []
    closed: list[Part] = []
    for tier in (GUARANTEED, STANDARD):
        limit = network.limits[..., tier].ravel()
        there = np.flatnonzero(limit > 0)
        here, below = (node_of(network, there // slots, slot=there % slots, tier=number) for number in (tier, tier + 1))
        nothing = np.zeros(len(there), dtype=np.int64)
        found.append((here, below, limit[there], nothing, better[tier][there]))
        closed.append((below, here, nothing, nothing, nothing))
    node = np.repeat(np.arange(pools * slots), np.diff(network.step))
    spot = node_of(network, node // slots, slot=node % slots, tier=SPOT)
    found.append((spot, np.full(len(node), ROOT), network.quantity, network.rate, taken(network, better[SPOT])))
    return found, closed


def _both_ways(nodes: int, ends: tuple[Ints, Ints], *, room: tuple[Ints, Ints], cost: Ints) -> tuple[Edges, Ints]:
    """Every edge forth and back, sorted by tail; and where each went forth."""
    count = len(cost)
    tail, head = np.concatenate(ends), np.concatenate(ends[::-1])
    order = np.argsort(tail, kind="stable")
    place = np.empty(2 * count, dtype=np.int64)
    place[order] = np.arange(2 * count)
    mate = np.concatenate([place[count:], place[:count]])
    edges = Edges(
        first=np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=nodes))]).astype(np.int64),
        head=head[order].astype(np.int32),
        mate=mate[order].astype(np.int32),
        room=np.concatenate(room)[order],
        cost=np.concatenate([cost, -cost])[order],
    )
    return edges, place[:count]


def read_arcs(graph: Graph) -> NearArcs:
    """The graph's arcs with what flows on them now."""
    arcs = graph.arcs
    return NearArcs(pair=arcs.pair, slot=arcs.slot, tier=arcs.tier, quantity=graph.edges.room[graph.edges.mate[graph.arc]].copy())


@kernel
def choose(network: Network, price: Ints, own: Ints, slack: int) -> tuple[Ints, Ints, Ints]:
    """Every arc that a group would gain by, or miss by at most `slack` micros: its pair, 3·slot + tier, and what would be gained.

    price   (P, 3, T) NEVER where a tier is not served
    own     (G, T) what an accelerator of the group in the slot keeps, ≥ 0
    """
    pairs, places, gains, total = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0
    for filling in (False, True):
        count = 0
        if filling:
            pairs, places, gains = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
        for group in range(len(network.size)):
            if network.run[group] > 0 or network.units[group] == 0:
                continue
            carbon, end = network.carbon[group], network.end[group]
            for pair in range(network.start[group], network.start[group + 1]):
                pool = network.pool[pair]
                for tier in range(3):
                    worth = network.worth[pair, tier]
                    if worth <= -NEVER:
                        continue
                    for slot in range(network.first[pair], end):
                        if worth - price[pool, tier, slot] - own[group, slot] < -slack:
                            continue
                        net = worth
                        if carbon > 0:
                            net -= -(-carbon * network.grams[pool, slot] // KILOGRAM)
                        if net - price[pool, tier, slot] - own[group, slot] < -slack:
                            continue
                        if network.limits[pool, slot, tier] == 0 or net < network.cheapest[pool, slot]:
                            continue
                        if filling:
                            pairs[count], places[count] = pair, 3 * slot + tier
                            gains[count] = net - price[pool, tier, slot] - own[group, slot]
                        count += 1
        total = count
    return pairs, places, gains


@kernel
def keep_by_response(network: Network, price: Ints) -> tuple[Ints, Ints]:
    """What every group keeps at given prices (P, 3, T): of an accelerator-slot at all (G,), of an accelerator in each slot (G, T)."""
    slots = network.grams.shape[1]
    hours, own = np.zeros(len(network.size), dtype=np.int64), np.zeros((len(network.size), slots), dtype=np.int64)
    for group in range(len(network.size)):
        if network.run[group] > 0:
            continue
        best = own[group]
        for pair in range(network.start[group], network.start[group + 1]):
            pool = network.pool[pair]
            for tier in range(3):
                worth = network.worth[pair, tier]
                if worth <= -NEVER:
                    continue
                for slot in range(network.first[pair], network.end[group]):
                    margin = worth - price[pool, tier, slot]
                    if margin > best[slot] and network.limits[pool, slot, tier] > 0:
                        if network.carbon[group] > 0:
                            margin -= -(-network.carbon[group] * network.grams[pool, slot] // KILOGRAM)
                        best[slot] = max(best[slot], margin)
        left = network.units[group]
        for margin in np.sort(best)[::-1]:
            hours[group] = max(0, margin)
            left -= network.width[group]
            if left <= 0:
                break
        if left > 0:
            hours[group] = 0
        for slot in range(slots):
            best[slot] = max(best[slot], hours[group])
    return hours, own


def traded_places(network: Network, arcs: NearArcs) -> Bools:
    """(P, T) whether anything is sold."""
    found = np.zeros(network.grams.shape, dtype=bool)
    used = arcs.quantity > 0
    found[network.pool[arcs.pair[used]], arcs.slot[used]] = True
    return found
