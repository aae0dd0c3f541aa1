"""Checks of money, to the micro: published rates, charges, and that nobody trades at a loss."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from contracts.terms.clearing import Check
from contracts.terms.tables import TIERS
from pricing.audit.examination import Audit, verdict
from pricing.audit.outcomes import odd_outcomes
from pricing.audit.receipts import odd_receipts
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD


def check_money(audit: Audit) -> list[Check]:
    """Every check of an amount."""
    paid, received = int(audit.layout.charge.sum()), int(audit.clearing.receipts["received_micros"].sum())
    whole = ", or is made whole from the uplift fund" if audit.demand.lumpy else ""
    rows, middle = audit.clearing.prices.height, "its own both ends" if audit.approximate else "the middle of its ends"
    return [
        verdict("prices", [*_odd_rows(audit), *_odd_rates(audit)], finding=f"{rows} rows, each {middle}"),
        verdict("charges", list(_odd_charges(audit)), finding=f"{audit.layout.charge.size} charges, {paid} micros in all"),
        verdict("winners", list(_losing_bids(audit)), finding=f"nobody pays more than it is worth to them{whole}"),
        verdict("providers", list(_losing_offers(audit)), finding=f"no offer is sold below its rate{whole}"),
        verdict("receipts", list(odd_receipts(audit)), finding="spot parts and premium shares are exact in every pool and slot"),
        verdict("paid is received", [] if paid == received else [f"paid {paid}, received {received}"], finding=f"{paid} micros either way"),
        verdict("outcomes", list(odd_outcomes(audit)), finding=f"{len(audit.demand.ids)} bids agree with their awards"),
        verdict("uplift", list(_odd_fund(audit)), finding="the uplift fund can pay what is due"),
    ]


def _odd_rows(audit: Audit) -> Iterator[str]:
    """Descriptions and counts of the price rows."""
    stock, prices = audit.stock, audit.clearing.prices
    pool, slot, tier = audit.layout.named.pool, prices["slot"].to_numpy(), audit.layout.named.price_tier
    heads = stock.heads
    told = {
        "site": pl.Series([offer.site for offer in heads], dtype=pl.String).gather(pool),
        "hardware": pl.Series([offer.hardware for offer in heads], dtype=pl.String).gather(pool),
        "firm": pl.Series([offer.firm for offer in heads], dtype=pl.Boolean).gather(pool),
    }
    other = np.logical_or.reduce([(prices[name] != told[name]).to_numpy() for name in told])
    for row in np.flatnonzero(other):
        yield f"the price of pool {stock.names[pool[row]]} in slot {slot[row]} describes another pool"
    sold, offered = prices["sold"].to_numpy(), prices["offered"].to_numpy()
    true_sold, true_offered = audit.sold_by_pool[pool, slot, tier], stock.offered[pool, slot]
    for row in np.flatnonzero((sold != true_sold) | (offered != true_offered)):
        where = f"pool {stock.names[pool[row]]}, slot {slot[row]}, {TIERS[tier[row]]}"
        yield f"{where} says {sold[row]} sold of {offered[row]}; it was {true_sold[row]} of {true_offered[row]}"


def _odd_rates(audit: Audit) -> Iterator[str]:
    """The order of the tiers, the middle of the ends, premiums only where a limit is reached, and pools that did not trade."""
    stock, layout = audit.stock, audit.layout
    there = stock.on_sale
    better = np.cumsum(audit.sold_by_pool, axis=2)
    supports = not (audit.demand.lumpy or audit.approximate)
    for what, grid in (("rate", layout.rates), ("low end", layout.lows), ("high end", layout.highs)):
        for tier in (GUARANTEED, STANDARD):
            premium = grid[:, :, tier] - grid[:, :, tier + 1]
            slack = (better[:, :, tier] < stock.limits[:, :, tier]) & supports
            for pool, slot in np.argwhere(there[:, :, tier] & ((premium < 0) | (slack & (premium != 0)))):
                yield f"the {what} of pool {stock.names[pool]}, slot {slot} has {TIERS[tier]} {premium[pool, slot]} above {TIERS[tier + 1]}"
    odd = (layout.rates != (layout.lows + layout.highs) // 2) | (layout.lows > layout.highs)
    if audit.approximate:
        odd |= layout.lows != layout.highs
    place = "both" if audit.approximate else "the middle of"
    for pool, slot, tier in np.argwhere(there & odd):
        yield f"the rate of pool {stock.names[pool]}, slot {slot}, {TIERS[tier]} is not {place} its ends"
    for pool, slot in np.argwhere(there[:, :, SPOT] & (layout.rates[:, :, SPOT] < stock.lowest)):
        yield f"the rate of pool {stock.names[pool]}, slot {slot} is below its lowest rate, {stock.lowest[pool, slot]}"
    quiet = there & ~audit.traded[:, :, None]
    stray = quiet & ((layout.lows != stock.lowest[:, :, None]) | (layout.highs != stock.lowest[:, :, None]))
    for pool, slot, tier in np.argwhere(stray):
        yield f"pool {stock.names[pool]} sold nothing in slot {slot} and does not show its lowest rate at {TIERS[tier]}"


def _odd_charges(audit: Audit) -> Iterator[str]:
    layout = audit.layout
    published = layout.rates[audit.award_pool, layout.slot, layout.tier]
    due = audit.money(layout.rate, layout.quantity)
    for row in np.flatnonzero((layout.rate != published) | (layout.charge != due)):
        who = f"bid {audit.demand.ids[layout.bid[row]]} at offer {audit.stock.offers[layout.offer[row]].id}, slot {layout.slot[row]}"
        if layout.rate[row] != published[row]:
            yield f"{who} has rate {layout.rate[row]}, published {published[row]}"
        if layout.charge[row] != due[row]:
            yield f"{who} is charged {layout.charge[row]}, due {due[row]}"


def _losing_bids(audit: Audit) -> Iterator[str]:
    """All-in: the worth of an award is its limit less fee, transfer and carbon. Beside lumps a winner may lose, and is made whole."""
    layout = audit.layout
    for row in [] if audit.demand.lumpy else np.flatnonzero(layout.rate > audit.award_worth):
        bid = audit.demand.ids[layout.bid[row]]
        yield f"bid {bid} pays {layout.rate[row]} in slot {layout.slot[row]} for what is worth {audit.award_worth[row]}"


def _losing_offers(audit: Audit) -> Iterator[str]:
    stock = audit.stock
    spot = audit.layout.rates[stock.pool_of, :, SPOT]
    below = (audit.sold_by_offer.sum(axis=2) > 0) & (spot < stock.rates)
    for offer, slot in [] if audit.demand.lumpy else np.argwhere(below):
        yield f"offer {stock.offers[offer].id} is sold at {spot[offer, slot]} in slot {slot}, its rate is {stock.rates[offer, slot]}"


def _odd_fund(audit: Audit) -> Iterator[str]:
    fund = audit.book.rules.uplift_fund_micros
    due = int(audit.clearing.outcomes["uplift_micros"].sum()) + int(audit.clearing.receipts["uplift_micros"].sum())
    if fund is not None and due > fund:
        yield f"uplift of {due} micros is due, the fund holds {fund}"
    if due and not audit.demand.lumpy:
        yield f"uplift of {due} micros is due where there are no blocks"
