"""Products and quotients of whole numbers by the column, exact whatever their size.

What stays below 2^62 is worked out in int64; the few rows that might not are worked out one by one in Python's
integers, so that a large order is never refused, nor wrong, for the sake of speed.
"""

from fractions import Fraction

import numpy as np

from contracts.terms.errors import BadInput
from contracts.terms.money import fits_int64, largest_remainder
from pricing.arrays import Floats, Ints
from pricing.laying import rank_within

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


def total_by(place: Ints, values: Ints, *, places: int) -> Ints:
    """The values (n,) added up by place, (places,). Raises BadInput for a sum no column can hold."""
    if float(np.abs(values.astype(np.float64)).sum()) > SAFE:
        raise BadInput("amounts add up to more than a column can hold", would_do="quantities or rates a thousand times smaller")
    total = np.zeros(places, dtype=np.int64)
    np.add.at(total, place, values)
    return total


def quotients(values: Ints, *, times: Fraction) -> Floats:
    """Each value times a fraction as the nearest float, as `float(Fraction)` has it."""
    kinds, number = np.unique(values, return_inverse=True)
    nearest = [int(kind) * times.numerator / times.denominator for kind in kinds]
    return np.array(nearest, dtype=np.float64)[number]


def shares_of(total: Ints, *, place: Ints, weight: Ints) -> Ints:
    """Each place's total split by largest remainder among the rows of it (n,): the columnar reading of `money.largest_remainder`.

    Rows of a place stand together, and of equal remainders the earlier row takes the odd unit. Weights positive, totals not negative.
    """
    if not len(place):
        return place
    opens = np.flatnonzero(np.diff(place, prepend=place[0] - 1))
    length = np.diff(np.append(opens, len(place)))
    amount, whole = total[place[opens]], np.add.reduceat(weight, opens)
    large = amount.astype(np.float64) * whole > SAFE
    product = np.repeat(np.where(large, 0, amount), length) * weight
    share, remainder = np.divmod(product, np.repeat(whole, length))
    left = np.repeat(np.where(large, 0, amount) - np.add.reduceat(share, opens), length)
    order = np.lexsort((np.arange(len(place)), -remainder, place))
    share[order] += rank_within(place) < left[order]
    for begin, many, wanted in zip(opens[large].tolist(), length[large].tolist(), amount[large].tolist(), strict=True):
        share[begin : begin + many] = largest_remainder(wanted, weight[begin : begin + many].tolist())
    return share
