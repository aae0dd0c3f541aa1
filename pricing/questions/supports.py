"""What holds a price up and what holds it down: the orders at one pool, slot and tier that the ends of its range rest on.

A price that supports the awards is at most what keeps everybody who is served here, at least what keeps everybody else
away, and between the offers that sold and those that are left. At the least of all supporting vectors some order would
come in if the price fell by a micro; at the greatest one would leave. Premiums are at least 0, and 0 where a tier has
room, so tiers with room between them have one price and are looked at together.
"""

from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, SPOT, Ints
from pricing.policy import fits_tier, fits_window, standing_refusals
from pricing.policy_facts import Bid, Facts, Offer, bids_of, facts_of, offers_of
from pricing.policy_worth import carbon_rate, worth
from pricing.pools import Supply, gather
from pricing.questions.tally import only

Place = tuple[int, int, int]


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """One order, or one other price, that a price cannot pass.

    kind     sold, left (offers); refused, served, drawn_in, drawn_away (bids); tier (another tier's price)
    micros   where it stands in the way, per accelerator-hour
    name     the offer, the bid or the tier
    place    of drawn_in and drawn_away: the site, slot and tier the bid would come from or go to
    """

    kind: str
    micros: int
    name: str
    place: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One pool in one slot, with the tiers whose prices are one with the tier in question (numbers, best first)."""

    pool: int
    slot: int
    tier: int
    linked: tuple[int, ...]


class Scene(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A book and its result laid out for looking at one cell.

    facts, supply   what surrounds the orders; what is for sale
    firsts          (P) of each pool an offer as bids see it, its window left open: `supply` says what is there when
    sold            (P, T, 3) accelerators by tier
    sold_by_offer   offer and slot → accelerators
    low, high       (P, T, 3) ends of the published prices, 0 where there is none
    """

    facts: Facts
    supply: Supply
    firsts: list[Offer]
    sold: Ints
    sold_by_offer: dict[tuple[str, int], int]
    low: Ints
    high: Ints

    def words(self, place: Place) -> str:
        """A place in words."""
        pool, slot, tier = place
        return f"{self.supply.pools['site'][pool]}, slot {slot}, {TIERS[tier]}"

    def has_room(self, place: Place) -> bool:
        """Whether the limit of a tier is not used up by what sold there and better."""
        pool, slot, tier = place
        return int(self.sold[pool, slot, : tier + 1].sum()) < int(self.supply.limits[pool, slot, tier])


