"""Why a bid found nothing, or not all it wanted: what each clause removed, and what giving way in one would find.

Only the offers a bid may see are counted: an offer closed to its buyer does not exist for it, and a buyer to whom
nothing is open is told no more than that.
"""

import math
from collections import Counter
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.errors import NotFound
from contracts.terms.money import BASIS_POINTS, micros_text
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.result import rates_of
from pricing.audit.supply import Stock, take_stock
from pricing.audit.whole import Ints
from pricing.policy import CLAUSES, PARTY_CLAUSES, fits_tier, fits_window, standing_refusals
from pricing.policy_facts import Bid, Facts, Offer, bids_of, facts_of
from pricing.policy_worth import carbon_rate, transfer_rate, worth
from pricing.relaxing import nearness, relaxed


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the offers a bid may see one clause removes, counted on its own."""

    clause: str
    offers: int


class Relaxation(msgspec.Struct, frozen=True, kw_only=True):
    """The nearest way to give way in one clause, all others kept.

    change         what to do, in words
    accelerators   the most this finds in one slot
    rate_micros    the lowest price among them, per accelerator-hour
    """

    clause: str
    change: str
    accelerators: int
    rate_micros: int


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The least limit that would meet a published price, micros per reference hour, and where."""

    tier: str
    limit_micros: int
    limit_given_micros: int
    site: str
    slot: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one bid and why.

    visible   offers the bid may see, of which each removal counts
    open      offers among them that meet every clause but worth, in some slot and tier
    width     accelerators a block asks for at once, 0 for a flexible bid
    widest    of a block: the most accelerators one pool open to it has, at a tier it names, through a whole run; leases taken off
    """

    bid_id: str
    status: str
    currency: str
    visible: int
    open: int
    removals: tuple[Removal, ...]
    relaxations: tuple[Relaxation, ...]
    needs: tuple[Need, ...]
    width: int = 0
    widest: int = 0

    @property
    def text(self) -> str:
        """The explanation for people, a sentence a line."""
        return "\n".join(sentences(self))


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One pool before one bid: the clauses in the way (worth apart) and where the bid would be let in without them."""

    pool: int
    offer: Offer
    offers: int
    clauses: tuple[str, ...]


def explain(book: MarketBook, bid_id: str, *, clearing: Clearing) -> Explanation:
    """Explain the outcome of one bid at the prices of a clearing. Raises NotFound for a bid the book does not have."""
    mine = book.bids.filter(pl.col("bid_id") == bid_id)
    if mine.is_empty():
        raise NotFound(f"no bid of the book has the id {bid_id}", bid=bid_id)
    (bid,), facts = bids_of(msgspec.structs.replace(book, bids=mine)), facts_of(book)
    stock = take_stock(book, facts)
    prices = rates_of(clearing, stock)
    sites = [site for pool in range(len(stock.pools)) if (site := _look(bid, pool, stock=stock, facts=facts)) is not None]
    worthless = sum(site.offers for site in sites if not site.clauses and not _worth_it(bid, site, stock=stock, facts=facts))
    counted = Counter({clause: sum(site.offers for site in sites if clause in site.clauses) for clause in CLAUSES})
    counted["worth"] = worthless
    status = str(clearing.outcomes.filter(pl.col("bid_id") == bid_id)["status"].item())
    wants_more = status != "filled"
    return Explanation(
        bid_id=bid_id,
        status=status,
        currency=book.rules.currency,
        visible=sum(site.offers for site in sites),
        open=sum(site.offers for site in sites if not site.clauses),
        removals=tuple(Removal(clause=clause, offers=counted[clause]) for clause in CLAUSES if counted[clause]),
        relaxations=tuple(_relaxations(bid, sites, stock=stock, facts=facts, prices=prices)) if wants_more else (),
        needs=tuple(_needs(bid, sites, stock=stock, facts=facts, prices=prices)) if wants_more else (),
        width=bid.width if bid.kind == "block" else 0,
        widest=_widest(bid, sites, stock=stock, facts=facts) if bid.kind == "block" else 0,
    )


