"""Why a price is what it is: the orders around it, what holds either end of its range, where the premium comes from."""

import msgspec
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.errors import NotFound
from contracts.terms.money import micros_text
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import SPOT
from pricing.questions.supports import Cell, Holder, Scene, Support, ceilings, floors, holders, linked_tiers, sellers, set_scene, worth_at


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of the pool in the slot: rate in micros per accelerator-hour, accelerators sold (at any tier) and left."""

    offer_id: str
    rate_micros: int
    sold: int
    left: int


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """A bid at the price: what an accelerator-hour is worth to it here, all-in, micros."""

    bid_id: str
    worth_micros: int


class PriceExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """One published price and what it rests on. Rates and worths are micros per accelerator-hour.

    kind            traded: a point or range that supports the awards · untraded: an offer's rate, no trade · hull: with blocks,
                    the price of a relaxation, which need not lie on any order · indicative: low = high by rule · none: no price
    reason          of none: why there is no price
    sold, offered   accelerators: sold at this tier, left by leases in all
    limit, used     most accelerators this tier and better may have, and have
    premium_micros  above the next tier below; 0 at spot
    marginal        the dearest offer that sold; `next`: the cheapest with something left
    last_served     the bid served here at this tier to which it is worth least; `first_refused`: of those with hours and width
                    left that may come here, the one to which it is worth most
    floor, ceiling  what holds the low and the high end, where one order or price does so alone
    """

    pool: str
    site: str
    hardware: str
    slot: int
    tier: str
    currency: str
    kind: str
    reason: str = ""
    rate_micros: int = 0
    low_micros: int = 0
    high_micros: int = 0
    sold: int = 0
    offered: int = 0
    limit: int = 0
    used: int = 0
    premium_micros: int = 0
    marginal: Seller | None = None
    next: Seller | None = None
    last_served: Buyer | None = None
    first_refused: Buyer | None = None
    floor: Support | None = None
    ceiling: Support | None = None

    @property
    def text(self) -> str:
        """The explanation for people."""
        return " ".join(price_sentences(self))


def explain_price(book: MarketBook, clearing: Clearing, *, pool: str, slot: int, tier: str) -> PriceExplanation:
    """Explain the price of a pool, slot and tier. `pool` may be the id of any of its offers.

    Raises NotFound for an offer, slot or tier the book does not have.
    """
    if tier not in TIERS:
        raise NotFound(f"no tier is called {tier}; {', '.join(TIERS)} are", tier=tier)
    if not 0 <= slot < book.rules.slots:
        raise NotFound(f"there is no slot {slot}; 0 to {book.rules.slots - 1} are there", slot=slot)
    scene = set_scene(book, clearing)
    if pool not in scene.supply.offer_ids:
        raise NotFound(f"no offer, and so no pool, is called {pool}", pool=pool)
    number, q = int(scene.supply.pool_of[scene.supply.offer_ids.index(pool)]), TIERS.index(tier)
    cell = Cell(pool=number, slot=slot, tier=q, linked=linked_tiers(scene, number, slot=slot, tier=q))
    supply = scene.supply
    place = PriceExplanation(
        pool=supply.pools["pool"][number],
        site=supply.pools["site"][number],
        hardware=supply.pools["hardware"][number],
        slot=slot,
        tier=tier,
        currency=book.rules.currency,
        kind="none",
        offered=int(supply.offered[number, slot]),
        limit=int(supply.limits[number, slot, q]),
        used=int(scene.sold[number, slot, : q + 1].sum()),
    )
    row = clearing.prices.filter(pl.col("pool") == place.pool, pl.col("slot") == slot, pl.col("tier") == tier)
    if row.is_empty():
        return msgspec.structs.replace(place, reason=_no_price(scene, cell))
    rate, low, high, sold = row.select("rate_micros", "rate_low_micros", "rate_high_micros", "sold").row(0)
    priced = msgspec.structs.replace(place, rate_micros=rate, low_micros=low, high_micros=high, sold=sold)
    return _around(priced, book, clearing=clearing, scene=scene, cell=cell)


def _no_price(scene: Scene, cell: Cell) -> str:
    """Why a tier has no price in a pool and slot."""
    supply, facts = scene.supply, scene.firsts[cell.pool]
    if not supply.gross[supply.pool_of == cell.pool, cell.slot].any():
        return "nothing is offered there"
    if not supply.offered[cell.pool, cell.slot]:
        return "leases hold all that is offered there"
    if cell.tier < SPOT and not facts.firm:
        return "the pool is not firm, and serves spot alone"
    return "what the pool holds back and what leases have leave this tier nothing"


def _around(place: PriceExplanation, book: MarketBook, *, clearing: Clearing, scene: Scene, cell: Cell) -> PriceExplanation:
    """The orders around a price, and what holds its ends."""
    offers = [Seller(offer_id=name, rate_micros=rate, sold=sold, left=left) for name, rate, sold, left in sellers(scene, cell)]
    around = holders(book, clearing, scene=scene, cell=cell)
    served, refused = _served(around, scene, cell=cell), _refused(around, scene, cell=cell)
    below = clearing.prices.filter(
        pl.col("pool") == place.pool, pl.col("slot") == cell.slot, pl.col("tier") == TIERS[min(SPOT, cell.tier + 1)]
    )["rate_micros"]
    traded = bool(scene.sold[cell.pool, cell.slot].any())
    kind = "untraded" if not traded else "indicative" if clearing.approximate else "hull" if not is_network(book) else "traded"
    found = msgspec.structs.replace(
        place,
        kind=kind,
        premium_micros=place.rate_micros - below[0] if cell.tier < SPOT else 0,
        marginal=next((offer for offer in reversed(offers) if offer.sold), None),
        next=next((offer for offer in offers if offer.left), None),
        last_served=min(served, key=lambda buyer: (buyer.worth_micros, buyer.bid_id), default=None),
        first_refused=max(refused, key=lambda buyer: (buyer.worth_micros, buyer.bid_id), default=None),
    )
    if kind != "traded":
        return found
    floor = max(floors(scene, cell, around=around), key=_by_height, default=None)
    ceiling = min(ceilings(scene, cell, around=around), key=_by_height, default=None)
    return msgspec.structs.replace(
        found,
        floor=floor if floor and floor.micros == place.low_micros else None,
        ceiling=ceiling if ceiling and ceiling.micros == place.high_micros else None,
    )


def is_network(book: MarketBook) -> bool:
    """Whether the book is of flexible bids by the hour alone, so that one price vector supports its awards exactly."""
    return bool(((book.bids["kind"] == "flexible") & (book.bids["semantics"] == "hours")).all())


def _by_height(support: Support) -> tuple[int, str, str]:
    return support.micros, support.kind, support.name


def _served(around: list[Holder], scene: Scene, *, cell: Cell) -> list[Buyer]:
    place = (cell.pool, cell.slot, cell.tier)
    return [
        Buyer(bid_id=holder.named[place], worth_micros=value)
        for holder in around
        if place in holder.held and (value := worth_at(holder, scene, pool=cell.pool, slot=cell.slot, tier=cell.tier)) is not None
    ]


def _refused(around: list[Holder], scene: Scene, *, cell: Cell) -> list[Buyer]:
    return [
        Buyer(bid_id=holder.wanting, worth_micros=value)
        for holder in around
        if holder.hours_left > 0
        and holder.width_left[cell.slot] > 0
        and (value := worth_at(holder, scene, pool=cell.pool, slot=cell.slot, tier=cell.tier)) is not None
    ]


def price_sentences(found: PriceExplanation) -> list[str]:
    """An explanation for people, sentence by sentence."""
    head = f"{found.hardware} at {found.site} (pool {found.pool}) in slot {found.slot}, {found.tier}: "
    if found.kind == "none":
        return [f"{head}no price, for {found.reason}."]
    lines = [f"{head}{micros_text(found.rate_micros)} {found.currency} an accelerator-hour."]
    if found.kind == "untraded":
        offer = found.next.offer_id if found.next else "an offer"
        lines.append(f"Nothing was sold here: this is the rate of {offer}, the lowest of what leases left, not a trade.")
        return lines + _refused_words(found, alone=True)
    lines += _order_words(found)
    if found.kind == "indicative":
        return [*lines, "The price is indicative: it comes from the auction, whose two ends are one, and money does not move on it."]
    if found.kind == "hull":
        return [*lines, _hull_words(found), *_premium_words(found)]
    return [*lines, _range_words(found), *_premium_words(found)]


def _order_words(found: PriceExplanation) -> list[str]:
    lines = []
    if found.marginal is not None:
        of = found.marginal.sold + found.marginal.left
        rate = micros_text(found.marginal.rate_micros)
        what = f"The marginal offer is {found.marginal.offer_id} at {rate} (sold {found.marginal.sold:,} of {of:,})"
        following = found.next
        if following is None:
            lines.append(f"{what}; nothing is left in the pool.")
        elif following.offer_id == found.marginal.offer_id:
            lines.append(f"{what}, and it has the next accelerator too.")
        else:
            lines.append(f"{what}; the next would be {following.offer_id} at {micros_text(following.rate_micros)}.")
    if found.last_served is not None:
        last = f"The last bid served, {found.last_served.bid_id}, finds it worth {micros_text(found.last_served.worth_micros)}"
        lines.append(f"{last}; {_first_refused(found)}." if found.first_refused else f"{last}; nobody who may come here was refused.")
        return lines
    return lines + _refused_words(found, alone=False)


def _first_refused(found: PriceExplanation) -> str:
    assert found.first_refused is not None
    return f"to the first refused, {found.first_refused.bid_id}, it is worth {micros_text(found.first_refused.worth_micros)}"


def _refused_words(found: PriceExplanation, *, alone: bool) -> list[str]:
    if found.first_refused is None:
        return []
    told = _first_refused(found)
    return [f"{told[0].upper()}{told[1:]}." if alone else f"Nobody is served at this tier; {told}."]


def _range_words(found: PriceExplanation) -> str:
    low, high = micros_text(found.low_micros), micros_text(found.high_micros)
    under, over = (
        _FLOOR_WORDS.get(found.floor.kind if found.floor else "", ""),
        _CEILING_WORDS.get(found.ceiling.kind if found.ceiling else "", ""),
    )
    below = f"below it {_named(under, found.floor)}" if found.floor else "below it orders elsewhere would come in, one displacing another"
    above = f"above it {_named(over, found.ceiling)}" if found.ceiling else "above it orders would move on, one displacing another"
    if found.low_micros == found.high_micros:
        if found.floor is None and found.ceiling is None:
            return f"No other price than {low} supports the awards: a chain of orders elsewhere holds it."
        told = [words for words, support in ((below, found.floor), (above, found.ceiling)) if support is not None]
        return f"No other price supports the awards: {', '.join(told)}."
    return f"Any price from {low} to {high} supports the awards: {below}, {above}; the rule takes the middle."


def _named(words: str, support: Support | None) -> str:
    assert support is not None
    return words.format(name=support.name, place=support.place, rate=micros_text(support.micros))


def _hull_words(found: PriceExplanation) -> str:
    ends = f"from {micros_text(found.low_micros)} to {micros_text(found.high_micros)}"
    return (
        f"The book has orders that are all or nothing, so the price is that of its relaxation (the convex hull price, {ends}): "
        "it may lie off every order, and a winner it would make lose is made whole by uplift."
    )


def _premium_words(found: PriceExplanation) -> list[str]:
    """Where a premium comes from: a limit that is used up."""
    if found.tier == TIERS[SPOT]:
        return []
    if found.premium_micros:
        used = f"all {found.limit:,} accelerators this tier and better may have are sold"
        cause = (
            used
            if found.used >= found.limit
            else f"{found.used:,} of the {found.limit:,} accelerators this tier and better may have are sold"
        )
        return [f"{micros_text(found.premium_micros)} of it is premium over the tier below: {cause}."]
    return [f"It has no premium over the tier below: {found.used:,} of the {found.limit:,} accelerators it may have are sold."]


_FLOOR_WORDS = {
    "sold": "{name} would not sell",
    "refused": "{name}, refused, would buy",
    "drawn_in": "{name} would rather be here than at {place}",
    "tier": "it would cost less than {name}, and a better tier never does",
}
_CEILING_WORDS = {
    "left": "{name} would sell more",
    "served": "{name} would go without",
    "drawn_away": "{name} would rather be at {place}",
    "tier": "it would cost more than {name}, and a better tier never costs less",
}
