"""Results written down rather than found: awards and prices as said, every other table as they call for."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, OUTCOMES, PRICES, RECEIPTS, TIERS
from pricing.audit.examination import count
from tests.builders import Row, frame_of

Place = tuple[str, int, str]


Granted = tuple[str, str, int, str, int]
"""Bid, offer, slot, tier and quantity of one award."""


def result(
    market: MarketBook, *, awards: Sequence[Granted], rates: Mapping[Place, int], outcomes: Sequence[Row], **more: object
) -> Clearing:
    """A result of a market whose offers are pools of their own, without premiums, an hour a slot.

    rates      offer, slot, tier → published rate, both its ends; wherever something is on sale
    outcomes   status, hours, reference_hours and reason of each bid; money is filled in
    more       path and approximate
    """
    offers = {str(row["offer_id"]): row for row in market.offers.to_dicts()}
    sold: dict[Place, int] = {}
    paid: dict[str, int] = {}
    received: dict[tuple[str, int], tuple[int, int]] = {}
    rows: list[Row] = []
    for bid, offer, slot, tier, quantity in awards:
        rate = rates[offer, slot, tier]
        rows.append(
            {
                "bid_id": bid,
                "offer_id": offer,
                "slot": slot,
                "tier": tier,
                "quantity": quantity,
                "rate_micros": rate,
                "charge_micros": rate * quantity,
            }
        )
        sold[offer, slot, tier] = sold.get((offer, slot, tier), 0) + quantity
        paid[bid] = paid.get(bid, 0) + rate * quantity
        number, amount = received.get((offer, slot), (0, 0))
        received[offer, slot] = number + quantity, amount + rate * quantity
    prices: list[Row] = [
        {
            "pool": offer, "site": offers[offer]["site"], "hardware": offers[offer]["hardware"], "firm": offers[offer]["firm"],
            "slot": slot, "tier": tier, "rate_micros": rate, "rate_low_micros": rate, "rate_high_micros": rate,
            "sold": sold.get((offer, slot, tier), 0), "offered": offers[offer]["quantity"],
        }
        for (offer, slot, tier), rate in rates.items()
    ]  # fmt: skip
    money: Row = {"fee_micros": 0, "transfer_micros": 0, "uplift_micros": 0}
    told: list[Row] = [{**money, "paid_micros": paid.get(str(row["bid_id"]), 0), **row} for row in outcomes]
    receipts: list[Row] = [
        {"offer_id": offer, "slot": slot, "sold": number, "received_micros": amount, "premium_micros": 0, "uplift_micros": 0}
        for (offer, slot), (number, amount) in received.items()
    ]
    slots = market.rules.slots
    frames = {
        table.name: frame_of(table, told_rows, slots=slots).sort(table.key)
        for table, told_rows in ((AWARDS, rows), (PRICES, prices), (OUTCOMES, told), (RECEIPTS, receipts))
    }
    return msgspec.structs.replace(Clearing(**frames), **more)  # type: ignore[arg-type]


def flat(market: MarketBook, *, rates: Mapping[str, int]) -> dict[Place, int]:
    """The same rate of each offer in every slot, at every tier that is on sale."""
    stock = count(market).stock
    places = ((stock.names[pool], slot, TIERS[tier]) for pool, slot, tier in np.argwhere(stock.on_sale).tolist())
    return {place: rates[place[0]] for place in places}
