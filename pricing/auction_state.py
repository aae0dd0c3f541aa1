"""What an auction keeps while it runs: who holds what in every pool and slot, at which level, and what that makes the prices.

Everybody who holds accelerators holds them at a *level*, the price up to which it would stay; the provider holds what is not
sold at its rate. Whoever bids more displaces the lowest level, so the lowest level is the price. A pool and slot is a *node*,
pool·T + slot, and has three heaps of holders, one for each tier, lowest level first. A group of equal bids is
one holder: it has at most one place in each heap, its level there its worth less what it keeps (`keep`), a sum
that only falls, so that levels only rise. A heap may hold a level from before; it is renewed when it comes to the top.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Ints
from pricing.compiled import kernel
from pricing.network import Network
from pricing.worth import KILOGRAM

# Columns of a holder's place.
LEVEL, PAIR, QUANTITY, OWNER = 0, 1, 2, 3
# Columns of a node: sold at guaranteed, at standard or better, at spot or better; the step for sale, what it has left; holders by tier.
STEP, FREE, HOLDERS = 3, 4, 5
PROVIDER = -1


class Auction(NamedTuple):
    """The state of an auction over a network of G groups, P pools and T slots; N = P·T nodes.

    base    (3·N + 1,) where the heap of node n and tier q begins, at 3·n + q
    place   (E, 4) holders: level, pair, accelerators, group
    node    (N, 8) accelerators sold cumulatively by tier, the lowest step with anything left, how much, holders by tier
    floor   (P, 3, T) what each tier costs at least
    price   (P, 3, T) what the next accelerator costs at each tier; NEVER where there is none
    leader  (P, 3, T) the group that holds the lowest level; PROVIDER where that is nobody's
    next    (P, 3, T) the price to the leader itself, who does not bid against its own level
    keep    (G, T) what an accelerator of the group in the slot is worth above its level
    held    (G, T) accelerators the group holds in the slot
    left    (G,) accelerator-slots the group may still use
    """

    base: Ints
    place: Ints
    node: Ints
    floor: Ints
    price: Ints
    leader: Ints
    next: Ints
    keep: Ints
    held: Ints
    left: Ints


def open_auction(network: Network) -> Auction:
    """An auction with room for every holder there can be, nothing sold and no floors."""
    pools, slots, tiers = network.limits.shape
    groups, nodes = len(network.size), pools * slots
    pairs = np.bincount(network.pool, minlength=pools)
    room = np.minimum(np.minimum(network.limits, network.limits[..., SPOT:]), pairs[:, None, None])
    base = np.concatenate([[0], np.cumsum(room.ravel())])
    shape = (pools, tiers, slots)
    return Auction(
        base=base,
        place=np.zeros((int(base[-1]), 4), dtype=np.int64),
        node=np.zeros((nodes, 8), dtype=np.int64),
        floor=np.zeros(shape, dtype=np.int64),
        price=np.zeros(shape, dtype=np.int64),
        leader=np.full(shape, PROVIDER, dtype=np.int64),
        next=np.zeros(shape, dtype=np.int64),
        keep=np.zeros((groups, slots), dtype=np.int64),
        held=np.zeros((groups, slots), dtype=np.int64),
        left=np.zeros(groups, dtype=np.int64),
    )


@kernel(bare=True)
def clear_out(network: Network, auction: Auction, drop: int) -> None:
    """Take everything back from its holders and let prices start `drop` below where they ended; without limits at no premium.

    Rates are never fallen below: the provider holds what it has at its rate.
    """
    pools, tiers, slots = auction.price.shape
    auction.keep[:] = NEVER >> 1
    auction.held[:] = 0
    for group in range(len(network.size)):
        auction.left[group] = network.units[group] * network.size[group]
    for pool in range(pools):
        for slot in range(slots):
            node = pool * slots + slot
            columns = auction.node[node]
            for tier in (STANDARD, GUARANTEED):
                if columns[tier] < network.limits[pool, slot, tier]:
                    auction.price[pool, tier, slot] = auction.price[pool, tier + 1, slot]
            fill_shelf(network, auction, node)
            for tier in range(tiers):
                last = auction.price[pool, tier, slot]
                auction.floor[pool, tier, slot] = max(0, last - drop) if last < NEVER else 0
            show_prices(network, auction, pool, slot)


@kernel(bare=True)
def fill_shelf(network: Network, auction: Auction, node: int) -> None:
    """Put everything a node has left for sale, its lowest step first, and nobody to hold it."""
    columns, first = auction.node[node], network.step[node]
    columns[:] = 0
    columns[STEP] = first
    columns[FREE] = network.quantity[first] if first < network.step[node + 1] else 0


@kernel(bare=True)
def net_worth(network: Network, pair: int, slot: int, tier: int) -> int:
    """What an accelerator-hour is worth on an arc, carbon taken off."""
    group = network.group[pair]
    worth = network.worth[pair, tier]
    if network.carbon[group] > 0:
        worth -= -(-network.carbon[group] * network.grams[network.pool[pair], slot] // KILOGRAM)
    return int(worth)


@kernel(bare=True)
def renew_top(network: Network, auction: Auction, node: int, tier: int) -> None:
    """Renew the top of a heap until it is no level from before."""
    start, count = auction.base[3 * node + tier], auction.node[node, HOLDERS + tier]
    slot = node % auction.held.shape[1]
    while count > 0:
        pair, owner = auction.place[start, PAIR], auction.place[start, OWNER]
        level = net_worth(network, pair, slot, tier) - auction.keep[owner, slot]
        if level <= auction.place[start, LEVEL]:
            break
        auction.place[start, LEVEL] = level
        sink(auction.place[start : start + count], 0)


@kernel(bare=True)
def sink(heap: Ints, at: int) -> None:
    """Let a place whose level rose fall to where it belongs."""
    count = len(heap)
    level, pair, quantity, owner = heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3]
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1, 0] < heap[child, 0]:
            child += 1
        if heap[child, 0] >= level:
            break
        heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = heap[child, 0], heap[child, 1], heap[child, 2], heap[child, 3]
        at = child
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = level, pair, quantity, owner


@kernel(bare=True)
def rise(heap: Ints, at: int) -> None:
    """Let a new place rise to where it belongs."""
    level, pair, quantity, owner = heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3]
    while at > 0:
        parent = (at - 1) // 2
        if heap[parent, 0] <= level:
            break
        heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = heap[parent, 0], heap[parent, 1], heap[parent, 2], heap[parent, 3]
        at = parent
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = level, pair, quantity, owner


@kernel(bare=True)
def show_prices(network: Network, auction: Auction, pool: int, slot: int) -> None:
    """Read the prices of a node off its heaps: who holds the lowest level at each tier, and the lowest anybody else holds.

    A tier whose limit has room takes from whoever holds least at any tier; one that is full only from its own and better.
    """
    slots = auction.price.shape[2]
    node = pool * slots + slot
    columns = auction.node[node]
    low, leader, other = NEVER, PROVIDER, NEVER
    for tier in range(4):
        if tier <= SPOT:
            start, count = auction.base[3 * node + tier], columns[HOLDERS + tier]
            if count > 0:
                level, owner, after = auction.place[start, LEVEL], auction.place[start, OWNER], NEVER
                for child in (1, 2):
                    if child < count:
                        after = min(after, auction.place[start + child, LEVEL])
            else:
                level, owner, after = NEVER, PROVIDER, NEVER
        else:
            level, owner, after = NEVER, PROVIDER, NEVER
            if columns[FREE] > 0:
                level = max(network.rate[columns[STEP]], auction.floor[pool, SPOT, slot])
        if level < low:
            other = min(after, low if leader != owner else other)
            low, leader = level, owner
        elif level < NEVER:
            other = min(other, level if leader != owner else after)
        if tier <= SPOT:
            auction.price[pool, tier, slot], auction.leader[pool, tier, slot], auction.next[pool, tier, slot] = low, leader, other
    auction.price[pool, SPOT, slot], auction.leader[pool, SPOT, slot], auction.next[pool, SPOT, slot] = low, leader, other
    for tier in (STANDARD, GUARANTEED):
        limit = network.limits[pool, slot, tier]
        worse = tier + 1
        if limit == 0 or network.limits[pool, slot, STANDARD] == 0:
            auction.price[pool, tier, slot], auction.next[pool, tier, slot] = NEVER, NEVER
            auction.leader[pool, tier, slot] = PROVIDER
            continue
        if columns[tier] < limit:
            auction.price[pool, tier, slot] = auction.price[pool, worse, slot]
            auction.leader[pool, tier, slot] = auction.leader[pool, worse, slot]
            auction.next[pool, tier, slot] = auction.next[pool, worse, slot]
        least = auction.floor[pool, tier, slot]
        auction.price[pool, tier, slot] = max(least, auction.price[pool, tier, slot])
        auction.next[pool, tier, slot] = max(least, auction.next[pool, tier, slot])


@kernel(bare=True)
def stand_by_rates(network: Network, auction: Auction) -> None:
    """Let nobody hold accelerators for less than the dearest rate at which its node has sold.

    A group does not bid against itself: it may take a dearer step beside a lot of its own whose level is lower. Who finds
    the rate worth it stays, at the rate; who does not leaves, and the dearest accelerators stand idle instead.
    """
    pools, _, slots = auction.price.shape
    for node in range(pools * slots):
        columns, slot = auction.node[node], node % slots
        while columns[SPOT] > 0:
            step = columns[STEP]
            if columns[FREE] == network.quantity[step] and step > network.step[node]:
                step -= 1
            low, tier = NEVER, -1
            for each in range(3):
                renew_top(network, auction, node, each)
                if columns[HOLDERS + each] > 0 and auction.place[auction.base[3 * node + each], LEVEL] < low:
                    low, tier = auction.place[auction.base[3 * node + each], LEVEL], each
            if low >= network.rate[step]:
                break
            start = auction.base[3 * node + tier]
            heap = auction.place[start : start + columns[HOLDERS + tier]]
            if net_worth(network, heap[0, PAIR], slot, tier) >= network.rate[step]:
                heap[0, LEVEL] = network.rate[step]
                sink(heap, 0)
                continue
            sold = network.quantity[step] - columns[FREE] if step == columns[STEP] else network.quantity[step]
            put_on_shelf(network, columns, lose_top(auction, node, tier, sold))
        show_prices(network, auction, node // slots, slot)


@kernel(bare=True)
def lose_top(auction: Auction, node: int, tier: int, most: int) -> int:
    """Take up to so many accelerators from whoever is at the top of a heap; returns how many. Nobody has them then, nor the provider."""
    start, columns, slot = auction.base[3 * node + tier], auction.node[node], node % auction.held.shape[1]
    top = auction.place[start]
    owner, part = top[OWNER], min(most, top[QUANTITY])
    top[QUANTITY] -= part
    for worse in range(tier, 3):
        columns[worse] -= part
    auction.held[owner, slot] -= part
    auction.left[owner] += part
    if top[QUANTITY] == 0:
        columns[HOLDERS + tier] -= 1
        count = columns[HOLDERS + tier]
        for column in range(4):
            top[column] = auction.place[start + count, column]
        if count > 0:
            sink(auction.place[start : start + count], 0)
    return int(part)


@kernel(bare=True)
def put_on_shelf(network: Network, columns: Ints, part: int) -> None:
    """Let the provider have so many accelerators of a node again: the dearest it sold."""
    columns[FREE] += part
    while columns[FREE] > network.quantity[columns[STEP]]:
        columns[FREE] -= network.quantity[columns[STEP]]
        columns[STEP] -= 1
