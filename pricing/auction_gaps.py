"""The other half of an auction: supply that stands idle above its rate looks for a taker.

A round leaves some accelerators unsold at a price that was once bid and is bid no more. Here such a node falls to its rate,
and whoever would gain most by moving there, more than ε, gives up the least of what it holds and bids for it. What
it gave up stands idle in turn, at its last price, until its own turn to fall. Every move gains more than ε, so they end.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints
from pricing.auction_bids import Bid, hold
from pricing.auction_state import FREE, HOLDERS, OWNER, PAIR, QUANTITY, STEP, Auction, net_worth, put_on_shelf, show_prices, sink
from pricing.compiled import kernel
from pricing.network import Network, Small

# What is found: the lot a group would give up; the pair and tier it would gain by; what the next would gain.
LOT, PAIR_FOUND, TIER_FOUND, SECOND = 0, 1, 2, 3
# Columns of a lot.
LOT_PAIR, LOT_WHERE, NEXT = 0, 1, 2


class Gaps(NamedTuple):
    """Nodes that stand idle, and who might come.

    begin    (P + 1,) the pairs of pool p are pairs[begin[p]] …
    pairs    (M,) by pool; and beside each its group, its first slot and the one too late, its worth at the tier it is worth most at
    owner    (M,)
    window   (M, 2)
    most     (M,)
    idle     (N + 1,) a ring of nodes
    waiting  (N,) whether a node is in it
    ends     (2,) first and after the last
    margin   (G, T) the least margin of what a group holds in a slot, when last seen
    least    (G,) the least of all its slots; 0 where it has hours left
    head     (G,) the first of a group's lots; −1 without one
    lots     (L, 3) pair, 3·slot + tier, and the group's next lot, −1 after the last; the first row's next is the first unused
    find     (4,) who would come, and what it would give up
    """

    begin: Ints
    pairs: Ints
    owner: Small
    window: Small
    most: Ints
    idle: Ints
    waiting: Bools
    ends: Ints
    margin: Ints
    least: Ints
    head: Ints
    lots: Ints
    find: Ints


def find_gaps(network: Network, auction: Auction, *, moves: int) -> Gaps:
    """Room for every node and so many moves, no node idle yet."""
    held = int(auction.node[:, HOLDERS : HOLDERS + 3].sum())
    pools, slots = network.grams.shape
    nodes, groups, pairs = pools * slots, len(network.size), len(network.pool)
    begin = np.concatenate([[0], np.cumsum(np.bincount(network.pool, minlength=pools))]).astype(np.int64)
    gaps = Gaps(
        begin=begin,
        pairs=np.zeros(pairs, dtype=np.int64),
        owner=np.zeros(pairs, dtype=np.int32),
        window=np.zeros((pairs, 2), dtype=np.int32),
        most=np.zeros(pairs, dtype=np.int64),
        idle=np.zeros(nodes + 1, dtype=np.int64),
        waiting=np.zeros(nodes, dtype=bool),
        ends=np.zeros(2, dtype=np.int64),
        margin=np.zeros((groups, slots), dtype=np.int64),
        least=np.zeros(groups, dtype=np.int64),
        head=np.full(groups, -1, dtype=np.int64),
        lots=np.zeros((held + moves + 2, 3), dtype=np.int64),
        find=np.zeros(4, dtype=np.int64),
    )
    sort_by_pool(network, gaps, begin[:-1].copy())
    return gaps


@kernel(bare=True)
def sort_by_pool(network: Network, gaps: Gaps, end: Ints) -> None:
    """Put every pair of a flexible group in the row of its pool; `end` (P,) is where the next goes. The rest of a row wants nothing."""
    for at in range(len(gaps.most)):
        gaps.most[at] = -NEVER
    for pair in range(len(network.pool)):
        if network.run[network.group[pair]] > 0:
            continue
        at = end[network.pool[pair]]
        end[network.pool[pair]] += 1
        gaps.pairs[at], gaps.owner[at] = pair, network.group[pair]
        gaps.window[at, 0], gaps.window[at, 1] = network.first[pair], network.end[network.group[pair]]
        gaps.most[at] = max(network.worth[pair, GUARANTEED], network.worth[pair, STANDARD], network.worth[pair, SPOT])


@kernel(bare=True)
def close_gaps(network: Network, auction: Auction, gaps: Gaps, epsilon: int, most: int) -> int:
    """Let every idle node find its takers, in `most` moves at most; how many moved. What is idle then stays at its price."""
    pools, _, slots = auction.price.shape
    moved = 0
    read_lots(network, auction, gaps)
    for node in range(pools * slots):
        if is_propped(network, auction, node):
            queue_node(gaps, node)
    while gaps.ends[0] < gaps.ends[1] and moved < most:
        node = gaps.idle[gaps.ends[0] % len(gaps.idle)]
        gaps.ends[0] += 1
        gaps.waiting[node] = False
        pool, slot = node // slots, node % slots
        auction.floor[pool, :, slot] = 0
        show_prices(network, auction, pool, slot)
        renew_holders(network, auction, gaps, node)
        while moved < most and auction.node[node, FREE] > 0 and keenest(network, auction, gaps, node, epsilon):
            move(network, auction, gaps, node, epsilon)
            moved += 1
    return moved


@kernel(bare=True)
def is_propped(network: Network, auction: Auction, node: int) -> bool:
    """Whether a node has accelerators left above their rate."""
    slots = auction.held.shape[1]
    columns, pool, slot = auction.node[node], node // slots, node % slots
    if columns[FREE] == 0:
        return False
    return bool(auction.price[pool, SPOT, slot] > network.rate[columns[STEP]])


@kernel(bare=True)
def queue_node(gaps: Gaps, node: int) -> None:
    """Let a node wait for its turn to fall."""
    if not gaps.waiting[node]:
        gaps.waiting[node] = True
        gaps.idle[gaps.ends[1] % len(gaps.idle)] = node
        gaps.ends[1] += 1


@kernel(bare=True)
def read_lots(network: Network, auction: Auction, gaps: Gaps) -> None:
    """Read off the heaps who holds what, and what everybody gains by it."""
    pools, tiers, slots = auction.price.shape
    for row in range(len(gaps.lots)):
        gaps.lots[row, NEXT] = row + 1
    for node in range(pools * slots):
        for tier in range(tiers):
            start = auction.base[3 * node + tier]
            for place in range(start, start + auction.node[node, HOLDERS + tier]):
                add_lot(gaps, auction.place[place, OWNER], auction.place[place, PAIR], 3 * (node % slots) + tier)
    for group in range(len(network.size)):
        renew_margin(network, auction, gaps, group, 0)


@kernel(bare=True)
def add_lot(gaps: Gaps, group: int, pair: int, where: int) -> None:
    """Note that a group holds a lot, if that is not known."""
    row = gaps.head[group]
    while row >= 0:
        if gaps.lots[row, LOT_PAIR] == pair and gaps.lots[row, LOT_WHERE] == where:
            return
        row = gaps.lots[row, NEXT]
    row = gaps.lots[0, NEXT]
    gaps.lots[0, NEXT] = gaps.lots[row, NEXT]
    gaps.lots[row, LOT_PAIR], gaps.lots[row, LOT_WHERE], gaps.lots[row, NEXT] = pair, where, gaps.head[group]
    gaps.head[group] = row


@kernel(bare=True)
def drop_lot(gaps: Gaps, group: int, pair: int, where: int) -> None:
    """Note that a group holds a lot no more."""
    row, before = gaps.head[group], -1
    while row >= 0 and not (gaps.lots[row, LOT_PAIR] == pair and gaps.lots[row, LOT_WHERE] == where):
        row, before = gaps.lots[row, NEXT], row
    if row < 0:
        return
    if before < 0:
        gaps.head[group] = gaps.lots[row, NEXT]
    else:
        gaps.lots[before, NEXT] = gaps.lots[row, NEXT]
    gaps.lots[row, NEXT] = gaps.lots[0, NEXT]
    gaps.lots[0, NEXT] = row


@kernel(bare=True)
def keenest(network: Network, auction: Auction, gaps: Gaps, node: int, epsilon: int) -> bool:
    """Find who would gain most by what is idle at a node, more than ε, and what it would give up: in `find`; whether anybody.

    A margin last seen may be too low, never too high, since prices only fall here: whoever comes first is looked at again.
    """
    slots = auction.held.shape[1]
    pool, slot, columns = node // slots, node % slots, auction.node[node]
    rate = network.rate[columns[STEP]]
    begin, end = gaps.begin[pool], gaps.begin[pool + 1]
    while True:
        found, most, second = -1, epsilon, 0
        for at in range(begin, end):
            if not gaps.window[at, 0] <= slot < gaps.window[at, 1] or gaps.most[at] - rate - gaps.least[gaps.owner[at]] <= second:
                continue
            gain = gain_of(network, auction, gaps, gaps.pairs[at], node)
            if gain > most:
                found, most, second = gaps.pairs[at], gain, most if found >= 0 else second
            elif gain > second:
                second = gain
        if found < 0:
            return False
        renew_margin(network, auction, gaps, network.group[found], slot)
        if gain_of(network, auction, gaps, found, node) >= most:
            gaps.find[PAIR_FOUND], gaps.find[TIER_FOUND], gaps.find[SECOND] = found, best_tier(network, columns, found, node), second
            return True


@kernel(bare=True)
def gain_of(network: Network, auction: Auction, gaps: Gaps, pair: int, node: int) -> int:
    """What a group would gain by an accelerator at a node's rate instead of the least of what it holds."""
    slots, columns, group = auction.held.shape[1], auction.node[node], network.group[pair]
    slot = node % slots
    worth = net_worth(network, pair, slot, best_tier(network, columns, pair, node))
    full = auction.held[group, slot] >= network.size[group] * network.width[group]
    return int(worth - network.rate[columns[STEP]] - (gaps.margin[group, slot] if full else gaps.least[group]))


