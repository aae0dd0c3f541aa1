"""What an auction's answer is worth, and how much better any other could be: welfare, and a bound from prices alone.

bound = Σ best response of every group at the prices + Σ rents of the supply + Σ premium × limit, as the certificate has it.
Sums are kept in two parts so that no book is too large for them.
"""

import numpy as np

from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Ints
from pricing.auction_state import HOLDERS, PAIR, QUANTITY, Auction
from pricing.compiled import kernel
from pricing.network import Flow, Network
from pricing.worth import KILOGRAM, carbon_cost

LOW_BITS = 20
LOW = (1 << LOW_BITS) - 1


def welfare_bound(network: Network, price: Ints) -> int:
    """The welfare per slot-hour no awards exceed, micros, by tier prices (3, P, T): spot ≤ standard ≤ guaranteed."""
    slots = price.shape[2]
    responses = np.zeros(2, dtype=np.int64)
    respond(network, np.ascontiguousarray(price.transpose(1, 0, 2)), responses, np.zeros((2, slots), dtype=np.int64))
    node = np.repeat(np.arange(len(network.step) - 1), np.diff(network.step))
    rents = np.maximum(0, price[SPOT].ravel()[node] - network.rate)
    total = (int(responses[0]) << LOW_BITS) + int(responses[1]) + exact_sum(rents, network.quantity)
    for better, worse in ((STANDARD, SPOT), (GUARANTEED, STANDARD)):
        limit = network.limits[..., better]
        served = (limit > 0) & (network.limits[..., STANDARD] > 0)
        total += exact_sum(np.where(served, price[better] - price[worse], 0), limit)
    return total


def welfare_of(network: Network, flow: Flow) -> int:
    """Σ (worth − rate)·x of a flow, micros per slot-hour, supply taken lowest rate first."""
    slots = network.grams.shape[1]
    group, pool = network.group[flow.pair], network.pool[flow.pair]
    worth = network.worth[flow.pair, flow.tier] - carbon_cost(network.carbon[group], network.grams[pool, flow.slot])
    sold = np.zeros(len(network.step) - 1, dtype=np.int64)
    np.add.at(sold, pool * slots + flow.slot, flow.quantity)
    return exact_sum(worth, flow.quantity) - exact_sum(network.rate, taken(network, sold))


def taken(network: Network, sold: Ints) -> Ints:
    """How much of every step (K,) is sold when so much of its node is (P·T,), lowest rate first."""
    before = np.concatenate([[0], np.cumsum(network.quantity)])
    node = np.repeat(np.arange(len(network.step) - 1), np.diff(network.step))
    cheaper = before[:-1] - before[network.step[node]]
    part: Ints = np.clip(sold[node] - cheaper, 0, network.quantity)
    return part


def exact_sum(value: Ints, quantity: Ints) -> int:
    """Σ value·quantity without overflow, for values below 2^60 and quantities that add up to less than 2^23 million."""
    value, quantity = np.broadcast_arrays(value, quantity)
    high, low = (value >> LOW_BITS).ravel(), (value & LOW).ravel()
    return (int((high * quantity.ravel()).sum()) << LOW_BITS) + int((low * quantity.ravel()).sum())


@kernel(bare=True)
def respond(network: Network, price: Ints, total: Ints, room: Ints) -> None:
    """Add up what every group would gain by its best response at tier prices (P, 3, T): best slots first, within hours and width.

    total   (2,) the sum's parts above and below 2^20
    room    (2, T) for one group's thoughts: the best margin by slot, and the margins of one pool
    """
    slots = price.shape[2]
    best, row = room[0], room[1]
    for group in range(len(network.size)):
        if network.run[group] > 0:
            continue
        best[:] = 0
        carbon, end = network.carbon[group], network.end[group]
        for pair in range(network.start[group], network.start[group + 1]):
            pool = network.pool[pair]
            guaranteed, standard, spot = network.worth[pair, GUARANTEED], network.worth[pair, STANDARD], network.worth[pair, SPOT]
            some = False
            for slot in range(slots):
                value = max(spot - price[pool, SPOT, slot], standard - price[pool, STANDARD, slot])
                row[slot] = max(value, guaranteed - price[pool, GUARANTEED, slot])
                some |= row[slot] > best[slot]
            if not some:
                continue
            for slot in range(network.first[pair], end):
                value = row[slot]
                if value > best[slot]:
                    if carbon > 0:
                        value -= -(-carbon * network.grams[pool, slot] // KILOGRAM)
                    best[slot] = max(best[slot], value)
        left, most = network.units[group] * network.size[group], network.width[group] * network.size[group]
        while left > 0:
            at = 0
            for slot in range(1, slots):
                if best[slot] > best[at]:
                    at = slot
            if best[at] <= 0:
                break
            part = min(left, most)
            total[0] += (best[at] >> LOW_BITS) * part
            total[1] += (best[at] & LOW) * part
            best[at] = 0
            left -= part


def read_flow(auction: Auction) -> Flow:
    """Who holds what, as a flow."""
    slots = auction.held.shape[1]
    count = auction.node[:, HOLDERS : HOLDERS + 3].ravel()
    heap = np.repeat(np.arange(len(count)), count)
    place = auction.base[heap] + np.arange(len(heap)) - np.repeat(np.cumsum(count) - count, count)
    pair, quantity = auction.place[place, PAIR], auction.place[place, QUANTITY]
    node, tier = heap // 3, heap % 3
    order = np.argsort((pair * slots + node % slots) * 3 + tier, kind="stable")
    return Flow(pair=pair[order], slot=(node % slots)[order], tier=tier[order], quantity=quantity[order])


def shown_price(network: Network, auction: Auction) -> Ints:
    """The prices of an auction (3, P, T): what the next accelerator costs; the lowest rate where nothing is sold; NEVER for no tier."""
    slots = auction.held.shape[1]
    price = auction.price.transpose(1, 0, 2).copy()
    quiet = auction.node[:, SPOT].reshape(-1, slots) == 0
    rated = np.where(quiet, network.cheapest, price)
    shown: Ints = np.where(price < NEVER, rated, NEVER)
    full = (network.limits[..., SPOT] > 0) & (shown[SPOT] >= NEVER)
    assert not full.any(), "a node with supply has a price"
    return np.ascontiguousarray(shown)
