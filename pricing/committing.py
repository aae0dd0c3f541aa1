"""Blocks in a book too large for branch and bound: price, commit blocks at the prices, clear the flexible bids again, price anew.

The first prices let blocks be split like any bid: a relaxation, so they prove a bound. At those prices blocks are packed:
where flexible bids compete for a pool an accelerator costs a block what they would give for it, elsewhere what it costs. What the
blocks leave is cleared again, and the toll moves half way to its prices for the next packing. The best answer met is kept, and the
least of all bounds met; prices are those of the least bound, the nearest to the convex hull's that were seen.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from pricing.arrays import NEVER, Bools, Ints
from pricing.auction import Indication
from pricing.auction_proof import exact_sum, taken, welfare_bound
from pricing.blocks import Columns
from pricing.convex import Progress, best_of
from pricing.integers import after_blocks
from pricing.mixed import Placement
from pricing.packing import pack
from pricing.problem import CompiledBook
from pricing.residual import PriceRange

ROUNDS = 3
# Columns of a group that the packing looks at: those that gain most at the prices.
LOOKED_AT = 40

Flexible = Callable[[CompiledBook], Indication]


class _Priced(msgspec.Struct, frozen=True, eq=False):
    """Tier prices (3, P, T), and the welfare per slot-hour that no awards exceed by them."""

    price: Ints
    bound: int


def place_by_rounds(compiled: CompiledBook, columns: Columns, *, count: Ints, flexible: Flexible, tell: Progress) -> Placement:
    """Blocks and flexible bids when each group has `count` bids (G,), approximately: how near is stated by the bound.

    columns    every column of the book that fits
    flexible   clears the flexible groups of a book's network, as an auction or the exact finish does. Raises what it raises
    """
    network = compiled.network._replace(size=count)
    split = msgspec.structs.replace(compiled, network=network._replace(run=np.zeros_like(network.run)))
    answer = flexible(split)
    fitting = np.flatnonzero(count[columns.group] > 0)
    least = _prove(compiled, columns, count=count, price=answer.price)
    toll, contested = answer.price, _contested(compiled, answer)
    found: tuple[int, Placement] | None = None
    for number in range(1, ROUNDS + 1):
        looked = fitting[best_of(columns.group[fitting], _surplus(columns.some(fitting), toll), most=LOOKED_AT)]
        blocks = np.zeros(len(columns.group), dtype=np.int64)
        blocks[looked] = pack(network, columns.some(looked), count=count, toll=toll, contested=contested)
        after = after_blocks(compiled, columns, blocks=blocks)
        after = msgspec.structs.replace(after, network=after.network._replace(size=count))
        answer = flexible(after)
        there = after.network.limits.transpose(2, 0, 1) > 0
        toll = (toll + np.where(there, answer.price, toll)) // 2
        contested = _contested(compiled, answer)
        least = min(least, _prove(compiled, columns, count=count, price=toll), key=lambda priced: priced.bound)
        welfare = answer.welfare + _gain(compiled, columns, blocks=blocks)
        short = (least.bound - welfare) / max(1, least.bound)
        tell(f"round {number}: {int(blocks.sum())} of {int(count[network.run > 0].sum())} blocks run, within {short:.4%}")
        if found is None or welfare > found[0]:
            ends = PriceRange(low=least.price, high=least.price)
            found = welfare, Placement(columns, blocks, after, answer.flow, ends, bound=least.bound, approximate=True)
    assert found is not None
    return msgspec.structs.replace(found[1], ends=PriceRange(low=least.price, high=least.price), bound=least.bound)


def _prove(compiled: CompiledBook, columns: Columns, *, count: Ints, price: Ints) -> _Priced:
    """The bound that tier prices give: flexible bids, rents and premiums, and of every block its best column."""
    network = compiled.network
    there = network.limits.transpose(2, 0, 1) > 0
    asked = np.where(there, np.maximum(price, network.cheapest), NEVER)
    best = np.zeros(len(count), dtype=np.int64)
    np.maximum.at(best, columns.group, _surplus(columns, np.where(there, asked, 0)) * columns.width)
    return _Priced(np.where(there, asked, network.cheapest), welfare_bound(network._replace(size=count), asked) + int((best * count).sum()))


def _surplus(columns: Columns, price: Ints) -> Ints:
    """What an accelerator of each column (K,) is worth above tier prices (3, P, T)."""
    surplus: Ints = columns.worth - columns.over_runs(price)
    return surplus


def _contested(compiled: CompiledBook, answer: Indication) -> Bools:
    """(P, T) where flexible bids hold something."""
    network, flow = compiled.network, answer.flow
    held = np.zeros(network.cheapest.shape, dtype=bool)
    own = network.run[network.group[flow.pair]] == 0
    held[network.pool[flow.pair[own]], flow.slot[own]] = True
    return held


def _gain(compiled: CompiledBook, columns: Columns, *, blocks: Ints) -> int:
    """Worth of the running blocks less the cheapest supply for them, micros per slot-hour."""
    network = compiled.network
    running = columns.taken(blocks, shape=network.cheapest.shape).sum(axis=0).ravel()
    return int((blocks * columns.width * columns.worth).sum()) - exact_sum(network.rate, taken(network, running))
