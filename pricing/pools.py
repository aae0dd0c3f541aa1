"""The supply side: offers gathered into pools, what leases leave of them, and each tier's limit.

A pool is the offers no bid can tell apart; it carries the prices. Its name is its lowest offer_id and
pools are kept in the order of their names, offers in the order of their ids.
"""

from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.orders import MarketBook, MarketRules
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, NEVER, SPOT, STANDARD, Bools, Ints, within_range
from pricing.energy import power_costs

PLACED = ("site", "hardware", "firm", "country", "subdivision", "operator_country", "parent_country", "latitude", "longitude")
DESCRIBED = ("certifications", "uptime", "memory_gb", "zone", "watts", "pue", "open_to", "closed_to", "chip_origin", "trust")
TESTABLE = (*PLACED, *DESCRIBED)


class Supply(msgspec.Struct, frozen=True, eq=False):
    """What is for sale. O offers, P pools, T slots; rates in micros per accelerator-hour.

    pools      one row a pool: its name and every column a bid can test, lists sorted
    offer_ids  (O,) ascending
    pool_of    (O,) the pool of each offer
    gross      (O, T) accelerators, leases included
    left       (O, T) accelerators that leases leave
    rates      (O, T) energy included where the rate is indexed
    callable   (O, T) whether the offer counts as headroom and shares premiums
    cheapest   (P, T) lowest rate with anything left, NEVER where nothing is
    offered    (P, T) accelerators left, all offers
    limits     (P, T, 3) most accelerators at guaranteed, at standard or better, and at spot or better
    carbon     (P, T) milligrams per accelerator-hour
    """

    pools: pl.DataFrame
    offer_ids: list[str]
    pool_of: Ints
    gross: Ints
    left: Ints
    rates: Ints
    callable: Bools
    cheapest: Ints
    offered: Ints
    limits: Ints
    carbon: Ints


def gather(book: MarketBook) -> Supply:
    """Build the supply side of a book. Raises BadInput for a rate too large to clear."""
    slots = book.rules.slots
    offers = book.offers.sort("offer_id")
    pools, pool_of = _pools(offers)
    gross, stated = _per_slot(offers, book.offer_slots, slots=slots)
    energy, carbon = power_costs(pools, book.zones, slots=slots)
    indexed = offers["energy_indexed"].to_numpy()
    rates = stated + np.where(indexed[:, None], energy[pool_of], 0)
    within_range(int(rates.max(initial=0)), what="a rate")
    committed = _committed(offers, book.commitments, slots=slots)
    left = np.maximum(0, gross - committed.sum(axis=2))
    callable_ = _callable(gross, rates, pool_of=pool_of, ceiling=book.rules.call_ceiling)
    offered = by_pool(left, pool_of)
    quantity = by_pool(np.where(callable_, gross, 0), pool_of)
    nodes = -_lowest(-offers["node_size"].to_numpy()[:, None], pool_of)
    return Supply(
        pools=pools,
        offer_ids=offers["offer_id"].to_list(),
        pool_of=pool_of,
        gross=gross,
        left=left,
        rates=rates,
        callable=callable_,
        cheapest=_lowest(np.where(left > 0, rates, NEVER), pool_of),
        offered=offered,
        limits=_limits(
            pools["firm"].to_numpy(),
            quantity,
            leased=by_pool(committed, pool_of),
            offered=offered,
            held=_held_back(book.rules, quantity, nodes=nodes),
        ),
        carbon=carbon,
    )


def room(supply: Supply) -> Ints:
    """Accelerators (O, T, 3) that one more buyer could have of each offer, by tier: what leases leave of it, and of its pool's tiers."""
    allowed = np.minimum.accumulate(supply.limits[..., ::-1], axis=2)[..., ::-1]
    return np.minimum(supply.left[..., None], allowed[supply.pool_of])


def by_pool(values: Ints, pool_of: Ints) -> Ints:
    """Sum rows of offers (O, …) into rows of pools (P, …)."""
    total = np.zeros((int(pool_of.max(initial=-1)) + 1, *values.shape[1:]), dtype=np.int64)
    np.add.at(total, pool_of, values)
    return total


def _lowest(values: Ints, pool_of: Ints) -> Ints:
    lowest = np.full((int(pool_of.max(initial=-1)) + 1, *values.shape[1:]), NEVER, dtype=np.int64)
    np.minimum.at(lowest, pool_of, values)
    return lowest


