"""A result as numbers: awards and prices laid over the bids, offers, pools and slots they name.

`misfits` says what does not fit; only a result without such faults can be laid out and checked further.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.tables import RESULT_TABLES, TIERS
from pricing.audit.supply import Stock
from pricing.audit.whole import Ints


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
        taken = np.zeros((bids, slots), dtype=np.int64)
        np.add.at(taken, (self.bid, self.slot), self.quantity)
        return taken

    def _sum(self, rows: Ints, *, height: int, slots: int) -> Ints:
        total = np.zeros((height, slots, len(TIERS)), dtype=np.int64)
        np.add.at(total, (rows, self.slot, self.tier), self.quantity)
        return total


def misfits(clearing: Clearing, bid_ids: list[str], *, stock: Stock) -> list[str]:
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
    bids, offers = pl.Series(bid_ids, dtype=pl.String), pl.Series(list(stock.row_of), dtype=pl.String)
    for name, column, ids in (
        ("awards", "bid_id", bids),
        ("outcomes", "bid_id", bids),
        ("awards", "offer_id", offers),
        ("receipts", "offer_id", offers),
    ):
        named = clearing.tables()[name][column].unique()
        strangers = named.filter(~named.is_in(ids.implode()))
        found.extend(f"{name} names {stranger}, which is not in the book" for stranger in strangers.drop_nulls().sort()[:3])
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
    pools, slots, tiers = np.nonzero(stock.on_sale)
    names = pl.Series(stock.names, dtype=pl.String)
    wanted = pl.DataFrame({"pool": names.gather(pools), "slot": slots.astype(np.int64), "tier": pl.Series(TIERS).gather(tiers)})
    key = ["pool", "slot", "tier"]
    missing = wanted.join(prices, on=key, how="anti").sort(key).head(3)
    idle = prices.select(key).join(wanted, on=key, how="anti").unique().sort(key).head(3)
    found = [f"prices lack {pool}, slot {slot}, {tier}" for pool, slot, tier in missing.iter_rows()]
    return found + [f"prices have {pool}, slot {slot}, {tier}, where nothing is on sale" for pool, slot, tier in idle.iter_rows()]


def lay_out(clearing: Clearing, bid_ids: list[str], *, stock: Stock) -> Layout:
    """The result as numbers. Ask `misfits` first: a name that is not in the book raises KeyError here."""
    awards, prices = clearing.awards, clearing.prices
    place = (rows_of(prices["pool"], stock.names), prices["slot"].to_numpy(), rows_of(prices["tier"], TIERS))
    grids = []
    for column in ("rate_micros", "rate_low_micros", "rate_high_micros"):
        grid = np.zeros(stock.limits.shape, dtype=np.int64)
        grid[place] = prices[column].to_numpy()
        grids.append(grid)
    return Layout(
        bid=rows_of(awards["bid_id"], bid_ids),
        offer=rows_of(awards["offer_id"], list(stock.row_of)),
        slot=awards["slot"].to_numpy(),
        tier=rows_of(awards["tier"], TIERS),
        quantity=awards["quantity"].to_numpy(),
        rate=awards["rate_micros"].to_numpy(),
        charge=awards["charge_micros"].to_numpy(),
        rates=grids[0],
        lows=grids[1],
        highs=grids[2],
    )


def rows_of(names: pl.Series, among: Iterable[str]) -> Ints:
    """The place of each name among others. Raises KeyError for one that is not there."""
    known = pl.DataFrame({"name": pl.Series(list(among), dtype=pl.String)}).with_row_index("row")
    found = names.rename("name").to_frame().join(known, on="name", how="left", maintain_order="left")["row"]
    if found.null_count():
        raise KeyError(names.filter(found.is_null())[0])
    return found.to_numpy().astype(np.int64)