@kernel(bare=True)
def best_tier(network: Network, columns: Ints, pair: int, node: int) -> int:
    """The tier an accelerator of a pair is worth most at, of those with room at a node, the worse of equals."""
    slots = network.grams.shape[1]
    limits, tier = network.limits[node // slots, node % slots], SPOT
    if columns[STANDARD] < limits[STANDARD]:
        if network.worth[pair, STANDARD] > network.worth[pair, tier]:
            tier = STANDARD
        if columns[GUARANTEED] < limits[GUARANTEED] and network.worth[pair, GUARANTEED] > network.worth[pair, tier]:
            tier = GUARANTEED
    return tier


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
        auction.floor[pool, :, slot] = 0  # what was given up at this very node stands idle too, and its turn is now
    rate = network.rate[columns[STEP]]
    level = rate + max(0, gaps.find[SECOND] - epsilon)
    columns[FREE] -= part
    if columns[FREE] == 0 and columns[STEP] + 1 < network.step[node + 1]:
        columns[STEP] += 1
        columns[FREE] = network.quantity[columns[STEP]]
    auction.keep[group, slot] = net_worth(network, pair, slot, tier) - level
    hold(auction, Bid(pair, slot, tier, part, level), node, group)
    show_prices(network, auction, pool, slot)
    add_lot(gaps, group, pair, 3 * slot + tier)
    renew_margin(network, auction, gaps, group, slot)
    if columns[FREE] == 0:
        renew_holders(network, auction, gaps, node)


@kernel(bare=True)
def renew_margin(network: Network, auction: Auction, gaps: Gaps, group: int, wanted: int) -> None:
    """See again what a group gains by what it holds, and which lot it would give up for a slot."""
    full = auction.held[group, wanted] >= network.size[group] * network.width[group]
    gaps.margin[group] = NEVER
    least, lowest, row = NEVER, NEVER, gaps.head[group]
    while row >= 0:
        pair, slot, tier = gaps.lots[row, LOT_PAIR], gaps.lots[row, LOT_WHERE] // 3, gaps.lots[row, LOT_WHERE] % 3
        margin = net_worth(network, pair, slot, tier) - auction.price[network.pool[pair], tier, slot]
        gaps.margin[group, slot] = min(gaps.margin[group, slot], margin)
        least = min(least, margin)
        if (slot == wanted or not full) and margin < lowest:
            lowest, gaps.find[LOT] = margin, row
        row = gaps.lots[row, NEXT]
    gaps.least[group] = min(0, least) if auction.left[group] > 0 else least


@kernel(bare=True)
def renew_holders(network: Network, auction: Auction, gaps: Gaps, node: int) -> None:
    """See again what everybody gains who holds something at a node whose price changed."""
    slots = auction.held.shape[1]
    for tier in range(3):
        start = auction.base[3 * node + tier]
        for place in range(start, start + auction.node[node, HOLDERS + tier]):
            renew_margin(network, auction, gaps, auction.place[place, OWNER], node % slots)


@kernel(bare=True)
def give_up(network: Network, auction: Auction, gaps: Gaps, wanted: int) -> int:
    """Give back up to so many of a lot, and how many; they stand idle at their last price until their node's turn."""
    row, slots = gaps.find[LOT], auction.held.shape[1]
    pair, slot, tier = gaps.lots[row, LOT_PAIR], gaps.lots[row, LOT_WHERE] // 3, gaps.lots[row, LOT_WHERE] % 3
    pool, group = network.pool[pair], network.group[pair]
    node = pool * slots + slot
    columns, place = auction.node[node], auction.base[3 * node + tier]
    while auction.place[place, OWNER] != group:
        place += 1
    for level in range(3):
        if auction.price[pool, level, slot] < NEVER:
            auction.floor[pool, level, slot] = auction.price[pool, level, slot]
    lot, start = auction.place[place], auction.base[3 * node + tier]
    part = min(wanted, lot[QUANTITY])
    lot[QUANTITY] -= part
    auction.held[group, slot] -= part
    auction.left[group] += part
    for worse in range(tier, 3):
        columns[worse] -= part
    if lot[QUANTITY] == 0:
        drop_lot(gaps, group, pair, 3 * slot + tier)
        columns[HOLDERS + tier] -= 1
        for column in range(4):
            lot[column] = auction.place[start + columns[HOLDERS + tier], column]
        for at in range(columns[HOLDERS + tier] // 2, -1, -1):
            if at < columns[HOLDERS + tier]:
                sink(auction.place[start : start + columns[HOLDERS + tier]], at)
    put_on_shelf(network, columns, part)
    show_prices(network, auction, pool, slot)
    queue_node(gaps, node)
    return int(part)
