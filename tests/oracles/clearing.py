"""Two slow, independent ways to the same answer, for books of flexible bids without data, carbon or energy.

`best_welfare_by_hand` tries every whole allocation. `dual_prices` writes the book offer by offer and bid by
bid, as the rulebook does, and asks a linear solver how low and how high each tier price can go among all
price vectors that prove the optimum. Neither knows pools' residuals, groups of equals or sifted arcs.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import ceil, floor, inf

import numpy as np
from scipy.optimize import linprog

from contracts.terms.orders import MarketBook

TIERS = ("guaranteed", "standard", "spot")
Place = tuple[tuple[str, str, bool], int]


@dataclass
class PlainMarket:
    """The book as dictionaries. A pool is (site, hardware, firm): the strategies vary nothing else that a bid could test.

    stock  (offer, slot) → accelerators left;  cost  (offer, slot) → rate;  pool  offer → pool
    limit  (pool, slot) → (guaranteed, standard or better)
    want   (bid, offer, slot, tier) → worth, where worth reaches the rate
    width, units  of each bid
    """

    stock: dict[tuple[str, int], int] = field(default_factory=dict)
    cost: dict[tuple[str, int], int] = field(default_factory=dict)
    pool: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    limit: dict[Place, tuple[int, int]] = field(default_factory=dict)
    want: dict[tuple[str, str, int, int], int] = field(default_factory=dict)
    width: dict[str, int] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)


def plain(book: MarketBook) -> PlainMarket:
    """Read a book by the letter of the rules, one cell at a time."""
    market, slots = PlainMarket(), range(book.rules.slots)
    offers = book.offers.to_dicts()
    gross: dict[tuple[str, int], int] = {}
    overrides = {(row["offer_id"], row["slot"]): row for row in book.offer_slots.to_dicts()}
    leases = book.commitments.to_dicts()
    for offer in offers:
        name = offer["offer_id"]
        market.pool[name] = (offer["site"], offer["hardware"], offer["firm"])
        for slot in slots:
            said = overrides.get((name, slot), offer)
            open_ = offer["slot_first"] <= slot < offer["slot_end"]
            gross[name, slot] = said["quantity"] if open_ else 0
            taken = sum(lease["quantity"] for lease in leases if (lease["offer_id"], lease["slot"]) == (name, slot))
            market.stock[name, slot] = max(0, gross[name, slot] - taken)
            market.cost[name, slot] = said["rate_micros"]
    for place in {(pool, slot) for pool in market.pool.values() for slot in slots}:
        market.limit[place] = _limits(book, market, place=place, gross=gross)
    for bid in book.bids.to_dicts():
        _read_bid(book, market, bid=bid)
    return market


def _limits(book: MarketBook, market: PlainMarket, *, place: Place, gross: dict[tuple[str, int], int]) -> tuple[int, int]:
    pool, slot = place
    members = [name for name in market.pool if market.pool[name] == pool]
    if not pool[2] or not any(gross[name, slot] for name in members):
        return 0, 0
    lowest = min(market.cost[name, slot] for name in members if gross[name, slot])
    callable_ = sum(gross[name, slot] for name in members if market.cost[name, slot] <= Fraction(book.rules.call_ceiling) * lowest)
    node = max(row["node_size"] for row in book.offers.to_dicts() if row["offer_id"] in members)
    leased = [row for row in book.commitments.to_dicts() if row["offer_id"] in members and row["slot"] == slot]
    at_guaranteed = sum(row["quantity"] for row in leased if row["tier"] == "guaranteed")
    at_standard = sum(row["quantity"] for row in leased if row["tier"] == "standard")
    held_guaranteed = max(ceil(Fraction(book.rules.headroom_guaranteed) * callable_), node)
    held_standard = floor(Fraction(book.rules.headroom_standard) * callable_)
    return max(0, callable_ - held_guaranteed - at_guaranteed), max(0, callable_ - held_standard - at_guaranteed - at_standard)


def _read_bid(book: MarketBook, market: PlainMarket, *, bid: dict) -> None:
    name, fee = bid["bid_id"], book.rules.fee_bps
    market.width[name] = bid["width"]
    market.units[name] = floor(Fraction(str(bid["hours"])) / Fraction(book.rules.slot_hours))
    factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in bid["hardware"]}
    for offer, slot in market.stock:
        pool = market.pool[offer]
        for tier, word in enumerate(TIERS):
            limit = bid[f"limit_{word}_micros"]
            if limit is None or pool[1] not in factors or not bid["slot_first"] <= slot < bid["slot_end"]:
                continue
            worth = floor(limit * factors[pool[1]] * 10_000 / (10_000 + fee))
            room = market.limit[pool, slot] if word != "spot" else (1, 1)
            if worth >= market.cost[offer, slot] and market.stock[offer, slot] and room[1] > 0 and (word != "guaranteed" or room[0] > 0):
                market.want[name, offer, slot, tier] = worth


def best_welfare_by_hand(market: PlainMarket) -> int:
    """The greatest welfare per slot-hour of any whole allocation, by trying them all. For the tiniest books."""
    keys = list(market.want)
    most = [min(market.width[bid], market.units[bid], market.stock[offer, slot]) for bid, offer, slot, _ in keys]
    best = 0
    for choice in product(*(range(top + 1) for top in most)):
        taken = dict(zip(keys, choice, strict=True))
        if _feasible(market, taken):
            best = max(best, sum((market.want[key] - market.cost[key[1], key[2]]) * count for key, count in taken.items()))
    return best


def _feasible(market: PlainMarket, taken: dict[tuple[str, str, int, int], int]) -> bool:
    return all(sum(taken[key] for key in keys) <= room for keys, room in rows_of_market(market))


def rows_of_market(market: PlainMarket) -> list[tuple[list[tuple[str, str, int, int]], int]]:
    """Every ≤ of the book as (arcs in it, room): stock, standard, guaranteed, width, hours."""
    keys, rows = list(market.want), []
    for offer, slot in market.stock:
        rows.append(([key for key in keys if key[1:3] == (offer, slot)], market.stock[offer, slot]))
    for (pool, slot), (guaranteed, standard) in market.limit.items():
        there = [key for key in keys if market.pool[key[1]] == pool and key[2] == slot]
        rows += [([key for key in there if key[3] <= 1], standard), ([key for key in there if key[3] == 0], guaranteed)]
    for bid in market.width:
        own = [key for key in keys if key[0] == bid]
        rows += [([key for key in own if key[2] == slot], market.width[bid]) for slot in sorted({key[2] for key in own})]
        rows.append((own, market.units[bid]))
    return rows


def welfare_by_linear_programme(market: PlainMarket) -> float:
    """The greatest welfare per slot-hour of the relaxed book."""
    keys = list(market.want)
    if not keys:
        return 0.0
    matrix = np.array([[key in arcs for key in keys] for arcs, _ in rows_of_market(market)], dtype=float)
    gain = [market.cost[key[1], key[2]] - market.want[key] for key in keys]
    return -float(linprog(gain, A_ub=matrix, b_ub=[room for _, room in rows_of_market(market)], method="highs").fun)


def dual_prices(market: PlainMarket) -> dict[tuple[tuple[str, str, bool], int, str], tuple[float, float]]:
    """(pool, slot, tier) → least and greatest price among all dual optima, ±infinity where there is none.

    Unknowns: p per (pool, slot), premiums μs and μg, rent per (offer, slot), v per (bid, slot), u per bid.
    Every unit left pulls p down to its rate, through rent ≥ p − rate; every arc asks P + v + u ≥ worth.
    """
    places, stock = sorted(market.limit), list(market.stock)
    bids, cells = sorted(market.width), sorted({(key[0], key[2]) for key in market.want})
    names: list[tuple] = [*(("p", x) for x in places), *(("s", x) for x in places), *(("g", x) for x in places)]
    names += [*(("rent", x) for x in stock), *(("v", x) for x in cells), *(("u", x) for x in bids)]
    at = {name: number for number, name in enumerate(names)}
    rows, room = [], []

    def need(terms: dict, least: int) -> None:
        row = np.zeros(len(names))
        for name, sign in terms.items():
            row[at[name]] -= sign
        rows.append(row)
        room.append(-least)

    for offer, slot in stock:
        need({("rent", (offer, slot)): 1, ("p", (market.pool[offer], slot)): -1}, -market.cost[offer, slot])
    for (bid, offer, slot, tier), worth in market.want.items():
        place = (market.pool[offer], slot)
        price = {("p", place): 1, **({("s", place): 1} if tier <= 1 else {}), **({("g", place): 1} if tier == 0 else {})}
        need({**price, ("v", (bid, slot)): 1, ("u", bid): 1}, worth)
    total = np.array([_weight(market, name) for name in names], dtype=float)
    whole = round(welfare_by_linear_programme(market))
    bounds = [(None, None) if name[0] == "p" else (0, None) for name in names]
    found = {}
    for place in places:
        for word, parts in (("spot", "p"), ("standard", "ps"), ("guaranteed", "psg")):
            aim = np.zeros(len(names))
            aim[[at[part, place] for part in parts]] = 1
            ends = []
            for sign in (1, -1):
                answer = linprog(sign * aim, A_ub=np.array([*rows, total]), b_ub=[*room, whole + 1e-6], bounds=bounds, method="highs")
                ends.append(sign * answer.fun if answer.status == 0 else -sign * inf)
            found[(*place, word)] = (ends[0], ends[1])
    return found


def _weight(market: PlainMarket, name: tuple) -> int:
    """What a unit of a dual costs the bound: the room of the row it prices; a price itself costs through rents."""
    kind, key = name
    if kind in {"s", "g"}:
        return market.limit[key][1 if kind == "s" else 0]
    return {"p": lambda: 0, "rent": lambda: market.stock[key], "v": lambda: market.width[key[0]], "u": lambda: market.units[key]}[kind]()
