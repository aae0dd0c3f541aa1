"""Block bids as columns: every pool, tier and first slot in which a block may run, all or nothing.

A column takes `width` accelerators of its pool in each slot of its run, at one tier. It exists where every
clause holds in every slot of the run and its worth, over the whole run, reaches the pool's lowest rates. Whether the pool
is wide enough is a matter of supply, not of the block: the integer problem decides it.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from pricing.arrays import NEVER, Bools, Ints
from pricing.network import Network
from pricing.worth import carbon_cost

CELLS_AT_ONCE = 4_000_000


class Columns(msgspec.Struct, frozen=True, eq=False):
    """The K columns, in order of group, first slot, pool and tier.

    pair, group, first, pool, tier   (K,) the pair is that of group and pool in the network
    run, width                       (K,) slots, and accelerators in each of them
    worth                            (K,) Σ worth over the run, micros per accelerator-hour
    """

    pair: Ints
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

    def taken(self, blocks: Ints, *, shape: tuple[int, int]) -> Ints:
        """Accelerators by tier, pool and slot when so many blocks run each column (K,): (3, P, T) for a `shape` of (P, T)."""
        change = np.zeros((3, shape[0], shape[1] + 1), dtype=np.int64)
        where, wide = (self.tier, self.pool), blocks * self.width
        np.add.at(change, (*where, self.first), wide)
        np.subtract.at(change, (*where, self.first + self.run), wide)
        running: Ints = np.cumsum(change, axis=2)[:, :, :-1]
        return running

    def some(self, which: Ints | Bools) -> "Columns":
        """Those at some positions, or where a mask holds."""
        return Columns(*(getattr(self, name)[which] for name in self.__struct_fields__))


def find_columns(network: Network, *, fitting: bool = False) -> Columns:
    """Every column of the book, or only those whose width the tier limits leave, a few pairs at a time so that memory stays in bounds."""
    parts = list(_chunks(network, fitting=fitting))
    columns = Columns(*(np.concatenate([getattr(part, name) for part in parts]) for name in Columns.__struct_fields__))
    return columns.some(np.lexsort((columns.tier, columns.pool, columns.first, columns.group)))


def admitted(network: Network, price: Ints) -> Bools:
    """Whether some column of each group (G,) is worth more than tier prices (3, P, T) ask over its run."""
    found = np.zeros(len(network.run), dtype=bool)
    for columns in _chunks(network, fitting=False):
        found[columns.group[columns.worth > columns.over_runs(price)]] = True
    return found


def _chunks(network: Network, *, fitting: bool) -> Iterator[Columns]:
    """The columns of some pairs after others, in no order to speak of; at least one chunk."""
    slots = network.limits.shape[1]
    pairs = np.flatnonzero((network.run > 0)[network.group] & (network.run <= slots)[network.group])
    step = max(1, CELLS_AT_ONCE // (slots * 3))
    for start in range(0, max(1, len(pairs)), step):
        columns = _some_columns(network, pairs[start : start + step])
        yield columns.some(columns.fit(network.limits)) if fitting else columns


def _some_columns(network: Network, pairs: Ints) -> Columns:
    """The columns of some pairs."""
    pool, group = network.pool[pairs], network.group[pairs]
    slots = network.limits.shape[1]
    hour, run = np.arange(slots), network.run[group]
    window = (hour >= network.first[pairs][:, None]) & (hour < network.end[group][:, None])
    wanted = network.worth[pairs]
    there = window[..., None] & (network.limits[pool] > 0) & (wanted > -NEVER)[:, None, :]
    net = wanted[:, None, :] - carbon_cost(network.carbon[group][:, None], network.grams[pool])[..., None]
    value = np.where(there, net, 0)
    gain = np.where(there, value - network.cheapest[pool][..., None], 0)
    end = hour + run[:, None]
    inside, end = end <= slots, np.minimum(end, slots)
    whole = inside[..., None] & (_run_sums(there.astype(np.int64), end) == run[:, None, None])
    row, first, tier = np.nonzero(whole & (_run_sums(gain, end) >= 0))
    own = group[row].astype(np.int64)
    return Columns(
        pair=pairs[row],
        group=own,
        first=first.astype(np.int64),
        pool=pool[row].astype(np.int64),
        tier=tier.astype(np.int64),
        run=network.run[own],
        width=network.width[own],
        worth=_run_sums(value, end)[row, first, tier],
    )


def _run_sums(table: Ints, end: Ints) -> Ints:
    """Sums (n, T, 3) of a table (n, T, 3) over first ≤ t < end, for each first slot and its end (n, T)."""
    total = np.zeros((table.shape[0], table.shape[1] + 1, table.shape[2]), dtype=np.int64)
    np.cumsum(table, axis=1, out=total[:, 1:])
    sums: Ints = np.take_along_axis(total, end[..., None], axis=1) - total[:, :-1]
    return sums
