"""A buyer's check of her own part of a clearing, from an extract alone: it is under the published root, and nothing better was to be had.

Everything is read slowly, for one bid: the clauses of the policy, worth, and the best response at the published prices.
"""

from collections.abc import Iterator
from fractions import Fraction

import msgspec
import polars as pl

from contracts.terms.clearing import Check
from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.tables import AWARDS, BIDS, OUTCOMES
from pricing.audit.examination import verdict
from pricing.audit.response import Arc, best_response
from pricing.canonical import canonical_text
from pricing.extract import Extract, book_of, price_rows, seal_of, table_of_rows
from pricing.merkle import leaf_hash, root_above
from pricing.policy import fits_tier, fits_window, standing_refusals
from pricing.policy_facts import Bid, Facts, Offer, bids_of, facts_of, offers_of
from pricing.policy_worth import transfer_rate, worth

Place = tuple[str, int, str]


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """One award of the bid, at the pool it is of; micros per accelerator-hour, accelerators, micros."""

    offer: str
    pool: str | None
    slot: int
    tier: str
    quantity: int
    rate: int
    charge: int

    @property
    def place(self) -> Place:
        """Pool, slot and tier."""
        return self.pool or self.offer, self.slot, self.tier


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One extract as the slow reading sees it.

    pools    name → the pool as an offer of nothing, for its facts
    rates    (pool, slot, tier) → published rate
    """

    extract: Extract
    bid: Bid
    facts: Facts
    pools: dict[str, Offer]
    rates: dict[Place, int]
    awards: list[Award]

    def worth_at(self, place: Place) -> int:
        """Worth at a place, micros per accelerator-hour; 0 where the bid has no business there."""
        offer = self.pools.get(place[0])
        if offer is None or place[2] not in self.bid.limits or standing_refusals(self.bid, offer, facts=self.facts):
            return 0
        return worth(self.bid, offer, facts=self.facts, slot=place[1], tier=place[2])


def check_extract(extract: Extract, *, root: str | None = None, prices: pl.DataFrame | None = None) -> list[Check]:
    """Every check of an extract, in order; after one of seal or root that fails, no other is made. Raises BadInput for rows that are none.

    root     the root as published, hexadecimal; without it the extract is held to the root it names
    prices   the published table of prices; without it the extract's own are believed
    """
    seal = ["something in the file was changed after it was written"] if extract.seal != seal_of(extract) else []
    checks = [
        verdict("seal", seal, finding="the file is as it was written"),
        verdict(
            "root",
            list(_root_faults(extract, root)),
            finding=f"leaf {extract.proof.index} of {extract.proof.count} is under {extract.proof.merkle_root}",
        ),
    ]
    if not all(check.holds for check in checks):
        return checks
    part = _part(extract)
    if prices is not None:
        checks.append(verdict("published", list(_unpublished(extract, prices)), finding="the prices are those of the published table"))
    gained, best = _gained(part), _best(part)
    return [
        *checks,
        verdict("eligibility", list(_refused(part)), finding=f"{len(part.awards)} awards meet every clause of the bid"),
        verdict(
            "charges",
            list(_odd_charges(part)),
            finding=f"{sum(award.charge for award in part.awards)} micros, each charge at the published rate",
        ),
        verdict("outcome", list(_odd_outcome(part)), finding=f"{extract.outcome['status']}: hours, charges, fee and transfer add up"),
        verdict("worth", list(_losses(part)), finding="the bid pays at most its worth, all-in"),
        verdict("best response", list(_worse(part, gained, best=best)), finding=_response(part, gained, best=best)),
    ]


def _part(extract: Extract) -> Part:
    book = book_of(extract)
    pool_of = {offer: str(pool.offer["offer_id"]) for pool in extract.pools for offer in pool.offers}
    columns = ("offer_id", "slot", "tier", "quantity", "rate_micros", "charge_micros")
    awards = [
        Award(offer=offer, pool=pool_of.get(offer), slot=slot, tier=tier, quantity=quantity, rate=rate, charge=charge)
        for offer, slot, tier, quantity, rate, charge in table_of_rows(AWARDS, extract.awards).select(columns).iter_rows()
    ]
    return Part(
        extract=extract,
        bid=bids_of(book)[0],
        facts=facts_of(book),
        pools={offer.id: offer for offer in offers_of(book)},
        rates={(pool, slot, tier): rate for pool, slot, tier, rate in price_rows(extract).iter_rows()},
        awards=awards,
    )


def _root_faults(extract: Extract, root: str | None) -> Iterator[str]:
    proof = extract.proof
    if root is not None and root.lower() != proof.merkle_root:
        yield f"the extract is of the root {proof.merkle_root}, published is {root.lower()}"
    tables = ((BIDS, [extract.bid]), (OUTCOMES, [extract.outcome]), (AWARDS, extract.awards))
    try:
        lines = [canonical_text(table, table_of_rows(table, rows)).partition("\n")[2] for table, rows in tables]
        found = root_above(leaf_hash("".join(lines)), index=proof.index, count=proof.count, path=proof.path)
    except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError) as error:
        yield f"bid, outcome and awards are not a leaf of any root: {error}"
        return
    if found != proof.merkle_root:
        yield "bid, outcome and awards are not those under the root: one of them, or the way to it, was changed"


def _unpublished(extract: Extract, prices: pl.DataFrame) -> Iterator[str]:
    """Rates that are not as published, and published ones of the same pools that the extract leaves out."""
    key = ["pool", "slot", "tier"]
    told = price_rows(extract)
    both = told.join(prices.select(*key, published="rate_micros"), on=key, how="full", coalesce=True)
    both = both.filter(pl.col("pool").is_in([str(pool.offer["offer_id"]) for pool in extract.pools]))
    odd = both.filter(pl.col("rate_micros").ne_missing(pl.col("published"))).sort(key)
    for pool, slot, tier, rate, published in odd.select(*key, "rate_micros", "published").iter_rows():
        said, true = ("absent" if rate is None else rate), ("nowhere" if published is None else published)
        yield f"pool {pool}, slot {slot}, {tier} is {said}, published {true}"


def _refused(part: Part) -> Iterator[str]:
    bid, facts = part.bid, part.facts
    for award in part.awards:
        where = f"the award at offer {award.offer} in slot {award.slot}"
        offer = part.pools.get(award.pool or "")
        if offer is None:
            yield f"{where} is of no pool that the bid may use"
            continue
        found = standing_refusals(bid, offer, facts=facts)
        if not found and not fits_window(bid, offer, facts=facts, slot=award.slot):
            found.append("window")
        if not fits_tier(bid, offer, tier=award.tier):
            found.append("tier")
        if found:
            yield f"{where} is against {', '.join(found)}"


def _odd_charges(part: Part) -> Iterator[str]:
    for award in part.awards:
        where = f"the award at offer {award.offer} in slot {award.slot}"
        if award.rate != part.rates.get(award.place):
            yield f"{where} has rate {award.rate}, published {part.rates.get(award.place)}"
        due = half_up(award.rate * award.quantity * part.facts.slot_hours)
        if award.charge != due:
            yield f"{where} is charged {award.charge}, due {due}"


def _odd_outcome(part: Part) -> Iterator[str]:
    bid, facts, told = part.bid, part.facts, part.extract.outcome
    hours, reference = Fraction(0), Fraction(0)
    paid = moved = 0
    in_slot: dict[int, int] = {}
    for award in part.awards:
        offer = part.pools.get(award.pool or "")
        hours += award.quantity * facts.slot_hours
        paid += award.charge
        in_slot[award.slot] = in_slot.get(award.slot, 0) + award.quantity
        if offer is not None and not standing_refusals(bid, offer, facts=facts):
            reference += award.quantity * facts.slot_hours * bid.factors[offer.hardware]
            moved += half_up(transfer_rate(bid, offer, facts=facts) * award.quantity * facts.slot_hours)
    counted = reference if bid.semantics == "work" else hours
    if counted > bid.hours or max(in_slot.values(), default=0) > bid.width:
        yield f"the bid has {float(counted)} hours of {float(bid.hours)}, {max(in_slot.values())} at once of {bid.width}"
    status = ("filled" if counted == bid.hours else "partial") if part.awards else None
    if status not in (None, told["status"]) or (status is None and told["status"] not in ("rejected", "paradoxical")):
        yield f"the bid is called {told['status']}, its awards make it {status or 'rejected'}"
    short = sum((award.rate - part.worth_at(award.place)) * award.quantity for award in part.awards) * facts.slot_hours
    due = {
        "hours": float(hours),
        "reference_hours": float(reference),
        "paid_micros": paid,
        "fee_micros": half_up(paid * facts.fee_bps, BASIS_POINTS),
        "transfer_micros": moved,
        "uplift_micros": half_up(max(Fraction(0), Fraction(short))),
    }
    for name, amount in due.items():
        if told[name] != amount:
            yield f"{name} is stated as {told[name]}, it is {amount}"


def _losses(part: Part) -> Iterator[str]:
    """Beside lumps a winner may pay more than its worth in a slot, and is made whole by the uplift of its outcome."""
    for award in [] if part.extract.lumpy else part.awards:
        if award.rate > part.worth_at(award.place):
            yield f"the award at offer {award.offer} in slot {award.slot} costs {award.rate} and is worth {part.worth_at(award.place)}"


def _gained(part: Part) -> Fraction:
    """What the awards gain at their rates, micros."""
    return sum((part.worth_at(award.place) - award.rate) * award.quantity for award in part.awards) * part.facts.slot_hours


def _best(part: Part) -> Fraction:
    """The most any awards could gain the bid at the published prices, micros; for work, in fractions of accelerators."""
    bid, facts = part.bid, part.facts
    arcs = {}
    open_ = {name for name, offer in part.pools.items() if not standing_refusals(bid, offer, facts=facts)}
    for (pool, slot, tier), rate in part.rates.items():
        offer = part.pools[pool]
        if pool in open_ and fits_window(bid, offer, facts=facts, slot=slot) and fits_tier(bid, offer, tier=tier):
            gain = worth(bid, offer, facts=facts, slot=slot, tier=tier) - rate
            arcs[pool, slot, tier] = Arc(gain=gain, factor=bid.factors[offer.hardware])
    return best_response(bid, arcs, slot_hours=facts.slot_hours)


def _worse(part: Part, gained: Fraction, *, best: Fraction) -> Iterator[str]:
    promised = not (part.extract.lumpy or part.extract.approximate)
    if gained > best or (promised and gained < best):
        yield f"the awards gain {half_up(gained)} micros, the best response at the published prices {half_up(best)}"


def _response(part: Part, gained: Fraction, *, best: Fraction) -> str:
    if gained == best:
        return f"nothing at the published prices would gain the bid more than the {half_up(gained)} micros it has"
    why = "the prices are approximate" if part.extract.approximate else "blocks or work leave such"
    return f"the awards gain {half_up(gained)} micros, the best response {half_up(best)}: {why}"
