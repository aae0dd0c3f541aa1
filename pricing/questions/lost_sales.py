"""Why a provider's offers sold or did not: what each had, what it sold, and what kept buyers from the rest.

Every hour left of an offer has exactly one cause, found by a cascade of demands, each part of the one before. In a slot:

    asked   what bids that take the class could have taken there: each its width, for no more hours than it asks in all
    may     the same of those that no clause keeps away: place, certification, data, tier
    pays    of these, where the rate is no more than they would pay, all-in
    room    of these, where the pool still had room at a tier they name: some is held back as headroom

    left − min(left, asked)               nobody asked
    min(left, asked) − min(left, may)     kept away by the buyers' conditions (or by the offer's own)
    min(left, may) − min(left, pays)      dearer than they would pay
    min(left, pays) − min(left, room)     held back as headroom
    min(left, room)                       they bought elsewhere

A provider is told sums over bids and never a bid: who asked, and at what limit, is the buyers' own.
"""

import math
from collections import Counter
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.tables import TIERS
from pricing.audit.result import rows_of
from pricing.audit.supply import Stock, take_stock
from pricing.audit.whole import Bools, Ints
from pricing.policy import STANDING_CLAUSES, fits_tier, standing_refusals
from pricing.policy_facts import Bid, Facts, Offer, bids_of, facts_of
from pricing.policy_worth import earliest_slot, worth
from pricing.questions.tally import Run

CAUSES = ("unasked", "kept_away", "too_dear", "held_back", "elsewhere")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How one clause kept bids of the class from an offer.

    bids    how many it kept away, with other clauses or alone
    alone   how many nothing else kept away
    hours   accelerator-hours of those, as many as the offer had left in their windows, each bid on its own
    """

    clause: str
    bids: int
    alone: int
    hours: float


class OfferSales(msgspec.Struct, frozen=True, kw_only=True):
    """One offer at one gate. Hours are accelerator-hours: offered = leased + sold + left.

    rate_micros       what the offer asked, per accelerator-hour, mean over its hours, energy included
    leased            promised at earlier gates
    received_micros   for what was sold, the share of premiums included; uplift beside it
    premium_micros    the share of premiums, earned by standing by as well
    marginal_micros   mean rate of the dearest offer of the class that sold to a buyer who could have come here, over hours left
    dearer_bps        how much dearer this offer was then; negative when it was cheaper; None where no such offer sold
    lost              cause → hours left for it; together they are `left`; nothing where no cause was looked for
    refusals          clause by clause, those that keep away most hours alone first
    bids              of the class, in a window in which the offer had something left
    """

    offer_id: str
    site: str
    hardware: str
    firm: bool
    rate_micros: int
    offered: float
    leased: float
    sold: float
    left: float
    received_micros: int
    premium_micros: int
    uplift_micros: int
    marginal_micros: int | None
    dearer_bps: int | None
    lost: dict[str, float]
    refusals: tuple[Refusal, ...]
    bids: int


class Gate(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A cleared book laid out: O offers, K pools, T slots.

    sold    (O, T) accelerators
    room    (K, T, 3) what each tier could still have had
    """

    run: Run
    facts: Facts
    stock: Stock
    bids: list[Bid]
    sold: Ints
    room: Ints

    @property
    def hours(self) -> Fraction:
        """Length of a slot."""
        return self.facts.slot_hours


class Wish(msgspec.Struct, frozen=True, eq=False):
    """What one bid could have taken of what an offer had left, (T,) accelerators, at each step of the cascade."""

    clauses: list[str]
    asked: Ints
    may: Ints
    pays: Ints
    room: Ints


def sales_of(run: Run, provider: str, *, with_causes: bool = True) -> list[OfferSales]:
    """How the offers of one provider fared in a cleared book, by offer; none for a provider that is not in it.

    with_causes   whether every bid is gone through for why hours were left: a few dozen microseconds a bid and offer
    """
    mine = run.book.offers.filter(pl.col("provider") == provider)["offer_id"].sort().to_list()
    if not mine:
        return []
    gate = _laid_out(run, bids_of(run.book) if with_causes else [])
    found = [_sales(gate, gate.stock.row_of[offer_id]) for offer_id in mine]
    return found if with_causes else [msgspec.structs.replace(each, lost={}) for each in found]


