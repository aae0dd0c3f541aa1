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
from pricing.exactly import total_by
from pricing.network import Flow, Network, Small
from pricing.worth import KILOGRAM, carbon_cost

ROOT = 0


class NearArcs(msgspec.Struct, frozen=True, eq=False):
    """Arcs chosen for being near their prices, A rows by (pair, tier, slot), each once; what flows on each.

    key        (A,) the arc's number among all there could be, (3·pair + tier)·T + slot, ascending
    quantity   (A,)
    slots      T
    """

    key: Ints
    quantity: Ints
    slots: int

    @property
    def pair(self) -> Ints:
        """The pair of each arc (A,)."""
        found: Ints = self.key // (3 * self.slots)
        return found

    @property
    def tier(self) -> Ints:
        """The tier of each arc (A,)."""
        found: Ints = self.key // self.slots % 3
        return found

    @property
    def slot(self) -> Ints:
        """The slot of each arc (A,)."""
        found: Ints = self.key % self.slots
        return found

    def used(self) -> "NearArcs":
        """Those that carry something."""
        some = self.quantity > 0
        return NearArcs(self.key[some], self.quantity[some], slots=self.slots)

    def with_more(self, keys: Ints) -> "NearArcs":
        """These and others of which some may be among them."""
        every = np.concatenate([self.key, keys])
        every.sort(kind="stable")  # sorted runs one after the other: merged in one go
        every = every[np.diff(every, prepend=-1) > 0]
        quantity = np.zeros(len(every), dtype=np.int64)
        quantity[np.searchsorted(every, self.key)] = self.quantity
        return NearArcs(every, quantity, slots=self.slots)

    def flow(self) -> Flow:
        """The arcs that carry something."""
        used = self.used()
        pair, slot, tier = used.pair, used.slot, used.tier
        order = np.lexsort((tier, slot, pair))
        return Flow(pair=pair[order], slot=slot[order], tier=tier[order], quantity=used.quantity[order])


def arcs_of(flow: Flow, *, slots: int) -> NearArcs:
    """The arcs of a flow alone."""
    key = (3 * flow.pair + flow.tier) * slots + flow.slot
    order = np.argsort(key)
    return NearArcs(key[order], flow.quantity[order], slots=slots)


class Edges(NamedTuple):
    """The residual edges of a circulation, sorted by tail; an edge and its mate are the same way forth and back.

    first   (V + 1,) the edges that leave node v are first[v] … first[v + 1] − 1
    head    (E,) int32
    mate    (E,) int32
    room    (E,) how much more may go this way
    back    (E,) how much more may go the mate's way: its room, kept on both sides for the sake of those who read it often
    cost    (E,) micros
    """

    first: Ints
    head: Small
    mate: Small
    room: Ints
    back: Ints
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


def node_of(network: Network, pool: Ints, *, slot: Ints, tier: Ints | int) -> Ints:
    """The node of a pool, slot and tier."""
    pools, slots = network.grams.shape
    node: Ints = 1 + len(network.size) + (tier * pools + pool) * slots + slot
    return node


def build_graph(network: Network, arcs: NearArcs) -> Graph:
    """The residual of a flow on chosen arcs."""
    slots, groups = arcs.slots, len(network.size)
    pair, slot, tier = arcs.pair, arcs.slot, arcs.tier
    group, pool = network.group[pair].astype(np.int64), network.pool[pair].astype(np.int64)
    cells, cell_of = _numbered(group * slots + slot, most=groups * slots)
    inside = cells // slots
    active = _numbered(inside, most=groups)[0]
    cell = 1 + groups + 3 * network.grams.size + np.arange(len(cells))
    in_cell = total_by(cell_of, arcs.quantity, places=len(cells))
    in_group = total_by(inside, in_cell, places=groups)
    most = network.size * np.minimum(network.width, network.units)
    worth = network.worth[pair, tier] - carbon_cost(network.carbon[group], network.grams[pool, slot])
    room = most[group] + 1  # an arc has no limit of its own, so it is never full
    supply, closed = _supply(
        network, total_by(tier * network.grams.size + pool * slots + slot, arcs.quantity, places=3 * network.grams.size)
    )
    zero_groups, zero_cells = np.zeros(len(active), dtype=np.int64), np.zeros(len(cells), dtype=np.int64)
    parts = [
        (cell[cell_of], node_of(network, pool, slot=slot, tier=tier), room, -worth, arcs.quantity),
        (np.full(len(active), ROOT), 1 + active, (network.size * network.units)[active], zero_groups, in_group[active]),
        (1 + inside, cell, most[inside], zero_cells, in_cell),
        *supply,
        (cell, 1 + inside, zero_cells, zero_cells, zero_cells),
        (1 + active, np.full(len(active), ROOT), zero_groups, zero_groups, zero_groups),
        *closed,
    ]
    nodes = 1 + groups + 3 * network.grams.size + len(cells)
    edges, place = lay_out(nodes, _Ways(*(np.concatenate([part[column] for part in parts]) for column in range(5))))
    spare = len(cells) + len(active) + sum(len(part[0]) for part in closed)
    return Graph(arcs=arcs, cells=cells, edges=edges, arc=place[: len(pair)], spare=place[len(place) - spare :])


