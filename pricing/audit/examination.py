"""One result under examination: the book counted again, the result laid over it, and the figures both give."""

from fractions import Fraction

import msgspec
import numpy as np

from contracts.terms.clearing import Check, Clearing
from contracts.terms.errors import NotSupported
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.demand import Arcs, Reader, find_arcs
from pricing.audit.result import Layout, lay_out
from pricing.audit.supply import Bools, Ints, Stock
from pricing.policy_facts import Bid, Facts
from pricing.policy_worth import data_can_come, transfer_rate, worth


class Audit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything the checks look at.

    sold_by_offer, sold_by_pool   (O, T, 3), (K, T, 3) accelerators
    taken                         (B, T) accelerators awarded
    award_worth, award_transfer   (A,) micros per accelerator-hour; worth is 0 where the bid may not be there at all
    """

    book: MarketBook
    clearing: Clearing
    bids: list[Bid]
    facts: Facts
    stock: Stock
    reader: Reader
    layout: Layout
    arcs: Arcs
    sold_by_offer: Ints
    sold_by_pool: Ints
    taken: Ints
    award_worth: Ints
    award_transfer: Ints

    @property
    def slot_hours(self) -> Fraction:
        """h, exact."""
        return self.facts.slot_hours

    @property
    def traded(self) -> Bools:
        """(K, T) whether a pool sold anything in a slot."""
        found: Bools = self.sold_by_pool.sum(axis=2) > 0
        return found

    @property
    def has_blocks(self) -> bool:
        """Whether any bid is all or nothing, so that prices need not support the awards."""
        return any(bid.kind == "block" for bid in self.bids)

    def money(self, micros_per_hour: int | Fraction) -> int:
        """Rate × accelerators over one slot, rounded half up: the amount of one line."""
        return half_up(micros_per_hour * self.slot_hours)

    def hours_of(self, bid: int) -> Fraction:
        """Accelerator-hours awarded to a bid."""
        return int(self.taken[bid].sum()) * self.slot_hours

    def units(self, bid: int) -> int:
        """Whole accelerator-slots a bid may take in all."""
        return int(self.bids[bid].hours // self.slot_hours)


def examine(book: MarketBook, clearing: Clearing, *, bids: list[Bid], facts: Facts, stock: Stock) -> Audit:
    """Lay a result over its book. Raises NotSupported for bids by work, whose arcs are of another kind."""
    by_work = book.bids["bid_id"].filter(book.bids["semantics"] == "work")
    if len(by_work):
        raise NotSupported("a bid for work cannot be certified yet", bid=by_work[0], would_do="semantics `hours`")
    layout = lay_out(clearing, bids, stock=stock)
    reader = Reader(stock, facts)
    worths, transfers = _award_terms(layout, bids, stock=stock, facts=facts)
    return Audit(
        book=book,
        clearing=clearing,
        bids=bids,
        facts=facts,
        stock=stock,
        reader=reader,
        layout=layout,
        arcs=find_arcs(bids, stock, reader=reader),
        sold_by_offer=layout.sold_by_offer(stock),
        sold_by_pool=layout.sold_by_pool(stock),
        taken=layout.taken_by_bid(len(bids), facts.slots),
        award_worth=worths,
        award_transfer=transfers,
    )


def _award_terms(layout: Layout, bids: list[Bid], *, stock: Stock, facts: Facts) -> tuple[Ints, Ints]:
    """Worth and transfer of each award (A,), each 0 where the bid has no business there."""
    worths, transfers = np.zeros(len(layout.bid), dtype=np.int64), np.zeros(len(layout.bid), dtype=np.int64)
    for row, (b, o, slot, tier) in enumerate(zip(layout.bid, layout.offer, layout.slot, layout.tier, strict=True)):
        bid, offer = bids[b], stock.offers[o]
        if TIERS[tier] in bid.limits and offer.hardware in bid.factors and data_can_come(bid, offer, facts=facts):
            worths[row] = worth(bid, offer, facts=facts, slot=int(slot), tier=TIERS[tier])
            transfers[row] = transfer_rate(bid, offer, facts=facts)
    return worths, transfers


def verdict(name: str, faults: list[str], *, finding: str) -> Check:
    """A check that holds when nothing is wrong with it, else its first faults in words."""
    if not faults:
        return Check(name=name, holds=True, finding=finding)
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return Check(name=name, holds=False, finding="; ".join(faults[:3]) + more)
