"""The array types of pricing, and the one number that stands for "no bound".

Everything exact is int64. Rates, worths and prices are micros per accelerator-hour; quantities are
whole accelerators in one slot. `NEVER` is larger than any price and small enough that a price may be
added to it, or two of it compared, without leaving int64.
"""

import numpy as np
import numpy.typing as npt

from contracts.terms.errors import BadInput

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

NEVER = 1 << 60
PRICE_MAX = 1 << 50

GUARANTEED, STANDARD, SPOT = 0, 1, 2


def within_range(micros: int, *, what: str) -> int:
    """The same rate or worth, if the exact arithmetic can hold it. Raises BadInput beyond ±2^50 micros.

    2^50 micros per accelerator-hour is over a thousand million currency units: a slip of the pen, and
    the largest size at which floating-point starts (the solver) still find whole micros.
    """
    if abs(micros) > PRICE_MAX:
        raise BadInput(f"{what} is beyond what can be cleared", found=micros, would_do=f"at most {PRICE_MAX} micros")
    return micros
