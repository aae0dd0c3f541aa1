"""The only rounding in the house, and its splits."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.money import half_up, largest_remainder, micros_text

amounts = st.integers(-(10**24), 10**24)
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


@pytest.mark.parametrize(("numerator", "denominator", "rounded"), [(5, 2, 3), (-5, 2, -2), (7, 3, 2), (-7, 3, -2), (1, 2, 1), (-1, 2, 0)])
def test_an_exact_half_goes_up(numerator: int, denominator: int, rounded: int):
    assert half_up(numerator, denominator) == rounded


@given(amounts, st.integers(1, 10**12))
def test_rounding_is_never_more_than_half_off(numerator: int, denominator: int):
    off = half_up(numerator, denominator) - Fraction(numerator, denominator)
    assert Fraction(-1, 2) < off <= Fraction(1, 2)


@given(amounts, weights)
def test_parts_always_add_up_to_the_whole(total: int, parts: list[int]):
    assert sum(largest_remainder(total, parts)) == total


@given(amounts, weights)
def test_no_part_is_a_unit_away_from_its_share(total: int, parts: list[int]):
    whole = sum(parts)
    if whole:
        shares = [Fraction(total * part, whole) for part in parts]
        assert all(abs(got - share) < 1 for got, share in zip(largest_remainder(total, parts), shares, strict=True))


def test_units_left_over_go_to_the_largest_remainders():
    """100 over 1:1:1 leaves one unit, which the first takes; 10 over 6:3:2 is 5.45, 2.73, 1.82."""
    assert largest_remainder(100, [1, 1, 1]) == [34, 33, 33]
    assert largest_remainder(10, [6, 3, 2]) == [5, 3, 2]


@pytest.mark.parametrize("bad", [[], [1, -1]])
def test_weights_must_be_given_and_not_negative(bad: list[int]):
    with pytest.raises(ValueError, match="weights"):
        largest_remainder(1, bad)


@pytest.mark.parametrize(
    ("micros", "places", "text"),
    [
        (1_234_567, 6, "1.234567"),
        (-1_234_567, 2, "-1.23"),
        (5_000, 2, "0.01"),
        (4_999, 2, "0.00"),
        (-4_999, 2, "0.00"),
        (2_500_000, 0, "3"),
    ],
)
def test_amounts_are_written_with_fixed_places(micros: int, places: int, text: str):
    assert micros_text(micros, places=places) == text
