"""Two queues laid along each other: whole quantities of one cut to fit the pieces of the other, place by place."""

import numpy as np

from pricing.arrays import Ints


def lay_along(place: Ints, quantity: Ints, *, stock_place: Ints, stock: Ints) -> tuple[Ints, Ints, Ints]:
    """Cut each wanted quantity (n,) from the stock (m,) of its place, both in the order given: row, stock row, part (k,).

    Both are sorted by place, and a place has at least what is wanted there. The parts come in order of place, then of both queues.

    >>> row, stock_row, part = lay_along(np.array([0, 0]), np.array([3, 2]), stock_place=np.array([0, 0]), stock=np.array([4, 9]))
    >>> row.tolist(), stock_row.tolist(), part.tolist()
    ([0, 1, 1], [0, 0, 1], [3, 1, 1])
    """
    if not len(place):
        return place, place, quantity
    ends = np.cumsum(quantity)
    opens = np.flatnonzero(np.diff(place, prepend=place[0] - 1))
    begin = (ends - quantity)[opens]
    finish = np.append(begin[1:], ends[-1])
    where = np.minimum(np.searchsorted(place[opens], stock_place), len(opens) - 1)
    wanted = np.flatnonzero(place[opens][where] == stock_place)
    where, offered = where[wanted], stock[wanted]
    stock_ends = np.minimum(begin[where] + _running(where, offered), finish[where])
    cuts = np.sort(np.concatenate([ends, stock_ends]), kind="stable")
    part = np.diff(cuts, prepend=0)
    cuts, part = cuts[part > 0], part[part > 0]
    at = cuts - part
    return np.searchsorted(ends, at, side="right"), wanted[np.searchsorted(stock_ends, at, side="right")], part


def rank_within(place: Ints) -> Ints:
    """The number of each row (n,) among those of its place, 0 first; rows of a place stand together."""
    return _running(place, np.ones(len(place), dtype=np.int64)) - 1


def _running(place: Ints, quantity: Ints) -> Ints:
    """The sum (n,) of the quantities up to each row, of its place only; rows of a place stand together."""
    total = np.cumsum(quantity)
    opens = np.flatnonzero(np.diff(place, prepend=place[:1] - 1))
    before = (total - quantity)[opens]
    return total - np.repeat(before, np.diff(np.append(opens, len(place))))
