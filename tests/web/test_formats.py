"""Numbers and times as the pages write them."""

import doctest
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import formats

MICROS = st.integers(-(10**15), 10**15)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(formats).failed == 0


@given(MICROS)
def test_a_written_rate_is_within_half_a_thousandth_of_the_micros(micros):
    read = Decimal(formats.rate(micros).replace(",", "").replace(formats.MINUS, "-"))
    assert abs(read * 1_000_000 - micros) <= 500


@given(MICROS)
def test_an_exact_amount_is_the_amount(micros):
    written = formats.exact(micros)
    assert Decimal(written.replace(",", "").replace(formats.MINUS, "-")) * 1_000_000 == micros
    assert len(written.partition(".")[2]) >= 2


@given(MICROS, MICROS)
def test_writing_keeps_the_order_of_rates(a, b):
    low, high = (Decimal(formats.rate(each).replace(",", "").replace(formats.MINUS, "-")) for each in sorted((a, b)))
    assert low <= high


@pytest.mark.parametrize("bps", [-1, -250, 1, 250, 0])
def test_a_change_shows_its_sign_in_words_not_only_in_colour(bps):
    assert formats.change(bps)[0] == ("+" if bps > 0 else formats.MINUS if bps < 0 else "0")
