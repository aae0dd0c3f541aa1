"""A result as numbers: awards and prices laid over the bids, offers, pools and slots they name.

`lay_out` also says what does not fit; only a result without such faults can be checked further.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.tables import RESULT_TABLES, TIERS
from pricing.audit.supply import Ints, Stock
from pricing.policy_facts import Bid


class Layout(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A awards, and the prices of K pools, T slots and 3 tiers.

    bid, offer, slot, tier, quantity, rate, charge   (A,)
    rates, lows, highs                               (K, T, 3) published; 0 where there is no row
    """

    bid: Ints
    offer: Ints
    slot: Ints
    tier: Ints
    quantity: Ints
    rate: Ints
    charge: Ints
    rates: Ints
    lows: Ints
    highs: Ints

    def sold_by_offer(self, stock: Stock) -> Ints:
        """(O, T, 3) accelerators sold."""
        return self._sum(self.offer, height=stock.gross.shape[0], slots=stock.gross.shape[1])

    def sold_by_pool(self, stock: Stock) -> Ints:
        """(K, T, 3) accelerators sold."""
        return self._sum(stock.pool_of[self.offer], height=len(stock.pools), slots=stock.gross.shape[1])

    def taken_by_bid(self, bids: int, slots: int) -> Ints:
        """(B, T) accelerators awarded."""
        taken: Ints = self._sum(self.bid, height=bids, slots=slots).sum(axis=2)
        return taken

    def _sum(self, rows: Ints, *, height: int, slots: int) -> Ints:
        total = np.zeros((height, slots, len(TIERS)), dtype=np.int64)
        np.add.at(total, (rows, self.slot, self.tier), self.quantity)
        return total


def misfits(clearing: Clearing, bids: list[Bid], *, stock: Stock) -> list[str]:
    """What keeps the tables of a result from being read against the book, in words; none when they can be."""
    slots = stock.gross.shape[1]
    found = []
    for table in RESULT_TABLES:
        frame = clearing.tables()[table.name]
        if dict(frame.schema) != dict(table.schema):
            return [f"{table.name} does not have its columns"]
        if frame.null_count().sum_horizontal().sum():
            found.append(f"{table.name} has an empty cell")
        if frame.select(table.key).is_duplicated().any():
            found.append(f"{table.name} has a row twice")
    bid_ids, offer_ids = {bid.id for bid in bids}, set(stock.row_of)
    for name, ids in (("awards", bid_ids), ("outcomes", bid_ids), ("awards", offer_ids), ("receipts", offer_ids)):
        column = "bid_id" if ids is bid_ids else "offer_id"
        strangers = set(clearing.tables()[name][column]) - ids
        found.extend(f"{name} names {stranger}, which is not in the book" for stranger in sorted(strangers)[:3])
    found.extend(
        f"{name} names slot {slot}" for name in ("awards", "prices", "receipts") for slot in _outside(clearing.tables()[name], slots)
    )
    found.extend(_price_misfits(clearing.prices, stock))
    if clearing.awards.height and (clearing.awards["quantity"] < 1).any():
        found.append("an award grants nothing")
    return found


def _outside(frame: pl.DataFrame, slots: int) -> Iterable[int]:
    return frame.filter((pl.col("slot") < 0) | (pl.col("slot") >= slots))["slot"].unique().to_list()


def _price_misfits(prices: pl.DataFrame, stock: Stock) -> list[str]:
    """Rows that are missing, or that nothing calls for."""
    names = stock.names
    pools, slots, tiers = (axis.tolist() for axis in np.nonzero(stock.on_sale))
    wanted = {(names[pool], slot, TIERS[tier]) for pool, slot, tier in zip(pools, slots, tiers, strict=True)}
    given = set(prices.select("pool", "slot", "tier").iter_rows())
    found = [f"prices lack {pool}, slot {slot}, {tier}" for pool, slot, tier in sorted(wanted - given)[:3]]
    return found + [f"prices have {pool}, slot {slot}, {tier}, where nothing is on sale" for pool, slot, tier in sorted(given - wanted)[:3]]


def lay_out(clearing: Clearing, bids: list[Bid], *, stock: Stock) -> Layout:
    """The result as numbers. Ask `misfits` first: a name that is not in the book raises KeyError here."""
    bid_row = {bid.id: row for row, bid in enumerate(bids)}
    pool_row = {name: pool for pool, name in enumerate(stock.names)}
    awards, prices = clearing.awards, clearing.prices
    place = (_rows(prices["pool"], pool_row), prices["slot"].to_numpy(), _rows(prices["tier"], _TIER_ROW))
    grids = []
    for column in ("rate_micros", "rate_low_micros", "rate_high_micros"):
        grid = np.zeros(stock.limits.shape, dtype=np.int64)
        grid[place] = prices[column].to_numpy()
        grids.append(grid)
    return Layout(
        bid=_rows(awards["bid_id"], bid_row),
        offer=_rows(awards["offer_id"], stock.row_of),
        slot=awards["slot"].to_numpy(),
        tier=_rows(awards["tier"], _TIER_ROW),
        quantity=awards["quantity"].to_numpy(),
        rate=awards["rate_micros"].to_numpy(),
        charge=awards["charge_micros"].to_numpy(),
        rates=grids[0],
        lows=grids[1],
        highs=grids[2],
    )


_TIER_ROW = {name: tier for tier, name in enumerate(TIERS)}


def _rows(names: pl.Series, row_of: dict[str, int]) -> Ints:
    return np.array([row_of[name] for name in names], dtype=np.int64)
