"""Whom a price would make lose, what makes them whole, and who leaves when the fund cannot pay.

With blocks the prices support the relaxation, not the whole awards, so a winner may be priced above its worth and an
offer below its rate. Without blocks nobody is, and everything here is nothing.
"""

import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.errors import ClearingFailed
from pricing.arrays import Bools, Ints
from pricing.demand import Demand


def total_uplift(result: Clearing) -> int:
    """Micros due from the fund, to bids and to offers."""
    return int(result.outcomes["uplift_micros"].sum()) + int(result.receipts["uplift_micros"].sum())


def costliest_lump(demand: Demand, uplifts: Ints, *, out: Bools) -> int:
    """The block, or bid by work, to take out of the book: that of greatest own uplift, of equals the latest entered, then the greatest id.

    uplifts   (B,) micros due to each bid, in order of id; refused ones count, with nothing
    out       (B,) bids taken out already
    """
    lumps = np.flatnonzero(((demand.run > 0) | demand.work)[demand.group_of] & ~out)
    if not len(lumps):
        raise ClearingFailed("uplift is due without a block or work to take out", status="no blocks")
    return int(lumps[np.lexsort((demand.turn[lumps], uplifts[lumps]))[-1]])
