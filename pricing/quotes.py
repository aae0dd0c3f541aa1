"""Firm quotes: which offers may serve one wish whole, and at what rate; the policy is read as the certificate reads it."""

from collections.abc import Mapping

import msgspec

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.policy import refusals
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.pools import gather, room


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that may serve the whole of a wish, with room for it in every slot.

    rate_micros   its greatest own rate over the slots, per accelerator-hour
    last_micros   what its pool last cleared at, at that tier; 0 where it never did
    """

    offer_id: str
    rate_micros: int
    last_micros: int

    @property
    def floor_micros(self) -> int:
        """What a quote may not be under before its spread."""
        return max(self.rate_micros, self.last_micros)


def standing_offers(book: MarketBook, tier: str, *, last: Mapping[str, int]) -> list[Standing]:
    """The offers that admit the book's only bid at a tier, its whole width in every slot of the book; lowest floor first, then id.

    last   pool → its last price at the tier, micros per accelerator-hour

    Room is what the clearing would see: what leases and open quotes leave of the offer, and the headroom of its pool.
    Raises ValueError for a book that has not exactly one bid.
    """
    (bid,) = bids_of(book)
    if not book.offers.height:
        return []
    facts, supply = facts_of(book), gather(book)
    offers = {offer.id: offer for offer in offers_of(book)}
    names = supply.pools["pool"].to_list()
    throughout = room(supply)[..., TIERS.index(tier)].min(axis=1)
    found = []
    for row, offer_id in enumerate(supply.offer_ids):
        pool = int(supply.pool_of[row])
        if throughout[row] < bid.width:
            continue
        if any(refusals(bid, offers[offer_id], facts=facts, slot=slot, tier=tier) for slot in range(book.rules.slots)):
            continue
        found.append(Standing(offer_id=offer_id, rate_micros=int(supply.rates[row].max()), last_micros=last.get(names[pool], 0)))
    return sorted(found, key=lambda each: (each.floor_micros, each.offer_id))
