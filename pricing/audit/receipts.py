"""What each offer is due: the spot part of what it sold, its share of the pool's premiums, and uplift."""

from collections.abc import Iterator

import msgspec
import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.supply import SPOT
from pricing.audit.whole import Ints, gathered, times


class Due(msgspec.Struct, frozen=True, eq=False):
    """By offer and slot, (O, T): accelerators sold, and micros."""

    sold: Ints
    received: Ints
    premium: Ints
    uplift: Ints

    def at(self, offer: int, slot: int) -> tuple[int, ...]:
        """Sold, received, premium and uplift of one offer in one slot."""
        return tuple(int(grid[offer, slot]) for grid in (self.sold, self.received, self.premium, self.uplift))


def odd_receipts(audit: Audit) -> Iterator[str]:
    """Receipts that are not what is due, and what is due without one."""
    stock, receipts = audit.stock, audit.clearing.receipts
    due = _due(audit)
    offer, slot = audit.layout.named.seller, receipts["slot"].to_numpy()
    told = [receipts[name].to_numpy() for name in ("sold", "received_micros", "premium_micros", "uplift_micros")]
    grids = (due.sold, due.received, due.premium, due.uplift)
    odd = np.logical_or.reduce([column != grid[offer, slot] for column, grid in zip(told, grids, strict=True)])
    for row in np.flatnonzero(odd):
        given, expected = tuple(int(column[row]) for column in told), due.at(offer[row], slot[row])
        yield f"offer {stock.offers[offer[row]].id}, slot {slot[row]} has sold, received, premium, uplift {given}, due {expected}"
    missing = (due.sold > 0) | (due.premium != 0)
    missing[offer, slot] = False
    for o, t in np.argwhere(missing):
        yield f"offer {stock.offers[o].id}, slot {t} has no receipt of {due.at(o, t)}"


def _due(audit: Audit) -> Due:
    stock, layout = audit.stock, audit.layout
    offers, slots = stock.gross.shape
    spot = layout.rates[audit.award_pool, layout.slot, SPOT]
    spot_part = gathered(audit.money(spot, layout.quantity), layout.offer * slots + layout.slot, size=offers * slots).reshape(offers, slots)
    charged = gathered(layout.charge, audit.award_pool * slots + layout.slot, size=len(stock.pools) * slots).reshape(-1, slots)
    premiums = charged.copy()
    np.subtract.at(premiums, stock.pool_of, spot_part)
    premium = _shares(audit, premiums)
    sold = audit.sold_by_offer.sum(axis=2)
    losses = np.maximum(0, stock.rates - layout.rates[stock.pool_of, :, SPOT])
    return Due(sold, spot_part + premium, premium, audit.money(np.where(sold > 0, losses, 0), sold))


def _shares(audit: Audit, premiums: Ints) -> Ints:
    """The premiums of each pool and slot (K, T) among its callable offers by quantity: largest remainder, then offer_id. (O, T)"""
    stock = audit.stock
    slots = stock.gross.shape[1]
    offer, slot = np.nonzero(stock.callable & (premiums[stock.pool_of] != 0))
    shares = np.zeros(stock.gross.shape, dtype=np.int64)
    if not len(offer):
        return shares
    place = stock.pool_of[offer] * slots + slot
    weight = stock.gross[offer, slot]
    whole = gathered(weight, place, size=premiums.size)[place]
    total = premiums.reshape(-1)[place]
    portion = times(total, weight)
    floor = np.asarray(portion // whole, dtype=np.int64)
    remainder = np.asarray(portion % whole, dtype=np.int64)
    left = premiums.reshape(-1) - gathered(floor, place, size=premiums.size)
    order = np.lexsort((offer, -remainder, place))
    begins = np.flatnonzero(np.r_[True, place[order][1:] != place[order][:-1]])
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    shares[offer, slot] = floor
    lucky = order[rank < left[place[order]]]
    shares[offer[lucky], slot[lucky]] += 1
    return shares