def _look(bid: Bid, pool: int, *, stock: Stock, facts: Facts) -> Site | None:
    """A pool as a bid sees it; None when it is closed to the buyer."""
    rows = stock.pools[pool]
    offer = stock.offers[rows[0]]
    clauses = standing_refusals(bid, offer, facts=facts)
    if set(clauses) & set(PARTY_CLAUSES):
        return None
    if "transfer" not in clauses and not any(_in_window(bid, pool, stock=stock, facts=facts)):
        clauses.append("window")
    if not any(fits_tier(bid, offer, tier=tier) for tier in TIERS):
        clauses.append("tier")
    return Site(pool=pool, offer=offer, offers=len(rows), clauses=tuple(clauses))


def _in_window(bid: Bid, pool: int, *, stock: Stock, facts: Facts) -> list[bool]:
    """Of each slot, whether some offer of the pool has anything left while the bid can be there."""
    offers = [(stock.offers[row], stock.left[row]) for row in stock.pools[pool]]
    return [
        any(left[slot] > 0 and fits_window(bid, offer, facts=facts, slot=slot) for offer, left in offers) for slot in range(facts.slots)
    ]


def _worth_it(bid: Bid, site: Site, *, stock: Stock, facts: Facts) -> bool:
    """Whether the bid's worth reaches the pool's lowest rate in some slot, at some tier it names."""
    return any(
        worth(bid, site.offer, facts=facts, slot=slot, tier=tier) >= stock.lowest[site.pool, slot]
        for slot, fits in enumerate(_in_window(bid, site.pool, stock=stock, facts=facts))
        for tier in TIERS
        if fits and fits_tier(bid, site.offer, tier=tier)
    )


def _relaxations(bid: Bid, sites: list[Site], *, stock: Stock, facts: Facts, prices: Ints) -> list[Relaxation]:
    """For each clause that alone keeps some pool away, the nearest way to let it in."""
    found = []
    for clause in CLAUSES:
        choices: dict[str, list[Site]] = {}
        for site in (site for site in sites if site.clauses == (clause,)):
            choices.setdefault(relaxed(clause, bid, offer=site.offer, facts=facts), []).append(site)
        offered = []
        for change, group in choices.items():
            cells = [cell for site in group if (cell := _cheapest(bid, site, clause=clause, stock=stock, prices=prices)) is not None]
            if cells:
                near = min(nearness(clause, site.offer, bid=bid, facts=facts) for site in group)
                offered.append((near, min(rate for rate, _ in cells), -sum(count for _, count in cells), change))
        if offered:
            _, rate, count, change = min(offered)
            found.append(Relaxation(clause=clause, change=change, accelerators=-count, rate_micros=rate))
    return found


def _cheapest(bid: Bid, site: Site, *, clause: str, stock: Stock, prices: Ints) -> tuple[int, int] | None:
    """The lowest published price a pool would let the bid in at, and the most it has left in one slot; None without any."""
    slots = np.arange(stock.offered.shape[1])
    tiers = [tier for tier, name in enumerate(TIERS) if clause == "tier" or fits_tier(bid, site.offer, tier=name)]
    within = (slots >= bid.slot_first) & (slots < bid.slot_end) if clause != "window" else slots >= 0
    cells = stock.on_sale[site.pool][:, tiers] & within[:, None]
    if not cells.any():
        return None
    return int(prices[site.pool][:, tiers][cells].min()), int(stock.offered[site.pool][cells.any(axis=1)].max())


