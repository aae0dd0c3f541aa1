"""A result as numbers: awards and prices laid over the bids, offers, pools and slots they name.

`fit` says what does not fit; only a result without such faults can be laid out and checked further.
"""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.tables import RESULT_TABLES, TIERS
from pricing.audit.supply import Stock
from pricing.audit.whole import Bools, Ints

STRANGER = -1


class Named(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The names of a result's rows as places in the book, STRANGER for one that it does not have.

    bid, offer, tier          (A,) of the awards
    pool, price_tier          of the prices
    told                      of the outcomes, the bid
    seller                    of the receipts, the offer
    """

    bid: Ints
    offer: Ints
    tier: Ints
    pool: Ints
    price_tier: Ints
    told: Ints
    seller: Ints


class Layout(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A awards, and the prices of K pools, T slots and 3 tiers.

    bid, offer, slot, tier, quantity, rate, charge   (A,)
    rates, lows, highs                               (K, T, 3) published; 0 where there is no row
    named                                            what the rows of every table are of
    """

    named: Named
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


def fit(clearing: Clearing, bid_ids: pl.Series, *, stock: Stock) -> tuple[Layout | None, list[str]]:
    """A result laid over its book; or nothing, and what keeps it from that, in words."""
    frames = clearing.tables()
    for table in RESULT_TABLES:
        if dict(frames[table.name].schema) != dict(table.schema):
            return None, [f"{table.name} does not have its columns"]
    faults = [f"{name} has an empty cell" for name, frame in frames.items() if frame.null_count().sum_horizontal().sum()]
    if faults:
        return None, faults
    named = number_names(clearing, bid_ids, stock=stock)
    faults = [*_strangers(clearing, named), *_outside(clearing, stock.gross.shape[1])] or _misfits(clearing, named, stock=stock)
    return (None, faults) if faults else (lay_out(clearing, named, stock=stock), [])


def rates_of(clearing: Clearing, stock: Stock) -> Ints:
    """The published rates (K, T, 3) of a result that fits; 0 where there is no row."""
    prices = clearing.prices
    place = (rows_of(prices["pool"], stock.names), prices["slot"].to_numpy(), rows_of(prices["tier"], TIERS))
    return _grid(prices["rate_micros"], place, stock=stock)


def rows_of(names: pl.Series, among: Iterable[str]) -> Ints:
    """The place of each name among others, STRANGER where it has none."""
    known = pl.Series("name", among, dtype=pl.String)
    if names.equals(known):  # every table of bids comes in the order of the book
        return np.arange(len(known))
    places = known.to_frame().with_row_index("row")
    found = names.rename("name").to_frame().join(places, on="name", how="left", maintain_order="left")["row"]
    return found.cast(pl.Int64).fill_null(STRANGER).to_numpy()


def number_names(clearing: Clearing, bid_ids: pl.Series, *, stock: Stock) -> Named:
    """Every name of a result as a place in the book."""
    awards, prices, offers = clearing.awards, clearing.prices, list(stock.row_of)
    return Named(
        bid=rows_of(awards["bid_id"], bid_ids),
        offer=rows_of(awards["offer_id"], offers),
        tier=rows_of(awards["tier"], TIERS),
        pool=rows_of(prices["pool"], stock.names),
        price_tier=rows_of(prices["tier"], TIERS),
        told=rows_of(clearing.outcomes["bid_id"], bid_ids),
        seller=rows_of(clearing.receipts["offer_id"], offers),
    )


def _strangers(clearing: Clearing, named: Named) -> Iterator[str]:
    """Names that the book does not have."""
    frames = clearing.tables()
    for name, column, rows in (
        ("awards", "bid_id", named.bid),
        ("outcomes", "bid_id", named.told),
        ("awards", "offer_id", named.offer),
        ("receipts", "offer_id", named.seller),
        ("awards", "tier", named.tier),
        ("prices", "pool", named.pool),
        ("prices", "tier", named.price_tier),
    ):
        strange = frames[name][column].filter(pl.Series(rows == STRANGER)).unique().sort().head(3)
        yield from (f"{name} names {stranger}, which is not in the book" for stranger in strange)


def _outside(clearing: Clearing, slots: int) -> Iterator[str]:
    """Slots that the book does not have."""
    for name in ("awards", "prices", "receipts"):
        slot = clearing.tables()[name]["slot"]
        strange = slot.filter((slot < 0) | (slot >= slots)).unique().sort()
        yield from (f"{name} names slot {stranger}" for stranger in strange)


def _misfits(clearing: Clearing, named: Named, *, stock: Stock) -> list[str]:
    """Rows there twice, prices that are missing or that nothing calls for, and awards of nothing."""
    awards, prices, receipts = clearing.awards, clearing.prices, clearing.receipts
    keys = {
        "awards": (named.bid, named.offer, awards["slot"].to_numpy(), named.tier),
        "prices": (named.pool, prices["slot"].to_numpy(), named.price_tier),
        "outcomes": (named.told,),
        "receipts": (named.seller, receipts["slot"].to_numpy()),
    }
    found = [f"{name} has a row twice" for name, columns in keys.items() if _any_twice(columns)]
    there = np.zeros(stock.on_sale.shape, dtype=np.bool_)
    there[keys["prices"]] = True
    found += [f"prices lack {place}" for place in _first_places(stock.on_sale & ~there, stock)]
    found += [f"prices have {place}, where nothing is on sale" for place in _first_places(there & ~stock.on_sale, stock)]
    if (awards["quantity"] < 1).any():
        found.append("an award grants nothing")
    return found


def _any_twice(columns: tuple[Ints, ...]) -> bool:
    """Whether rows of some columns, numbers not below 0, are equal in all of them."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        key = key * (int(column.max(initial=0)) + 1) + column
    key.sort()
    return bool((key[1:] == key[:-1]).any())


def _first_places(places: Bools, stock: Stock) -> list[str]:
    """The first three of some pools, slots and tiers (K, T, 3), in words."""
    return [f"{stock.names[pool]}, slot {slot}, {TIERS[tier]}" for pool, slot, tier in np.argwhere(places)[:3].tolist()]


def lay_out(clearing: Clearing, named: Named, *, stock: Stock) -> Layout:
    """The columns of a result as numbers. Ask `fit` whether it can be laid out: of strangers the rows mean nothing."""
    awards, prices = clearing.awards, clearing.prices
    place = (named.pool, prices["slot"].to_numpy(), named.price_tier)
    return Layout(
        named=named,
        bid=named.bid,
        offer=named.offer,
        slot=awards["slot"].to_numpy(),
        tier=named.tier,
        quantity=awards["quantity"].to_numpy(),
        rate=awards["rate_micros"].to_numpy(),
        charge=awards["charge_micros"].to_numpy(),
        rates=_grid(prices["rate_micros"], place, stock=stock),
        lows=_grid(prices["rate_low_micros"], place, stock=stock),
        highs=_grid(prices["rate_high_micros"], place, stock=stock),
    )


def _grid(column: pl.Series, place: tuple[Ints, Ints, Ints], *, stock: Stock) -> Ints:
    """A column of the prices by pool, slot and tier, (K, T, 3); 0 where there is no row."""
    grid = np.zeros(stock.limits.shape, dtype=np.int64)
    grid[place] = column.to_numpy()
    return grid
