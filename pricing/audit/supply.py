"""The supply of a book counted again from its rows, for the certificate alone.

Nothing here is taken from the code that clears: pools are gathered by the reading of `policy_facts`, rates and
quantities come one by one from `policy_worth`. Slow, plain, exact.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.terms.orders import MarketBook, MarketRules
from contracts.terms.tables import TIERS
from pricing.policy_facts import Facts, Offer, offers_of
from pricing.policy_worth import carbon_milligrams, quantity, rate

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

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
    slots = range(facts.slots)
    gross = _table([[quantity(offer, facts, slot=slot) for slot in slots] for offer in offers], facts.slots)
    rates = _table([[rate(offer, facts, slot=slot) for slot in slots] for offer in offers], facts.slots)
    leased = _leased(book, row_of, shape=(len(offers), facts.slots))
    left = np.maximum(gross - leased.sum(axis=2), 0)
    callable_ = _callable(pools, gross, rates=rates, ceiling=Fraction(book.rules.call_ceiling))
    return Stock(
        offers=offers,
        row_of=row_of,
        pools=pools,
        pool_of=pool_of,
        gross=gross,
        left=left,
        rates=rates,
        callable=callable_,
        lowest=_table([np.where(left[rows] > 0, rates[rows], NOTHING_LEFT).min(axis=0).tolist() for rows in pools], facts.slots),
        offered=_table([left[rows].sum(axis=0).tolist() for rows in pools], facts.slots),
        limits=_limits(book.rules, offers, pools=pools, counted=(np.where(callable_, gross, 0), leased, left)),
        carbon=_table([[carbon_milligrams(offers[rows[0]], facts, slot=slot) for slot in slots] for rows in pools], facts.slots),
    )


def _table(rows: Sequence[Sequence[int]], slots: int) -> Ints:
    """Rows as a matrix that has its columns even without a row."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), slots)


def _gather(offers: list[Offer]) -> list[list[int]]:
    """Offer rows by likeness; offers come in order of their ids, so pools are in order of their lowest."""
    pools: dict[tuple[object, ...], list[int]] = {}
    for row, offer in enumerate(offers):
        pools.setdefault(offer.likeness, []).append(row)
    return list(pools.values())


def _leased(book: MarketBook, row_of: dict[str, int], *, shape: tuple[int, int]) -> Ints:
    """Accelerators in force of leases, (O, T, 3)."""
    leased = np.zeros((*shape, len(TIERS)), dtype=np.int64)
    for offer, slot, tier, held in book.commitments.select("offer_id", "slot", "tier", "quantity").iter_rows():
        leased[row_of[offer], slot, TIERS.index(tier)] += held
    return leased


def _callable(pools: list[list[int]], gross: Ints, *, rates: Ints, ceiling: Fraction) -> Bools:
    """Offers with something in the slot, at up to the ceiling times the lowest such rate of their pool."""
    found = np.zeros(gross.shape, dtype=np.bool_)
    for rows in pools:
        for slot in range(gross.shape[1]):
            there = [row for row in rows if gross[row, slot] > 0]
            least = min((int(rates[row, slot]) for row in there), default=0)
            for row in there:
                found[row, slot] = int(rates[row, slot]) <= ceiling * least
    return found


def _limits(rules: MarketRules, offers: list[Offer], *, pools: list[list[int]], counted: tuple[Ints, Ints, Ints]) -> Ints:
    """The tiers' limits from the callable quantity, what is leased at each tier, and what is left (all by offer and slot)."""
    quantity_callable, leased, left = counted
    limits = np.zeros((len(pools), left.shape[1], len(TIERS)), dtype=np.int64)
    for pool, rows in enumerate(pools):
        node = max(offers[row].node_size for row in rows)
        for slot in range(left.shape[1]):
            limits[pool, slot, SPOT] = left[rows, slot].sum()
            if not offers[rows[0]].firm:
                continue
            q = int(quantity_callable[rows, slot].sum())
            guaranteed = int(leased[rows, slot, GUARANTEED].sum())
            standard = guaranteed + int(leased[rows, slot, STANDARD].sum())
            held_standard = math.floor(Fraction(rules.headroom_standard) * q)
            held_guaranteed = max(math.ceil(Fraction(rules.headroom_guaranteed) * q), node)
            limits[pool, slot, STANDARD] = max(0, q - held_standard - standard)
            limits[pool, slot, GUARANTEED] = max(0, q - held_guaranteed - guaranteed)
    return limits