def _pools(offers: pl.DataFrame) -> tuple[pl.DataFrame, Ints]:
    """One row a pool, and the pool of each offer. Lists are compared as sets, unknown certifications as none."""
    sets = [pl.col(name).fill_null([]).list.unique().list.sort() for name in ("certifications", "open_to", "closed_to")]
    facts = offers.select("offer_id", *TESTABLE).with_columns(sets)
    number: dict[tuple[object, ...], int] = {}
    first: list[int] = []
    pool_of = np.zeros(offers.height, dtype=np.int64)
    for row, (_, *values) in enumerate(facts.iter_rows()):
        key = tuple(tuple(value) if isinstance(value, list) else value for value in values)
        if key not in number:
            number[key] = len(first)
            first.append(row)
        pool_of[row] = number[key]
    return facts[first].rename({"offer_id": "pool"}), pool_of


def _per_slot(offers: pl.DataFrame, offer_slots: pl.DataFrame, *, slots: int) -> tuple[Ints, Ints]:
    """Quantity and stated rate (O, T): the offer's own, or the slot's; nothing outside the offer's window."""
    quantity = np.repeat(offers["quantity"].to_numpy()[:, None], slots, axis=1)
    rate = np.repeat(offers["rate_micros"].to_numpy()[:, None], slots, axis=1)
    inside = offer_slots.filter(pl.col("slot") < slots)
    row, slot = _rows(offers, inside), inside["slot"].to_numpy()
    quantity[row, slot] = inside["quantity"].to_numpy()
    rate[row, slot] = inside["rate_micros"].to_numpy()
    hour = np.arange(slots)
    first, end = offers["slot_first"].to_numpy(), offers["slot_end"].to_numpy()
    return np.where((hour >= first[:, None]) & (hour < end[:, None]), quantity, 0), rate


def _committed(offers: pl.DataFrame, commitments: pl.DataFrame, *, slots: int) -> Ints:
    """Accelerators under lease (O, T, 3) by tier."""
    committed = np.zeros((offers.height, slots, len(TIERS)), dtype=np.int64)
    inside = commitments.filter(pl.col("slot") < slots)
    tier = np.array([TIERS.index(name) for name in inside["tier"]], dtype=np.int64)
    np.add.at(committed, (_rows(offers, inside), inside["slot"].to_numpy(), tier), inside["quantity"].to_numpy())
    return committed


def _rows(offers: pl.DataFrame, mention: pl.DataFrame) -> Ints:
    row_of = {offer: row for row, offer in enumerate(offers["offer_id"])}
    return np.array([row_of[offer] for offer in mention["offer_id"]], dtype=np.int64)


def _callable(gross: Ints, rates: Ints, *, pool_of: Ints, ceiling: Decimal) -> Bools:
    """Offers (O, T) at up to `ceiling` × the lowest rate their pool offers in the slot."""
    there = gross > 0
    lowest, place = np.unique(_lowest(np.where(there, rates, NEVER), pool_of), return_inverse=True)
    numerator, denominator = ceiling.as_integer_ratio()
    highest = np.array([min(NEVER, numerator * rate // denominator) for rate in lowest.tolist()], dtype=np.int64)
    return there & (rates <= highest[place][pool_of])


def _limits(firm: Bools, quantity: Ints, *, leased: Ints, offered: Ints, held: tuple[Ints, Ints]) -> Ints:
    """The tier limits (P, T, 3) from Q (P, T), what is leased at each tier (P, T, 3) and what is held back."""
    held_guaranteed, held_standard = held
    limits = np.empty((*quantity.shape, len(TIERS)), dtype=np.int64)
    better = np.cumsum(leased, axis=2)
    limits[..., GUARANTEED] = np.maximum(0, quantity - held_guaranteed - better[..., GUARANTEED])
    limits[..., STANDARD] = np.maximum(0, quantity - held_standard - better[..., STANDARD])
    limits[~firm, :, :SPOT] = 0
    limits[..., SPOT] = offered
    return limits


def _held_back(rules: MarketRules, quantity: Ints, *, nodes: Ints) -> tuple[Ints, Ints]:
    """Held back from guaranteed, max(⌈headroom·Q⌉, largest node), and from standard, ⌊headroom·Q⌋: (P, T) each."""
    guaranteed, standard = Fraction(rules.headroom_guaranteed), Fraction(rules.headroom_standard)
    ceiling = -(-quantity * guaranteed.numerator // guaranteed.denominator)
    return np.maximum(ceiling, nodes), quantity * standard.numerator // standard.denominator
