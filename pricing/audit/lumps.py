"""Best responses of bids that do not simply fill slot after slot: blocks, which run whole, and work, which counts reference hours."""

import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.reach import FAR, NO_ARC, ROWS_AT_ONCE
from pricing.audit.whole import Ints, times

STEPS = 64


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
    """Σ over the bids of some rows of the least over v of v·most + Σ width · max(0, margin − v·factor); margins are (n, T).

    v is sought in floats, where the slope turns; the sum is then taken exactly at the whole micros on either side.
    """
    demand, reach = audit.demand, audit.reach
    bids, begins = np.unique(reach.bid[rows], return_index=True)
    row_of = np.repeat(np.arange(len(bids)), np.diff(np.r_[begins, len(rows)]))
    factor = demand.factors[demand.kind[reach.bid[rows]], reach.cells.hardware[reach.cell[rows]]]
    margins = np.where(margins > NO_ARC, margins, 0)
    share, most = np.maximum(factor, 1) / demand.factor_unit, demand.most[bids] / demand.factor_unit
    low = np.zeros(len(bids))
    high = np.maximum.reduceat(margins.max(axis=1) / share, begins) + 1
    for _ in range(STEPS):
        middle = (low + high) / 2
        net = margins - (middle[row_of] * share)[:, None]
        best = np.maximum.reduceat(net, begins, axis=0)
        # What falls as v rises: the reference hours of the slots' best arcs, where those still gain.
        takes = np.maximum.reduceat(np.where((net == best[row_of]) & (net > 0), share[:, None], 0), begins, axis=0).sum(axis=1)
        falls = demand.width[bids] * takes > most
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    below = np.maximum(np.floor(high), 0).astype(np.int64)  # v is no less than 0, also where every arc would lose
    sides = (
        _duals(audit, bids, value=value, terms=(margins, factor, row_of, begins)) for value in (np.maximum(below - 1, 0), below, below + 1)
    )
    return sum(min(three) for three in zip(*sides, strict=True))


def _duals(audit: Audit, bids: Ints, *, value: Ints, terms: tuple[Ints, Ints, Ints, Ints]) -> list[int]:
    """v·most + Σ width · max(0, margin − v·factor) of each bid at its v, rounded up to a micro.

    terms   margins (n, T) and factor (n,) of the rows, the bid each row is of, the first row of each bid
    """
    margins, factor, row_of, begins = terms
    demand = audit.demand
    spent = np.asarray(times(value[row_of], factor) // demand.factor_unit, dtype=np.int64)
    gains = np.maximum(np.maximum.reduceat(margins - spent[:, None], begins, axis=0), 0).sum(axis=1)
    hours = (-(-v * most // demand.factor_unit) for v, most in zip(value.tolist(), demand.most[bids].tolist(), strict=True))
    return [hour + width * gain for hour, width, gain in zip(hours, demand.width[bids].tolist(), gains.tolist(), strict=True)]
