"""Awards and receipts: each bid's part cut from the pool's offers, charged, and shared out to the offers.

The offers of a pool are filled by rate, then offer_id; bids are cut in the order of their ids. What
buyers are charged in a pool and slot is what its offers receive, to the micro: the spot part goes to
the offers that sold, the premiums to every callable offer by its quantity.
"""

from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.tables import AWARDS, RECEIPTS, TIERS
from pricing.arrays import SPOT, Ints
from pricing.choice import Grants
from pricing.exactly import half_up_product, shares_of, total_by
from pricing.laying import lay_along
from pricing.problem import CompiledBook

# Tiers in text order of their names, which is that of the table.
TEXT_ORDER = np.argsort(np.argsort(TIERS))


class Awards(msgspec.Struct, frozen=True, eq=False):
    """Parts of offers for bids by slot and tier, K rows by bid, offer, slot and tier: rows and numbers, not yet names.

    quantity   accelerators
    rate       micros per accelerator-hour
    charge     micros
    """

    bid: Ints
    offer: Ints
    slot: Ints
    tier: Ints
    quantity: Ints
    rate: Ints
    charge: Ints


def award(compiled: CompiledBook, grants: Grants, *, price: Ints, hours: Fraction) -> Awards:
    """Cut every grant from its pool's offers, at tier prices (3, P, T) and slots of so many hours."""
    supply, slots = compiled.supply, compiled.slots
    place = grants.pool * slots + grants.slot
    queue = np.lexsort((grants.tier, grants.bid, place))
    offer, slot = np.nonzero(supply.left)
    stock_place = supply.pool_of[offer] * slots + slot
    shelf = np.lexsort((offer, supply.rates[offer, slot], stock_place))
    offer, slot = offer[shelf], slot[shelf]
    row, stock_row, quantity = lay_along(
        place[queue], grants.quantity[queue], stock_place=stock_place[shelf], stock=supply.left[offer, slot]
    )
    row = queue[row]
    bid, offer, slot, tier = grants.bid[row], offer[stock_row], grants.slot[row], grants.tier[row]
    rate = price[tier, grants.pool[row], slot]
    charge = half_up_product(rate, quantity, times=hours)
    order = np.lexsort((TEXT_ORDER[tier], slot, offer, bid))
    return Awards(*(column[order] for column in (bid, offer, slot, tier, quantity, rate, charge)))


def award_table(compiled: CompiledBook, awards: Awards) -> pl.DataFrame:
    """Rows of `awards`, one per bid, offer, slot and tier, by key."""
    return pl.DataFrame(
        {
            "bid_id": compiled.demand.bid_ids.gather(awards.bid),
            "offer_id": pl.Series(compiled.supply.offer_ids, dtype=pl.String).gather(awards.offer),
            "slot": awards.slot,
            "tier": pl.Series(TIERS).gather(awards.tier),
            "quantity": awards.quantity,
            "rate_micros": awards.rate,
            "charge_micros": awards.charge,
        },
        schema=AWARDS.schema,
    )


def receipt_table(compiled: CompiledBook, awards: Awards, *, price: Ints, hours: Fraction) -> pl.DataFrame:
    """Rows of `receipts`: every offer and slot that sold, or stood by for a premium; uplift where the spot price is below its rate."""
    supply, slots = compiled.supply, compiled.slots
    spot = price[SPOT][supply.pool_of]
    part = half_up_product(spot[awards.offer, awards.slot], awards.quantity, times=hours)
    place = awards.offer * slots + awards.slot
    size = supply.left.size
    sold, spot_part = (total_by(place, values, places=size).reshape(supply.left.shape) for values in (awards.quantity, part))
    premium = _premiums(compiled, awards, surplus=awards.charge - part)
    offer, slot = np.nonzero((sold > 0) | (premium > 0))
    sold, premium, spot_part = sold[offer, slot], premium[offer, slot], spot_part[offer, slot]
    short = np.maximum(0, supply.rates[offer, slot] - spot[offer, slot])
    return pl.DataFrame(
        {
            "offer_id": pl.Series(supply.offer_ids, dtype=pl.String).gather(offer),
            "slot": slot,
            "sold": sold,
            "received_micros": spot_part + premium,
            "premium_micros": premium,
            "uplift_micros": half_up_product(short, sold, times=hours),
        },
        schema=RECEIPTS.schema,
    )


def _premiums(compiled: CompiledBook, awards: Awards, *, surplus: Ints) -> Ints:
    """Micros of premium by offer and slot (O, T): each place's surplus by largest remainder among its callable offers."""
    supply, slots = compiled.supply, compiled.slots
    place = supply.pool_of[awards.offer] * slots + awards.slot
    in_all = total_by(place, surplus, places=compiled.pools * slots)
    offer, slot = np.nonzero(supply.callable & (in_all.reshape(compiled.pools, slots)[supply.pool_of] > 0))
    where = supply.pool_of[offer] * slots + slot
    order = np.lexsort((offer, where))
    offer, slot, where = offer[order], slot[order], where[order]
    premium = np.zeros(supply.left.shape, dtype=np.int64)
    premium[offer, slot] = shares_of(in_all, place=where, weight=supply.gross[offer, slot])
    return premium
