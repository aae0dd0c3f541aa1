"""Both ends of the prices that support a circulation of least cost: how far every node is from the root, and the root from it.

Whatever could still be done at a loss bounds a price. The least price of a node is minus its distance from the root over
the edges with room, the greatest is the root's distance from the node. Potentials that prove the circulation turn every
edge's cost into one that is not negative, so that each node is looked at once.
"""

import numpy as np

from pricing.arrays import Ints
from pricing.compiled import kernel
from pricing.exact_graph import ROOT, Edges
from pricing.exact_paths import KEY, NODE, NOWHERE, drop_top, push


@kernel
def distances(edges: Edges, potential: Ints, sign: int) -> Ints:
    """The distance of every node from the root (V,) when the sign is 1, of the root from every node when −1; NOWHERE where there is no way.

    Distances are in micros, as costs and potentials are. No edge with room may gain at the potentials.
    """
    found = np.full(len(potential), NOWHERE, dtype=np.int64)
    heap, size = np.empty((len(edges.head) + 1, 2), dtype=np.int64), 1
    room = edges.room if sign > 0 else edges.back
    found[ROOT], heap[0, KEY], heap[0, NODE] = 0, 0, ROOT
    while size > 0:
        far, node = heap[0, KEY], heap[0, NODE]
        size -= 1
        drop_top(heap, size)
        if far > found[node]:
            continue
        base = far + sign * potential[node]
        for edge in range(edges.first[node], edges.first[node + 1]):
            head = edges.head[edge]
            if room[edge] == 0:
                continue
            way = base + sign * (edges.cost[edge] - potential[head])
            if way < found[head]:
                found[head] = way
                push(heap, size, way, head)
                size += 1
    for node in range(len(found)):
        if found[node] < NOWHERE:
            found[node] -= sign * (potential[ROOT] - potential[node])
    return found
