"""What clearings owe beyond the rates of leases: premiums to those who stood by, uplift to those made whole.

A seller is settled at the full rate of its leases, premium included; the clearing shared the pool's premiums among all that
stood by. So what was charged above the spot rate moves from those who sold to those who share it, pool by pool and slot by
slot, and nothing is made. Both premiums and uplift are owed in the proportion in which what was sold was delivered:

    half_up(amount · delivered ÷ sold), delivered at most what was sold

so that a full delivery moves exactly what the clearing says, to the micro, and none moves nothing. A unit that should have
been there and failed has not stood by: for that time it gives its share of the premiums to those that have.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from contracts.terms.money import half_up, largest_remainder


class SoldSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One award of a clearing, and what came of it.

    premium_micros      of its charge, what lies above the spot rate
    seconds_sold        accelerators × length of the slot, above 0
    seconds_delivered   as known, failed ones left out
    seconds_failed      as known, those the provider failed
    """

    bid_id: str
    offer_id: str
    provider_id: str
    pool: str
    slot_start: datetime
    premium_micros: int
    seconds_sold: int
    seconds_delivered: int
    seconds_failed: int = 0


class ReceiptSlot(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer was given in a slot of a clearing: its share of the pool's premiums, and uplift.

    seconds_standing   accelerators that shared, sold or standing by, × length of the slot, above 0
    """

    offer_id: str
    provider_id: str
    pool: str
    slot_start: datetime
    premium_micros: int
    uplift_micros: int
    seconds_standing: int


def premium_gains(sold: Iterable[SoldSlot], receipts: Iterable[ReceiptSlot]) -> dict[str, int]:
    """What each provider gains by the sharing, micros, below 0 for those who sold more than they share; the gains sum to 0.

    What was delivered of a pool's premiums is split as the clearing split them, less what failed, by largest remainder, of equals the
    least offer_id. Where nothing of a pool has stood by, it stays with those who sold.
    """
    collected: dict[tuple[str, datetime], dict[str, int]] = {}
    failed: dict[tuple[str, datetime], int] = {}
    for each in sold:
        part = _delivered_part(each.premium_micros, each.seconds_delivered, sold=each.seconds_sold)
        paid = collected.setdefault((each.pool, each.slot_start), {})
        paid[each.provider_id] = paid.get(each.provider_id, 0) + part
        place = (each.offer_id, each.slot_start)
        failed[place] = failed.get(place, 0) + each.seconds_failed
    sharers: dict[tuple[str, datetime], list[ReceiptSlot]] = {}
    for receipt in sorted(receipts, key=lambda one: one.offer_id):
        sharers.setdefault((receipt.pool, receipt.slot_start), []).append(receipt)
    gains: dict[str, int] = {}
    for where, paid in collected.items():
        weights = [_stood_by(receipt, failed) for receipt in sharers.get(where, [])]
        whole = sum(paid.values()) if any(weights) else 0
        for provider, part in paid.items():
            gains[provider] = gains.get(provider, 0) - (part if whole else 0)
        if whole:
            for receipt, share in zip(sharers[where], largest_remainder(whole, weights), strict=True):
                gains[receipt.provider_id] = gains.get(receipt.provider_id, 0) + share
    return gains


def _stood_by(receipt: ReceiptSlot, failed: Mapping[tuple[str, datetime], int]) -> int:
    """A share of the premiums less that of the time in which units failed."""
    lost = min(failed.get((receipt.offer_id, receipt.slot_start), 0), receipt.seconds_standing)
    return half_up(receipt.premium_micros * (receipt.seconds_standing - lost), receipt.seconds_standing)


def uplift_due(
    sold: Iterable[SoldSlot], receipts: Iterable[ReceiptSlot], *, bids: Mapping[str, tuple[str, int]]
) -> dict[tuple[str, str], int]:
    """What the uplift fund owes: (account of the chart, party) → micros. Sellers have it as payable, buyers as prepaid balance.

    bids   bid_id → its account, and the uplift the clearing gave it
    """
    by_offer: dict[tuple[str, datetime], tuple[int, int]] = {}
    by_bid: dict[str, tuple[int, int]] = {}
    for each in sold:
        place = (each.offer_id, each.slot_start)
        delivered = min(each.seconds_delivered, each.seconds_sold)
        by_offer[place] = _plus(by_offer.get(place), delivered, sold=each.seconds_sold)
        by_bid[each.bid_id] = _plus(by_bid.get(each.bid_id), delivered, sold=each.seconds_sold)
    due: dict[tuple[str, str], int] = {}
    for receipt in receipts:
        if receipt.uplift_micros:
            delivered, whole = by_offer[receipt.offer_id, receipt.slot_start]
            party = ("provider_payable", receipt.provider_id)
            due[party] = due.get(party, 0) + _delivered_part(receipt.uplift_micros, delivered, sold=whole)
    for bid_id, (account_id, micros) in bids.items():
        delivered, whole = by_bid[bid_id]
        party = ("prepaid", account_id)
        due[party] = due.get(party, 0) + _delivered_part(micros, delivered, sold=whole)
    return due


def _plus(before: tuple[int, int] | None, delivered: int, *, sold: int) -> tuple[int, int]:
    had, of = before or (0, 0)
    return had + delivered, of + sold


def _delivered_part(micros: int, delivered: int, *, sold: int) -> int:
    return half_up(micros * min(delivered, sold), sold)
