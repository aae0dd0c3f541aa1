"""What an accelerator-hour is worth to a bid, in each pool and tier, all-in; and when it may start.

worth = ⌊limit·factor·10,000 ÷ (10,000 + fee_bps)⌋ − transfer − carbon, in micros per accelerator-hour.
Moving data costs ⌈data_tb·micros_per_tb ÷ hours⌉ and delays the first slot by the time on the wire.
"""

from fractions import Fraction
from math import ceil

import msgspec
import numpy as np

from contracts.terms.money import BASIS_POINTS
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import NEVER, Ints, within_range
from pricing.demand import PLACES, Demand
from pricing.energy import exact
from pricing.pools import Supply

GIGABITS_PER_TERABYTE = 8000
SECONDS_PER_HOUR = 3600


class Worth(msgspec.Struct, frozen=True, eq=False):
    """What a group would pay before carbon, what moving its data costs it, when it may begin.

    gross       (G, P, 3) micros by tier, fee taken off, −NEVER where the tier or the class is not wanted
    transfer    (G, P) micros per accelerator-hour
    first       (G, P) earliest slot; T where the data never arrives
    end         (G,) first slot too late
    carbon      (G,) micros the buyer would pay to avoid a kilogram
    """

    gross: Ints
    transfer: Ints
    first: Ints
    end: Ints
    carbon: Ints


def value(book: MarketBook, *, supply: Supply, demand: Demand) -> Worth:
    """Work out worths for every group and pool, eligible or not."""
    classes, class_of = np.unique(supply.pools["hardware"].to_numpy(), return_inverse=True)
    countries = list(dict.fromkeys(supply.pools["country"].to_list()))
    country_of = np.array([countries.index(country) for country in supply.pools["country"]], dtype=np.int64)
    transfer, delay = _moving(book, demand, countries=countries)
    slots = book.rules.slots
    carbon = demand.terms["carbon_micros_per_kg"].to_numpy().astype(np.int64)
    within_range(int(carbon.max(initial=0)) * int(supply.carbon.max(initial=0)), what="what avoiding carbon is worth")
    first = demand.terms["slot_first"].to_numpy()[:, None] + delay
    return Worth(
        gross=_gross(demand, list(classes), fee_bps=book.rules.fee_bps)[:, class_of],
        transfer=transfer[:, country_of],
        first=np.minimum(first, slots)[:, country_of],
        end=np.minimum(demand.terms["slot_end"].to_numpy(), slots),
        carbon=carbon,
    )


def _gross(demand: Demand, classes: list[str], *, fee_bps: int) -> Ints:
    """⌊limit·factor·10,000 ÷ (10,000 + fee_bps)⌋ by group, hardware class and tier: (G, K, 3)."""
    gross = np.full((demand.terms.height, len(classes), len(TIERS)), -NEVER, dtype=np.int64)
    place = {name: number for number, name in enumerate(classes)}
    limits = list(demand.terms.select([f"limit_{tier}_micros" for tier in TIERS]).iter_rows())
    for group, factors in enumerate(demand.factors):
        for name, factor in factors.items():
            if name not in place:
                continue
            for tier, limit in enumerate(limits[group]):
                if limit is not None:
                    micros = limit * factor * BASIS_POINTS // (PLACES * (BASIS_POINTS + fee_bps))
                    gross[group, place[name], tier] = within_range(micros, what="a limit times its factor")
    return gross


def _moving(book: MarketBook, demand: Demand, *, countries: list[str | None]) -> tuple[Ints, Ints]:
    """Micros per accelerator-hour and slots of delay, by group and country of the site: (G, C) each.

    A pair the table does not name is refused by its clause; within one country it is free and at once.
    """
    cost = np.zeros((demand.terms.height, len(countries)), dtype=np.int64)
    delay = np.zeros_like(cost)
    if book.transfer is None:
        return cost, delay
    routes = {(origin, end): (micros, gbps) for origin, end, micros, gbps in book.transfer.iter_rows()}
    slot_seconds = book.rules.hours * SECONDS_PER_HOUR
    for group, (data, origin, hours) in enumerate(demand.terms.select("data_tb", "data_country", "hours").iter_rows()):
        if not data or origin is None or not hours:
            continue
        for number, country in enumerate(countries):
            micros, gbps = routes.get((origin, country), (0, None))
            cost[group, number] = within_range(ceil(exact(data) * micros / exact(hours)), what="moving the data")
            delay[group, number] = _delay(exact(data), gbps, slot_seconds=slot_seconds) if gbps is not None else 0
    return cost, delay


def _delay(data_tb: Fraction, gbps: float, *, slot_seconds: Fraction) -> int:
    """Slots until the data is there; NEVER over a wire that carries nothing."""
    return min(NEVER, ceil(GIGABITS_PER_TERABYTE * data_tb / exact(gbps) / slot_seconds)) if gbps else NEVER
