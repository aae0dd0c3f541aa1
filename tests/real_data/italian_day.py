"""A day of the Italian electricity market as one book: what a published market says our prices must be.

Each of the seven zones is a site with a class of hardware of its own, each hour a slot: 168 markets side by side. A step
of a zone's curve of supply is an offer of one slot, a step of demand a bid of one slot. What the zone sent to its
neighbours, as published, is one more bid, served at any price; what it received one more offer, taken at any price.

Quantities are whole lots of 0.1 MWh, in which all orders are written. Prices are millionths of a euro per MWh above
−1,000, below the least the market allows (−500), so that all are positive.
"""

import datetime as dt
from pathlib import Path

import msgspec
import polars as pl

from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS, OFFERS
from tests.builders import a_bid, an_offer, book
from tests.real_data.rows import filled

LOTS_PER_MWH = 10
FLOOR_EUR = 1_000.0
MICROS = 1_000_000
HOURS = 24
GIVER_MICROS, TAKER_MICROS = 0, 20_000 * MICROS  # below the least price anybody may name, above the highest
KEYS = ["zone", "period"]


def day_book(folder: Path, day: dt.date) -> MarketBook:
    """The book of one delivery day from the tables `euphemia_it_*` in a folder; offers and bids are named by row."""
    curves = _of_day(folder, "curves", day).select(*KEYS, "side", price=_micros("price_eur_per_mwh"), lots=_lots("quantity_mwh"))
    net = net_positions(folder, day).select(*KEYS, lots=_lots("net_mwh"))
    taken = net.filter(pl.col("lots") != 0).select(
        *KEYS,
        side=pl.when(pl.col("lots") > 0).then(pl.lit("demand")).otherwise(pl.lit("supply")),
        price=pl.when(pl.col("lots") > 0).then(TAKER_MICROS).otherwise(GIVER_MICROS).cast(pl.Int64),
        lots=pl.col("lots").abs(),
    )
    orders = pl.concat([curves, taken]).sort(*KEYS, "side", "price", "lots").with_row_index("row")
    demand = orders.filter(pl.col("side") == "demand")
    return _with_orders(demand, orders.filter(pl.col("side") != "demand"), start=day)


def without_neighbours(market: MarketBook) -> MarketBook:
    """The same day, each zone by itself: orders of the curves alone, without what the lines took and brought."""
    own = market.bids.filter(pl.col("limit_spot_micros") < TAKER_MICROS), market.offers.filter(pl.col("rate_micros") > GIVER_MICROS)
    return msgspec.structs.replace(market, bids=own[0], offers=own[1])


def net_positions(folder: Path, day: dt.date) -> pl.DataFrame:
    """zone, period, net_mwh: what each zone sent away less what it received, over lines inside the country and across its borders."""
    flows, borders = _of_day(folder, "flows", day), _of_day(folder, "exchanges", day)
    parts = [
        flows.select("period", zone="from_zone", net_mwh="flow_mwh"),
        flows.select("period", zone="to_zone", net_mwh=-pl.col("flow_mwh")),
        borders.select("period", "zone", net_mwh="exchange_mwh"),
    ]
    return pl.concat(parts).group_by(KEYS).agg(pl.col("net_mwh").sum()).sort(KEYS)


def published_prices(folder: Path, day: dt.date) -> pl.DataFrame:
    """zone, period, micros: the price the market published, on the scale of the book."""
    return _of_day(folder, "prices", day).select(*KEYS, micros=_micros("price_eur_per_mwh")).sort(KEYS)


def _with_orders(demand: pl.DataFrame, supply: pl.DataFrame, *, start: dt.date) -> MarketBook:
    """Offers and bids in the published columns, every other column as the builders fill it in."""
    slot = {"slot_first": pl.col("period") - 1, "slot_end": pl.col("period")}
    offers = supply.select(
        offer_id=pl.format("o{}", pl.col("row").cast(pl.String).str.zfill(6)),
        site="zone",
        hardware="zone",
        quantity="lots",
        rate_micros="price",
        **slot,
    )
    bids = demand.select(
        bid_id=pl.format("b{}", pl.col("row").cast(pl.String).str.zfill(6)),
        width="lots",
        hours=pl.col("lots").cast(pl.Float64),
        limit_spot_micros="price",
        hardware=pl.concat_list(pl.format("{}:1", "zone")),
        **slot,
    )
    one = book(
        offers=[an_offer(firm=False)],
        bids=[a_bid(limit_spot_micros=1)],
        slots=HOURS,
        start=dt.datetime(start.year, start.month, start.day, tzinfo=dt.UTC),
    )
    return MarketBook(
        rules=one.rules,
        offers=filled(offers, one.offers, order=list(OFFERS.schema)),
        bids=filled(bids, one.bids, order=list(BIDS.schema)),
    )


def _of_day(folder: Path, table: str, day: dt.date) -> pl.DataFrame:
    return pl.read_parquet(folder / f"euphemia_it_{table}.parquet").filter(pl.col("delivery_day") == day)


def _micros(name: str) -> pl.Expr:
    return ((pl.col(name) + FLOOR_EUR) * MICROS).round().cast(pl.Int64)


def _lots(name: str) -> pl.Expr:
    return (pl.col(name) * LOTS_PER_MWH).round().cast(pl.Int64)
