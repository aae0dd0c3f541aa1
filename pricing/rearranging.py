"""Two ways to use what changed while prices stay: somebody who wants more finds a place, and a vacant place finds a taker.

Who wants more looks for idle supply at its price, or for a holder it can send to some, or home, at less than it gains itself.
A vacancy takes whoever would gain most by coming there, unserved or from a place that nobody would miss. Each change costs
little at the prices there are, so that what they prove stays close; only where nobody comes does a price fall.
"""

from typing import NamedTuple

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, PRICE_MAX, SPOT, STANDARD, Bools, Ints
from pricing.auction_state import FREE, STEP, net_worth
from pricing.compiled import kernel
from pricing.network import Network
from pricing.standing import OF_GROUP, OF_NODE, PAIR, PLACE, QUANTITY, Standing, give_back, held_in, margin_of, put, room_at
from pricing.worth import KILOGRAM

NO_PRICE = 2 * PRICE_MAX  # of a pool that was not there before
ARCS = 64  # places that are taken, of those a group would rather have, that are remembered
TRIES = 12  # holders that are asked where else they would go, before the best so far is good enough
FALL = 128  # prizes that must be lost by what is idle at a node before its price falls, to the envy of many
TAKERS = 4  # takers that are remembered for a vacancy


class Search(NamedTuple):
    """Room for the thoughts of one group.

    full    (T,) slots in which it may hold no more
    row     (T,)
    arcs    (ARCS, 3) pair, place and margin of taken places it would rather have
    known   (1,) how many those are
    sink    (2,) pair and place of the best idle supply found
    found   (5,) pair and place to go to, the lot there that gives way or −1, the pair and place that lot's holder goes to or −1
    """

    full: Bools
    row: Ints
    arcs: Ints
    known: Ints
    sink: Ints
    found: Ints


class Terms(NamedTuple):
    """What vacancies count for, micros.

    back    what an accelerator given back costs at most, since somebody else may come
    prize   what it is worth that a price need not fall: to the lowest rate where nothing is sold, to what somebody can pay who comes
    """

    back: int
    prize: int


class Vacancies(NamedTuple):
    """K nodes with something to take, by pool, and who would gain most by taking it.

    node    (K,) ascending
    begin   (P + 1,) those of pool p are node[begin[p]] …
    gain    (K, TAKERS) when last seen, greatest first; 0 for nobody
    pair    (K, TAKERS)
    again   (N,) nodes that came to be vacant, or that may still find somebody
    """

    node: Ints
    begin: Ints
    slot: Ints
    need: Ints
    gain: Ints
    pair: Ints
    again: Bools


def open_search(slots: int) -> Search:
    """Nothing thought of yet."""
    sizes = (slots, ARCS * 3, 1, 2, 5)
    row, arcs, known, sink, found = (np.zeros(size, dtype=np.int64) for size in sizes)
    return Search(np.zeros(slots, dtype=bool), row, arcs.reshape(ARCS, 3), known, sink, found)


def list_vacancies(network: Network, nodes: Ints) -> Vacancies:
    """Nodes (K,) ascending, nobody asked yet."""
    pools, slots = network.grams.shape
    return Vacancies(
        node=nodes,
        begin=np.searchsorted(nodes, np.arange(pools + 1) * slots),
        slot=nodes % slots,
        need=np.zeros(len(nodes), dtype=np.int64),
        gain=np.zeros((len(nodes), TAKERS), dtype=np.int64),
        pair=np.zeros((len(nodes), TAKERS), dtype=np.int64),
        again=np.zeros(pools * slots, dtype=bool),
    )


@kernel(bare=True)
def place_all(network: Network, standing: Standing, search: Search, groups: Ints, most: int) -> int:
    """Let groups that want more find places, in order, in so many changes at most; how many it took."""
    changes = 0
    for group in groups:
        while changes < most and standing.left[group] > 0 and choose_place(network, standing, search, group):
            go_there(network, standing, search)
            changes += 1
    return changes


