"""Integer money: micro-units of a currency, and the only rounding in the house.

Amounts and rates are integers of micros (a millionth of the currency unit); a rate is per
accelerator-hour. Every rounding goes through `half_up`, once, on the final product, in exact
integer arithmetic; splits go through `largest_remainder`, so that parts always add up to the whole.
Rules: half up towards +∞ on the exact half, as in commercial invoices.
"""

from collections.abc import Sequence
from fractions import Fraction

MICROS = 1_000_000
MICROS_PER_CENT = 10_000
BASIS_POINTS = 10_000
INT64_MAX = 2**63 - 1


def half_up(numerator: int | Fraction, denominator: int = 1) -> int:
    """numerator ÷ denominator to the nearest integer, an exact half going up.

    >>> half_up(5, 2), half_up(-5, 2), half_up(7, 3)
    (3, -2, 2)
    """
    ratio = Fraction(numerator) / denominator
    return (2 * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` into integers that add up to it.

    Every part gets the floor of its share; the units left go to the largest remainders, of equal
    remainders to the earlier part (sort by the tie rule before you call). All weights zero: the
    first part takes everything. Raises ValueError without parts or for a negative weight.
    """
    if not weights or min(weights) < 0:
        raise ValueError(f"weights must be given and not negative, were {list(weights)}")
    whole = sum(weights)
    if whole == 0:
        return [total, *([0] * (len(weights) - 1))]
    shares = [divmod(total * weight, whole) for weight in weights]
    left = total - sum(floor for floor, _ in shares)
    order = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    lucky = set(order[:left])
    return [floor + (i in lucky) for i, (floor, _) in enumerate(shares)]


def fits_int64(amount: int) -> bool:
    """Whether an amount survives a database column or a Parquet file unchanged."""
    return -INT64_MAX - 1 <= amount <= INT64_MAX


def micros_text(micros: int, *, places: int = 6) -> str:
    """An amount in currency units with a fixed number of decimals: 1_234_567 → `1.234567`.

    Fewer than six places are rounded half up.
    """
    unit = half_up(micros, 10 ** (6 - places))
    sign = "-" if unit < 0 else ""
    whole, part = divmod(abs(unit), 10**places)
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"