class Holder(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Equal flexible bids with what they hold together.

    bid          one of them
    hours_left   accelerator-slots they could still use in all
    width_left   (T) accelerators they could still use in each slot
    held         (pool, slot, tier) → accelerators
    named        (pool, slot, tier) → the last of them to hold something there, in order of entry
    wanting      the first of them that has not all its hours; empty when all have
    """

    bid: Bid
    hours_left: int
    width_left: list[int]
    held: dict[Place, int]
    named: dict[Place, str]
    wanting: str


def set_scene(book: MarketBook, clearing: Clearing) -> Scene:
    """Lay a result out over its book."""
    supply = gather(book)
    pool_row = {name: row for row, name in enumerate(supply.pools["pool"])}
    grids = {name: np.zeros(supply.limits.shape, dtype=np.int64) for name in ("sold", "rate_low_micros", "rate_high_micros")}
    for pool, slot, tier, *figures in clearing.prices.select("pool", "slot", "tier", *grids).iter_rows():
        for name, figure in zip(grids, figures, strict=True):
            grids[name][pool_row[pool], slot, TIERS.index(tier)] = figure
    by_offer = clearing.awards.group_by("offer_id", "slot").agg(pl.col("quantity").sum())
    return Scene(
        facts=facts_of(book),
        supply=supply,
        firsts=_firsts(book, supply),
        sold=grids["sold"],
        sold_by_offer={(offer, slot): quantity for offer, slot, quantity in by_offer.iter_rows()},
        low=grids["rate_low_micros"],
        high=grids["rate_high_micros"],
    )


def _firsts(book: MarketBook, supply: Supply) -> list[Offer]:
    offers = {offer.id: offer for offer in offers_of(only(book, offers=supply.pools["pool"]))}
    return [msgspec.structs.replace(offers[name], slot_first=0, slot_end=book.rules.slots) for name in supply.pools["pool"]]


def linked_tiers(scene: Scene, pool: int, *, slot: int, tier: int) -> tuple[int, ...]:
    """The tiers whose price is that of a tier because a limit between them has room, best first."""
    best = tier
    while best > GUARANTEED and scene.has_room((pool, slot, best - 1)) and scene.supply.limits[pool, slot, best - 1] > 0:
        best -= 1
    worst = tier
    while worst < SPOT and scene.has_room((pool, slot, worst)):
        worst += 1
    return tuple(range(best, worst + 1))


def holders(book: MarketBook, clearing: Clearing, *, scene: Scene, cell: Cell) -> list[Holder]:
    """The flexible bids that may use a cell at one of its linked tiers, equal ones together."""
    offer, slot = scene.firsts[cell.pool], cell.slot
    named = pl.col("hardware").list.eval(pl.element().str.starts_with(f"{offer.hardware}:")).list.any()
    near = book.bids.filter(pl.col("kind") == "flexible", pl.col("slot_first") <= slot, pl.col("slot_end") > slot, named)
    alike: dict[str, list[Bid]] = {}
    for bid in sorted(bids_of(msgspec.structs.replace(book, bids=near)), key=lambda bid: (bid.entered_at, bid.id)):
        if not standing_refusals(bid, offer, facts=scene.facts) and _at_a_tier(bid, offer, cell=cell, scene=scene):
            alike.setdefault(_likeness(bid), []).append(bid)
    pool_of = dict(zip(scene.supply.offer_ids, scene.supply.pool_of.tolist(), strict=True))
    held: dict[str, dict[Place, int]] = {bid.id: {} for group in alike.values() for bid in group}
    awards = clearing.awards.filter(pl.col("bid_id").is_in(list(held)))
    for name, offer_id, at, tier, quantity in awards.select("bid_id", "offer_id", "slot", "tier", "quantity").iter_rows():
        key = (pool_of[offer_id], at, TIERS.index(tier))
        held[name][key] = held[name].get(key, 0) + quantity
    return [_holder(group, held, facts=scene.facts) for group in alike.values()]


def _likeness(bid: Bid) -> str:
    """Everything of a bid but who entered it and when."""
    fields = {name: getattr(bid, name) for name in bid.__struct_fields__ if name not in {"id", "entered_at"}}
    return repr([sorted(value) if isinstance(value, frozenset) else value for value in fields.values()])


def _at_a_tier(bid: Bid, offer: Offer, *, cell: Cell, scene: Scene) -> bool:
    """Whether the data is there in time and a linked tier is named by the bid, open, and worth the pool's lowest rate."""
    facts, slot = scene.facts, cell.slot
    return fits_window(bid, offer, facts=facts, slot=slot) and any(
        fits_tier(bid, offer, tier=TIERS[tier])
        and scene.supply.limits[cell.pool, slot, tier] > 0
        and worth(bid, offer, facts=facts, slot=slot, tier=TIERS[tier]) >= scene.supply.cheapest[cell.pool, slot]
        for tier in cell.linked
    )


def _holder(group: list[Bid], held: dict[str, dict[Place, int]], *, facts: Facts) -> Holder:
    """Equal bids, in order of entry, as one."""
    units = int(Fraction(group[0].hours) / facts.slot_hours)
    together: dict[Place, int] = {}
    named: dict[Place, str] = {}
    taken = [0] * facts.slots
    for bid in group:
        for key, quantity in held[bid.id].items():
            together[key] = together.get(key, 0) + quantity
            named[key] = bid.id
            taken[key[1]] += quantity
    return Holder(
        bid=group[0],
        hours_left=len(group) * units - sum(taken),
        width_left=[len(group) * group[0].width - used for used in taken],
        held=together,
        named=named,
        wanting=next((bid.id for bid in group if sum(held[bid.id].values()) < units), ""),
    )


def worth_at(holder: Holder, scene: Scene, *, pool: int, slot: int, tier: int) -> int | None:
    """What an accelerator-hour is worth to a bid there; None where it does not want the tier."""
    offer, name = scene.firsts[pool], TIERS[tier]
    return worth(holder.bid, offer, facts=scene.facts, slot=slot, tier=name) if fits_tier(holder.bid, offer, tier=name) else None


def floors(scene: Scene, cell: Cell, *, around: list[Holder]) -> list[Support]:
    """What keeps the price up, at the least supporting prices: the greatest of them is the low end."""
    found: list[Support] = []
    if SPOT in cell.linked:
        found += [Support(kind="sold", micros=rate, name=name) for name, rate, sold, _ in sellers(scene, cell) if sold]
    else:
        below = cell.linked[-1] + 1
        found.append(Support(kind="tier", micros=int(scene.low[cell.pool, cell.slot, below]), name=TIERS[below]))
    for holder in around:
        for tier in cell.linked:
            value = worth_at(holder, scene, pool=cell.pool, slot=cell.slot, tier=tier)
            if value is not None and scene.supply.limits[cell.pool, cell.slot, tier] > 0:
                found += _drawn_in(holder, value, scene=scene, cell=cell)
    return found


def _drawn_in(holder: Holder, value: int, *, scene: Scene, cell: Cell) -> list[Support]:
    """At which price a bid would take one more here: at once if it has hours and width left, else giving up what it gains least by."""
    wide = holder.width_left[cell.slot] > 0
    if holder.hours_left > 0 and wide:
        return [Support(kind="refused", micros=value, name=holder.wanting)]
    found = []
    for place in holder.held:
        pool, slot, tier = place
        if _linked(place, cell) or (slot != cell.slot and (holder.hours_left > 0 or not wide)):
            continue
        elsewhere = worth_at(holder, scene, pool=pool, slot=slot, tier=tier)
        assert elsewhere is not None, f"{holder.named[place]} holds a tier it does not want"
        margin = elsewhere - int(scene.low[place])
        found.append(Support(kind="drawn_in", micros=value - margin, name=holder.named[place], place=scene.words(place)))
    return found


def _linked(place: Place, cell: Cell) -> bool:
    return place[:2] == (cell.pool, cell.slot) and place[2] in cell.linked


def ceilings(scene: Scene, cell: Cell, *, around: list[Holder]) -> list[Support]:
    """What keeps the price down, at the greatest supporting prices: the least of them is the high end."""
    found: list[Support] = []
    if SPOT in cell.linked:
        found += [Support(kind="left", micros=rate, name=name) for name, rate, _, left in sellers(scene, cell) if left]
    better = cell.linked[0] - 1
    if better >= GUARANTEED and scene.supply.limits[cell.pool, cell.slot, better] > 0:
        found.append(Support(kind="tier", micros=int(scene.high[cell.pool, cell.slot, better]), name=TIERS[better]))
    for holder in around:
        for place in (place for place in holder.held if _linked(place, cell)):
            value = worth_at(holder, scene, pool=place[0], slot=place[1], tier=place[2])
            assert value is not None, f"{holder.named[place]} holds a tier it does not want"
            name = holder.named[place]
            found.append(Support(kind="served", micros=value, name=name))
            margin, away = max(other_margins(holder, scene, cell=cell), default=(0, None))
            if away is not None and margin > 0:
                found.append(Support(kind="drawn_away", micros=value - margin, name=name, place=scene.words(away)))
    return found


def other_margins(holder: Holder, scene: Scene, *, cell: Cell) -> list[tuple[int, Place]]:
    """(margin at the high ends, place) wherever else a bid could put an accelerator it holds in a cell."""
    supply, facts, bid = scene.supply, scene.facts, holder.bid
    slots = [slot for slot in range(facts.slots) if slot == cell.slot or holder.width_left[slot] > 0]
    found = []
    for pool, offer in enumerate(scene.firsts):
        if standing_refusals(bid, offer, facts=facts):
            continue
        gross = [
            (tier, worth(bid, offer, facts=facts, slot=0, tier=name)) for tier, name in enumerate(TIERS) if fits_tier(bid, offer, tier=name)
        ]
        avoided = carbon_rate(bid, offer, facts=facts, slot=0)
        for slot in (slot for slot in slots if fits_window(bid, offer, facts=facts, slot=slot)):
            emitted = carbon_rate(bid, offer, facts=facts, slot=slot)
            for tier, value in gross:
                here, place = value + avoided - emitted, (pool, slot, tier)
                if not _linked(place, cell) and _open(place, supply) and here >= supply.cheapest[pool, slot]:
                    found.append((here - int(scene.high[place]), place))
    return found


def _open(place: Place, supply: Supply) -> bool:
    """Whether a tier can be served there at all: its limit and those of the tiers below it are above zero."""
    pool, slot, tier = place
    return bool((supply.limits[pool, slot, tier:] > 0).all())


def sellers(scene: Scene, cell: Cell) -> list[tuple[str, int, int, int]]:
    """(offer, rate, sold, left) of the pool in the slot, by rate and id; what leases took is nobody's."""
    supply = scene.supply
    found = []
    for row in np.flatnonzero(supply.pool_of == cell.pool).tolist():
        name, there = supply.offer_ids[row], int(supply.left[row, cell.slot])
        sold = scene.sold_by_offer.get((name, cell.slot), 0)
        if there:
            found.append((name, int(supply.rates[row, cell.slot]), sold, there - sold))
    return sorted(found, key=lambda seller: (seller[1], seller[0]))
