"""Books with work by slow means: every whole allocation tried, or the book written out row by row for a solver of its own.

Rows are those of the flexible book, but that the total of a bid by work counts reference hours, in fractions.
"""

from fractions import Fraction

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from contracts.terms.orders import MarketBook
from tests.oracles.blocks import columns, flexible_part
from tests.oracles.clearing import PlainMarket, plain, rows_of_market

Key = tuple[str, str, int, int]
Row = tuple[dict[Key, Fraction], Fraction]
FAR_TOO_MANY = 20_000


def rows_of_work(book: MarketBook, market: PlainMarket) -> list[Row]:
    """Every ≤ of the book as (part each accelerator takes, room)."""
    flexible = set(market.width)
    work = {row["bid_id"]: row for row in book.bids.to_dicts() if row["semantics"] == "work"}
    rows = [({key: Fraction(1) for key in keys}, Fraction(room)) for keys, room in _without_totals(market, work)]
    for name in sorted(work.keys() & flexible):
        factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in work[name]["hardware"]}
        own = {key: factors[market.pool[key[1]][1]] for key in market.want if key[0] == name}
        rows.append((own, Fraction(str(work[name]["hours"])) / Fraction(book.rules.slot_hours)))
    return rows


def _without_totals(market: PlainMarket, work: dict[str, dict]) -> list[tuple[list[Key], int]]:
    """The rows of the book by the hour, the totals of bids by work made no limit at all."""
    loose = PlainMarket(market.stock, market.cost, market.pool, market.limit, market.want, market.width, dict(market.units))
    loose.units.update(dict.fromkeys(work.keys() & market.units.keys(), 10**6))
    return rows_of_market(loose)


def best_work_by_hand(book: MarketBook) -> int | None:
    """The greatest welfare per slot-hour of any whole allocation, by trying them all; None when there are too many to try."""
    market = plain(book)
    keys, rows = list(market.want), rows_of_work(book, plain(book))
    gains = [market.want[key] - market.cost[key[1], key[2]] for key in keys]
    best, tried = 0, 0
    queue: list[tuple[int, int, tuple[Fraction, ...]]] = [(0, 0, tuple(room for _, room in rows))]
    while queue:
        at, gained, room = queue.pop()
        tried += 1
        best = max(best, gained)
        if tried > FAR_TOO_MANY:
            return None
        if at == len(keys):
            continue
        while min(room, default=Fraction(0)) >= 0:
            queue.append((at + 1, gained, room))
            room = tuple(left - row.get(keys[at], Fraction(0)) for left, (row, _) in zip(room, rows, strict=True))
            gained += gains[at]
    return best


def best_by_programme(book: MarketBook) -> float:
    """The greatest welfare per slot-hour of whole accelerators and whole blocks, by a solver's branch and bound on plain rows."""
    market = flexible_part(book)
    keys, runs = list(market.want), columns(book, plain(book))
    supplies = [key for key, left in market.stock.items() if left]
    size = len(keys) + len(runs) + len(supplies)
    at = {key: number for number, key in enumerate(keys)}
    rows, room = [], []

    def need(terms: dict[int, float], most: float) -> None:
        row = np.zeros(size)
        for number, amount in terms.items():
            row[number] += amount
        rows.append(row)
        room.append(most)

    for taken, most in rows_of_work(book, market):
        need({at[key]: float(part) for key, part in taken.items()}, float(most))
    for place, limits in market.limit.items():
        for tier in range(3):
            using = {at[key]: 1.0 for key in keys if (market.pool[key[1]], key[2]) == place and key[3] <= tier}
            using |= {len(keys) + n: float(run[1]) for n, run in enumerate(runs) if place in run[2] and run[3] <= tier}
            sold = {len(keys) + len(runs) + n: -1.0 for n, (offer, slot) in enumerate(supplies) if (market.pool[offer], slot) == place}
            need(using | (sold if tier == 2 else {}), 0.0 if tier == 2 else float(limits[tier]))
    for block in {run[0] for run in runs}:
        need({len(keys) + n: 1.0 for n, run in enumerate(runs) if run[0] == block}, 1.0)
    # A flexible arc names its offer; its cost is told by the supply, so that a block may have the cheaper one.
    gain = [*(market.want[key] for key in keys), *(run[1] * run[4] for run in runs), *(-market.cost[key] for key in supplies)]
    bounds = Bounds(np.zeros(size), [*(np.inf for _ in range(len(keys) + len(runs))), *(market.stock[key] for key in supplies)])
    if not size:
        return 0.0
    rule = LinearConstraint(np.array(rows), ub=room)
    answer = milp(-np.array(gain, dtype=float), constraints=rule, bounds=bounds, integrality=np.ones(size), options={"mip_rel_gap": 0})
    assert answer.status == 0, answer.message
    return -float(answer.fun)