def _laid_out(run: Run, bids: list[Bid]) -> Gate:
    facts = facts_of(run.book)
    stock = take_stock(run.book, facts)
    awards = run.clearing.awards
    offer, slot = rows_of(awards["offer_id"], list(stock.row_of)), awards["slot"].to_numpy()
    tier, quantity = rows_of(awards["tier"], TIERS), awards["quantity"].to_numpy()
    sold = np.zeros(stock.gross.shape, dtype=np.int64)
    np.add.at(sold, (offer, slot), quantity)
    by_tier = np.zeros(stock.limits.shape, dtype=np.int64)
    np.add.at(by_tier, (stock.pool_of[offer], slot, tier), quantity)
    # A limit holds for its tier and the better ones together; a tier has the room that it and all below it leave.
    spare = stock.limits - np.cumsum(by_tier, axis=2)
    room = np.minimum.accumulate(spare[:, :, ::-1], axis=2)[:, :, ::-1]
    return Gate(run=run, facts=facts, stock=stock, bids=bids, sold=sold, room=room)


def _sales(gate: Gate, row: int) -> OfferSales:
    stock, hours = gate.stock, gate.hours
    offer, sold = stock.offers[row], gate.sold[row]
    left = stock.left[row] - sold
    taken = _taken(gate, offer)
    nothing = np.zeros_like(left)
    asking = [bid for bid in gate.bids if offer.hardware in bid.factors]
    wishes = {bid.id: _wish(gate, bid, row=row, spare=(left, taken.get(bid.id, nothing))) for bid in asking}
    wishes = {name: wish for name, wish in wishes.items() if wish.asked.any()}
    receipts = gate.run.clearing.receipts.filter(pl.col("offer_id") == offer.id)
    received, premium, uplift = (int(receipts[f"{name}_micros"].sum()) for name in ("received", "premium", "uplift"))
    marginal, dearer = _against_marginal(gate, row, left=left, wishes=wishes)
    gross = stock.gross[row]
    return OfferSales(
        offer_id=offer.id,
        site=offer.site,
        hardware=offer.hardware,
        firm=offer.firm,
        rate_micros=_mean(stock.rates[row], gross) if gross.any() else offer.rate_micros,
        offered=float(hours * int(gross.sum())),
        leased=float(hours * int((gross - stock.left[row]).sum())),
        sold=float(hours * int(sold.sum())),
        left=float(hours * int(left.sum())),
        received_micros=received,
        premium_micros=premium,
        uplift_micros=uplift,
        marginal_micros=marginal,
        dearer_bps=dearer,
        lost={cause: float(hours * count) for cause, count in zip(CAUSES, _cascade(left, list(wishes.values())), strict=True)},
        refusals=_refusals(list(wishes.values()), hours=hours),
        bids=len(wishes),
    )


def _wish(gate: Gate, bid: Bid, *, row: int, spare: tuple[Ints, Ints]) -> Wish:
    """What a bid could have taken of an offer. Hours it has here already, or has no width for, it does not take again.

    spare   (T,) what the offer has left, and what the bid has of it
    """
    stock, offer, (left, taken) = gate.stock, gate.stock.offers[row], spare
    asked = _fitted(bid, left, taken=taken, slots=_most_slots(bid, offer, hours=gate.hours))
    clauses = [clause for clause in standing_refusals(bid, offer, facts=gate.facts) if clause != "hardware"]
    tiers = [tier for tier, name in enumerate(TIERS) if fits_tier(bid, offer, tier=name)]
    slots = np.arange(len(left))
    if not tiers:
        clauses.append("tier")
    if "transfer" not in clauses and asked.any():
        in_time = slots >= earliest_slot(bid, offer, facts=gate.facts)
        if not (asked * in_time).any():
            clauses.append("window")
    else:
        in_time = np.zeros(len(left), dtype=np.bool_)
    may = asked * in_time if not clauses else np.zeros_like(asked)
    pays, room = np.zeros_like(may), np.zeros_like(may)
    if may.any():
        worths = _worths(gate, bid, offer=offer, tiers=tiers)
        ready = worths >= stock.rates[row][:, None]
        pays = may * ready.any(axis=1)
        room = may * (ready & (gate.room[stock.pool_of[row]][:, tiers] > 0)).any(axis=1)
    return Wish(clauses, asked, may, pays, room)


def _taken(gate: Gate, offer: Offer) -> dict[str, Ints]:
    """Accelerators that bids have of the offer, (T,) by bid."""
    taken: dict[str, Ints] = {}
    awards = gate.run.clearing.awards.filter(pl.col("offer_id") == offer.id).select("bid_id", "slot", "quantity")
    for bid_id, slot, quantity in awards.iter_rows():
        taken.setdefault(bid_id, np.zeros(gate.facts.slots, dtype=np.int64))[slot] += quantity
    return taken


