"""What is lost with some offers, and how its holders ask for it again: pieces of bids, each with the holder's own clauses.

A bid that ran nowhere else asks again as it did, in what is left of its window, for the hours it lost. One that runs
elsewhere too, or lost at two tiers, asks slot by slot for what it lost there, so that old and new together stay within its
width. Its limit is at most the one at which what it had was just worth its price: it pays no more than it did,
moving the data and avoiding carbon counted as before (a block a micro more, since no block runs for a gain of nothing). Of
its data it moves the share of the hours.

A lease of an earlier gate has no clauses in the book. It is offered, slot by slot, only what is like its own pool in all a
bid can ask but the place, at no more than the price published there; where a fact of the pool is unknown, nothing.
"""

import math
from datetime import datetime
from fractions import Fraction

import msgspec
import polars as pl

from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, BIDS, COMMITMENTS, TIERS, Column
from pricing.policy_facts import Bid, Facts, Offer, bids_of, facts_of, offers_of
from pricing.policy_worth import carbon_rate, rate, transfer_rate
from pricing.questions.tally import Run, only

AWARD = "award"
LEASE = "lease"
Cell = str | int | float | bool | datetime | list[str] | None
Row = dict[str, Cell]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Accelerators of a class lost in one slot, their charge, and the least limit at which they were worth their rate, micros."""

    slot: int
    quantity: int
    hardware: str
    charge_micros: int
    limit_micros: int


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of what a holder lost at a tier: accelerators summed over its slots, their charges, and the bid that asks again.

    id          of the piece: its kind and a number
    reference   what was lost in slots of the reference class
    factors     hardware class → reference hours an accelerator-hour of it is worth to the holder
    row         under that id a row of the bids table; None where the holder cannot ask
    """

    id: str
    holder: str
    kind: str
    tier: str
    quantity: int
    reference: Fraction
    factors: dict[str, Fraction]
    old_micros: int
    row: Row | None


def losses(base: Run, offer_ids: list[str], *, slot_first: int) -> list[Loss]:
    """The pieces lost with some offers from a slot on: awards by bid, then leases, each in order of id."""
    gone = pl.col("offer_id").is_in(offer_ids) & (pl.col("slot") >= slot_first)
    awards, leases = base.clearing.awards.filter(gone), base.book.commitments.filter(gone)
    return [*_of_awards(base, awards, slot_first=slot_first), *_of_leases(base, leases)]


def _of_awards(base: Run, lost: pl.DataFrame, *, slot_first: int) -> list[Loss]:
    facts = facts_of(base.book)
    mine = only(base.book, bids=lost["bid_id"], offers=lost["offer_id"])
    rows: dict[str, Row] = {row["bid_id"]: row for row in mine.bids.iter_rows(named=True)}
    bids, offers = {bid.id: bid for bid in bids_of(mine)}, {offer.id: offer for offer in offers_of(mine)}
    parts: dict[str, dict[str, list[Part]]] = {name: {} for name in bids}
    for name, offer_id, slot, tier, quantity, paid_rate, charge in lost.select(list(AWARDS.schema)).iter_rows():
        bid, offer = bids[name], offers[offer_id]
        moved = transfer_rate(bid, offer, facts=facts) + carbon_rate(bid, offer, facts=facts, slot=slot)
        some_gain = 1 if bid.kind == "block" else 0
        limit = _least_limit(paid_rate + moved + some_gain, bid.factors[offer.hardware], fee_bps=facts.fee_bps)
        part = Part(slot=slot, quantity=quantity, hardware=offer.hardware, charge_micros=charge, limit_micros=limit)
        parts[name].setdefault(tier, []).append(part)
    holding = base.clearing.awards.filter(pl.col("slot") >= slot_first).group_by("bid_id").agg(pl.col("quantity").sum())
    held = dict(holding.iter_rows())
    found = []
    for name, bid in bids.items():
        lost_here = sum(part.quantity for tier in parts[name].values() for part in tier)
        whole = bid.kind == "block" or (len(parts[name]) == 1 and held[name] == lost_here)
        for tier, group in parts[name].items():
            for piece in [group] if whole else _by_slot(group):
                row = _row_again(rows[name], bid, tier=tier, parts=piece, facts=facts)
                window = (max(bid.slot_first, slot_first), bid.slot_end) if whole else (piece[0].slot, piece[0].slot + 1)
                width = bid.width if whole else sum(part.quantity for part in piece)
                row |= {"slot_first": window[0], "slot_end": window[1], "width": width}
                found.append(_loss(piece, row, tier=tier, holder=name, factors=bid.factors))
    return [_numbered(loss, f"{AWARD} {number:07d}", kind=AWARD) for number, loss in enumerate(found)]


def _by_slot(parts: list[Part]) -> list[list[Part]]:
    slots: dict[int, list[Part]] = {}
    for part in parts:
        slots.setdefault(part.slot, []).append(part)
    return [slots[slot] for slot in sorted(slots)]


