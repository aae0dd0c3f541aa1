"""Arithmetic by the column equals the house's one rounding, at any size."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.errors import BadInput
from contracts.terms.money import fits_int64, half_up, largest_remainder
from pricing.exactly import half_up_product, product_floor, quotients, shares_of, total_by

sizes = st.integers(0, 1 << 20) | st.integers(0, 1 << 62)
pairs = st.lists(st.tuples(sizes, sizes), max_size=6)
hours = st.fractions(min_value=Fraction(1, 10**9), max_value=1000, max_denominator=10**12)


def _column(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(pairs, hours)
def test_products_are_rounded_as_money_is(rows: list[tuple[int, int]], times: Fraction):
    exact = [half_up(left * right * times) for left, right in rows]
    left, right = _column([row[0] for row in rows]), _column([row[1] for row in rows])
    if all(map(fits_int64, exact)):
        assert half_up_product(left, right, times=times).tolist() == exact
    else:
        with pytest.raises(BadInput, match="beyond what a column can hold"):
            half_up_product(left, right, times=times)


@given(pairs, st.integers(1, 10**9))
def test_quotients_of_products_are_rounded_down(rows: list[tuple[int, int]], divisor: int):
    exact = [left * right // divisor for left, right in rows]
    left, right = _column([row[0] for row in rows]), _column([row[1] for row in rows])
    if all(map(fits_int64, exact)):
        assert product_floor(left, right, divisor=divisor).tolist() == exact
    else:
        with pytest.raises(BadInput, match="beyond what a column can hold"):
            product_floor(left, right, divisor=divisor)


@given(st.lists(st.tuples(sizes, st.lists(st.integers(1, 1 << 40), min_size=1, max_size=5)), max_size=5))
def test_shares_are_those_of_the_largest_remainder(places: list[tuple[int, list[int]]]):
    exact = [part for total, weights in places for part in largest_remainder(total, weights)]
    place = _column([number for number, (_, weights) in enumerate(places) for _ in weights])
    weight = _column([weight for _, weights in places for weight in weights])
    assert shares_of(_column([total for total, _ in places]), place=place, weight=weight).tolist() == exact


@given(st.lists(st.integers(0, 1 << 62), max_size=5), hours)
def test_quotients_are_the_nearest_floats(values: list[int], times: Fraction):
    assert quotients(_column(values), times=times).tolist() == [float(value * times) for value in values]


def test_a_sum_no_column_can_hold_is_refused():
    assert total_by(_column([1, 1, 0]), _column([2, 3, 4]), places=3).tolist() == [4, 5, 0]
    with pytest.raises(BadInput, match="add up to more"):
        total_by(_column([0, 0]), _column([1 << 62, 1 << 62]), places=1)
