"""Shortest ways: a circulation that all but suits its potentials becomes one of least cost, way by way.

An edge with room that would gain at the potentials is filled, so that none gains; that leaves nodes with too much and nodes
with too little. Each of them is put right along the way that costs least, to a node that lacks what it has or to the root,
which takes and gives whatever is asked of it; potentials move with the distances, so that still no edge gains. Few accelerators
of an auction's answer change hands and most find their way near by: a search sees some hundred nodes [LAPJV's last stage].
"""

import numpy as np

from pricing.arrays import NEVER, Ints
from pricing.compiled import kernel
from pricing.exact_graph import ROOT, Edges

# Columns of a node in a search; a node is seen when its mark is the search's, done with when it is one more.
POTENTIAL, EXCESS, DISTANCE, MARK = 0, 1, 2, 3
# Columns of a heap.
KEY, NODE = 0, 1
NOWHERE = 4 * NEVER - 1


@kernel(bare=True)
def push(heap: Ints, size: int, key: int, node: int) -> None:
    """Put a node at the end of a heap (n, 2) of `size`, and let it rise, the lowest key first."""
    at = size
    while at > 0 and heap[(at - 1) // 2, KEY] > key:
        heap[at, KEY], heap[at, NODE] = heap[(at - 1) // 2, KEY], heap[(at - 1) // 2, NODE]
        at = (at - 1) // 2
    heap[at, KEY], heap[at, NODE] = key, node


@kernel(bare=True)
def drop_top(heap: Ints, size: int) -> None:
    """Take away the top of a heap of `size` + 1, by the last of it sinking from there."""
    key, node, at = heap[size, KEY], heap[size, NODE], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1, KEY] < heap[child, KEY]:
            child += 1
        if heap[child, KEY] >= key:
            break
        heap[at, KEY], heap[at, NODE] = heap[child, KEY], heap[child, NODE]
        at = child
    heap[at, KEY], heap[at, NODE] = key, node


@kernel(bare=True)
def fill_gaining(edges: Edges, nodes: Ints) -> int:
    """Fill every edge with room that gains at the potentials; how many accelerators are now too many at some node."""
    for node in range(len(nodes)):
        for edge in range(edges.first[node], edges.first[node + 1]):
            part, head = edges.room[edge], edges.head[edge]
            if part > 0 and edges.cost[edge] + nodes[node, POTENTIAL] - nodes[head, POTENTIAL] < 0:
                mate = edges.mate[edge]
                edges.room[edge], edges.back[mate] = 0, 0
                edges.room[mate] += part
                edges.back[edge] += part
                nodes[node, EXCESS] -= part
                nodes[head, EXCESS] += part
    total = 0
    for node in range(len(nodes)):
        total += max(0, nodes[node, EXCESS])
    return total


@kernel(bare=True)
def send(edges: Edges, nodes: Ints, by: Ints, ends: tuple[int, int], sign: int) -> None:
    """Send along a way, from a node with too much (sign 1) or to one with too little (−1), as much as its edges and both ends take."""
    source, target = ends
    room, back = (edges.room, edges.back) if sign > 0 else (edges.back, edges.room)
    part, node = sign * nodes[source, EXCESS], target
    if target != ROOT:
        part = min(part, -sign * nodes[target, EXCESS])
    while node != source:
        part = min(part, room[by[node]])
        node = edges.head[edges.mate[by[node]]]
    nodes[source, EXCESS] -= sign * part
    nodes[target, EXCESS] += sign * part
    node = target
    while node != source:
        edge, mate = by[node], edges.mate[by[node]]
        room[edge] -= part
        back[mate] -= part
        room[mate] += part
        back[edge] += part
        node = edges.head[mate]


@kernel
def put_right(edges: Edges, potential: Ints) -> tuple[int, int]:
    """Make a circulation one of least cost and the potentials proof of it, both in place; accelerators moved, and by how many ways.

    Nodes with too much are put right first, forwards, then those with too little, backwards. The root is where a search may
    end but never goes on, so its potential stays what it was. Invariant: no edge with room gains. What costs the same is looked
    at in the order it was found, which keeps ways short. −1 ways when there is none for something, which no circulation allows.
    """
    count = len(potential)
    nodes = np.zeros((count, 4), dtype=np.int64)
    nodes[:, POTENTIAL] = potential
    moved = fill_gaining(edges, nodes)
    if moved == 0:
        return 0, 0
    heap, line = np.empty((len(edges.head), 2), dtype=np.int64), np.empty(count, dtype=np.int64)
    done, by = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    ways = 0
    for sign in (1, -1):
        room = edges.room if sign > 0 else edges.back
        for source in range(1, count):
            while sign * nodes[source, EXCESS] > 0:
                ways += 1
                mark = 2 * ways
                nodes[source, DISTANCE], nodes[source, MARK], line[0] = 0, mark, source
                begin, end, size, seen, reach, target, far = 0, 1, 0, 0, NOWHERE, -1, 0
                while reach > far:
                    if begin < end:
                        node = line[begin]
                        begin += 1
                    elif size > 0 and heap[0, KEY] < reach:
                        far, node = heap[0, KEY], heap[0, NODE]
                        size -= 1
                        drop_top(heap, size)
                    else:
                        break
                    if nodes[node, MARK] > mark:
                        continue
                    nodes[node, MARK] = mark + 1
                    done[seen] = node
                    seen += 1
                    base = far + sign * nodes[node, POTENTIAL]
                    for edge in range(edges.first[node], edges.first[node + 1]):
                        if room[edge] == 0:
                            continue
                        head = edges.head[edge]
                        way = base + sign * (edges.cost[edge] - nodes[head, POTENTIAL])
                        if way >= reach or nodes[head, MARK] > mark or (nodes[head, MARK] == mark and way >= nodes[head, DISTANCE]):
                            continue
                        nodes[head, DISTANCE], nodes[head, MARK], by[head] = way, mark, edge
                        if head == ROOT or sign * nodes[head, EXCESS] < 0:
                            reach, target = way, head
                            if reach == far:
                                break
                        elif way == far:
                            line[end] = head
                            end += 1
                        else:
                            push(heap, size, way, head)
                            size += 1
                if target < 0:
                    return moved, -1
                for place in range(seen):
                    nodes[done[place], POTENTIAL] += sign * (nodes[done[place], DISTANCE] - reach)
                send(edges, nodes, by, (source, target), sign)
    potential[:] = nodes[:, POTENTIAL]
    return moved, ways
