"""The supply of a book counted again from its rows, for the certificate alone.

Nothing here is taken from the code that clears: pools are gathered by the reading of `policy_facts`, energy and carbon
come from `policy_worth`, once for offers alike in power and zone. Plain and exact.
"""

from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.orders import MarketBook, MarketRules
from contracts.terms.tables import TIERS
from pricing.audit.whole import Bools, Ints, ceiled, floored, times
from pricing.policy_facts import Facts, Offer, offers_of
from pricing.policy_worth import carbon_milligrams, energy_rate

NOTHING_LEFT = 2**60
GUARANTEED, STANDARD, SPOT = range(len(TIERS))


class Stock(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is for sale, O offers in K pools over T slots. Rates in micros per accelerator-hour, the rest in accelerators.

    pools         offer rows of each pool, rate apart alike in everything a bid can test; in order of the pools' names
    pool_of       (O,) the pool of each offer
    gross, left   (O, T) on offer, and what leases leave of it
    rates         (O, T) energy included
    callable      (O, T) whether the offer counts as headroom and shares in premiums
    lowest        (K, T) lowest rate of what leases left, NOTHING_LEFT where nothing is
    offered       (K, T) what leases left in all
    limits        (K, T, 3) the most at guaranteed, at standard and better, and at all tiers
    carbon        (K, T) milligrams an accelerator-hour
    """

    offers: list[Offer]
    row_of: dict[str, int]
    pools: list[list[int]]
    pool_of: Ints
    gross: Ints
    left: Ints
    rates: Ints
    callable: Bools
    lowest: Ints
    offered: Ints
    limits: Ints
    carbon: Ints

    @property
    def names(self) -> list[str]:
        """The pools' names: of each its lowest offer_id."""
        return [self.offers[rows[0]].id for rows in self.pools]

    @property
    def heads(self) -> list[Offer]:
        """Of each pool its first offer, alike to the others in everything a bid can test."""
        return [self.offers[rows[0]] for rows in self.pools]

    @property
    def on_sale(self) -> Bools:
        """(K, T, 3) where a price is published: something is left, and the tier's limit leaves room."""
        there: Bools = (self.offered[:, :, None] > 0) & (self.limits > 0)
        there[:, :, GUARANTEED] &= self.limits[:, :, STANDARD] > 0
        return there


def take_stock(book: MarketBook, facts: Facts) -> Stock:
    """Count the supply of a book."""
    offers = sorted(offers_of(book), key=lambda offer: offer.id)
    row_of = {offer.id: row for row, offer in enumerate(offers)}
    pools = _gather(offers)
    pool_of = np.zeros(len(offers), dtype=np.int64)
    for pool, rows in enumerate(pools):
        pool_of[rows] = pool
    gross, rates = _stated(book, offers, row_of=row_of)
    rates += _energy(offers, facts)
    leased = _leased(book, row_of, shape=gross.shape)
    left = np.maximum(gross - leased.sum(axis=2), 0)
    callable_ = _callable(pool_of, gross, rates=rates, ceiling=Fraction(book.rules.call_ceiling))
    counted = np.concatenate([np.where(callable_, gross, 0)[:, :, None], leased, left[:, :, None]], axis=2)
    by_pool = _summed(counted, pool_of, pools=len(pools))
    return Stock(
        offers=offers,
        row_of=row_of,
        pools=pools,
        pool_of=pool_of,
        gross=gross,
        left=left,
        rates=rates,
        callable=callable_,
        lowest=_lowest(np.where(left > 0, rates, NOTHING_LEFT), pool_of, pools=len(pools)),
        offered=by_pool[:, :, -1].copy(),
        limits=_limits(book.rules, [[offers[row] for row in rows] for rows in pools], counted=by_pool),
        carbon=_carbon([offers[rows[0]] for rows in pools], facts),
    )


def _gather(offers: list[Offer]) -> list[list[int]]:
    """Offer rows by likeness; offers come in order of their ids, so pools are in order of their lowest."""
    pools: dict[tuple[object, ...], list[int]] = {}
    for row, offer in enumerate(offers):
        pools.setdefault(offer.likeness, []).append(row)
    return list(pools.values())


def _stated(book: MarketBook, offers: list[Offer], *, row_of: dict[str, int]) -> tuple[Ints, Ints]:
    """Quantity and rate before energy, (O, T): the offer's own or the slot's; nothing outside the offer's window."""
    slot = np.arange(book.rules.slots)
    gross = np.array([offer.quantity for offer in offers], dtype=np.int64)[:, None].repeat(len(slot), axis=1)
    rates = np.array([offer.rate_micros for offer in offers], dtype=np.int64)[:, None].repeat(len(slot), axis=1)
    for offer, at, quantity, rate in book.offer_slots.select("offer_id", "slot", "quantity", "rate_micros").iter_rows():
        gross[row_of[offer], at], rates[row_of[offer], at] = quantity, rate
    first = np.array([offer.slot_first for offer in offers], dtype=np.int64)[:, None]
    end = np.array([offer.slot_end for offer in offers], dtype=np.int64)[:, None]
    return np.where((first <= slot) & (slot < end), gross, 0), rates


def _energy(offers: list[Offer], facts: Facts) -> Ints:
    """What energy adds to each rate, (O, T)."""
    added: dict[tuple[object, ...], list[int]] = {}
    rows = []
    for offer in offers:
        alike = (offer.zone, offer.watts, offer.pue) if offer.energy_indexed else ()
        if alike not in added:
            added[alike] = [energy_rate(offer, facts, slot=slot) for slot in range(facts.slots)]
        rows.append(added[alike])
    return np.array(rows, dtype=np.int64).reshape(len(offers), facts.slots)


def _carbon(heads: list[Offer], facts: Facts) -> Ints:
    """Milligrams an accelerator-hour, (K, T)."""
    emitted: dict[tuple[object, ...], list[int]] = {}
    rows = []
    for offer in heads:
        alike = (offer.zone, offer.watts, offer.pue)
        if alike not in emitted:
            emitted[alike] = [carbon_milligrams(offer, facts, slot=slot) for slot in range(facts.slots)]
        rows.append(emitted[alike])
    return np.array(rows, dtype=np.int64).reshape(len(heads), facts.slots)


def _leased(book: MarketBook, row_of: dict[str, int], *, shape: tuple[int, ...]) -> Ints:
    """Accelerators in force of leases, (O, T, 3)."""
    leased = np.zeros((*shape, len(TIERS)), dtype=np.int64)
    held = book.commitments.group_by("offer_id", "slot", "tier").agg(pl.col("quantity").sum())
    for offer, slot, tier, quantity in held.select("offer_id", "slot", "tier", "quantity").iter_rows():
        leased[row_of[offer], slot, TIERS.index(tier)] = quantity
    return leased


def _summed(values: Ints, pool_of: Ints, *, pools: int) -> Ints:
    """Rows of offers added up by pool."""
    sums = np.zeros((pools, *values.shape[1:]), dtype=np.int64)
    np.add.at(sums, pool_of, values)
    return sums


def _lowest(values: Ints, pool_of: Ints, *, pools: int) -> Ints:
    """The least of each pool's offers, slot by slot."""
    least = np.full((pools, *values.shape[1:]), NOTHING_LEFT, dtype=np.int64)
    np.minimum.at(least, pool_of, values)
    return least


def _callable(pool_of: Ints, gross: Ints, *, rates: Ints, ceiling: Fraction) -> Bools:
    """Offers with something in the slot, at up to the ceiling times the lowest such rate of their pool."""
    pools = int(pool_of.max(initial=-1)) + 1
    least = _lowest(np.where(gross > 0, rates, NOTHING_LEFT), pool_of, pools=pools)
    most = times(np.where(least == NOTHING_LEFT, 0, least), ceiling.numerator)
    within: Bools = (gross > 0) & (times(rates, ceiling.denominator) <= most[pool_of])
    return within


def _limits(rules: MarketRules, pools: list[list[Offer]], *, counted: Ints) -> Ints:
    """The tiers' limits (K, T, 3) from the callable quantity, what is leased at each tier, and what is left (K, T, 5)."""
    callable_, guaranteed, standard, _, left = np.moveaxis(counted, 2, 0)
    node = np.array([max(offer.node_size for offer in offers) for offers in pools], dtype=np.int64)[:, None]
    firm = np.array([offers[0].firm for offers in pools], dtype=np.bool_)[:, None]
    for_standard, for_guaranteed = Fraction(rules.headroom_standard), Fraction(rules.headroom_guaranteed)
    held_standard = floored(times(callable_, for_standard.numerator), for_standard.denominator)
    held_guaranteed = np.maximum(ceiled(times(callable_, for_guaranteed.numerator), for_guaranteed.denominator), node)
    limits = np.zeros((*left.shape, len(TIERS)), dtype=np.int64)
    limits[:, :, SPOT] = left
    limits[:, :, STANDARD] = np.where(firm, np.maximum(0, callable_ - held_standard - guaranteed - standard), 0)
    limits[:, :, GUARANTEED] = np.where(firm, np.maximum(0, callable_ - held_guaranteed - guaranteed), 0)
    return limits
