"""Books with blocks by slow means: every combination of columns tried, and the relaxation's dual written out whole.

`best_with_blocks` takes each combination of blocks out of the supply and lets a linear programme serve the flexible
bids. `dual_sums` writes the dual of the relaxation row by row, as the rulebook's definitions give it.
"""

from collections.abc import Iterator
from copy import deepcopy
from fractions import Fraction
from itertools import product
from math import floor, prod

import numpy as np
from scipy.optimize import linprog

from contracts.terms.orders import MarketBook
from tests.oracles.clearing import TIERS, Place, PlainMarket, plain, welfare_by_linear_programme

Column = tuple[str, int, list[Place], int, int]


def flexible_part(book: MarketBook) -> PlainMarket:
    """The book as dictionaries, without its blocks."""
    market = plain(book)
    for block in _blocks(book):
        market.want = {key: worth for key, worth in market.want.items() if key[0] != block["bid_id"]}
        del market.width[block["bid_id"]], market.units[block["bid_id"]]
    return market


def columns(book: MarketBook, market: PlainMarket) -> list[Column]:
    """Every (block, width, places of its run, tier, worth per accelerator over the run)."""
    found = []
    for block in _blocks(book):
        run = int(Fraction(str(block["hours"])) / block["width"] / Fraction(book.rules.slot_hours))
        factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in block["hardware"]}
        for pool, tier in product(sorted(set(market.pool.values())), range(3)):
            limit = block[f"limit_{TIERS[tier]}_micros"]
            if limit is None or pool[1] not in factors:
                continue
            worth = run * floor(limit * factors[pool[1]] * 10_000 / (10_000 + book.rules.fee_bps))
            for first in range(block["slot_first"], min(block["slot_end"], book.rules.slots) - run + 1):
                places = [(pool, slot) for slot in range(first, first + run)]
                if all(_open(market, place, tier) for place in places) and worth >= sum(lowest(market, place) for place in places):
                    found.append((block["bid_id"], block["width"], places, tier, worth))
    return found


def lowest(market: PlainMarket, place: Place) -> int:
    """The lowest rate with anything left at a pool and slot."""
    return min(rate for _, rate, _ in _offers(market, place))


def combinations(book: MarketBook, market: PlainMarket) -> int:
    """How many ways `best_with_blocks` would try."""
    names = [column[0] for column in columns(book, market)]
    return prod(names.count(name) + 1 for name in set(names))


def best_with_blocks(book: MarketBook, market: PlainMarket) -> float:
    """The greatest welfare per slot-hour of any whole blocks beside flexible bids, by trying them all."""
    ways: dict[str, list[Column | None]] = {}
    for column in columns(book, market):
        ways.setdefault(column[0], [None]).append(column)
    best = 0.0
    for choice in product(*ways.values()):
        left = deepcopy(market)
        gained = 0
        for taken in choice:
            gained += _take(left, taken) if taken else 0
        if all(min(room) >= 0 for room in left.limit.values()) and min(left.stock.values()) >= 0:
            best = max(best, gained + welfare_by_linear_programme(left))
    return best


def _take(market: PlainMarket, column: Column) -> int:
    """Take a column out of the supply, cheapest first; its worth less its cost. What is not there leaves a limit below 0."""
    _, width, places, tier, worth = column
    gained = worth * width
    for place in places:
        guaranteed, standard = market.limit[place]
        if tier < 2:
            market.limit[place] = (guaranteed - width * (tier == 0), standard - width)
        wanted = width
        for offer, rate, left in _offers(market, place):
            part = min(wanted, left)
            market.stock[offer, place[1]] -= part
            gained -= part * rate
            wanted -= part
        if wanted:
            market.limit[place] = (-1, -1)
    return gained


def dual_sums(book: MarketBook, market: PlainMarket) -> tuple[float, float, float]:
    """The optimum of the relaxation, and the least and greatest sum of all tier prices that support it.

    Unknowns: price of every place and tier on sale, rent of every offer and slot, a bid's gain in a slot and in all.
    """
    there = [(place, tier) for place in sorted(market.limit) for tier in range(3) if _open(market, place, tier)]
    names: list[tuple] = [("price", *key) for key in there]
    names += [("rent", key) for key, left in market.stock.items() if left]
    names += [("slot", key[0], key[2]) for key in market.want] + [("bid", bid) for bid in book.bids["bid_id"]]
    at = {name: number for number, name in enumerate(dict.fromkeys(names))}
    rows, least = [], []

    def need(terms: dict, amount: float) -> None:
        row = np.zeros(len(at))
        for name, sign in terms.items():
            row[at[name]] += sign
        rows.append(row)
        least.append(amount)

    cost = np.zeros(len(at))
    for place, tier in there:
        need({("price", place, tier): 1}, lowest(market, place))
        if tier < 2:
            worse = ("price", place, tier + 1)
            need({("price", place, tier): 1, worse: -1}, 0)
            cost[at["price", place, tier]] += market.limit[place][tier]
            cost[at[worse]] -= market.limit[place][tier]
    for offer, slot in (key for key, left in market.stock.items() if left):
        need({("rent", (offer, slot)): 1, ("price", (market.pool[offer], slot), 2): -1}, -market.cost[offer, slot])
        cost[at["rent", (offer, slot)]] = market.stock[offer, slot]
    for (bid, offer, slot, tier), worth in market.want.items():
        need({("price", (market.pool[offer], slot), tier): 1, ("slot", bid, slot): 1, ("bid", bid): 1}, worth)
        cost[at["slot", bid, slot]], cost[at["bid", bid]] = market.width[bid], market.units[bid]
    for bid, width, places, tier, worth in columns(book, market):
        need({**{("price", place, tier): width for place in places}, ("bid", bid): 1}, width * worth)
        cost[at["bid", bid]] = 1
    return _ends(np.array(rows).reshape(-1, len(at)), np.array(least), cost=cost, prices=len(there))


def _ends(rows: np.ndarray, least: np.ndarray, *, cost: np.ndarray, prices: int) -> tuple[float, float, float]:
    if not prices:
        return 0.0, 0.0, 0.0
    best = linprog(cost, A_ub=-rows, b_ub=-least, method="highs").fun
    aim = np.zeros(len(cost))
    aim[:prices] = 1
    sums = []
    for sign in (1, -1):
        answer = linprog(sign * aim, A_ub=np.vstack([-rows, cost]), b_ub=[*-least, best + 1e-6], method="highs")
        assert answer.status == 0, answer.message
        sums.append(sign * answer.fun)
    return best, sums[0], sums[1]


def _open(market: PlainMarket, place: Place, tier: int) -> bool:
    guaranteed, standard = market.limit[place]
    room = (min(guaranteed, standard), standard, 1)[tier]
    return room > 0 and bool(_offers(market, place))


def _offers(market: PlainMarket, place: Place) -> list[tuple[str, int, int]]:
    """(offer, rate, left) of a pool in a slot, cheapest first; only what has something left."""
    pool, slot = place
    found = [(name, market.cost[name, slot], market.stock[name, slot]) for name, own in market.pool.items() if own == pool]
    return sorted((row for row in found if row[2] > 0), key=lambda row: (row[1], row[0]))


def _blocks(book: MarketBook) -> Iterator[dict]:
    return (row for row in book.bids.to_dicts() if row["kind"] == "block")
