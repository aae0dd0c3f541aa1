"""One pass over the offers of a book: who meets every demand, who fails in one alone, and the first of each in order.

What is demanded of cells comes decided, as bits; here the two demands that offers meet one by one are added, number and budget. The
pass is compiled where a book is large. A small one is read by the same function as plain Python, which costs less than to compile it
and knows no greatest integer: so is a large one whose figures could leave int64.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pricing.compiled import kernel

SMALL = 2_000
ROOM = 1 << 62
# Floats are surer than this: what is beyond the edge by more is beyond it exactly.
MARGIN = 1e-6


class Offers(NamedTuple):
    """The offers by the cell, in each cell in order of id.

    start           (C + 1,) where the offers of each cell begin; the next cell's beginning is their end
    row             (O,) an offer's place in order of id
    rate, quantity  (O,) micros an accelerator-hour, accelerators
    """

    start: Any
    row: Any
    rate: Any
    quantity: Any


class Terms(NamedTuple):
    """What a search makes of each cell (C,), or of each kind of cell (K,).

    failed               (C,) bits of the demands its offers do not meet; negative: they are not shown
    kind                 (C,) the kind of the cell
    limit                (K,) the greatest rate within the budget
    above, moved, below  (K,) all-in cost in micros a reference hour is (rate × above + moved) ÷ below, half up; 0 where unknown
    slope, base          (K,) the same as floats, near enough: rate × slope + base
    """

    failed: Any
    kind: Any
    limit: Any
    above: Any
    moved: Any
    below: Any
    slope: Any
    base: Any


class Asked(NamedTuple):
    """What is asked of offers one by one.

    quantity      the least number; `number` is which demand this is
    budget        which demand the limits of kinds are
    sort          what those found are in order of: 0 all-in cost, 1 rate, 2 number, the most first
    least, place  what is found comes after this key, or at it from this row on
    """

    quantity: int
    number: int
    budget: int
    sort: int
    least: int
    place: int


class Sifted(NamedTuple):
    """What a pass fills in. D demands; list d is of the offers that fail in demand d alone, list D of those that meet all.

    out          (D,) offers that fail in each demand
    alone        (D + 1,) offers that belong into each list
    passed       (C,) offers of a cell that meet what is asked one by one
    width, kept  (D + 1,) how long a list may be, and how long it is; list D is of those behind the cursor only
    keys, rows   (D + 1, W) the least keys of each list, and their offers; of equal keys those of the lesser id
    """

    out: Any
    alone: Any
    passed: Any
    width: Any
    kept: Any
    keys: Any
    rows: Any


def room(demands: int, cells: int, *, page: int, examples: int) -> Sifted:
    """Nothing sifted yet: so many demands and cells, a page of so many offers, so many examples."""
    lists = (demands + 1, max(page, examples))
    figures = np.zeros((4, demands + 1), dtype=np.int64)
    figures[2] = examples
    figures[2, demands] = page
    keys, rows = np.zeros((2, *lists), dtype=np.int64)
    return Sifted(figures[0, :demands], figures[1], np.zeros(cells, dtype=np.int64), figures[2], figures[3], keys, rows)


def sift(offers: Offers, terms: Terms, *, asked: Asked, into: Sifted, rate_max: int) -> Sifted:
    """What a pass finds, filled into room for it. Rates are at most `rate_max`."""
    if len(offers.row) > SMALL and fits(terms, asked, rate_max=rate_max):
        _compiled(offers, terms, asked, into)
        return into
    exact = into._replace(keys=into.keys.astype(object))
    _sift(Offers(*_plain(offers)), Terms(*_plain(terms)), asked, exact)
    return exact


def fits(terms: Terms, asked: Asked, *, rate_max: int) -> bool:
    """Whether every number of a pass stays within int64, whatever the rates."""
    if abs(asked.least) > ROOM:
        return False
    for above, moved, below in set(zip(*_plain((terms.above, terms.moved, terms.below)), strict=True)):
        if rate_max * above + moved >= ROOM // 4 * below or 2 * (above + 1) * below + 2 * moved + below >= ROOM:
            return False
    return True


def _plain(columns: Sequence[Any]) -> list[list[Any]]:
    return [column.tolist() for column in columns]


@kernel(plain=True)
def _count(offers: Offers, cell: int, terms: Terms, asked: Asked, into: Sifted) -> None:
    """Count the offers of a cell by demand."""
    begin, end = offers.start[cell], offers.start[cell + 1]
    rates, quantities = offers.rate[begin:end], offers.quantity[begin:end]
    failed, limit, least = terms.failed[cell], terms.limit[terms.kind[cell]], asked.quantity
    few = dear = both = 0
    for place in range(len(rates)):
        is_few, is_dear = quantities[place] < least, rates[place] > limit
        few += is_few
        dear += is_dear
        both += is_few & is_dear
    into.out[asked.number] += few
    into.out[asked.budget] += dear
    into.passed[cell] = end - begin - few - dear + both
    for demand in range(len(into.out)):
        if failed >> demand & 1:
            into.out[demand] += end - begin


@kernel(plain=True)
def _keep(which: int, key: int, row: int, into: Sifted) -> None:
    """Put an offer in its place of a list, unless that is full of lesser ones; what is pushed over the end is dropped."""
    place = into.kept[which]
    if place == into.width[which]:
        place -= 1
        edge = into.keys[which, place]
        if key > edge or (key == edge and row > into.rows[which, place]):
            return
    into.kept[which] = place + 1
    while place and (into.keys[which, place - 1] > key or (into.keys[which, place - 1] == key and into.rows[which, place - 1] > row)):
        into.keys[which, place] = into.keys[which, place - 1]
        into.rows[which, place] = into.rows[which, place - 1]
        place -= 1
    into.keys[which, place] = key
    into.rows[which, place] = row


@kernel(plain=True)
def _sift(offers: Offers, terms: Terms, asked: Asked, into: Sifted) -> None:
    """One pass, cell by cell. Offers of a cell that fails in several demands are counted; others are looked at one by one.

    A rate is taken as whole × below + rest: whole × above is exact as it is, and (rest × above + moved) ÷ below stays small.
    """
    last, least = len(into.out), asked.quantity
    near = np.empty(len(offers.row), dtype=np.int64)
    for cell in range(len(terms.failed)):
        failed, kind = terms.failed[cell], terms.kind[cell]
        if failed < 0:
            continue
        _count(offers, cell, terms, asked, into)
        if failed & (failed - 1):
            continue
        of_cell = 0 if failed else last
        while failed >> of_cell > 1:
            of_cell += 1
        begin, end, one = offers.start[cell], offers.start[cell + 1], failed > 0
        rates, quantities, rows = offers.rate[begin:end], offers.quantity[begin:end], offers.row[begin:end]
        limit, slope, base = terms.limit[kind], terms.slope[kind], terms.base[kind]
        above, moved, below = terms.above[kind], terms.moved[kind], terms.below[kind]
        count = 0
        for place in range(len(rates)):  # without a branch, which no processor would guess
            near[count] = place
            count += one + (quantities[place] < least) + (rates[place] > limit) <= 1
        for each in range(count):
            place = near[each]
            rate, few = rates[place], quantities[place] < least
            which = asked.number if few else asked.budget if rate > limit else of_cell
            into.alone[which] += 1
            full = into.kept[which] == into.width[which]
            edge = into.keys[which, into.width[which] - 1]
            if which == last and asked.sort:
                key = rate if asked.sort == 1 else -quantities[place]
            elif full and rate * slope + base > edge + 1 + abs(edge) * MARGIN:
                continue
            else:
                key = rate // below * above + (2 * (rate % below * above + moved) + below) // (2 * below)
            if which < last or key > asked.least or (key == asked.least and rows[place] >= asked.place):
                _keep(which, key, rows[place], into)


_compiled = kernel(_sift)


def be_compiled() -> None:
    """Compile the pass, or load what was compiled: seconds, once in an installation, that no search should take."""
    nothing = np.zeros(0, dtype=np.int64)
    ratios = np.zeros(0, dtype=np.float64)
    offers = Offers(np.zeros(1, dtype=np.int64), nothing, nothing, nothing)
    terms = Terms(nothing, nothing, nothing, nothing, nothing, nothing, ratios, ratios)
    _compiled(offers, terms, Asked(1, 0, 0, 0, 0, 0), room(1, 0, page=1, examples=1))
