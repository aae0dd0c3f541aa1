"""Checks of money, to the micro: published rates, charges, receipts, premiums, uplift and what each bid owes."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from contracts.terms.clearing import Check
from contracts.terms.money import half_up, largest_remainder
from contracts.terms.tables import TIERS
from pricing.audit.bound import best_run
from pricing.audit.examination import Audit, verdict
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD

BASIS_POINTS = 10_000


def check_money(audit: Audit) -> list[Check]:
    """Every check of an amount."""
    paid, received = int(audit.layout.charge.sum()), int(audit.clearing.receipts["received_micros"].sum())
    return [
        verdict(
            "prices", [*_odd_rows(audit), *_odd_rates(audit)], finding=f"{audit.clearing.prices.height} rows, each the middle of its ends"
        ),
        verdict("charges", list(_odd_charges(audit)), finding=f"{audit.layout.charge.size} charges, {paid} micros in all"),
        verdict("winners", list(_losing_bids(audit)), finding=f"nobody pays more than it is worth to them{_made_whole(audit)}"),
        verdict("providers", list(_losing_offers(audit)), finding=f"no offer is sold below its rate{_made_whole(audit)}"),
        verdict("receipts", list(_odd_receipts(audit)), finding="spot parts and premium shares are exact in every pool and slot"),
        verdict("paid is received", [] if paid == received else [f"paid {paid}, received {received}"], finding=f"{paid} micros either way"),
        verdict("outcomes", list(_odd_outcomes(audit)), finding=f"{len(audit.bids)} bids agree with their awards"),
        verdict("uplift", list(_odd_fund(audit)), finding="the uplift fund can pay what is due"),
    ]


def _odd_rows(audit: Audit) -> Iterator[str]:
    """Descriptions and counts of the price rows."""
    stock, numbers = audit.stock, {name: pool for pool, name in enumerate(audit.stock.names)}
    for name, site, hardware, firm, slot, tier, *_, sold, offered in audit.clearing.prices.iter_rows():
        pool = numbers[name]
        offer = stock.offers[stock.pools[pool][0]]
        if (site, hardware, firm) != (offer.site, offer.hardware, offer.firm):
            yield f"the price of pool {name} in slot {slot} describes another pool"
        true = (int(audit.sold_by_pool[pool, slot, TIERS.index(tier)]), int(stock.offered[pool, slot]))
        if (sold, offered) != true:
            yield f"pool {name}, slot {slot}, {tier} says {sold} sold of {offered}; it was {true[0]} of {true[1]}"


def _odd_rates(audit: Audit) -> Iterator[str]:
    """The order of the tiers, the middle of the ends, premiums only where a limit is reached, and pools that did not trade."""
    stock, layout = audit.stock, audit.layout
    there = stock.on_sale
    better = np.cumsum(audit.sold_by_pool, axis=2)
    for what, grid in (("rate", layout.rates), ("low end", layout.lows), ("high end", layout.highs)):
        for tier in (GUARANTEED, STANDARD):
            premium = grid[:, :, tier] - grid[:, :, tier + 1]
            slack = (better[:, :, tier] < stock.limits[:, :, tier]) & (not audit.has_blocks)
            for pool, slot in np.argwhere(there[:, :, tier] & ((premium < 0) | (slack & (premium != 0)))):
                yield f"the {what} of pool {stock.names[pool]}, slot {slot} has {TIERS[tier]} {premium[pool, slot]} above {TIERS[tier + 1]}"
    odd = (layout.rates != (layout.lows + layout.highs) // 2) | (layout.lows > layout.highs)
    for pool, slot, tier in np.argwhere(there & odd):
        yield f"the rate of pool {stock.names[pool]}, slot {slot}, {TIERS[tier]} is not the middle of its ends"
    quiet = there & ~audit.traded[:, :, None]
    stray = quiet & ((layout.lows != stock.lowest[:, :, None]) | (layout.highs != stock.lowest[:, :, None]))
    for pool, slot, tier in np.argwhere(stray):
        yield f"pool {stock.names[pool]} sold nothing in slot {slot} and does not show its lowest rate at {TIERS[tier]}"


def _odd_charges(audit: Audit) -> Iterator[str]:
    layout = audit.layout
    published = layout.rates[audit.stock.pool_of[layout.offer], layout.slot, layout.tier]
    for row, rate in enumerate(published):
        who = f"bid {audit.bids[layout.bid[row]].id} at offer {audit.stock.offers[layout.offer[row]].id}, slot {layout.slot[row]}"
        if layout.rate[row] != rate:
            yield f"{who} has rate {layout.rate[row]}, published {rate}"
        due = audit.money(int(layout.rate[row]) * int(layout.quantity[row]))
        if layout.charge[row] != due:
            yield f"{who} is charged {layout.charge[row]}, due {due}"


def _made_whole(audit: Audit) -> str:
    return ", or is made whole from the uplift fund" if audit.has_blocks else ""


def _shortfalls(audit: Audit) -> list[Fraction]:
    """Of each bid, h · Σ (rate − worth)·x: what it pays beyond its worth, negative where it gains."""
    short = [0] * len(audit.bids)
    layout = audit.layout
    for b, rate, worth, quantity in zip(layout.bid, layout.rate, audit.award_worth, layout.quantity, strict=True):
        short[b] += (int(rate) - int(worth)) * int(quantity)
    return [amount * audit.slot_hours for amount in short]


def _losing_bids(audit: Audit) -> Iterator[str]:
    """All-in: the worth of an award is its limit less fee, transfer and carbon. Beside blocks a winner may lose, and is made whole."""
    layout = audit.layout
    for row in np.flatnonzero(layout.rate > audit.award_worth):
        bid = audit.bids[layout.bid[row]]
        if not audit.has_blocks:
            yield f"bid {bid.id} pays {layout.rate[row]} in slot {layout.slot[row]} for what is worth {audit.award_worth[row]}"


def _losing_offers(audit: Audit) -> Iterator[str]:
    stock = audit.stock
    sold = audit.sold_by_offer.sum(axis=2)
    spot = audit.layout.rates[stock.pool_of, :, SPOT]
    for offer, slot in np.argwhere((sold > 0) & (spot < stock.rates)):
        if not audit.has_blocks:
            yield f"offer {stock.offers[offer].id} is sold at {spot[offer, slot]} in slot {slot}, its rate is {stock.rates[offer, slot]}"


def _due_receipts(audit: Audit) -> dict[tuple[str, int], tuple[int, int, int, int]]:
    """(offer_id, slot) → sold, received, premium share, uplift, wherever one of them is not nothing."""
    stock, layout = audit.stock, audit.layout
    spot_part: dict[tuple[int, int], int] = {}
    charged: dict[tuple[int, int], int] = {}
    for o, slot, quantity, charge in zip(layout.offer, layout.slot, layout.quantity, layout.charge, strict=True):
        pool = int(stock.pool_of[o])
        part = audit.money(int(layout.rates[pool, slot, SPOT]) * int(quantity))
        spot_part[int(o), int(slot)] = spot_part.get((int(o), int(slot)), 0) + part
        charged[pool, int(slot)] = charged.get((pool, int(slot)), 0) + int(charge)
    due = {}
    for (pool, slot), total in charged.items():
        rows = stock.pools[pool]
        premiums = total - sum(spot_part.get((row, slot), 0) for row in rows)
        sharing = [row for row in rows if stock.callable[row, slot]]
        weights = [int(stock.gross[row, slot]) for row in sharing]
        shares = dict(zip(sharing, largest_remainder(premiums, weights), strict=True)) if premiums else {}
        for row in rows:
            sold, share = int(audit.sold_by_offer[row, slot].sum()), shares.get(row, 0)
            loss = max(0, int(stock.rates[row, slot]) - int(layout.rates[pool, slot, SPOT])) * sold
            if sold or share:
                received = spot_part.get((row, slot), 0) + share
                due[stock.offers[row].id, slot] = (sold, received, share, audit.money(loss))
    return due


def _odd_receipts(audit: Audit) -> Iterator[str]:
    due = _due_receipts(audit)
    for offer, slot, *amounts in audit.clearing.receipts.iter_rows():
        expected = due.pop((offer, slot), (0, 0, 0, 0))
        if tuple(amounts) != expected:
            yield f"offer {offer}, slot {slot} has sold, received, premium, uplift {tuple(amounts)}, due {expected}"
    for (offer, slot), expected in due.items():
        yield f"offer {offer}, slot {slot} has no receipt of {expected}"


def _odd_outcomes(audit: Audit) -> Iterator[str]:
    due = _due_outcomes(audit)
    for bid_id, status, *amounts, reason in audit.clearing.outcomes.iter_rows():
        expected_status, *expected, expected_reason = due.pop(bid_id)
        if status != expected_status:
            yield f"bid {bid_id} is called {status}, but is {expected_status}"
        if amounts != expected:
            yield f"bid {bid_id} has hours, reference hours, paid, fee, transfer, uplift {amounts}, due {expected}"
        if reason != expected_reason:
            yield f"bid {bid_id} is told {reason!r}, the reason is {expected_reason!r}"
    for bid_id in due:
        yield f"bid {bid_id} has no outcome"


def _due_outcomes(audit: Audit) -> dict[str, list[str | int | float]]:
    """bid_id → the row its awards call for, without the id."""
    layout, h = audit.layout, audit.slot_hours
    reference, paid, transfer = ([Fraction(0)] * len(audit.bids), [0] * len(audit.bids), [0] * len(audit.bids))
    for b, o, quantity, charge, moved in zip(layout.bid, layout.offer, layout.quantity, layout.charge, audit.award_transfer, strict=True):
        factor = audit.bids[b].factors.get(audit.stock.offers[o].hardware, Fraction(0))
        reference[b] += factor * int(quantity) * h
        paid[b] += int(charge)
        transfer[b] += audit.money(int(moved) * int(quantity))
    shortfalls = _shortfalls(audit)
    due: dict[str, list[str | int | float]] = {}
    for b, bid in enumerate(audit.bids):
        taken = int(audit.taken[b].sum())
        status = "rejected" if not taken else "filled" if audit.hours_of(b) == bid.hours else "partial"
        if not taken and bid.kind == "block" and best_run(audit, b, prices=layout.rates) > 0:
            status = "paradoxical"
        reason = "" if taken else "priced out" if audit.arcs.welcome[b] else "no eligible pool"
        fee = half_up(paid[b] * audit.book.rules.fee_bps, BASIS_POINTS)
        uplift = half_up(max(Fraction(0), shortfalls[b]))
        due[bid.id] = [status, float(audit.hours_of(b)), float(reference[b]), paid[b], fee, transfer[b], uplift, reason]
    return due


def _odd_fund(audit: Audit) -> Iterator[str]:
    fund = audit.book.rules.uplift_fund_micros
    due = int(audit.clearing.outcomes["uplift_micros"].sum()) + int(audit.clearing.receipts["uplift_micros"].sum())
    if fund is not None and due > fund:
        yield f"uplift of {due} micros is due, the fund holds {fund}"
    if due and not audit.has_blocks:
        yield f"uplift of {due} micros is due where there are no blocks"
