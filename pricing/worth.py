"""What an accelerator-hour is worth to a bid, in each pool and tier, all-in; and when it may start.

worth = ⌊limit·factor·10,000 ÷ (10,000 + fee_bps)⌋ − transfer − carbon, in micros per accelerator-hour.
Moving data costs ⌈data_tb·micros_per_tb ÷ hours⌉ and delays the first slot by the time on the wire.

Worth depends on a pool only through its hardware class, cost and delay only through its country, so tables are kept by
class and by country and read by index: a dense table of every group and pool would be gigabytes for a large book.
"""

from fractions import Fraction
from math import ceil

import msgspec
import numpy as np
import polars as pl

from contracts.terms.money import BASIS_POINTS
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import NEVER, Ints, within_range
from pricing.demand import PLACES, Demand
from pricing.distinct import distinct, values_of
from pricing.energy import exact
from pricing.exactly import product_floor
from pricing.pools import Supply

GIGABITS_PER_TERABYTE = 8000
SECONDS_PER_HOUR = 3600
KILOGRAM = 1_000_000


class Worth(msgspec.Struct, frozen=True, eq=False):
    """What a group would pay before carbon, what moving its data costs it, when it may begin. K classes, C countries, D loads of data.

    by_class    (G, K, 3) micros by tier, fee taken off, −NEVER where the tier or the class is not wanted
    class_of    (P,)
    cost        (D, C) micros per accelerator-hour of moving the data
    delay       (D, C) slots until it is there, NEVER over a wire that carries nothing
    load_of     (G,)
    country_of  (P,)
    asked       (G,) earliest slot asked for
    end         (G,) first slot too late
    carbon      (G,) micros the buyer would pay to avoid a kilogram
    slots       T
    """

    by_class: Ints
    class_of: Ints
    cost: Ints
    delay: Ints
    load_of: Ints
    country_of: Ints
    asked: Ints
    end: Ints
    carbon: Ints
    slots: int

    def gross_at(self, group: Ints, pool: Ints) -> Ints:
        """Worth before transfer and carbon of groups (n,) at pools (n,): (n, 3)."""
        found: Ints = self.by_class[group, self.class_of[pool]]
        return found

    def transfer_at(self, group: Ints, pool: Ints) -> Ints:
        """Micros per accelerator-hour of moving the data of groups (n,) to pools (n,): (n,)."""
        found: Ints = self.cost[self.load_of[group], self.country_of[pool]]
        return found

    def first_at(self, group: Ints, pool: Ints) -> Ints:
        """Earliest slot of groups (n,) at pools (n,), T where the data never arrives: (n,)."""
        found: Ints = np.minimum(self.asked[group] + self.delay[self.load_of[group], self.country_of[pool]], self.slots)
        return found


def value(book: MarketBook, *, supply: Supply, demand: Demand) -> Worth:
    """Work out worths for every group and pool, eligible or not. Raises BadInput for one too large to clear."""
    classes, class_of = np.unique(supply.pools["hardware"].to_numpy(), return_inverse=True)
    countries, country_of = distinct(supply.pools.select("country"))
    cost, delay, load_of = _moving(book, demand, countries=countries["country"].to_list())
    slots = book.rules.slots
    carbon = demand.terms["carbon_micros_per_kg"].to_numpy().astype(np.int64)
    within_range(int(carbon.max(initial=0)) * int(supply.carbon.max(initial=0)), what="what avoiding carbon is worth")
    return Worth(
        by_class=_gross(demand, list(classes), fee_bps=book.rules.fee_bps),
        class_of=class_of.astype(np.int64),
        cost=cost,
        delay=delay,
        load_of=load_of,
        country_of=country_of,
        asked=demand.terms["slot_first"].to_numpy().astype(np.int64),
        end=np.minimum(demand.terms["slot_end"].to_numpy(), slots),
        carbon=carbon,
        slots=slots,
    )


def carbon_cost(carbon: Ints, grams: Ints) -> Ints:
    """⌈carbon·grams ÷ 10⁶⌉ micros per accelerator-hour, of equal shapes: micros per kilogram, milligrams per accelerator-hour."""
    cost: Ints = -(-carbon * grams // KILOGRAM)
    return cost


def _gross(demand: Demand, classes: list[str], *, fee_bps: int) -> Ints:
    """⌊limit·factor·10,000 ÷ (10,000 + fee_bps)⌋ by group, hardware class and tier: (G, K, 3). Factors are in millionths."""
    place = {name: number for number, name in enumerate(classes)}
    factors = np.full((len(demand.recipes), len(classes)), -1, dtype=np.int64)
    for number, recipe in enumerate(demand.recipes):
        for name, factor in recipe.items():
            if name in place:
                factors[number, place[name]] = factor
    named = demand.terms.select(pl.col(f"limit_{tier}_micros").fill_null(-1) for tier in TIERS)
    limits = named.to_numpy().astype(np.int64).reshape(-1, 1, len(TIERS))
    each = factors[demand.recipe_of][:, :, None]
    wanted = (each >= 0) & (limits >= 0)
    left, right = np.broadcast_arrays(np.maximum(limits, 0), np.maximum(each, 0))
    gross = product_floor(left, right, divisor=PLACES // BASIS_POINTS * (BASIS_POINTS + fee_bps))
    within_range(int(np.where(wanted, gross, 0).max(initial=0)), what="a limit times its factor")
    return np.where(wanted, gross, -NEVER)


def _moving(book: MarketBook, demand: Demand, *, countries: list[str | None]) -> tuple[Ints, Ints, Ints]:
    """Micros per accelerator-hour and slots of delay, by load of data and country of the site: (D, C) each; the load of each group.

    A pair the table does not name is refused by its clause; within one country it is free and at once.
    """
    if book.transfer is None:
        still = np.zeros((1, len(countries)), dtype=np.int64)
        return still, still, np.zeros(demand.terms.height, dtype=np.int64)
    loads, load_of = distinct(demand.terms.select("data_tb", "data_country", "hours"))
    cost = np.zeros((loads.height, len(countries)), dtype=np.int64)
    delay = np.zeros_like(cost)
    routes = {(origin, end): (micros, gbps) for origin, end, micros, gbps in book.transfer.iter_rows()}
    arrival: dict[tuple[float, float], int] = {}
    slot_seconds = book.rules.hours * SECONDS_PER_HOUR
    for load, (data, origin, hours) in enumerate(values_of(loads)):
        if not data or origin is None or not hours:
            continue
        each = exact(data) / exact(hours)
        for number, country in enumerate(countries):
            micros, gbps = routes.get((origin, country), (0, None))
            if gbps is None:
                continue
            cost[load, number] = within_range(-(-each.numerator * micros // each.denominator), what="moving the data")
            if (data, gbps) not in arrival:
                arrival[data, gbps] = _delay(exact(data), gbps, slot_seconds=slot_seconds)
            delay[load, number] = arrival[data, gbps]
    return cost, delay, load_of


def _delay(data_tb: Fraction, gbps: float, *, slot_seconds: Fraction) -> int:
    """Slots until the data is there; NEVER over a wire that carries nothing."""
    return min(NEVER, ceil(GIGABITS_PER_TERABYTE * data_tb / exact(gbps) / slot_seconds)) if gbps else NEVER
