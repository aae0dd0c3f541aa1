"""A compiled book as the arrays of a linear programme, written out in full: what any solver can be given.

    maximise    value · x      0 ≤ x ≤ most
    such that   A x ≤ room

The columns are every arc of the flexible bids, then every step of supply; the rows those of the clearing problem that could
bind. Groups of equal bids stay one, so do offers of a pool at one rate: a rival starts from what compiling has already spared.
"""

from pathlib import Path

import msgspec
import numpy as np
import scipy.sparse as sp

from pricing.arrays import SPOT, Floats, Ints
from pricing.network import Network

MICROS_PER_KG = 1_000_000


class Programme(msgspec.Struct, frozen=True, eq=False):
    """value, most (n,), room (m,) and A (m, n); micros per slot-hour and accelerators. The first `arcs` columns are arcs."""

    value: Floats
    most: Floats
    room: Floats
    matrix: sp.csr_matrix
    arcs: int


class Arcs(msgspec.Struct, frozen=True, eq=False):
    """Every arc (N,): its pair, slot and tier, and its worth in micros, carbon taken off."""

    pair: Ints
    slot: Ints
    tier: Ints
    worth: Ints


def every_arc(network: Network) -> Arcs:
    """The arcs of the flexible bids, slot by slot."""
    found = [_arcs_of_slot(network, slot) for slot in range(network.cheapest.shape[1])]
    return Arcs(*(np.concatenate([getattr(part, name) for part in found]) for name in Arcs.__struct_fields__))


def programme(network: Network) -> Programme:
    """The whole book as one programme."""
    arcs = every_arc(network)
    pools, slots = network.cheapest.shape
    count, steps = len(arcs.pair), len(network.rate)
    group, pool = network.group[arcs.pair].astype(np.int64), network.pool[arcs.pair].astype(np.int64)
    place, cell, column = pool * slots + arcs.slot, group * slots + arcs.slot, np.arange(count)
    steps_of = np.repeat(np.arange(pools * slots), np.diff(network.step))
    width, units, limits = network.size * network.width, network.size * network.units, network.limits.reshape(-1, 3)
    offered = np.bincount(steps_of, weights=network.quantity, minlength=pools * slots)
    window = np.bincount(np.unique(cell) // slots, minlength=len(width))
    in_slot = (network.units > network.width)[group]
    in_all = (network.units < network.width * window)[group] | ~in_slot
    keys = [np.concatenate([place, steps_of]), cell[in_slot], group[in_all]]
    columns = [np.arange(count + steps), column[in_slot], column[in_all]]
    rooms = [np.zeros(pools * slots), np.repeat(width, slots), units]
    for tier in range(SPOT):
        binding = (arcs.tier <= tier) & (limits[place, tier] < offered[place])
        keys, columns, rooms = [*keys, place[binding]], [*columns, column[binding]], [*rooms, limits[:, tier]]
    matrix, room = _rows(keys, columns, rooms=rooms)
    matrix.data[matrix.indices >= count] = -1.0
    return Programme(
        value=np.concatenate([arcs.worth, -network.rate]).astype(np.float64),
        most=np.concatenate([np.minimum(width[group], limits[place, arcs.tier]), network.quantity]).astype(np.float64),
        room=room,
        matrix=matrix,
        arcs=count,
    )


def save(programme: Programme, path: Path) -> None:
    """Write a programme where a process without this code can read it."""
    matrix = programme.matrix
    np.savez(
        path,
        value=programme.value,
        most=programme.most,
        room=programme.room,
        data=matrix.data,
        indices=matrix.indices,
        indptr=matrix.indptr,
    )


def load(path: Path) -> Programme:
    """Read what `save` wrote; `arcs` counts all columns, since the file does not tell them apart."""
    with np.load(path) as held:
        shape = (len(held["room"]), len(held["value"]))
        matrix = sp.csr_matrix((held["data"], held["indices"], held["indptr"]), shape=shape)
        return Programme(held["value"], held["most"], held["room"], matrix, shape[1])


def _arcs_of_slot(network: Network, slot: int) -> Arcs:
    group, pool = network.group, network.pool
    pair = np.flatnonzero((network.first <= slot) & (slot < network.end[group]) & network.flexible[group])
    at = pool[pair]
    carbon = -(-network.carbon[group[pair]] * network.grams[at, slot] // MICROS_PER_KG)
    net = network.worth[pair] - carbon[:, None]
    row, tier = np.nonzero((net >= network.cheapest[at, slot][:, None]) & (network.limits[at, slot] > 0))
    return Arcs(pair=pair[row], slot=np.full(len(row), slot), tier=tier, worth=net[row, tier])


def _rows(keys: list[Ints], columns: list[Ints], *, rooms: list[Floats]) -> tuple[sp.csr_matrix, Floats]:
    """One row for every key of a family that some column has: entries of 1, and the room of each row."""
    row, room, height = [], [], 0
    for key, rooms_of in zip(keys, rooms, strict=True):
        used, at = np.unique(key, return_inverse=True)
        row.append(at + height)
        room.append(rooms_of[used].astype(np.float64))
        height += len(used)
    rows, held = np.concatenate(row), np.concatenate(columns)
    width = int(held.max(initial=-1)) + 1
    return sp.csr_matrix((np.ones(len(rows)), (rows, held)), shape=(height, width)), np.concatenate(room)
