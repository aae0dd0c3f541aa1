"""What a pool's power costs and emits, slot by slot (micros and milligrams per accelerator-hour)."""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import polars as pl

from contracts.terms.money import half_up
from pricing.arrays import Ints

WATT_HOURS_PER_MWH = 1_000_000


@lru_cache(maxsize=4096)
def exact(number: float) -> Fraction:
    """The decimal a float was written as, exactly: 0.1 is one tenth.

    >>> exact(1.2) * 350
    Fraction(420, 1)
    """
    return Fraction(repr(number))


def power_costs(pools: pl.DataFrame, zones: pl.DataFrame, *, slots: int) -> tuple[Ints, Ints]:
    """Energy surcharge (P, T) in micros and carbon (P, T) in milligrams, per accelerator-hour.

    half_up(watts·pue·price_micros_per_mwh ÷ 10⁶) and half_up(watts·pue·g_per_kwh): a watt running for an
    hour at a gram per kWh is a milligram. An unknown zone, slot or figure counts as nothing.
    """
    energy = np.zeros((pools.height, slots), dtype=np.int64)
    carbon = np.zeros((pools.height, slots), dtype=np.int64)
    facts = {(zone, slot): (price, grams) for zone, slot, price, grams, *_ in zones.iter_rows()}
    seen: dict[tuple[float, float, str], int] = {}
    for pool, draw in enumerate(pools.select("watts", "pue", "zone").iter_rows()):
        watts, pue, zone = draw
        first = seen.setdefault(draw, pool)
        if first != pool:
            energy[pool], carbon[pool] = energy[first], carbon[first]
            continue
        power = exact(watts) * exact(pue)
        for slot in range(slots):
            price, grams = facts.get((zone, slot), (None, None))
            energy[pool, slot] = half_up(power * price, WATT_HOURS_PER_MWH) if price is not None else 0
            carbon[pool, slot] = half_up(power * exact(grams)) if grams is not None else 0
    return energy, carbon