def _needs(bid: Bid, sites: list[Site], *, stock: Stock, facts: Facts, prices: Ints) -> list[Need]:
    """At each tier the bid names, the least limit that meets a published price where only worth is in the way."""
    found = []
    for tier, name in enumerate(TIERS):
        needed = []
        for site in (site for site in sites if not site.clauses and fits_tier(bid, site.offer, tier=name)):
            for run in _runs(bid, site, tier=tier, stock=stock, facts=facts):
                spent = sum(int(prices[site.pool, slot, tier]) + carbon_rate(bid, site.offer, facts=facts, slot=slot) for slot in run)
                target = -(-spent // len(run)) + transfer_rate(bid, site.offer, facts=facts)
                needed.append((_least_limit(target, bid.factors[site.offer.hardware], fee_bps=facts.fee_bps), run[0], site.offer.site))
        if needed and min(needed)[0] > bid.limits[name]:
            limit, slot, place = min(needed)
            found.append(Need(tier=name, limit_micros=limit, limit_given_micros=bid.limits[name], site=place, slot=slot))
    return found


def _runs(bid: Bid, site: Site, *, tier: int, stock: Stock, facts: Facts) -> list[range]:
    """The slots in which a bid could run at a site and tier: a block's whole runs, for a flexible bid every slot alone."""
    run = int(bid.hours / facts.slot_hours) // bid.width if bid.kind == "block" else 1
    fits = np.array(_in_window(bid, site.pool, stock=stock, facts=facts)) & stock.on_sale[site.pool, :, tier]
    return [range(first, first + run) for first in range(facts.slots - run + 1) if fits[first : first + run].all()]


def _widest(bid: Bid, sites: list[Site], *, stock: Stock, facts: Facts) -> int:
    """The most accelerators a pool has at once through a whole run of a block, at a tier it names."""
    found = [0]
    for site in (site for site in sites if not site.clauses):
        room = stock.limits[site.pool]
        for tier, name in enumerate(TIERS):
            if fits_tier(bid, site.offer, tier=name):
                found += [int(room[run, tier:].min()) for run in _runs(bid, site, tier=tier, stock=stock, facts=facts)]
    return max(found)


def _least_limit(target: int, factor: Fraction, *, fee_bps: int) -> int:
    """The least limit per reference hour whose worth, fee taken off and rounded down, reaches a target."""
    return math.ceil(target * (BASIS_POINTS + fee_bps) / (BASIS_POINTS * factor))


def sentences(found: Explanation) -> list[str]:
    """An explanation for people, a line each."""
    if not found.visible:
        return [f"Bid {found.bid_id}: no offer is open to this buyer."]
    told = f"Bid {found.bid_id} {_STATUS_WORDS[found.status]}."
    lines = [f"{told} Of {_counted(found.visible, 'offer')} it may see, {found.open} meet every clause but perhaps the price."]
    if found.width > found.widest:
        lines.append(f"It asks for {found.width:,} at once; the widest run open to it has {found.widest:,}.")
    if found.removals:
        lines.append("Counted clause by clause, of these offers")
    lines += [f"  {removal.offers} {_REMOVAL_WORDS[removal.clause]} ({removal.clause})" for removal in found.removals]
    if found.relaxations:
        lines.append("Giving way in one clause, the others kept, would find")
    lines += [
        f"  {_counted(relaxation.accelerators, 'accelerator')} from {micros_text(relaxation.rate_micros)} {found.currency} an hour: "
        f"{relaxation.change}"
        for relaxation in found.relaxations
    ]
    lines += [
        f"At {need.tier} it needed a limit of {micros_text(need.limit_micros)} {found.currency} per reference hour "
        f"({need.site}, slot {need.slot}); it gave {micros_text(need.limit_given_micros)}."
        for need in found.needs
    ]
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_STATUS_WORDS = {
    "filled": "has everything it wanted",
    "partial": "has part of what it wanted",
    "rejected": "found nothing",
    "paradoxical": "was left out although the prices would admit it",
}
_REMOVAL_WORDS = {
    "hardware": "are of other hardware",
    "memory": "have too little memory, or do not say",
    "uptime": "promise too little uptime, or none",
    "countries": "stand in other countries",
    "operator_countries": "are run or owned from other countries, or do not say",
    "countries_denied": "touch a denied country, or do not say",
    "subdivisions": "stand in other subdivisions, or do not say",
    "certifications": "lack a certification",
    "trust": "are of a lower trust class, or of none",
    "chip_origin": "have chips of a denied origin, or do not say",
    "distance": "are too far away, or do not say where",
    "latency": "are too slow to reach, or nobody measured",
    "transfer": "cannot be reached by the data",
    "window": "have nothing left in the window, or get the data too late",
    "tier": "cannot serve a tier it wants",
    "worth": "cost more than they are worth to it",
}
