"""Two queues laid along each other, against one accelerator at a time."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pricing.laying import lay_along, rank_within

Queue = list[tuple[int, int]]
queues = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=12)


def _columns(queue: Queue) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array(column, dtype=np.int64) for column in zip(*queue, strict=True)) if queue else (np.empty(0, np.int64),) * 2  # type: ignore[return-value]


@given(queues, queues)
def test_parts_are_those_of_one_accelerator_at_a_time(wanted: Queue, stock: Queue):
    wanted, stock = sorted(wanted, key=lambda row: row[0]), sorted(stock, key=lambda row: row[0])
    short: dict[int, int] = defaultdict(int)
    for place, quantity in wanted:
        short[place] += quantity
    for place, quantity in stock:
        short[place] -= quantity
    stock = sorted([*stock, *((place, more) for place, more in short.items() if more > 0)], key=lambda row: row[0])
    shelves = {place: [row for row, (there, much) in enumerate(stock) if there == place for _ in range(much)] for place in range(5)}
    one_by_one: dict[tuple[int, int], int] = defaultdict(int)
    for row, (place, quantity) in enumerate(wanted):
        for _ in range(quantity):
            one_by_one[row, shelves[place].pop(0)] += 1
    places, quantities = _columns(wanted)
    stock_place, held = _columns(stock)
    found = lay_along(places, quantities, stock_place=stock_place, stock=held)
    assert {(row, shelf): part for row, shelf, part in zip(*(column.tolist() for column in found), strict=True)} == one_by_one


def test_rows_are_numbered_within_their_place():
    assert rank_within(np.array([7, 7, 3, 3, 3, 9])).tolist() == [0, 1, 0, 1, 2, 0]
    assert rank_within(np.empty(0, dtype=np.int64)).tolist() == []