def _most_slots(bid: Bid, offer: Offer, *, hours: Fraction) -> int:
    """Accelerators times slots that a bid asks for in all, on this hardware."""
    hours_here = bid.hours / bid.factors[offer.hardware] if bid.semantics == "work" else bid.hours
    return math.floor(hours_here / hours)


def _fitted(bid: Bid, left: Ints, *, taken: Ints, slots: int) -> Ints:
    """Of what is left, what the bid could take more, (T,): the earliest slots of its window first, up to its width and its hours."""
    slot = np.arange(len(left))
    within = (slot >= bid.slot_first) & (slot < bid.slot_end)
    most = np.where(within, np.minimum(left, np.maximum(bid.width - taken, 0)), 0)
    before = np.cumsum(most) - most
    return np.asarray(np.clip(max(0, slots - int(taken.sum())) - before, 0, most), dtype=np.int64)


def _worths(gate: Gate, bid: Bid, *, offer: Offer, tiers: list[int]) -> Ints:
    """The most the bid would pay as a rate, (T, tiers); only what it gives for carbon changes from slot to slot."""
    slots = range(gate.facts.slots) if bid.carbon_micros_per_kg else (0,)
    rows = [[worth(bid, offer, facts=gate.facts, slot=slot, tier=TIERS[tier]) for tier in tiers] for slot in slots]
    return np.broadcast_to(np.array(rows, dtype=np.int64), (gate.facts.slots, len(tiers)))


def _cascade(left: Ints, wishes: list[Wish]) -> list[int]:
    """Accelerators times slots left, by cause in the order of `CAUSES`; together all that is left."""
    steps = [left]
    for name in ("asked", "may", "pays", "room"):
        wanted = sum((getattr(wish, name) for wish in wishes), np.zeros_like(left))
        steps.append(np.minimum(left, wanted))
    sums = [int(step.sum()) for step in steps]
    return [sums[0] - sums[1], sums[1] - sums[2], sums[2] - sums[3], sums[3] - sums[4], sums[4]]


def _refusals(wishes: list[Wish], *, hours: Fraction) -> tuple[Refusal, ...]:
    bids = Counter(clause for wish in wishes for clause in wish.clauses)
    alone: dict[str, list[int]] = {}
    for wish in wishes:
        if len(wish.clauses) == 1:
            alone.setdefault(wish.clauses[0], []).append(int(wish.asked.sum()))
    found = [
        Refusal(clause=clause, bids=bids[clause], alone=len(alone.get(clause, [])), hours=float(hours * sum(alone.get(clause, []))))
        for clause in (*STANDING_CLAUSES, "window", "tier")
        if clause in bids
    ]
    return tuple(sorted(found, key=lambda each: (-each.hours, -each.bids)))


def _against_marginal(gate: Gate, row: int, *, left: Ints, wishes: dict[str, Wish]) -> tuple[int | None, int | None]:
    """The mean rate of the marginal offer over the hours left, and how much dearer this one is, in hundredths of a per cent.

    In a slot the marginal offer is the dearest of the class that sold to somebody no clause keeps from here.
    """
    stock = gate.stock
    welcome = [name for name, wish in wishes.items() if wish.may.any()]
    awards = gate.run.clearing.awards.filter(pl.col("bid_id").is_in(welcome) & (pl.col("offer_id") != stock.offers[row].id))
    offer, slot = rows_of(awards["offer_id"], list(stock.row_of)), awards["slot"].to_numpy()
    same = np.array([stock.offers[each].hardware == stock.offers[row].hardware for each in offer], dtype=np.bool_)
    dearest = np.full(len(left), -1, dtype=np.int64)
    np.maximum.at(dearest, slot[same], stock.rates[offer[same], slot[same]])
    there: Bools = (dearest >= 0) & (left > 0)
    if not there.any():
        return None, None
    marginal, own = _mean(dearest[there], left[there]), _mean(stock.rates[row][there], left[there])
    return marginal, half_up((own - marginal) * BASIS_POINTS, marginal) if marginal else None


def _mean(values: Ints, weights: Ints) -> int:
    """Weighted mean, exact and rounded once."""
    total = sum(int(value) * int(weight) for value, weight in zip(values, weights, strict=True))
    return half_up(total, int(weights.sum()))