def _row_again(row: Row, bid: Bid, *, tier: str, parts: list[Part], facts: Facts) -> Row:
    """The bid for what some parts held, at their tier alone; at most their mean limit, so that they cost no more together."""
    taken = sum(part.quantity for part in parts)
    hours = facts.slot_hours * taken
    mean = -(-sum(part.limit_micros * part.quantity for part in parts) // taken)
    limits: Row = {f"limit_{name}_micros": min(mean, bid.limits[tier]) if name == tier else None for name in TIERS}
    data_tb = bid.data_tb * min(Fraction(1), hours / bid.hours)
    return {**row, **limits, "hours": float(hours), "semantics": "hours", "data_tb": float(data_tb)}


def _least_limit(target: int, factor: Fraction, *, fee_bps: int) -> int:
    """The least limit per reference hour whose worth, fee taken off and rounded down, reaches a target."""
    return math.ceil(target * (BASIS_POINTS + fee_bps) / (BASIS_POINTS * factor))


def _loss(parts: list[Part], row: Row | None, *, tier: str, holder: str, factors: dict[str, Fraction]) -> Loss:
    return Loss(
        id="",
        holder=holder,
        kind="",
        tier=tier,
        quantity=sum(part.quantity for part in parts),
        reference=sum((part.quantity * factors[part.hardware] for part in parts), Fraction(0)),
        factors=factors,
        old_micros=sum(part.charge_micros for part in parts),
        row=row,
    )


def _numbered(loss: Loss, name: str, *, kind: str) -> Loss:
    """A piece under an id of its own, which its row carries too."""
    return msgspec.structs.replace(loss, id=name, kind=kind, row=None if loss.row is None else {**loss.row, "bid_id": name})


def _of_leases(base: Run, leased: pl.DataFrame) -> list[Loss]:
    facts, offers = facts_of(base.book), {offer.id: offer for offer in offers_of(only(base.book, offers=leased["offer_id"]))}
    published = _published(base, offers)
    origins = sorted(set(base.book.offers["chip_origin"].drop_nulls()))
    found = []
    for lease_id, offer_id, slot, tier, quantity in leased.select(list(COMMITMENTS.schema)).iter_rows():
        offer = offers[offer_id]
        paid_rate = published.get((offer_id, slot, tier)) or rate(offer, facts, slot=slot)
        limit = _least_limit(paid_rate, Fraction(1), fee_bps=facts.fee_bps)
        charge = half_up(facts.slot_hours * paid_rate * quantity)
        part = Part(slot=slot, quantity=quantity, hardware=offer.hardware, charge_micros=charge, limit_micros=limit)
        row = _twin_row(offer, base.book, origins=origins, tier=tier, part=part)
        found.append(_loss([part], row, tier=tier, holder=lease_id, factors={offer.hardware: Fraction(1)}))
    return [_numbered(loss, f"{LEASE} {number:07d}", kind=LEASE) for number, loss in enumerate(found)]


def _published(base: Run, offers: dict[str, Offer]) -> dict[tuple[str, int, str], int]:
    """The published rate of each offer's pool by slot and tier, where there is one."""
    pools: dict[tuple[object, ...], str] = {}
    for offer in sorted(offers_of(base.book), key=lambda offer: offer.id):
        pools.setdefault(offer.likeness, offer.id)
    members: dict[str, list[str]] = {}
    for offer in offers.values():
        members.setdefault(pools[offer.likeness], []).append(offer.id)
    rows = base.clearing.prices.filter(pl.col("pool").is_in(list(members))).select("pool", "slot", "tier", "rate_micros").iter_rows()
    return {(offer, slot, tier): micros for pool, slot, tier, micros in rows for offer in members[pool]}


def _twin_row(offer: Offer, book: MarketBook, *, origins: list[str], tier: str, part: Part) -> Row | None:
    """A bid for what is like an offer in all but its place; None where a fact is unknown, which no clause could then ask for."""
    known = (offer.country, offer.operator_country, offer.parent_country, offer.trust, offer.chip_origin)
    if None in known:
        return None
    asked: Row = {
        "buyer": "",
        "entered_at": book.rules.start,
        "kind": "flexible",
        "width": part.quantity,
        "hours": float(book.rules.hours * part.quantity),
        "slot_first": part.slot,
        "slot_end": part.slot + 1,
        f"limit_{tier}_micros": part.limit_micros,
        "hardware": [f"{offer.hardware}:1"],
        "memory_gb_min": offer.memory_gb,
        "uptime_min": offer.uptime,
        "countries": [str(offer.country)],
        "subdivisions": [offer.subdivision] if offer.subdivision else [],
        "operator_countries": sorted({str(offer.operator_country), str(offer.parent_country)}),
        "certifications": sorted(offer.certifications),
        "chip_origins_denied": [origin for origin in origins if origin != offer.chip_origin],
        "trust_min": offer.trust,
    }
    return {column.name: asked.get(column.name, _default(column)) for column in BIDS.columns}


def _default(column: Column) -> Cell:
    return [] if column.kind == "list" else column.default if not str(column.default).startswith("=") else None
