"""A good whole answer for many blocks, found by packing: fill, then take some out and fill again, over and over.

Branch and bound alone starts from nothing on some hundred blocks. Here blocks are laid down by worth per accelerator, each
at its best column; then a few neighbours in one pool and time are taken out and laid down again in another order, and the
change is kept when it gains, or early on when it loses little (annealing). Orders come from a fixed sequence of numbers,
the same in every run; nothing here is believed: what it finds is where branch and bound begins.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pricing.arrays import NEVER, Bools, Floats, Ints
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


class Packing(NamedTuple):
    """What runs where. Between turns `used` is what the columns in `at` take, and every running block is in its pool's chain once.

    used            (P·T, 3) accelerators, by tier
    at              (B,) the column each block runs, −1 where none
    head            (P,) the first block of a pool's chain, −1 where none
    after, before   (B,) the next one and the last, −1 at the ends
    """

    used: Ints
    at: Ints
    head: Ints
    after: Ints
    before: Ints


class Turn(NamedTuple):
    """Room for the blocks of one turn, the first of them as they are drawn.

    out     (B,) the blocks taken up
    was     (B,) by block, the column it ran before
    key     (B,) who is laid down first, least first
    last    (B,) by block, the turn it was last taken up in
    """

    out: Ints
    was: Ints
    key: Floats
    last: Ints


@kernel
def _anneal(choices: Choices, goods: Goods, turns: int, slots: int) -> Ints:
    """The column each block runs (B,), −1 where none."""
    blocks, pools = len(choices.group), goods.limits.shape[0] // slots
    none = np.full(blocks, -1)
    packing = Packing(np.zeros_like(goods.limits), none.copy(), np.full(pools, -1), none.copy(), none.copy())
    turn = Turn(none.copy(), none.copy(), np.zeros(blocks), none.copy())
    density = _density(choices, goods, packing.used)
    worthy = np.flatnonzero(density > 0)
    gained = _fill(choices, goods, packing, density, slots)
    best, kept = gained, packing.at.copy()
    heat = gained / max(1, (kept >= 0).sum()) / HEAT
    sequence = np.array([SEED], dtype=np.uint64)
    for number in range(turns if len(worthy) else 0):
        chosen = worthy[_draw(sequence, len(worthy))]
        n = _take_up(choices, packing, turn, sequence, (number, chosen, slots))
        running = n
        for _ in range(LOOKS):
            b = worthy[_draw(sequence, len(worthy))]
            if packing.at[b] < 0 and turn.last[b] != number and n < running + NEWCOMERS:
                n = _note(turn, b, n, number)
        change = _lay_anew(choices, goods, packing, (turn.out[:n], turn.was, turn.key[:n], density), sequence)
        warm = heat * (1.0 / COOLED) ** (number / turns)
        if change >= warm * np.log(_share(sequence) + 1e-300):
            gained += change
            _move(choices, packing, turn.out[:n], turn.was, slots)
        else:
            _take_back(choices, packing, turn.out[:n], turn.was)
        if gained > best and number % KEEP_EVERY == 0:
            best = gained
            kept[:] = packing.at
    return packing.at if gained > best else kept


@kernel
def _density(choices: Choices, goods: Goods, used: Ints) -> Floats:
    """What each block gains at its best column where nothing else runs, per accelerator and slot (B,); 0 where nothing gains."""
    density = np.zeros(len(choices.group))
    for b in range(len(density)):
        g = choices.group[b]
        density[b] = _best(choices, goods, used, b, -1)[0] / (choices.width[g] * choices.run[g])
    return density


@kernel
def _fill(choices: Choices, goods: Goods, packing: Packing, density: Floats, slots: int) -> int:
    """Lay down the blocks that gain, the densest first, each at its best column; returns what they gain."""
    gained = 0
    for b in np.argsort(-density)[: (density > 0).sum()]:
        value, column = _best(choices, goods, packing.used, b, -1)
        if column >= 0:
            _lay(choices, packing.used, column, choices.group[b], 1)
            packing.at[b] = column
            gained += value
            _chain(packing.head, packing.after, packing.before, b, choices.place[column] // slots)
    return gained


@kernel
def _take_up(choices: Choices, packing: Packing, turn: Turn, sequence: Sequence, about: tuple[int, int, int]) -> int:
    """Note a block and some that run near a few of its columns; returns how many. About (the turn's number, the block, T)."""
    number, chosen, slots = about
    n, g = 0, choices.group[chosen]
    many = choices.start[g + 1] - choices.start[g]
    for _ in range(1 + _draw(sequence, POOLS)):
        column = choices.start[g] + _draw(sequence, many)
        first, left = choices.place[column] % slots, 1 + _draw(sequence, NEIGHBOURS)
        b = packing.head[choices.place[column] // slots]
        while b >= 0 and left > 0:
            own = choices.place[packing.at[b]] % slots
            if turn.last[b] != number and own < first + choices.run[g] and own + choices.run[choices.group[b]] > first:
                n = _note(turn, b, n, number)
                left -= 1
            b = packing.after[b]
    return _note(turn, chosen, n, number) if turn.last[chosen] != number else n


@kernel
def _note(turn: Turn, block: int, n: int, number: int) -> int:
    """Note a block as the next one of a turn; returns how many there are now."""
    turn.last[block] = number
    turn.out[n] = block
    return n + 1


@kernel
def _lay_anew(choices: Choices, goods: Goods, packing: Packing, turned: tuple[Ints, Ints, Floats, Floats], sequence: Sequence) -> int:
    """Take blocks out and lay them down in another order, each at its best column; returns what that gains. Chains stay as they were."""
    out, was, key, density = turned
    change, order = 0, _draw(sequence, 4)
    for i in range(len(out)):
        b = out[i]
        was[b] = packing.at[b]
        key[i] = _turn_key(choices, b, density[b], order) * (0.8 + 0.4 * _share(sequence))
        if was[b] >= 0:
            _lay(choices, packing.used, was[b], choices.group[b], -1)
            change -= _best(choices, goods, packing.used, b, was[b])[0]
    for i in np.argsort(key):
        b = out[i]
        value, packing.at[b] = _best(choices, goods, packing.used, b, -1)
        if packing.at[b] >= 0:
            change += value
            _lay(choices, packing.used, packing.at[b], choices.group[b], 1)
    return change


@kernel
def _move(choices: Choices, packing: Packing, out: Ints, was: Ints, slots: int) -> None:
    """Bring the chains to where the blocks taken out now run."""
    for b in out:
        if was[b] >= 0:
            _unchain(packing.head, packing.after, packing.before, b, choices.place[was[b]] // slots)
        if packing.at[b] >= 0:
            _chain(packing.head, packing.after, packing.before, b, choices.place[packing.at[b]] // slots)


@kernel
def _take_back(choices: Choices, packing: Packing, out: Ints, was: Ints) -> None:
    """Let the blocks taken out run where they did."""
    for b in out:
        if packing.at[b] >= 0:
            _lay(choices, packing.used, packing.at[b], choices.group[b], -1)
        if was[b] >= 0:
            _lay(choices, packing.used, was[b], choices.group[b], 1)
        packing.at[b] = was[b]


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