@kernel(bare=True)
def choose_place(network: Network, standing: Standing, search: Search, group: int) -> bool:
    """Find the place a group gains most by, less what it costs who gives way: in `found`; whether there is any gain."""
    slots, lots, found = network.grams.shape[1], standing.lots, search.found
    mark_full(network, standing, search, group, -1)
    search.known[0] = 0
    value = look(network, standing, search, group, (0, True))
    found[0], found[1], found[2], found[3], found[4] = search.sink[0], search.sink[1], -1, -1, -1
    known, tries = search.known[0], 0
    while tries < TRIES:
        at, most = -1, value
        for row in range(known):
            if search.arcs[row, 2] > most:
                at, most = row, search.arcs[row, 2]
        if at < 0:
            break
        pair, place = search.arcs[at, 0], search.arcs[at, 1]
        search.arcs[at, 2] = -1
        node, tier = network.pool[pair] * slots + place // 3, place % 3
        lot = standing.there[node]
        while lot >= 0 and tries < TRIES:
            other, lost = network.group[lots[lot, PAIR]], margin_of(network, standing, lots[lot, PAIR], lots[lot, PLACE])
            if other != group and may_give_way(network, standing, lot, tier) > 0:
                tries += 1
                mark_full(network, standing, search, other, lots[lot, PLACE] // 3)
                elsewhere = look(network, standing, search, other, (max(0, value - most + lost), False))
                if search.sink[0] < 0:
                    elsewhere = 0
                if most - lost + elsewhere > value:
                    value = most - lost + elsewhere
                    found[0], found[1], found[2], found[3], found[4] = pair, place, lot, search.sink[0], search.sink[1]
            lot = lots[lot, OF_NODE]
    return bool(found[0] >= 0)


@kernel(bare=True)
def mark_full(network: Network, standing: Standing, search: Search, group: int, leaving: int) -> None:
    """Mark the slots in which a group may hold no more, were it to leave some of one."""
    most, row = network.size[group] * network.width[group], standing.mine[group]
    search.full[:] = False
    while row >= 0:
        slot = standing.lots[row, PLACE] // 3
        if slot != leaving:
            search.full[slot] = held_in(standing, group, slot) >= most
        row = standing.lots[row, OF_GROUP]


@kernel(bare=True)
def look(network: Network, standing: Standing, search: Search, group: int, beyond: tuple[int, bool]) -> int:
    """The best margin of idle supply at its price, above so much: pair and place in `sink`, −1 where there is none.

    Places that are taken and would be better still are remembered in `arcs` when that is asked for.
    """
    price, worth, row, slots = standing.price, network.worth, search.row, network.grams.shape[1]
    value, remember = beyond
    search.sink[0], search.sink[1] = -1, -1
    carbon, end = network.carbon[group], network.end[group]
    for pair in range(network.start[group], network.start[group + 1]):
        pool, some = network.pool[pair], False
        guaranteed, standard, spot = worth[pair, GUARANTEED], worth[pair, STANDARD], worth[pair, SPOT]
        for slot in range(slots):
            most = max(spot - price[pool, SPOT, slot], standard - price[pool, STANDARD, slot])
            row[slot] = max(most, guaranteed - price[pool, GUARANTEED, slot])
            some |= row[slot] > value
        if not some:
            continue
        for slot in range(network.first[pair], end):
            if row[slot] <= value or search.full[slot]:
                continue
            less = -(-carbon * network.grams[pool, slot] // KILOGRAM) if carbon > 0 else 0
            columns = standing.node[pool * slots + slot]
            idle = columns[FREE] > 0 and network.rate[columns[STEP]] <= price[pool, SPOT, slot]
            for tier in range(3):
                margin = worth[pair, tier] - price[pool, tier, slot] - less
                if margin <= value:
                    continue
                if idle and room_at(network, standing, pool * slots + slot, tier) > 0:
                    value, search.sink[0], search.sink[1] = margin, pair, 3 * slot + tier
                elif remember and search.known[0] < ARCS:
                    at = search.known[0]
                    search.arcs[at, 0], search.arcs[at, 1], search.arcs[at, 2] = pair, 3 * slot + tier, margin
                    search.known[0] += 1
    return int(value)


@kernel(bare=True)
def may_give_way(network: Network, standing: Standing, lot: int, tier: int) -> int:
    """How many accelerators of a lot may pass to a tier: to its own and worse ones all, to a better one as its limits have room."""
    slots, part = network.grams.shape[1], standing.lots[lot, QUANTITY]
    pool, slot = network.pool[standing.lots[lot, PAIR]], standing.lots[lot, PLACE] // 3
    for level in range(tier, standing.lots[lot, PLACE] % 3):
        part = min(part, network.limits[pool, slot, level] - standing.node[pool * slots + slot, level])
    return int(part)


@kernel(bare=True)
def go_there(network: Network, standing: Standing, search: Search) -> None:
    """Let a group take the place that was found, and whoever gives way go where it would."""
    slots, lots = network.grams.shape[1], standing.lots
    pair, place, lot, onward, where = search.found[0], search.found[1], search.found[2], search.found[3], search.found[4]
    group, node = network.group[pair], network.pool[pair] * slots + place // 3
    part = min(standing.left[group], network.size[group] * network.width[group] - held_in(standing, group, place // 3))
    if lot < 0:
        part = min(part, standing.node[node, FREE], room_at(network, standing, node, place % 3))
    else:
        part = min(part, may_give_way(network, standing, lot, place % 3))
        if onward >= 0:
            other, target = network.group[onward], network.pool[onward] * slots + where // 3
            part = min(part, standing.node[target, FREE], room_at(network, standing, target, where % 3))
            if where // 3 != lots[lot, PLACE] // 3:
                part = min(part, network.size[other] * network.width[other] - held_in(standing, other, where // 3))
        give_back(network, standing, lot, part)
        if onward >= 0:
            put(network, standing, onward, where, part)
    put(network, standing, pair, place, part)


@kernel(bare=True)
def return_cost(network: Network, standing: Standing, lot: int, terms: Terms) -> int:
    """What it costs to leave a lot's place idle: its price above the dearest rate sold, the prize where it is all that is sold."""
    slots, place = network.grams.shape[1], standing.lots[lot, PLACE]
    pool, slot = network.pool[standing.lots[lot, PAIR]], place // 3
    columns = standing.node[pool * slots + slot]
    step = columns[STEP] - 1 if columns[FREE] == network.quantity[columns[STEP]] else columns[STEP]
    cost = min(terms.back, standing.price[pool, place % 3, slot] - network.rate[step])
    if columns[SPOT] == standing.lots[lot, QUANTITY] and standing.price[pool, SPOT, slot] > network.cheapest[pool, slot]:
        cost += terms.prize
    return int(cost)


@kernel(bare=True)
def prize_of(network: Network, standing: Standing, node: int, terms: Terms) -> int:
    """What it is worth to sell anything at a node: the prize where its price would fall to its lowest rate otherwise."""
    slots = network.grams.shape[1]
    quiet = (
        standing.node[node, SPOT] == 0 and standing.price[node // slots, SPOT, node % slots] > network.cheapest[node // slots, node % slots]
    )
    return terms.prize if quiet else 0


@kernel(bare=True)
def best_tier(network: Network, standing: Standing, pair: int, node: int) -> int:
    """The tier an accelerator of a pair is worth most at, of those with room at a node, the worse of equals."""
    tier = SPOT
    for better in (STANDARD, GUARANTEED):
        if network.worth[pair, better] > network.worth[pair, tier] and room_at(network, standing, node, better) > 0:
            tier = better
    return tier


@kernel(bare=True)
def find_takers(network: Network, standing: Standing, vacancies: Vacancies, terms: Terms) -> None:
    """Ask every group which vacancies it would gain by, giving up the least of what it has."""
    lots, gain = standing.lots, vacancies.gain
    for at in range(len(vacancies.node)):
        vacancies.need[at] = need_of(network, standing, vacancies, at, terms)
    for group in range(len(network.size)):
        if network.run[group] > 0:
            continue
        keep, row = NEVER, standing.mine[group]
        while row >= 0:
            margin = margin_of(network, standing, lots[row, PAIR], lots[row, PLACE])
            if margin < keep:
                keep = min(keep, margin + return_cost(network, standing, row, terms))
            row = lots[row, OF_GROUP]
        if standing.left[group] > 0:
            keep = 0
        end = network.end[group]
        for pair in range(network.start[group], network.start[group + 1]):
            pool = network.pool[pair]
            begin, last = vacancies.begin[pool], vacancies.begin[pool + 1]
            if begin == last:
                continue
            most = max(network.worth[pair, SPOT], network.worth[pair, STANDARD], network.worth[pair, GUARANTEED]) - keep
            for at in range(begin, last):
                slot = vacancies.slot[at]
                if most <= vacancies.need[at] or slot < network.first[pair] or slot >= end:
                    continue
                place, found = TAKERS - 1, would_gain(network, standing, pair, vacancies.node[at], terms)[1]
                if found <= gain[at, place]:
                    continue
                while place > 0 and gain[at, place - 1] < found:
                    gain[at, place], vacancies.pair[at, place] = gain[at, place - 1], vacancies.pair[at, place - 1]
                    place -= 1
                gain[at, place], vacancies.pair[at, place] = found, pair
                vacancies.need[at] = need_of(network, standing, vacancies, at, terms)


@kernel(bare=True)
def need_of(network: Network, standing: Standing, vacancies: Vacancies, at: int, terms: Terms) -> int:
    """What a worth must be above, less what its group keeps, to be among the takers remembered for a vacancy."""
    node = vacancies.node[at]
    rate = network.rate[standing.node[node, STEP]]
    return int(vacancies.gain[at, TAKERS - 1] + rate - prize_of(network, standing, node, terms))


@kernel(bare=True)
def fill_all(network: Network, standing: Standing, vacancies: Vacancies, terms: Terms, most: int) -> int:
    """Let vacancies take those who gain most, in so many changes at most; how many it took. Where
    nobody comes the price falls to the rate, unless so little is idle that it is not worth it."""
    changes, slots, price = 0, network.grams.shape[1], standing.price
    for at in range(len(vacancies.node)):
        node = vacancies.node[at]
        pool, slot, columns = node // slots, node % slots, standing.node[node]
        while changes < most and columns[FREE] > 0 and network.rate[columns[STEP]] <= price[pool, SPOT, slot]:
            chosen, gain, lot = -1, 0, -1
            for place in range(TAKERS):
                if vacancies.gain[at, place] <= gain:
                    break
                gives, would = would_gain(network, standing, vacancies.pair[at, place], node, terms)
                if would > gain:
                    chosen, gain, lot = vacancies.pair[at, place], would, gives
            if chosen < 0:
                break
            come(network, standing, vacancies, (chosen, lot), node)
            changes += 1
        rate = network.rate[columns[STEP]]
        if columns[FREE] == 0 or rate > price[pool, SPOT, slot]:
            continue
        if vacancies.gain[at, 0] > 0:
            vacancies.again[node] = True
        elif (price[pool, SPOT, slot] - rate) * columns[FREE] > FALL * terms.prize:
            for tier in (SPOT, STANDARD, GUARANTEED):
                if room_at(network, standing, node, tier) > 0 and price[pool, tier, slot] < NEVER:
                    price[pool, tier, slot] = rate
    return changes


@kernel(bare=True)
def would_gain(network: Network, standing: Standing, pair: int, node: int, terms: Terms) -> tuple[int, int]:
    """What a pair's group would gain by a vacancy, and the lot it would give up for it; −1 where it has hours left."""
    slots, lots, group = network.grams.shape[1], standing.lots, network.group[pair]
    slot, tier = node % slots, best_tier(network, standing, pair, node)
    worth, price = net_worth(network, pair, slot, tier), standing.price[node // slots, tier, slot]
    if worth < price < NO_PRICE:
        worth -= terms.prize
    worth += prize_of(network, standing, node, terms) - network.rate[standing.node[node, STEP]]
    full = held_in(standing, group, slot) >= network.size[group] * network.width[group]
    if standing.left[group] > 0 and not full:
        return -1, int(worth)
    keep, found, row = NEVER, -1, standing.mine[group]
    while row >= 0:
        at = lots[row, PLACE] // 3
        if (at == slot or not full) and network.pool[lots[row, PAIR]] * slots + at != node:
            cost = margin_of(network, standing, lots[row, PAIR], lots[row, PLACE]) + return_cost(network, standing, row, terms)
            if cost < keep:
                keep, found = cost, row
        row = lots[row, OF_GROUP]
    return found, int(worth - keep)


@kernel(bare=True)
def come(network: Network, standing: Standing, vacancies: Vacancies, who: tuple[int, int], node: int) -> None:
    """Let a pair's group take a vacancy, giving up a lot for it unless that is −1. It pays the price, at most its worth.

    In a new pool, which had no price, it pays what leaves it as well off as it was. One that comes for the prize takes one.
    """
    slots, lots, price = network.grams.shape[1], standing.lots, standing.price
    pair, lot = who
    pool, slot, group = node // slots, node % slots, network.group[pair]
    tier = best_tier(network, standing, pair, node)
    part, keep = min(standing.node[node, FREE], room_at(network, standing, node, tier)), 0
    spare = network.size[group] * network.width[group] - held_in(standing, group, slot)
    if lot < 0:
        part = min(part, standing.left[group], spare)
    else:
        keep = margin_of(network, standing, lots[lot, PAIR], lots[lot, PLACE])
        part = min(part, lots[lot, QUANTITY])
        if lots[lot, PLACE] // 3 != slot:
            part = min(part, spare)
        vacancies.again[network.pool[lots[lot, PAIR]] * slots + lots[lot, PLACE] // 3] = True
    worth = net_worth(network, pair, slot, tier)
    if worth - keep <= network.rate[standing.node[node, STEP]]:
        part = 1
    if lot >= 0:
        give_back(network, standing, lot, part)
    for worse in range(tier, 3):
        new = price[pool, worse, slot] >= NO_PRICE
        price[pool, worse, slot] = (
            max(network.rate[standing.node[node, STEP]], worth - keep) if new else min(price[pool, worse, slot], worth)
        )
    put(network, standing, pair, 3 * slot + tier, part)
