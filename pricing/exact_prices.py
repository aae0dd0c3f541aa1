"""Both ends of the prices that support a circulation of least cost: how far every node is from the root, and the root from it.

Whatever could still be done at a gain bounds a price. The least price of a node is minus its distance from the root over
the edges with room, the greatest is the root's distance from the node: a label-correcting search finds each, guided by
potentials that are all but exact, so that hardly a label is corrected. A way round that gains shows that the flow was no optimum.
"""

import numpy as np

from pricing.arrays import NEVER, Ints
from pricing.compiled import kernel
from pricing.exact_graph import ROOT, Edges

FAR = 4 * NEVER - 1
VISITS = 1_000


@kernel
def distances(edges: Edges, potential: Ints, sign: int) -> Ints:
    """The distance of every node from the root (V,) when the sign is 1, of the root from every node when −1; FAR where there is no way.

    Distances and costs are in units of the potentials. Empty when some way round costs less than nothing, so that there is no
    distance. A heap holds the nodes whose distance fell, the one that fell least beyond its potential first.
    """
    nodes, backwards = len(potential), sign < 0
    found = np.full(nodes, FAR, dtype=np.int64)
    heap, place = np.empty(nodes, dtype=np.int64), np.full(nodes, -1, dtype=np.int64)
    order, visits = np.empty(nodes, dtype=np.int64), 0
    found[ROOT], order[ROOT], heap[0], place[ROOT], size = 0, -sign * potential[ROOT], ROOT, 0, 1
    nothing = np.empty(0, dtype=np.int64)
    while size > 0:
        node = heap[0]
        size -= 1
        place[node] = -1
        visits += 1
        if visits > VISITS * nodes:
            return nothing
        if size > 0:
            moved, at = heap[size], 0
            while True:
                child = 2 * at + 1
                if child >= size:
                    break
                if child + 1 < size and order[heap[child + 1]] < order[heap[child]]:
                    child += 1
                if order[heap[child]] >= order[moved]:
                    break
                heap[at] = heap[child]
                place[heap[at]] = at
                at = child
            heap[at], place[moved] = moved, at
        for edge in range(edges.first[node], edges.first[node + 1]):
            mate = edges.mate[edge]
            if edges.room[mate if backwards else edge] == 0:
                continue
            head = edges.head[edge]
            way = found[node] + (edges.cost[mate] if backwards else edges.cost[edge])
            if way >= found[head]:
                continue
            if head == ROOT:
                return nothing
            found[head], order[head] = way, way - sign * potential[head]
            at = place[head]
            if at < 0:
                at = size
                size += 1
            while at > 0 and order[heap[(at - 1) // 2]] > order[head]:
                heap[at] = heap[(at - 1) // 2]
                place[heap[at]] = at
                at = (at - 1) // 2
            heap[at], place[head] = head, at
    return found
