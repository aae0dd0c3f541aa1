"""The shipped world as one market book."""

from datetime import datetime

import polars as pl

from broker.world.catalogue import WorldModel, model
from broker.world.demand import bids
from broker.world.network import latency, transfer
from broker.world.power import zones
from broker.world.supply import offer_slots, offers
from contracts.terms.orders import MarketBook, MarketRules, canonical_book


def shipped_book(start: datetime, slots: int = 24) -> MarketBook:
    """One day of the shipped world: hourly slots from `start` (UTC), rules included.

    The windows of the bids are written for a day that starts at midnight UTC.
    """
    world = model()
    rules = MarketRules(currency=world.market.currency, start=start, slots=slots, fee_bps=world.market.fee_bps)
    return canonical_book(rules, shipped_frames(world, start=start, slots=slots))


def shipped_frames(world: WorldModel, *, start: datetime, slots: int) -> dict[str, pl.DataFrame]:
    """The tables of the shipped world by name, not yet in canonical order."""
    return {
        "offers": offers(slots),
        "offer_slots": offer_slots(slots),
        "bids": bids(world, start=start, slots=slots),
        "zones": zones(world, start=start, slots=slots),
        "latency": latency(world),
        "transfer": transfer(world),
    }
