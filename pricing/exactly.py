"""Products and quotients of whole numbers by the column, exact whatever their size.

What stays below 2^62 is worked out in int64; the few rows that might not are worked out one by one in Python's
integers, so that a large order is never refused, nor wrong, for the sake of speed.
"""

from fractions import Fraction

import numpy as np

from contracts.terms.errors import BadInput
from contracts.terms.money import fits_int64
from pricing.arrays import Ints

SAFE = float(1 << 61)


def product_floor(left: Ints, right: Ints, *, divisor: int) -> Ints:
    """⌊left·right ÷ divisor⌋ of equal shapes; divisor positive. Raises BadInput for a result no column can hold."""
    large = np.abs(left.astype(np.float64)) * np.abs(right.astype(np.float64)) > SAFE
    found: Ints = np.where(large, 0, left) * right // divisor
    for place in np.flatnonzero(large):
        found.flat[place] = _held(int(left.flat[place]) * int(right.flat[place]) // divisor)
    return found


def half_up_product(left: Ints, right: Ints, *, times: Fraction) -> Ints:
    """left·right·times to the nearest whole number, an exact half going up. Raises BadInput as `product_floor`.

    half_up(n ÷ d) = ⌊(2n + d) ÷ 2d⌋, the one rounding of `money.half_up`.
    """
    numerator, denominator = times.numerator, times.denominator
    size = np.abs(left.astype(np.float64)) * np.abs(right.astype(np.float64)) * 2 * abs(numerator) + denominator
    large = size > SAFE
    plain = max(abs(numerator), denominator) < 1 << 30
    product = np.where(large, 0, left) * right
    found: Ints = (2 * numerator * product + denominator) // (2 * denominator) if plain else np.zeros_like(product)
    for place in np.flatnonzero(large | (not plain)):
        whole = int(left.flat[place]) * int(right.flat[place]) * numerator
        found.flat[place] = _held((2 * whole + denominator) // (2 * denominator))
    return found


def _held(number: int) -> int:
    if not fits_int64(number):
        raise BadInput("an amount is beyond what a column can hold", found=number, would_do="quantities or rates a thousand times smaller")
    return number
