"""The other half of an auction: supply that stands idle above its rate looks for a taker.

A round leaves some accelerators unsold at a price that was once bid and is bid no more. Here such a node falls to its rate,
and whoever would gain most by moving there, more than ε, gives up the least of what it holds and bids for it. What
it gave up stands idle in turn, at its last price, until its own turn to fall. Every move gains more than ε, so they end.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints
from pricing.auction_bids import Bid, hold
from pricing.auction_state import FREE, HOLDERS, OWNER, PAIR, QUANTITY, STEP, Auction, net_worth, show_prices, sink
from pricing.compiled import kernel
from pricing.network import Network

# What is found: node, tier and place of the lot a group would give up; the pair and tier it would gain by; what the next would gain.
AT_NODE, AT_TIER, AT_PLACE, PAIR_FOUND, TIER_FOUND, SECOND = 0, 1, 2, 3, 4, 5


class Gaps(NamedTuple):
    """Nodes that stand idle, and who might come.

    begin    (P + 1,) the pairs of pool p are pairs[begin[p]] …
    pairs    (M,) by pool
    idle     (N + 1,) a ring of nodes
    waiting  (N,) whether a node is in it
    ends     (2,) first and after the last
    margin   (G, T + 1) the least margin of what a group holds in a slot, last in all, when last seen; 0 where it has hours left
    find     (6,) who would come, and what it would give up
    """

    begin: Ints
    pairs: Ints
    idle: Ints
    waiting: Bools
    ends: Ints
    margin: Ints
    find: Ints


def find_gaps(network: Network) -> Gaps:
    """Room for every node, none of them idle yet."""
    pools, slots = network.grams.shape
    nodes, groups = pools * slots, len(network.size)
    begin = np.concatenate([[0], np.cumsum(np.bincount(network.pool, minlength=pools))])
    return Gaps(
        begin=begin,
        pairs=np.argsort(network.pool, kind="stable"),
        idle=np.zeros(nodes + 1, dtype=np.int64),
        waiting=np.zeros(nodes, dtype=bool),
        ends=np.zeros(2, dtype=np.int64),
        margin=np.zeros((groups, slots + 1), dtype=np.int64),
        find=np.zeros(6, dtype=np.int64),
    )


@kernel(bare=True)
def close_gaps(network: Network, auction: Auction, gaps: Gaps, epsilon: int, most: int) -> int:
    """Let every idle node find its takers, in `most` moves at most; how many moved. What is idle then stays at its price."""
    pools, _, slots = auction.price.shape
    moved = 0
    read_margins(network, auction, gaps)
    for node in range(pools * slots):
        if is_propped(network, auction, node):
            queue_node(gaps, node)
    while gaps.ends[0] < gaps.ends[1] and moved < most:
        node = gaps.idle[gaps.ends[0] % len(gaps.idle)]
        gaps.ends[0] += 1
        gaps.waiting[node] = False
        for tier in range(3):
            auction.floor[node // slots, tier, node % slots] = 0
        show_prices(network, auction, node // slots, node % slots)
        while moved < most and auction.node[node, FREE] > 0 and keenest(network, auction, gaps, node, epsilon):
            move(network, auction, gaps, node, epsilon)
            moved += 1
    return moved


@kernel(bare=True)
def is_propped(network: Network, auction: Auction, node: int) -> bool:
    """Whether a node has accelerators left above their rate."""
    slots = auction.held.shape[1]
    columns = auction.node[node]
    return bool(columns[FREE] > 0 and auction.price[node // slots, SPOT, node % slots] > network.rate[columns[STEP]])


@kernel(bare=True)
def queue_node(gaps: Gaps, node: int) -> None:
    """Let a node wait for its turn to fall."""
    if not gaps.waiting[node]:
        gaps.waiting[node] = True
        gaps.idle[gaps.ends[1] % len(gaps.idle)] = node
        gaps.ends[1] += 1


@kernel(bare=True)
def read_margins(network: Network, auction: Auction, gaps: Gaps) -> None:
    """Read off the heaps what everybody gains by what it holds."""
    pools, tiers, slots = auction.price.shape
    gaps.margin[:] = NEVER
    for group in range(len(network.size)):
        if auction.left[group] > 0:
            gaps.margin[group, slots] = 0
    for node in range(pools * slots):
        for tier in range(tiers):
            start = auction.base[3 * node + tier]
            for place in range(start, start + auction.node[node, HOLDERS + tier]):
                pair, group = auction.place[place, PAIR], auction.place[place, OWNER]
                margin = net_worth(network, pair, node % slots, tier) - auction.price[node // slots, tier, node % slots]
                gaps.margin[group, node % slots] = min(gaps.margin[group, node % slots], margin)
                gaps.margin[group, slots] = min(gaps.margin[group, slots], margin)


@kernel(bare=True)
def keenest(network: Network, auction: Auction, gaps: Gaps, node: int, epsilon: int) -> bool:
    """Find who would gain most by what is idle at a node, more than ε, and what it would give up: in `find`; whether anybody."""
    slots = auction.held.shape[1]
    pool, slot, columns, limits = node // slots, node % slots, auction.node[node], network.limits[node // slots, node % slots]
    standard = columns[STANDARD] < limits[STANDARD]
    guaranteed = standard and columns[GUARANTEED] < limits[GUARANTEED]
    rate = network.rate[columns[STEP]]
    while True:
        most, second, found, chosen = epsilon, 0, -1, SPOT
        for at in range(gaps.begin[pool], gaps.begin[pool + 1]):
            pair = gaps.pairs[at]
            group = network.group[pair]
            if slot < network.first[pair] or slot >= network.end[group] or network.run[group] > 0:
                continue
            worth, tier = network.worth[pair, SPOT], SPOT
            if standard and network.worth[pair, STANDARD] > worth:
                worth, tier = network.worth[pair, STANDARD], STANDARD
            if guaranteed and network.worth[pair, GUARANTEED] > worth:
                worth, tier = network.worth[pair, GUARANTEED], GUARANTEED
            if worth <= rate:
                continue
            if network.carbon[group] > 0:
                worth = net_worth(network, pair, slot, tier)
            full = auction.held[group, slot] >= network.size[group] * network.width[group]
            gain = worth - rate - gaps.margin[group, slot if full else slots]
            if gain > most:
                second = most if found >= 0 else second
                most, found, chosen = gain, pair, tier
            elif gain > second:
                second = gain
        if found < 0:
            return False
        gaps.find[PAIR_FOUND], gaps.find[TIER_FOUND], gaps.find[SECOND] = found, chosen, second
        if renew_margin(network, auction, gaps, network.group[found], slot):
            return True


@kernel(bare=True)
def move(network: Network, auction: Auction, gaps: Gaps, node: int, epsilon: int) -> None:
    """Give a group what it gains most by, at what the next would pay less ε, so that it keeps ε more than it had."""
    slots, columns = auction.held.shape[1], auction.node[node]
    pair, tier = gaps.find[PAIR_FOUND], gaps.find[TIER_FOUND]
    group, slot, pool = network.group[pair], node % slots, node // slots
    part = columns[FREE]
    for better in range(tier, SPOT):
        part = min(part, network.limits[pool, slot, better] - columns[better])
    most = network.size[group] * network.width[group]
    if auction.left[group] > 0 and auction.held[group, slot] < most:
        part = min(part, auction.left[group], most - auction.held[group, slot])
    else:
        part = give_up(network, auction, gaps, part)
        part = min(part, most - auction.held[group, slot])
    rate = network.rate[columns[STEP]]
    level = rate + max(0, gaps.find[SECOND] - epsilon)
    columns[FREE] -= part
    if columns[FREE] == 0 and columns[STEP] + 1 < network.step[node + 1]:
        columns[STEP] += 1
        columns[FREE] = network.quantity[columns[STEP]]
    auction.keep[group, slot] = net_worth(network, pair, slot, tier) - level
    hold(auction, Bid(pair, slot, tier, part, level), node, group)
    margin = net_worth(network, pair, slot, tier) - level
    gaps.margin[group, slot] = min(gaps.margin[group, slot], margin) if auction.held[group, slot] > part else margin
    gaps.margin[group, slots] = min(gaps.margin[group, slots], margin) if auction.left[group] == 0 else 0
    show_prices(network, auction, pool, slot)


@kernel(bare=True)
def renew_margin(network: Network, auction: Auction, gaps: Gaps, group: int, wanted: int) -> bool:
    """Find what a group holds dearest to its worth; whether its margins were as last seen. Leaves the lot it would give up for a slot."""
    slots = auction.held.shape[1]
    full = auction.held[group, wanted] >= network.size[group] * network.width[group]
    column = wanted if full else slots
    before = gaps.margin[group, column]
    for slot in range(slots + 1):
        gaps.margin[group, slot] = NEVER
    gaps.find[AT_NODE] = -1
    for pair in range(network.start[group], network.start[group + 1]):
        for slot in range(network.first[pair], network.end[group]):
            if auction.held[group, slot] == 0:
                continue
            node = network.pool[pair] * slots + slot
            for tier in range(3):
                start = auction.base[3 * node + tier]
                for place in range(start, start + auction.node[node, HOLDERS + tier]):
                    if auction.place[place, OWNER] != group:
                        continue
                    margin = net_worth(network, pair, slot, tier) - auction.price[network.pool[pair], tier, slot]
                    gaps.margin[group, slot] = min(gaps.margin[group, slot], margin)
                    gaps.margin[group, slots] = min(gaps.margin[group, slots], margin)
                    if (slot == wanted or not full) and margin <= gaps.margin[group, column]:
                        gaps.find[AT_NODE], gaps.find[AT_TIER], gaps.find[AT_PLACE] = node, tier, place
    if auction.left[group] > 0:
        gaps.margin[group, slots] = min(0, gaps.margin[group, slots])
    return bool(gaps.margin[group, column] <= before)


@kernel(bare=True)
def give_up(network: Network, auction: Auction, gaps: Gaps, wanted: int) -> int:
    """Give back up to so many of a lot, and how many; they stand idle at their last price until their node's turn."""
    node, tier, place, slots = gaps.find[AT_NODE], gaps.find[AT_TIER], gaps.find[AT_PLACE], auction.held.shape[1]
    pool, slot, columns = node // slots, node % slots, auction.node[node]
    for level in range(3):
        if auction.price[pool, level, slot] < NEVER:
            auction.floor[pool, level, slot] = auction.price[pool, level, slot]
    lot, start = auction.place[place], auction.base[3 * node + tier]
    group, part = lot[OWNER], min(wanted, lot[QUANTITY])
    lot[QUANTITY] -= part
    auction.held[group, slot] -= part
    auction.left[group] += part
    for worse in range(tier, 3):
        columns[worse] -= part
    if lot[QUANTITY] == 0:
        columns[HOLDERS + tier] -= 1
        for column in range(4):
            lot[column] = auction.place[start + columns[HOLDERS + tier], column]
        for at in range(columns[HOLDERS + tier] // 2, -1, -1):
            if at < columns[HOLDERS + tier]:
                sink(auction.place[start : start + columns[HOLDERS + tier]], at)
    columns[FREE] += part
    while columns[FREE] > network.quantity[columns[STEP]]:
        columns[FREE] -= network.quantity[columns[STEP]]
        columns[STEP] -= 1
    show_prices(network, auction, pool, slot)
    queue_node(gaps, node)
    return int(part)
