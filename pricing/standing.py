"""Who holds what while a little changes: lots listed by group and by node, and prices that stay where they are.

An auction keeps levels in heaps since all of its prices move. Here nearly none do, so a lot is a row in two lists, and what a
group gains by it is read off the price. A *node* is a pool and slot, pool·T + slot; a *place* is 3·slot + tier.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Ints
from pricing.auction_state import FREE, STEP, net_worth
from pricing.compiled import kernel
from pricing.network import Flow, Network

# Columns of a lot; of a node they are those of an auction's: sold cumulatively by tier, STEP, FREE.
PAIR, PLACE, QUANTITY, OF_GROUP, OF_NODE = 0, 1, 2, 3, 4


class Standing(NamedTuple):
    """Awards being rearranged at prices, over a network of G groups, P pools and T slots; N = P·T nodes.

    lots    (L, 5) pair, place, accelerators, the group's next lot, the node's next lot; −1 after the last
    mine    (G,) the first lot of a group, −1 without one
    there   (N,) the first lot at a node, −1 without one
    unused  (1,) the first row of `lots` that is free; the next is its OF_GROUP
    node    (N, 5) accelerators sold cumulatively by tier, the lowest step with anything left, how much of it
    left    (G,) accelerator-slots a group may still use
    price   (P, 3, T) what an accelerator costs at each tier; NEVER where there is none
    """

    lots: Ints
    mine: Ints
    there: Ints
    unused: Ints
    node: Ints
    left: Ints
    price: Ints


def open_standing(network: Network, price: Ints, *, lots: int) -> Standing:
    """Nobody holds anything at tier prices (3, P, T), and there is room for so many lots."""
    nodes, groups = len(network.step) - 1, len(network.size)
    table = np.zeros((lots + 1, 5), dtype=np.int64)
    table[:, OF_GROUP] = np.arange(1, lots + 2)
    table[-1, OF_GROUP] = -1
    node = np.zeros((nodes, 5), dtype=np.int64)
    some = np.diff(network.step) > 0
    node[:, STEP] = network.step[:-1]
    node[some, FREE] = network.quantity[network.step[:-1][some]]
    return Standing(
        lots=table,
        mine=np.full(groups, -1, dtype=np.int64),
        there=np.full(nodes, -1, dtype=np.int64),
        unused=np.zeros(1, dtype=np.int64),
        node=node,
        left=np.where(network.flexible, network.units * network.size, 0),
        price=np.ascontiguousarray(price.transpose(1, 0, 2)),
    )


def read_lots(standing: Standing) -> Flow:
    """Who holds what, as a flow."""
    held = standing.lots[standing.lots[:, QUANTITY] > 0]
    held = held[np.lexsort((held[:, PLACE], held[:, PAIR]))]
    return Flow(pair=held[:, PAIR].copy(), slot=held[:, PLACE] // 3, tier=held[:, PLACE] % 3, quantity=held[:, QUANTITY].copy())


@kernel(bare=True)
def margin_of(network: Network, standing: Standing, pair: int, place: int) -> int:
    """What an accelerator of a pair gains at a place, micros."""
    slot, tier = place // 3, place % 3
    return int(net_worth(network, pair, slot, tier) - standing.price[network.pool[pair], tier, slot])


@kernel(bare=True)
def held_in(standing: Standing, group: int, slot: int) -> int:
    """The accelerators a group holds in a slot."""
    held, row = 0, standing.mine[group]
    while row >= 0:
        if standing.lots[row, PLACE] // 3 == slot:
            held += standing.lots[row, QUANTITY]
        row = standing.lots[row, OF_GROUP]
    return int(held)


@kernel(bare=True)
def room_at(network: Network, standing: Standing, node: int, tier: int) -> int:
    """How many more accelerators a tier's limits and the better ones' leave beside what spot has; NEVER for spot."""
    slots, room = network.grams.shape[1], NEVER
    for level in range(tier, SPOT):
        room = min(room, network.limits[node // slots, node % slots, level] - standing.node[node, level])
    if tier == GUARANTEED and network.limits[node // slots, node % slots, STANDARD] == 0:
        return 0
    return int(room)


@kernel(bare=True)
def put(network: Network, standing: Standing, pair: int, place: int, quantity: int) -> None:
    """Let a pair's group hold so many more at a place. The node has as many, and a row is free."""
    slots, lots = network.grams.shape[1], standing.lots
    group, node = network.group[pair], network.pool[pair] * slots + place // 3
    columns = standing.node[node]
    row = standing.mine[group]
    while row >= 0 and not (lots[row, PAIR] == pair and lots[row, PLACE] == place):
        row = lots[row, OF_GROUP]
    if row < 0:
        row = standing.unused[0]
        standing.unused[0] = lots[row, OF_GROUP]
        lots[row, PAIR], lots[row, PLACE], lots[row, QUANTITY] = pair, place, 0
        lots[row, OF_GROUP], standing.mine[group] = standing.mine[group], row
        lots[row, OF_NODE], standing.there[node] = standing.there[node], row
    lots[row, QUANTITY] += quantity
    standing.left[group] -= quantity
    for level in range(place % 3, 3):
        columns[level] += quantity
    while quantity > 0:
        part = min(quantity, columns[FREE])
        columns[FREE] -= part
        quantity -= part
        if columns[FREE] > 0 or columns[STEP] + 1 >= network.step[node + 1]:
            break
        columns[STEP] += 1
        columns[FREE] = network.quantity[columns[STEP]]


@kernel(bare=True)
def give_back(network: Network, standing: Standing, lot: int, quantity: int) -> None:
    """Take so many of a lot from who holds it; the dearest step that was sold has them again."""
    slots, lots = network.grams.shape[1], standing.lots
    pair, place = lots[lot, PAIR], lots[lot, PLACE]
    group, node = network.group[pair], network.pool[pair] * slots + place // 3
    columns = standing.node[node]
    lots[lot, QUANTITY] -= quantity
    standing.left[group] += quantity
    for level in range(place % 3, 3):
        columns[level] -= quantity
    columns[FREE] += quantity
    while columns[FREE] > network.quantity[columns[STEP]]:
        columns[FREE] -= network.quantity[columns[STEP]]
        columns[STEP] -= 1
    if lots[lot, QUANTITY] > 0:
        return
    row = standing.mine[group]
    if row == lot:
        standing.mine[group] = lots[lot, OF_GROUP]
    else:
        while lots[row, OF_GROUP] != lot:
            row = lots[row, OF_GROUP]
        lots[row, OF_GROUP] = lots[lot, OF_GROUP]
    row = standing.there[node]
    if row == lot:
        standing.there[node] = lots[lot, OF_NODE]
    else:
        while lots[row, OF_NODE] != lot:
            row = lots[row, OF_NODE]
        lots[row, OF_NODE] = lots[lot, OF_NODE]
    lots[lot, OF_GROUP] = standing.unused[0]
    standing.unused[0] = lot
