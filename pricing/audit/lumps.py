"""Best responses of bids that do not simply fill slot after slot: blocks, which run whole, and work, which counts reference hours."""

import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.reach import FAR, NO_ARC, ROWS_AT_ONCE
from pricing.audit.whole import Ints, floored, times


def best_runs(audit: Audit, prices: Ints) -> Ints:
    """What the best column of each block gains: pool, tier and first slot, at its width; (B,), 0 when none gains or for other bids.

    How wide the pool is does not count: a bound has to hold for whatever a bid could ask, and supply speaks through the prices.
    """
    demand, reach = audit.demand, audit.reach
    gains = np.zeros(len(demand.ids), dtype=np.int64)
    rows = np.flatnonzero(demand.block[reach.bid])
    runs = (demand.most // demand.width)[reach.bid[rows]]
    for run in np.unique(runs[(runs > 0) & (runs <= audit.facts.slots)]).tolist():
        alike = rows[runs == run]
        for low in range(0, len(alike), ROWS_AT_ONCE):
            some = alike[low : low + ROWS_AT_ONCE]
            np.maximum.at(gains, reach.bid[some], _run_margins(audit, prices, rows=some, run=run).max(axis=(1, 2)))
    return np.asarray(times(gains, demand.width), dtype=np.int64)


def _run_margins(audit: Audit, prices: Ints, *, rows: Ints, run: int) -> Ints:
    """What an accelerator gains over a run in the cheapest pool, (n, T − run + 1, 3) by first slot; at most 0 where none may be."""
    demand, reach = audit.demand, audit.reach
    bid, cell = reach.bid[rows], reach.cell[rows]
    cells, place = np.unique(cell, return_inverse=True)
    wanted = reach.worth[rows] > NO_ARC
    worth = np.where(wanted, reach.worth[rows] * np.where(wanted, run, 0), -FAR)
    margin = worth[:, None, :] - _cheapest_windows(audit, prices, cells=cells, run=run)[place]
    shuns = np.flatnonzero(demand.carbon[bid])
    margin[shuns] -= _windows(reach.terms.carbon_of(bid[shuns], reach.cells.emits[cell[shuns]]), run)[:, :, None]
    start = np.arange(margin.shape[1])
    first = demand.first[bid] + reach.cells.delay[cell]
    margin[(start < first[:, None]) | (start + run > demand.end[bid, None])] = 0
    return np.asarray(margin)


def _windows(values: Ints, run: int) -> Ints:
    """Sums over `run` slots in a row along the second axis, by their first slot."""
    summed = np.concatenate([np.zeros_like(values[:, :1]), np.cumsum(values, axis=1)], axis=1)
    windows: Ints = summed[:, run:] - summed[:, :-run]
    return windows


def _cheapest_windows(audit: Audit, prices: Ints, *, cells: Ints, run: int) -> Ints:
    """The least that `run` slots in a row cost in one pool of each cell, (n, T − run + 1, 3); FAR where none sells throughout."""
    on_sale = audit.stock.on_sale
    cost = _windows(np.where(on_sale, prices, 0), run)
    cost[_windows(on_sale.astype(np.int64), run) < run] = FAR
    start, pool = audit.reach.cells.start, audit.reach.cells.pool
    return np.stack([cost[pool[start[cell] : start[cell + 1]]].min(axis=0) for cell in cells.tolist()])


def best_work(audit: Audit, cheapest: Ints) -> int:
    """At least what the bids for work could gain in all, at the cells' cheapest prices (C, T, 3).

    A bid takes at most `width` in each slot and `most` parts of reference hours in all. For any value v ≥ 0 of a reference
    hour it gains at most v·most + Σ width · max(0, margin − v·factor) over its slots' best arcs; the least over v is what it
    could gain in fractions (linear programming duality). v is sought in whole micros, so the bound holds and is a hair loose.
    """
    demand, reach = audit.demand, audit.reach
    found = 0
    for low, high in reach.chunks():
        bids = low + np.flatnonzero(demand.work[low:high])
        rows = np.concatenate(
            [np.arange(reach.row_of[bid], reach.row_of[bid + 1]) for bid in bids.tolist()] or [np.empty(0, dtype=np.int64)]
        )
        if len(rows):
            found += _least_of_duals(audit, rows, margins=reach.margins(rows, cheapest).max(axis=2))
    return found


def _least_of_duals(audit: Audit, rows: Ints, *, margins: Ints) -> int:
    """Σ over the bids of some rows of the least over v of v·most + Σ width · max(0, margin − v·factor); margins are (n, T)."""
    demand, reach = audit.demand, audit.reach
    bids, begins = np.unique(reach.bid[rows], return_index=True)
    factor = demand.factors[demand.kind[reach.bid[rows]], reach.cells.hardware[reach.cell[rows]]]
    most, width, unit = demand.most[bids], demand.width[bids], demand.factor_unit

    def duals(value: Ints) -> list[int]:
        spent = np.asarray(times(value.repeat(np.diff(np.r_[begins, len(rows)])), factor) // unit, dtype=np.int64)
        gains = np.maximum.reduceat(np.where(margins > NO_ARC, margins - spent[:, None], 0), begins, axis=0)
        slots = np.maximum(gains, 0).sum(axis=1)
        # ⌈v·most ÷ unit⌉: what the parts of an hour are worth, rounded up so that the bound holds.
        return [-(-v * m // unit) + w * s for v, m, w, s in zip(value.tolist(), most.tolist(), width.tolist(), slots.tolist(), strict=True)]

    dearest = np.maximum.reduceat(floored(times(np.maximum(margins.max(axis=1), 0), unit), factor), begins)
    low, high = np.zeros(len(bids), dtype=np.int64), dearest + 1
    least = duals(low)
    for _ in range(int(high.max()).bit_length()):
        middle = (low + high) // 2
        here, beyond = duals(middle), duals(middle + 1)
        least = [min(three) for three in zip(least, here, beyond, strict=True)]
        rises = np.array([b >= a for a, b in zip(here, beyond, strict=True)], dtype=np.bool_)
        low, high = np.where(rises, low, middle + 1), np.where(rises, middle, high)
    return sum(least)
