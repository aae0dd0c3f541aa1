"""Prices of instances as every adapter hands them on: one row a price, and what is needed to make offers of them.

An adapter knows one publisher's columns and nothing else: it fills `PRICES`. What keeps a price from trading, and what an
offer says that a price does not, is decided once, in `offering`.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import polars as pl

from contracts.terms.hardware import HardwareClass

PRICES: Mapping[str, pl.DataType] = {
    "row": pl.Int64(),
    "firm": pl.Boolean(),
    "provider": pl.String(),
    "region": pl.String(),
    "country_code": pl.String(),
    "zone": pl.String(),
    "instance_type": pl.String(),
    "accelerator": pl.String(),
    "accelerator_raw": pl.String(),
    "accelerator_count": pl.Float64(),
    "price": pl.Float64(),
    "currency": pl.String(),
}
REJECTED: Mapping[str, pl.DataType] = {
    "row": pl.Int64(),
    "firm": pl.Boolean(),
    "provider": pl.String(),
    "region": pl.String(),
    "instance_type": pl.String(),
    "accelerator": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a price list does not say and an offer must.

    hardware  the catalogue by class name
    slots     the offers hold in [0, slots)
    currency  of the market
    exchange  units of that currency for one unit of another; a currency that is not here is rejected
    nodes     instances taken to be on offer for each price, since no price list says how many there are
    provider  whose prices they are, where the list itself does not say
    """

    hardware: dict[str, HardwareClass]
    slots: int
    currency: str = "USD"
    exchange: dict[str, Decimal] = {}
    nodes: int = 1
    provider: str = ""


class Parsed(msgspec.Struct, frozen=True, eq=False):
    """What came of what somebody published. Every price is one row of either frame.

    offers         the published columns, sorted by id
    rejected       row (from 0), firm, provider, region, instance_type, accelerator, reason, detail
    on_demand      firm prices there were, rows that could not be read among them
    interruptible  prices of what may be taken back
    fault          why nothing could be read at all; empty when something could
    """

    offers: pl.DataFrame
    rejected: pl.DataFrame
    on_demand: int
    interruptible: int
    fault: str = ""

    def counts(self) -> pl.DataFrame:
        """By reason, `offered` first, then the most frequent: reason, on_demand, interruptible (number of prices)."""
        offered = self.offers.select("firm", reason=pl.lit("offered"))
        return (
            pl.concat([offered, self.rejected.select("firm", "reason")])
            .group_by("reason")
            .agg(on_demand=pl.col("firm").sum().cast(pl.Int64), interruptible=(~pl.col("firm")).sum().cast(pl.Int64))
            .sort(pl.col("reason") != "offered", -pl.col("on_demand"), "reason")
        )
