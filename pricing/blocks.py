"""Block bids as columns: every pool, tier and first slot in which a block may run, all or nothing.

A column takes `width` accelerators of its pool in each slot of its run, at one tier. It exists where every
clause holds in every slot of the run and its worth, over the whole run, reaches the pool's lowest rates. Whether the pool
is wide enough is a matter of supply, not of the block: the integer problem decides it.
"""

import msgspec
import numpy as np

from pricing.arcs import read_cells
from pricing.arrays import Bools, Ints
from pricing.demand import Demand
from pricing.eligibility import Eligibility
from pricing.pools import Supply
from pricing.worth import Worth


class Columns(msgspec.Struct, frozen=True, eq=False):
    """The K columns, in order of group, first slot, pool and tier.

    group, first, pool, tier   (K,)
    run, width                 (K,) slots, and accelerators in each of them
    worth                      (K,) Σ worth over the run, micros per accelerator-hour
    """

    group: Ints
    first: Ints
    pool: Ints
    tier: Ints
    run: Ints
    width: Ints
    worth: Ints

    def over_runs(self, table: Ints) -> Ints:
        """What the run of each column adds up to in a table (3, P, T): (K,)."""
        total = np.zeros((*table.shape[:2], table.shape[2] + 1), dtype=np.int64)
        np.cumsum(table, axis=2, out=total[:, :, 1:])
        summed: Ints = total[self.tier, self.pool, self.first + self.run] - total[self.tier, self.pool, self.first]
        return summed

    def fit(self, limits: Ints) -> Bools:
        """Whether the tier limits (P, T, 3) leave a column its width in every slot of its run: (K,)."""
        room = np.minimum.accumulate(limits[..., ::-1], axis=2)[..., ::-1].transpose(2, 0, 1)
        fits = np.ones(len(self.group), dtype=bool)
        for wide in np.unique(self.width):
            mine = self.width == wide
            fits[mine] = (self.over_runs((room >= wide).astype(np.int64)) == self.run)[mine]
        return fits


def find_columns(supply: Supply, demand: Demand, *, worth: Worth, eligibility: Eligibility) -> Columns:
    """Every column of the book."""
    nothing: Ints = np.empty(0, dtype=np.int64)
    found = [(nothing,) * 5]
    for group in np.flatnonzero(demand.run):
        cells = read_cells(supply, worth, eligibility=eligibility, groups=np.array([group]))
        run = int(demand.run[group])
        if run > supply.offered.shape[1]:
            continue
        cheapest = np.where(supply.offered > 0, supply.cheapest, 0).T[..., None]
        gain = _window_sums(np.where(cells.allowed[0], cells.worth[0] - cheapest, 0), run)
        value = _window_sums(np.where(cells.allowed[0], cells.worth[0], 0), run)
        whole = _window_sums(cells.allowed[0].astype(np.int64), run) == run
        first, pool, tier = np.nonzero(whole & (gain >= 0))
        found.append((np.full(len(first), group), first, pool, tier, value[first, pool, tier]))
    group_, first_, pool_, tier_, worth_ = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Columns(group_, first_, pool_, tier_, run=demand.run[group_], width=demand.width[group_], worth=worth_)


def _window_sums(table: Ints, run: int) -> Ints:
    """Sums over `run` slots from each first slot: (T, P, 3) → (T − run + 1, P, 3)."""
    total = np.zeros((table.shape[0] + 1, *table.shape[1:]), dtype=np.int64)
    np.cumsum(table, axis=0, out=total[1:])
    sums: Ints = total[run:] - total[:-run]
    return sums
