"""Markets without an optimiser: `python -m tests.benchmarks.rivals.greedy DIR`. Tells the welfare of each way to serve bids in turn.

Every bid, in some order, takes what is best for it of what is left, accelerator by accelerator, within its own limits, those of
the pool's tiers and the steps of supply; nothing is ever given back. Two kinds:

- by margin: the arcs of greatest worth less rate first, anywhere in its window, bids ordered in five ways
- cheapest first, as those who aggregate offers do it: bids in order of entry, the lowest rate first, now or later
"""

import json
import sys
from pathlib import Path

import numba
import numpy as np

from broker.files.market import read_market
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.network import Network
from pricing.problem import compile_book
from tests.benchmarks.spent import cpu_seconds

MARGIN, CHEAPEST_NOW, CHEAPEST_EVER = 0, 1, 2
MICROS_PER_KG = 1_000_000


@numba.njit(cache=True)
def serve(network: Network, order: Ints, manner: int) -> int:
    """Serve bids, named by group, in turn; the welfare made. The arguments are not changed."""
    slots = network.cheapest.shape[1]
    left, sold = network.quantity.copy(), np.zeros((network.cheapest.size, 3), np.int64)
    welfare = 0
    spent = np.zeros(slots, np.int64)
    most = 0
    for place in range(network.cheapest.size):
        most = max(most, network.step[place + 1] - network.step[place])
    for g in order:
        units = network.units[g]
        spent[:] = 0
        size = (network.start[g + 1] - network.start[g]) * slots * max(most, 1)
        pair, slot, step = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
        key = np.empty(size, np.int64)
        count = 0
        for m in range(network.start[g], network.start[g + 1]):
            p = network.pool[m]
            for t in range(network.first[m], network.end[g]):
                at = p * slots + t
                carbon = -(-network.carbon[g] * network.grams[p, t] // MICROS_PER_KG)
                best = max(network.worth[m, 0], network.worth[m, 1], network.worth[m, 2]) - carbon
                for k in range(network.step[at], network.step[at + 1]):
                    if best < network.rate[k]:
                        break
                    if left[k] == 0:
                        continue
                    pair[count], slot[count], step[count] = m, t, k
                    if manner == MARGIN:
                        key[count] = network.rate[k] - best
                    elif manner == CHEAPEST_NOW:
                        key[count] = (t << 50) + network.rate[k]
                    else:
                        key[count] = network.rate[k]
                    count += 1
        for i in np.argsort(key[:count], kind="mergesort"):
            m, t, k = pair[i], slot[i], step[i]
            p = network.pool[m]
            at = p * slots + t
            carbon = -(-network.carbon[g] * network.grams[p, t] // MICROS_PER_KG)
            for _ in range(3):
                chosen, best, room = -1, network.rate[k] - 1, 0
                for q in range(3):
                    net = network.worth[m, q] - carbon
                    free = network.limits[p, t, 2] - sold[at, 0] - sold[at, 1] - sold[at, 2]
                    if q <= 1:
                        free = min(free, network.limits[p, t, 1] - sold[at, 0] - sold[at, 1])
                    if q == 0:
                        free = min(free, network.limits[p, t, 0] - sold[at, 0])
                    if net > best and free > 0:
                        chosen, best, room = q, net, free
                take = min(units, network.width[g] - spent[t], left[k], room)
                if chosen < 0 or take <= 0:
                    break
                left[k] -= take
                sold[at, chosen] += take
                spent[t] += take
                units -= take
                welfare += take * (best - network.rate[k])
            if units == 0:
                break
    return welfare


def orders(book: MarketBook, network: Network, *, group_of: Ints) -> dict[str, Ints]:
    """Ways to line bids up, as positions in the book: by what they would pay, gain, spend, when they came, how little choice they have."""
    flexible = network.flexible[group_of]
    pairs = np.diff(network.start)
    top = np.zeros(len(pairs), dtype=np.int64)
    margin = np.zeros(len(pairs), dtype=np.int64)
    least = np.where(network.cheapest < network.cheapest.max(), network.cheapest, network.cheapest.max()).min(axis=1)
    np.maximum.at(top, network.group, network.worth.max(axis=1))
    np.maximum.at(margin, network.group, network.worth.max(axis=1) - least[network.pool])
    entered = book.bids["entered_at"].dt.timestamp("us").to_numpy()
    keys = {
        "worth": -top[group_of],
        "margin": -margin[group_of],
        "value": -(top * network.units)[group_of],
        "least choice": pairs[group_of],
        "entered": entered,
    }
    return {name: order[flexible[order]] for name, order in ((name, np.lexsort((entered, key))) for name, key in keys.items())}


def main() -> None:
    """Serve the bids of the directory named on the command line in every order."""
    book = read_market(Path(sys.argv[1]))
    compiled = compile_book(book)
    network, group_of = compiled.network, compiled.demand.group_of
    lines = orders(book, network, group_of=group_of)
    serve(network, group_of[:0], MARGIN)
    before = cpu_seconds()
    by_margin = {name: serve(network, group_of[line], MARGIN) for name, line in lines.items()}
    spent = (cpu_seconds() - before) / len(lines)
    came = group_of[lines["entered"]]
    cheapest = {"now": serve(network, came, CHEAPEST_NOW), "ever": serve(network, came, CHEAPEST_EVER)}
    told = {f"by {name}": welfare for name, welfare in by_margin.items()} | {
        f"cheapest {name}": welfare for name, welfare in cheapest.items()
    }
    json.dump({"cpu_seconds": spent, "best": max(by_margin.values()), "cheapest": max(cheapest.values()), **told}, sys.stdout)


if __name__ == "__main__":
    main()
