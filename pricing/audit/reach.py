"""Every arc of a book without writing any down: what each bid could buy, pools it cannot tell apart but by price taken together.

A *cell* is the pools that a kind of bid may use and that are worth the same to it: one hardware class, one way for its
data, and, where it shuns carbon, one row of emissions. A bid's best arc in a slot and tier is then its worth less the
cheapest price of the cell. All arcs of 100,000 bids are read in a few hundred thousand rows of bid and cell, chunk by chunk.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from pricing.audit.clauses import Ruling, admitted
from pricing.audit.demand import NOT_WANTED, Demand
from pricing.audit.supply import SPOT, Stock
from pricing.audit.terms import Terms
from pricing.audit.whole import Bools, Ints

FAR = 2**60
NO_ARC = -(2**58)
ROWS_AT_ONCE = 1 << 15
CLOSE_BY = 1 << 15  # numbers of 8 bytes


class Cells(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """C cells. `pool` (N,) holds the pools of cell c in start[c] … start[c + 1] − 1.

    first_of   (E + 1,) the cells of asker e: a kind of bid, those that shun carbon apart
    hardware   (C,) column of the class
    emits      (C,) a pool of the cell: its carbon, and the way of the data to it, are those of all
    delay      (C,) slots until the data is there
    firm       (E,) whether any pool of an asker can carry more than spot
    """

    start: Ints
    pool: Ints
    first_of: Ints
    hardware: Ints
    emits: Ints
    delay: Ints
    firm: Bools

    def cheapest(self, prices: Ints, on_sale: Bools) -> Ints:
        """The lowest price (C, T, 3) among the pools that sell there; FAR where none does."""
        offered = np.where(on_sale, prices, FAR)
        least = np.full((len(self.hardware), *prices.shape[1:]), FAR, dtype=np.int64)
        for low in range(0, len(self.hardware), ROWS_AT_ONCE // 64):
            high = min(low + ROWS_AT_ONCE // 64, len(self.hardware))
            begin, end = self.start[low], self.start[high]
            least[low:high] = np.minimum.reduceat(offered[self.pool[begin:end]], self.start[low:high] - begin, axis=0)
        return least


class Reach(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """R rows of a bid and a cell, by bid, then cell.

    asker      (B,) the kind of the bid, twice, and 1 more where it shuns carbon
    row_of     (B + 1,) the rows of bid b are row_of[b] … row_of[b + 1] − 1
    bid, cell  (R,)
    worth      (R, 3) micros per accelerator-hour before carbon, −FAR where the tier is not wanted
    welcome    (B,) whether some pool meets the bid's standing clauses and could carry a tier it names, whatever slot and price
    """

    demand: Demand
    cells: Cells
    asker: Ints
    row_of: Ints
    bid: Ints
    cell: Ints
    worth: Ints
    terms: Terms
    welcome: Bools

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Runs of whole bids, first and last but one, of few rows each."""
        low, bids = 0, len(self.row_of) - 1
        while low < bids:
            high = int(np.searchsorted(self.row_of, self.row_of[low] + ROWS_AT_ONCE, side="right")) - 1
            yield low, max(low + 1, high)
            low = max(low + 1, high)

    def margins(self, rows: slice | Ints, cheapest: Ints) -> Ints:
        """Worth less the cheapest price of some rows, (n, T, 3); below NO_ARC where there is no arc."""
        found = self.worth[rows][:, None, :] - cheapest[self.cell[rows]]
        bid, cell = self.bid[rows], self.cell[rows]
        shuns = np.flatnonzero(self.demand.carbon[bid])
        found[shuns] -= self.terms.carbon_of(bid[shuns], self.cells.emits[cell[shuns]])[:, :, None]
        slot = np.arange(found.shape[1])
        first = self.demand.first[bid] + self.cells.delay[cell]
        found[(slot < first[:, None]) | (slot >= self.demand.end[bid, None])] = -FAR
        margins: Ints = found
        return margins

    def best_margins(self, cheapest: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Some bids (n,) at a time, and the best arc of each in each slot, (T, n); below NO_ARC where there is none.

        Bids of one asker go together, as many as a processor keeps close by: each cell then has one price a slot for all of
        them, and nothing is gathered. A bid without any cell comes in no part.
        """
        at_once = max(1, CLOSE_BY // max(1, cheapest.shape[1]))
        order = np.argsort(self.asker, kind="stable")
        begins = np.r_[0, np.cumsum(np.bincount(self.asker, minlength=len(self.cells.first_of) - 1))]
        for asker in np.flatnonzero(np.diff(self.cells.first_of)).tolist():
            end = int(begins[asker + 1])
            for low in range(int(begins[asker]), end, at_once):
                bids = order[low : min(low + at_once, end)]
                yield bids, self._best_of(asker, bids, cheapest=cheapest)

    def _best_of(self, asker: int, bids: Ints, *, cheapest: Ints) -> Ints:
        """The best arc of some bids of one asker in each slot, (T, n)."""
        demand, cells = self.demand, self.cells
        slot, first, end = np.arange(cheapest.shape[1])[:, None], demand.first[bids], demand.end[bids]
        best = np.full((len(slot), len(bids)), -FAR, dtype=np.int64)
        gain = np.empty_like(best)
        rows = self.row_of[bids]
        shuns = demand.carbon[bids].any()
        for place, cell in enumerate(range(cells.first_of[asker], cells.first_of[asker + 1])):
            worth, delay = self.worth[rows + place], cells.delay[cell]
            carbon = self.terms.carbon_of(bids, np.repeat(cells.emits[cell], len(bids))).T if shuns else None
            for tier in np.flatnonzero(worth.max(axis=0) > NO_ARC).tolist():
                np.subtract(worth[:, tier], cheapest[cell, :, tier, None], out=gain)
                if carbon is not None:
                    gain -= carbon
                if delay:
                    gain[slot < first + delay] = -FAR
                np.maximum(best, gain, out=best)
        best[(slot < first) | (slot >= end)] = -FAR
        return best


def find_reach(demand: Demand, stock: Stock, *, rulings: list[Ruling], terms: Terms) -> Reach:
    """Read which pools each kind of bid may use, and what each bid would give there."""
    heads = np.array([rows[0] for rows in stock.pools], dtype=np.int64)
    asker = demand.kind * 2 + (demand.carbon > 0)
    cells = _cells(demand, stock, askers=np.unique(asker), open_=admitted(rulings, heads), terms=terms)
    counts = np.diff(cells.first_of)[asker]
    row_of = np.r_[0, np.cumsum(counts)]
    bid = np.repeat(np.arange(len(demand.ids)), counts)
    cell = np.repeat(cells.first_of[asker] - row_of[:-1], counts) + np.arange(row_of[-1])
    wants_better = (demand.limits[:, :SPOT] != NOT_WANTED).any(axis=1)
    wanted = demand.limits[bid] != NOT_WANTED
    worth = terms.gross(bid, cells.hardware[cell]) - terms.transfer(bid, cells.emits[cell])[:, None]
    return Reach(
        demand=demand,
        cells=cells,
        asker=asker,
        row_of=row_of,
        bid=bid,
        cell=cell,
        worth=np.where(wanted, worth, -FAR),
        terms=terms,
        welcome=(counts > 0) & ((demand.limits[:, SPOT] != NOT_WANTED) | (wants_better & cells.firm[asker])),
    )


def _cells(demand: Demand, stock: Stock, *, askers: Ints, open_: Bools, terms: Terms) -> Cells:
    """The cells of each asker (kind · 2, and 1 more where carbon counts) that a bid is of; none for the others."""
    firm = np.array([offer.firm for offer in stock.heads], dtype=np.bool_)
    emission = np.unique(stock.carbon, axis=0, return_inverse=True)[1].reshape(-1) if len(firm) else np.empty(0, dtype=np.int64)
    place, pool = np.nonzero(open_[askers // 2])
    asker = askers[place]
    country = np.where(terms.moves[asker // 2], terms.country[pool], 0)
    keys = np.stack([asker, terms.hardware[pool], country, np.where(asker % 2, emission[pool], 0)])
    order = np.lexsort((pool, *keys[::-1]))
    keys, pool = keys[:, order], pool[order]
    begins = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)]) if len(pool) else np.empty(0, dtype=np.int64)
    emits = pool[begins]
    carries = np.zeros(2 * len(demand.kinds), dtype=np.bool_)
    carries[keys[0, firm[pool]]] = True
    return Cells(
        start=np.r_[begins, len(pool)],
        pool=pool,
        first_of=np.r_[0, np.cumsum(np.bincount(keys[0, begins], minlength=2 * len(demand.kinds)))],
        hardware=keys[1, begins],
        emits=emits,
        delay=terms.delay_of(keys[0, begins] // 2, emits),
        firm=carries,
    )