def _numbered(values: Ints, *, most: int) -> tuple[Ints, Ints]:
    """The different values, ascending, each below `most`; and which of them each is."""
    there = np.zeros(most, dtype=np.bool_)
    there[values] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]


class _Ways(NamedTuple):
    """Edges one way, (n,) each."""

    tail: Ints
    head: Ints
    size: Ints
    cost: Ints
    quantity: Ints


Part = tuple[Ints, Ints, Ints, Ints, Ints]


def _supply(network: Network, sold: Ints) -> tuple[list[Part], list[Part]]:
    """(tail, head, room, cost, flow) of the edges from tier to tier and by the steps back to the root; and of those kept closed.

    sold   (3·P·T,) by tier, pool and slot
    """
    pools, slots = network.grams.shape
    better = np.cumsum(sold.reshape(3, pools * slots), axis=0)
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


@kernel
def lay_out(nodes: int, ways: _Ways) -> tuple[Edges, Ints]:
    """Every edge forth and back, sorted by tail; and where each went forth."""
    count = len(ways.tail)
    first = np.zeros(nodes + 1, dtype=np.int64)
    for edge in range(count):
        first[ways.tail[edge] + 1] += 1
        first[ways.head[edge] + 1] += 1
    for node in range(nodes):
        first[node + 1] += first[node]
    edges = Edges(
        first=first,
        head=np.empty(2 * count, dtype=np.int32),
        mate=np.empty(2 * count, dtype=np.int32),
        room=np.empty(2 * count, dtype=np.int64),
        back=np.empty(2 * count, dtype=np.int64),
        cost=np.empty(2 * count, dtype=np.int64),
    )
    following, place = first[:-1].copy(), np.empty(count, dtype=np.int64)
    for edge in range(count):
        tail, head, flow = ways.tail[edge], ways.head[edge], ways.quantity[edge]
        forth, mate = following[tail], following[head]
        following[tail] += 1
        following[head] += 1
        place[edge] = forth
        edges.head[forth], edges.mate[forth], edges.cost[forth] = head, mate, ways.cost[edge]
        edges.head[mate], edges.mate[mate], edges.cost[mate] = tail, forth, -ways.cost[edge]
        edges.room[forth] = edges.back[mate] = ways.size[edge] - flow
        edges.room[mate] = edges.back[forth] = flow
    return edges, place


def read_arcs(graph: Graph) -> NearArcs:
    """The graph's arcs with what flows on them now."""
    return NearArcs(graph.arcs.key, graph.edges.back[graph.arc], slots=graph.arcs.slots)


@kernel
def choose(network: Network, price: Ints, own: Ints, slack: int) -> Ints:
    """Every arc that a group would gain by, or miss by at most `slack` micros: its key, ascending.

    price   (P, 3, T) NEVER where a tier is not served
    own     (G, T) what an accelerator of the group in the slot keeps, ≥ 0
    """
    slots = network.grams.shape[1]
    keys, total = np.empty(0, dtype=np.int64), 0
    for filling in (False, True):
        count = 0
        if filling:
            keys = np.empty(total, dtype=np.int64)
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
                    some = False
                    for slot in range(slots):
                        some |= worth - price[pool, tier, slot] - own[group, slot] >= -slack
                    if not some:
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
                            keys[count] = (3 * pair + tier) * slots + slot
                        count += 1
        total = count
    return keys


@kernel
def foremost(network: Network, keys: Ints, price: Ints, own: Ints) -> Ints:
    """Of arcs that would gain at given prices, as in `choose`, those of greatest gain for their pool, slot and tier or for their cell."""
    slots = network.grams.shape[1]
    for_price, for_own = np.zeros(price.shape, dtype=np.int64), np.zeros(own.shape, dtype=np.int64)
    gains, count = np.empty(len(keys), dtype=np.int64), 0
    for choosing in (False, True):
        for at in range(len(keys)):
            pair, tier, slot = keys[at] // (3 * slots), keys[at] // slots % 3, keys[at] % slots
            group, pool = network.group[pair], network.pool[pair]
            if not choosing:
                carbon = -(-network.carbon[group] * network.grams[pool, slot] // KILOGRAM)
                gains[at] = network.worth[pair, tier] - carbon - price[pool, tier, slot] - own[group, slot]
                for_price[pool, tier, slot] = max(for_price[pool, tier, slot], gains[at])
                for_own[group, slot] = max(for_own[group, slot], gains[at])
            elif gains[at] == for_price[pool, tier, slot] or gains[at] == for_own[group, slot]:
                gains[count] = keys[at]
                count += 1
    return gains[:count]


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
    found, used = np.zeros(network.grams.shape, dtype=bool), arcs.used()
    found[network.pool[used.pair], used.slot] = True
    return found
