"""Exact arithmetic on arrays of whole numbers: int64 where the result must fit, Python's own integers where it might not.

NumPy wraps around in silence. Every product that enters an amount goes through here: its size is bounded first, and what
could pass 2^62 is worked out in whole numbers of any size. A result that does not fit int64 in the end is an OverflowError.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64] | npt.NDArray[np.object_]

SAFE = 2**62


def times(values: Whole | int, others: Whole | int) -> Whole:
    """The product, of a type that holds it."""
    left, right = np.asarray(values), np.asarray(others)
    if _most(left) * _most(right) < SAFE:
        product: Ints = left.astype(np.int64) * right.astype(np.int64)
        return product
    wide: npt.NDArray[np.object_] = left.astype(np.object_) * right.astype(np.object_)
    return wide


def floored(values: Whole, divisors: Whole | int) -> Ints:
    """⌊value ÷ divisor⌋, divisors above 0. Raises OverflowError when a quotient passes int64."""
    if isinstance(divisors, int) and divisors >= SAFE:  # not an int64
        values = np.asarray(values, dtype=np.object_)
    return _narrow(values // divisors)


def ceiled(values: Whole, divisors: Whole | int) -> Ints:
    """⌈value ÷ divisor⌉, divisors above 0. Raises OverflowError when a quotient passes int64."""
    return -floored(-values, divisors)


def halves_up(values: Whole, ratio: Fraction) -> Ints:
    """value × ratio to the nearest whole, an exact half going up; a ratio above 0. Raises OverflowError as `floored`."""
    return floored(_plus(times(values, 2 * ratio.numerator), ratio.denominator), 2 * ratio.denominator)


def total(values: Whole) -> int:
    """The sum, whatever its size."""
    if values.dtype == np.object_:
        return sum(values.reshape(-1).tolist())
    flat = values.astype(np.int64).reshape(-1)
    # Halves of 32 bits: 2^31 of them add up without leaving int64.
    return (int((flat >> 32).sum()) << 32) + int((flat & 0xFFFFFFFF).sum())


def gathered(values: Ints, places: Ints, *, size: int) -> Ints:
    """Sums of values by place, (size,). Raises OverflowError when the absolute values together could pass int64."""
    if values.size and _most(values) * values.size >= SAFE:
        wide = np.zeros(size, dtype=np.object_)
        np.add.at(wide, places, values.astype(np.object_))
        return _narrow(wide)
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, places, values)
    return sums


def parts(numbers: Sequence[Fraction]) -> tuple[Whole, int]:
    """Fractions over their least common denominator: numerators and that one denominator."""
    denominator = lcm(*(number.denominator for number in numbers)) if numbers else 1
    numerators = [number.numerator * (denominator // number.denominator) for number in numbers]
    if all(abs(numerator) < SAFE for numerator in numerators):
        return np.array(numerators, dtype=np.int64), denominator
    return np.array(numerators, dtype=np.object_), denominator


def ratios(numerators: Ints, denominator: int, *, times_by: Fraction) -> npt.NDArray[np.float64]:
    """numerator × times_by ÷ denominator as the nearest float, each rounded once."""
    ratio = times_by / denominator
    if _most(numerators) * ratio.numerator < 2**53 and ratio.denominator < 2**53:
        near: npt.NDArray[np.float64] = (numerators * ratio.numerator) / np.int64(ratio.denominator)
        return near
    return np.array([float(number * ratio) for number in numerators.tolist()], dtype=np.float64)


def _most(values: npt.NDArray[np.int64] | npt.NDArray[np.object_]) -> int:
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0


def _plus(values: Whole, more: int) -> Whole:
    if values.dtype == np.object_ or more >= SAFE // 2:
        wide: npt.NDArray[np.object_] = values.astype(np.object_) + more
        return wide
    near: Ints = values + np.int64(more)
    return near


def _narrow(values: Whole) -> Ints:
    """The same as int64; NumPy itself raises OverflowError for what does not fit."""
    return np.asarray(values).astype(np.int64)
