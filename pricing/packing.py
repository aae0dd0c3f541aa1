"""A good whole answer for many blocks, found by packing: fill, then take some out and fill again, over and over.

Branch and bound alone starts from nothing on some hundred blocks. Here blocks are laid down by worth per accelerator, each
at its best column; then a few neighbours in one pool and time are taken out and laid down again in another order, and the
change is kept when it gains, or early on when it loses little (annealing). Orders come from a fixed sequence of numbers,
the same in every run; nothing here is believed: what it finds is where branch and bound begins.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pricing.arrays import NEVER, Bools, Ints
from pricing.blocks import Columns
from pricing.compiled import kernel
from pricing.network import Network

Sequence = npt.NDArray[np.uint64]

# Turns a block: where blocks compete with each other alone; where flexible bids set what a place costs, and neighbours matter less.
TURNS_EACH, TURNS_TOLLED = 500, 20
TURNS_MOST = 1_000_000
# Taken out around one pool and time, at most; pools looked at; refused blocks that may come in instead, and how often one is looked for.
NEIGHBOURS = 20
POOLS = 3
NEWCOMERS, LOOKS = 15, 60
# The loss taken with even odds at first is about this part of what a block is worth; at the end a hundredth of that.
HEAT = 5
COOLED = 100
KEEP_EVERY = 256
SEED = 88172645463325252


class Choices(NamedTuple):
    """The columns of the blocks, by group of equal blocks, and the blocks: B of them, each a copy of a group.

    start        (G + 1,) the columns of a group
    place        (K,) pool·T + first slot
    tier         (K,)
    value        (K,) worth of the whole block, micros per slot-hour
    run, width   (G,)
    group        (B,)
    """

    start: Ints
    place: Ints
    tier: Ints
    value: Ints
    run: Ints
    width: Ints
    group: Ints


class Goods(NamedTuple):
    """What is for sale: tier limits (P·T, 3) nested as in the network, and steps of supply by place, rate ascending."""

    limits: Ints
    step: Ints
    rate: Ints
    quantity: Ints


def pack(network: Network, columns: Columns, *, count: Ints, toll: Ints | None = None, contested: Bools | None = None) -> Ints:
    """How many blocks run each column (K,), all of which fit together; every column must fit alone.

    count       (G,) blocks of each group
    toll        (3, P, T) tier prices at which others would take what the blocks leave; nothing where none are given
    contested   (P, T) where others do
    """
    slots = network.limits.shape[1]
    value, rate = columns.width * columns.worth, network.rate
    if toll is not None and contested is not None:
        spot = np.where(contested, toll[2], 0)
        value = value - columns.width * columns.over_runs(np.where(contested, toll - toll[2], 0))
        rate = np.maximum(rate, np.repeat(spot.ravel(), np.diff(network.step)))
    some = np.flatnonzero(count * (network.run > 0))
    choices = Choices(
        start=np.searchsorted(columns.group, np.arange(len(count) + 1)),
        place=columns.pool * slots + columns.first,
        tier=columns.tier,
        value=value,
        run=network.run,
        width=network.width,
        group=np.repeat(some, count[some]),
    )
    nested = np.minimum.accumulate(network.limits[..., ::-1], axis=2)[..., ::-1]
    goods = Goods(np.ascontiguousarray(nested.reshape(-1, 3)), network.step, rate, network.quantity)
    turns = min(TURNS_MOST, (TURNS_EACH if toll is None else TURNS_TOLLED) * len(choices.group))
    at = _anneal(choices, goods, turns, slots)
    return np.bincount(at[at >= 0], minlength=len(columns.group))


@kernel
def _anneal(choices: Choices, goods: Goods, turns: int, slots: int) -> Ints:
    """The column each block runs (B,), −1 where none.

    Between turns `used` is what the columns in `at` take, `gained` their value less its cost, and every running block is in
    the chain of its pool (after[p] … by `after`, `before`, −1 at the ends) once.
    """
    blocks = len(choices.group)
    used = np.zeros_like(goods.limits)
    at, kept, density = np.full(blocks, -1), np.full(blocks, -1), np.zeros(blocks)
    head = np.full(goods.limits.shape[0] // slots, -1)
    after, before = np.full(blocks, -1), np.full(blocks, -1)
    willing, most = np.zeros(blocks, dtype=np.bool_), 0
    for b in range(blocks):
        value, _ = _best(choices, goods, used, b, -1)
        g = choices.group[b]
        density[b] = value / (choices.width[g] * choices.run[g])
        willing[b] = value > 0
        most += willing[b]
    gained, worthy = 0, np.flatnonzero(willing)
    for b in np.argsort(-density)[:most]:
        value, column = _best(choices, goods, used, b, -1)
        if column >= 0:
            _lay(choices, used, column, choices.group[b], 1)
            at[b] = column
            gained += value
            _chain(head, after, before, b, choices.place[column] // slots)
    kept[:] = at
    best, heat = gained, gained / max(1, (at >= 0).sum()) / HEAT
    sequence = np.array([SEED], dtype=np.uint64)
    out, was, key = np.zeros(blocks, dtype=np.int64), np.full(blocks, -1), np.zeros(blocks)
    turn_of = np.full(blocks, -1)
    for turn in range(turns if most else 0):
        chosen = worthy[_draw(sequence, most)]
        n = 0
        g = choices.group[chosen]
        many = choices.start[g + 1] - choices.start[g]
        for _ in range(1 + _draw(sequence, POOLS)):
            column = choices.start[g] + _draw(sequence, many)
            first, left = choices.place[column] % slots, 1 + _draw(sequence, NEIGHBOURS)
            b = head[choices.place[column] // slots]
            while b >= 0 and left > 0:
                own = choices.place[at[b]] % slots
                if turn_of[b] != turn and own < first + choices.run[g] and own + choices.run[choices.group[b]] > first:
                    turn_of[b] = turn
                    out[n] = b
                    n += 1
                    left -= 1
                b = after[b]
        if turn_of[chosen] != turn:
            turn_of[chosen] = turn
            out[n] = chosen
            n += 1
        running = n
        for _ in range(LOOKS):
            b = worthy[_draw(sequence, most)]
            if at[b] < 0 and turn_of[b] != turn and n < running + NEWCOMERS:
                turn_of[b] = turn
                out[n] = b
                n += 1
        change, order = 0, _draw(sequence, 4)
        for i in range(n):
            b = out[i]
            was[b] = at[b]
            key[i] = _turn_key(choices, b, density[b], order) * (0.8 + 0.4 * _share(sequence))
            if at[b] >= 0:
                _lay(choices, used, at[b], choices.group[b], -1)
                change -= _best(choices, goods, used, b, at[b])[0]
        for i in np.argsort(key[:n]):
            b = out[i]
            value, at[b] = _best(choices, goods, used, b, -1)
            if at[b] >= 0:
                change += value
                _lay(choices, used, at[b], choices.group[b], 1)
        warm = heat * (1.0 / COOLED) ** (turn / turns)
        if change >= warm * np.log(_share(sequence) + 1e-300):
            gained += change
            for i in range(n):
                b = out[i]
                if was[b] >= 0:
                    _unchain(head, after, before, b, choices.place[was[b]] // slots)
                if at[b] >= 0:
                    _chain(head, after, before, b, choices.place[at[b]] // slots)
        else:
            for i in range(n):
                if at[out[i]] >= 0:
                    _lay(choices, used, at[out[i]], choices.group[out[i]], -1)
            for i in range(n):
                at[out[i]] = was[out[i]]
                if at[out[i]] >= 0:
                    _lay(choices, used, at[out[i]], choices.group[out[i]], 1)
        if gained > best and turn % KEEP_EVERY == 0:
            best = gained
            kept[:] = at
    return at if gained > best else kept


@kernel
def _best(choices: Choices, goods: Goods, used: Ints, block: int, only: int) -> tuple[int, int]:
    """What a block gains at its best column beside what is used, and the column; 0 and −1 where nothing gains. Of equals the first.

    only   the one column to look at, whatever it gains; −1 for all. Arrays are named once: handing them on costs more than the sums
    """
    group = choices.group[block]
    width, run, value, places, tiers = choices.width[group], choices.run[group], choices.value, choices.place, choices.tier
    limits, steps, rate, quantity = goods.limits, goods.step, goods.rate, goods.quantity
    begin, end, best, chosen = choices.start[group], choices.start[group + 1], 0, -1
    if only >= 0:
        begin, end, best = only, only + 1, -NEVER
    for column in range(begin, end):
        gain = value[column]
        for where in range(places[column], places[column] + run):
            for worse in range(tiers[column], 3):
                if used[where, worse] + width > limits[where, worse]:
                    gain = -NEVER
            if gain <= best:
                break
            taken, wanted, step = used[where, 2], width, steps[where]
            while wanted > 0:
                part = max(0, min(wanted, quantity[step] - taken))
                gain -= part * rate[step]
                wanted -= part
                taken = max(0, taken - quantity[step])
                step += 1
        if gain > best:
            best, chosen = gain, column
    return best, chosen


@kernel
def _lay(choices: Choices, used: Ints, column: int, group: int, sign: int) -> None:
    """Lay a block down on a column, or take it out (sign −1)."""
    for where in range(choices.place[column], choices.place[column] + choices.run[group]):
        for worse in range(choices.tier[column], 3):
            used[where, worse] += sign * choices.width[group]


@kernel
def _turn_key(choices: Choices, block: int, density: float, order: int) -> float:
    """Who is laid down first, least first: by worth per accelerator, by worth, by width, or as it comes."""
    group = choices.group[block]
    if order == 0:
        return -density
    if order == 1:
        return -float(density * choices.width[group] * choices.run[group])
    return -float(choices.width[group]) if order == 2 else -1.0


@kernel
def _chain(head: Ints, after: Ints, before: Ints, block: int, pool: int) -> None:
    """Put a block at the head of its pool's chain."""
    after[block], before[block] = head[pool], -1
    if head[pool] >= 0:
        before[head[pool]] = block
    head[pool] = block


@kernel
def _unchain(head: Ints, after: Ints, before: Ints, block: int, pool: int) -> None:
    """Take a block out of its pool's chain."""
    if before[block] >= 0:
        after[before[block]] = after[block]
    else:
        head[pool] = after[block]
    if after[block] >= 0:
        before[after[block]] = before[block]


@kernel
def _draw(sequence: Sequence, below: int) -> int:
    """The next number of the sequence, below a bound."""
    x = sequence[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    sequence[0] = x
    return int(np.int64(x >> np.uint64(11)) % below)


@kernel
def _share(sequence: Sequence) -> float:
    """The next number of the sequence, from 0 to 1."""
    share: float = _draw(sequence, 1 << 53) / (1 << 53)
    return share
