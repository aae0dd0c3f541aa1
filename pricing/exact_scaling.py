"""Cost scaling: a circulation whose edges all but gain becomes one whose edges gain less still, until nothing is left to gain.

A flow is ε-optimal when no edge with room costs less than −ε at the potentials. Each phase divides ε, sends along edges
that break the new ε whatever they hold, and lets the nodes that then have too much pass it on: along an edge of negative
cost if there is one, else the node's potential falls, by ε at least, until there is [Goldberg and Tarjan's push and relabel].
"""

import numpy as np

from pricing.arrays import NEVER, Ints
from pricing.compiled import kernel
from pricing.exact_graph import Edges


@kernel
def worst_edge(edges: Edges, potential: Ints) -> int:
    """The least ε at which the flow is ε-optimal."""
    worst = 0
    for node in range(len(edges.first) - 1):
        for edge in range(edges.first[node], edges.first[node + 1]):
            if edges.room[edge] > 0:
                worst = max(worst, potential[edges.head[edge]] - potential[node] - edges.cost[edge])
    return worst


@kernel
def refine(edges: Edges, potential: Ints, epsilon: int) -> int:
    """Make the circulation ε-optimal, potentials and rooms in place; how many pushes that took.

    Invariant: no edge with room costs less than −ε. A node in line is one with more coming in than going out.
    """
    nodes = len(edges.first) - 1
    excess = np.zeros(nodes, dtype=np.int64)
    for node in range(nodes):
        for edge in range(edges.first[node], edges.first[node + 1]):
            part = edges.room[edge]
            if part > 0 and edges.cost[edge] + potential[node] - potential[edges.head[edge]] < -epsilon:
                edges.room[edge] = 0
                edges.room[edges.mate[edge]] += part
                excess[node] -= part
                excess[edges.head[edge]] += part
    line, waiting = np.empty(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.bool_)
    begin = count = 0
    for node in range(nodes):
        if excess[node] > 0:
            line[count], waiting[node] = node, True
            count += 1
    current, pushes = edges.first[:-1].copy(), 0
    while count > 0:
        node = line[begin]
        begin = (begin + 1) % nodes
        count -= 1
        waiting[node] = False
        while excess[node] > 0:
            edge = current[node]
            if edge == edges.first[node + 1]:
                highest = -NEVER * 4
                for other in range(edges.first[node], edges.first[node + 1]):
                    if edges.room[other] > 0:
                        reach = potential[edges.head[other]] - edges.cost[other]
                        if reach > highest:
                            highest, current[node] = reach, other
                potential[node] = highest - epsilon
                continue
            head = edges.head[edge]
            if edges.room[edge] > 0 and edges.cost[edge] + potential[node] - potential[head] < 0:
                part = min(excess[node], edges.room[edge])
                edges.room[edge] -= part
                edges.room[edges.mate[edge]] += part
                excess[node] -= part
                excess[head] += part
                pushes += 1
                if excess[head] > 0 and not waiting[head]:
                    waiting[head] = True
                    line[(begin + count) % nodes] = head
                    count += 1
            else:
                current[node] = edge + 1
    return pushes
