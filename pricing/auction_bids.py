"""One round of an auction: every group with accelerators left to find bids for the best there is, until nobody wants more.

A group bids for its best pools slot by slot, best margins first, within its width and what it has left. It offers as
much as its second-best use would leave it, and ε more: what it *keeps* is then never ε less than what it could have
elsewhere, which is why the awards are within ε per accelerator of the best.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints
from pricing.auction_state import (
    FREE,
    HOLDERS,
    LEVEL,
    OWNER,
    PAIR,
    QUANTITY,
    STEP,
    Auction,
    lose_top,
    net_worth,
    renew_top,
    rise,
    show_prices,
    sink,
)
from pricing.compiled import kernel
from pricing.network import Network
from pricing.worth import KILOGRAM

FRUITLESS = 100  # bids in a row that win nothing, since what was seen was a level from before, after which a group waits


class Line(NamedTuple):
    """Who is to bid, in order, and room for one group's thoughts.

    queue    (G + 1,) a ring of groups
    waiting  (G,) whether a group is in it
    ends     (2,) first and after the last, counted without wrapping
    best     (T,) margin of the best pool in each slot
    second   (T,) margin of the second best pool; NEVER in slots not looked at
    arc      (T,) 4·pair + tier of the best
    wanted   (T,) accelerators to bid for
    row      (T,)
    """

    queue: Ints
    waiting: Bools
    ends: Ints
    best: Ints
    second: Ints
    arc: Ints
    wanted: Ints
    row: Ints


class Bid(NamedTuple):
    """What one group bids for in one slot: pair, slot, tier, up to `wanted` accelerators at up to `level`, `step` above who has them."""

    pair: int
    slot: int
    tier: int
    wanted: int
    level: int


def line_up(order: Ints, network: Network) -> Line:
    """A line in which those of `order` wait."""
    groups, slots = len(network.size), network.grams.shape[1]
    queue, waiting = np.zeros(groups + 1, dtype=np.int64), np.zeros(groups, dtype=bool)
    queue[: len(order)], waiting[order] = order, True
    room = [np.zeros(slots, dtype=np.int64) for _ in range(5)]
    return Line(queue, waiting, np.array([0, len(order)], dtype=np.int64), *room)


@kernel(bare=True)
def hold_round(network: Network, auction: Auction, line: Line, epsilon: int) -> int:
    """Let everybody in line bid until nobody waits; how many bids that took."""
    bids = 0
    while line.ends[0] < line.ends[1]:
        group = line.queue[line.ends[0] % len(line.queue)]
        line.ends[0] += 1
        line.waiting[group] = False
        bids += 1
        fruitless, end = 0, network.end[group]
        look(network, auction, line, group, (0, end))
        while auction.left[group] > 0 and fruitless < FRUITLESS:
            reserve, last = choose_slots(network, auction, line, group, epsilon)
            left, before = auction.left[group], fruitless
            for slot in range(end):
                wanted = line.wanted[slot]
                if wanted == 0:
                    continue
                before = -1
                beside = reserve if slot == last else max(reserve, line.best[last] if last >= 0 else 0)
                keep = max(line.second[slot], beside, epsilon) - epsilon
                if auction.held[group, slot] > 0:
                    keep = min(keep, auction.keep[group, slot])
                auction.keep[group, slot] = keep
                pair, tier = line.arc[slot] >> 2, line.arc[slot] & 3
                level = net_worth(network, pair, slot, tier) - keep
                take(network, auction, line, Bid(pair, slot, tier, wanted, level), epsilon)
            if before >= 0:
                break
            fruitless = fruitless + 1 if auction.left[group] >= left else 0
            most = network.size[group] * network.width[group]
            if auction.left[group] > 0:
                for slot in range(end):
                    if line.wanted[slot] > 0 and auction.held[group, slot] < most:
                        look(network, auction, line, group, (slot, slot + 1))
    return bids


@kernel(bare=True)
def choose_slots(network: Network, auction: Auction, line: Line, group: int, epsilon: int) -> tuple[int, int]:
    """Share what a group has left over its slots, best margins first, none below ε.

    Returns the margin of the best use that remains, and the slot that is not wanted to its full width, −1 without one.
    """
    most, left, last = network.size[group] * network.width[group], auction.left[group], -1
    line.wanted[:] = 0
    while True:
        best, at = epsilon - 1, -1
        for slot in range(network.end[group]):
            if line.wanted[slot] == 0 and line.best[slot] > best and auction.held[group, slot] < most:
                best, at = line.best[slot], slot
        if at < 0:
            return 0, last
        if left == 0:
            return best, last
        spare = most - auction.held[group, at]
        line.wanted[at] = min(left, spare)
        left -= line.wanted[at]
        if line.wanted[at] < spare:
            last = at


@kernel(bare=True)
def look(network: Network, auction: Auction, line: Line, group: int, span: tuple[int, int]) -> None:
    """Find a group's best and second best pools in some slots, at the prices there are."""
    price, leader, worth, pool_of = auction.price, auction.leader, network.worth, network.pool
    best, second, arc, row = line.best, line.second, line.arc, line.row
    slots = price.shape[2]
    begin, end = span
    for slot in range(slots):
        inside = begin <= slot < end
        second[slot] = -1 if inside else NEVER
        if inside:
            best[slot], arc[slot] = -1, -1
    carbon = network.carbon[group]
    for pair in range(network.start[group], network.start[group + 1]):
        pool = pool_of[pair]
        first = max(begin, network.first[pair])
        guaranteed, standard, spot = worth[pair, GUARANTEED], worth[pair, STANDARD], worth[pair, SPOT]
        if end - begin > 1:
            some = False
            if guaranteed > -NEVER:
                for slot in range(slots):
                    value = max(spot - price[pool, SPOT, slot], standard - price[pool, STANDARD, slot])
                    row[slot] = max(value, guaranteed - price[pool, GUARANTEED, slot])
                    some |= row[slot] > second[slot]
            else:
                for slot in range(slots):
                    row[slot] = max(spot - price[pool, SPOT, slot], standard - price[pool, STANDARD, slot])
                    some |= row[slot] > second[slot]
            if not some:
                continue
        for slot in range(first, end):
            if end - begin == 1:
                value = max(spot - price[pool, SPOT, slot], standard - price[pool, STANDARD, slot])
                row[slot] = max(value, guaranteed - price[pool, GUARANTEED, slot])
            if row[slot] <= second[slot]:
                continue
            value, chosen = -NEVER, SPOT
            for tier in (SPOT, STANDARD, GUARANTEED):
                own = leader[pool, tier, slot] == group
                margin = worth[pair, tier] - (auction.next[pool, tier, slot] if own else price[pool, tier, slot])
                if margin > value:
                    value, chosen = margin, tier
            if carbon > 0:
                value -= -(-carbon * network.grams[pool, slot] // KILOGRAM)
            if value > best[slot]:
                second[slot] = best[slot]
                best[slot], arc[slot] = value, 4 * pair + chosen
            elif value > second[slot]:
                second[slot] = value


@kernel(bare=True)
def take(network: Network, auction: Auction, line: Line, bid: Bid, epsilon: int) -> None:
    """Give a bid what it wants of its node from whoever holds it at ε below its level or less, lowest first."""
    pool, slots = network.pool[bid.pair], auction.held.shape[1]
    group, node = network.group[bid.pair], pool * slots + bid.slot
    columns, limits = auction.node[node], network.limits[pool, bid.slot]
    wanted, most = bid.wanted, bid.level - epsilon
    if auction.floor[pool, bid.tier, bid.slot] > most:
        return
    while wanted > 0:
        reach, room = SPOT, NEVER  # the worst tier it may take from, and how much when that is worse than its own
        for tier in (STANDARD, GUARANTEED):
            if bid.tier <= tier:
                if columns[tier] >= limits[tier]:
                    reach = tier
                else:
                    room = min(room, limits[tier] - columns[tier])
        low, source = NEVER, -1
        for tier in range(reach + 1):
            if columns[HOLDERS + tier] > 0:
                renew_top(network, auction, node, tier)
                top = auction.place[auction.base[3 * node + tier]]
                if top[LEVEL] < low and top[OWNER] != group:
                    low, source = top[LEVEL], tier
        part = wanted
        if reach == SPOT and columns[FREE] > 0 and max(network.rate[columns[STEP]], auction.floor[pool, SPOT, bid.slot]) <= low:
            if max(network.rate[columns[STEP]], auction.floor[pool, SPOT, bid.slot]) > most:
                break
            part = min(part, room, columns[FREE])
            columns[FREE] -= part
            if columns[FREE] == 0 and columns[STEP] + 1 < network.step[node + 1]:
                columns[STEP] += 1
                columns[FREE] = network.quantity[columns[STEP]]
        else:
            if source < 0 or low > most:
                break
            if source > bid.tier:
                part = min(part, room)
            part = displace(auction, line, node, source, part)
        hold(auction, Bid(bid.pair, bid.slot, bid.tier, part, bid.level), node, group)
        wanted -= part
    for tier in range(3):
        renew_top(network, auction, node, tier)
    show_prices(network, auction, pool, bid.slot)


@kernel(bare=True)
def displace(auction: Auction, line: Line, node: int, tier: int, wanted: int) -> int:
    """Take up to `wanted` from whoever is at the top of a heap, who then waits in line; returns how many."""
    owner = auction.place[auction.base[3 * node + tier], OWNER]
    part = lose_top(auction, node, tier, wanted)
    if not line.waiting[owner]:
        line.waiting[owner] = True
        line.queue[line.ends[1] % len(line.queue)] = owner
        line.ends[1] += 1
    return part


@kernel(bare=True)
def hold(auction: Auction, bid: Bid, node: int, group: int) -> None:
    """Add accelerators to what a group holds at a node and tier, all of them at the level of the last."""
    start, columns, at = auction.base[3 * node + bid.tier], auction.node[node], -1
    count = columns[HOLDERS + bid.tier]
    if auction.held[group, bid.slot] > 0:
        for place in range(count):
            if auction.place[start + place, OWNER] == group:
                at = place
                break
    if at >= 0:
        auction.place[start + at, QUANTITY] += bid.wanted
        lower = bid.level < auction.place[start + at, LEVEL]
        auction.place[start + at, LEVEL] = bid.level
        if lower:
            rise(auction.place[start : start + count], at)
        else:
            sink(auction.place[start : start + count], at)
    else:
        place = auction.place[start + count]
        place[LEVEL], place[PAIR], place[QUANTITY], place[OWNER] = bid.level, bid.pair, bid.wanted, group
        columns[HOLDERS + bid.tier] += 1
        rise(auction.place[start : start + count + 1], count)
    for worse in range(bid.tier, 3):
        columns[worse] += bid.wanted
    auction.held[group, bid.slot] += bid.wanted
    auction.left[group] -= bid.wanted
