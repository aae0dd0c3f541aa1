"""Offers from a table of public price lists: one row an instance type, priced per hour and instance.

Such a table is made for reading, not for trading: most rows have no accelerator, prices are per instance, several
currencies stand side by side and nothing says how much there is. `parse` turns what can be traded into offers and
gives a reason for every price it leaves out, so that nothing is lost silently.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from broker.feeds.accelerator_names import hardware_class
from contracts.terms.errors import BadInput
from contracts.terms.hardware import HardwareClass
from contracts.terms.ids import derived_id
from contracts.terms.money import MICROS, half_up
from contracts.terms.tables import OFFERS

COLUMNS: Mapping[str, pl.DataType] = {
    "provider": pl.String(),
    "region": pl.String(),
    "country_code": pl.String(),
    "zone": pl.String(),
    "instance_type": pl.String(),
    "accelerator": pl.String(),
    "accelerator_count": pl.Float64(),
    "price_per_hour": pl.Float64(),
    "spot_price_per_hour": pl.Float64(),
    "currency": pl.String(),
    "accelerator_raw": pl.String(),
}
IMPLAUSIBLE_FACTOR = 20
FEW = 3
UNPLACED = "unplaced"
REJECTED = {
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
    """

    hardware: dict[str, HardwareClass]
    slots: int
    currency: str = "USD"
    exchange: dict[str, Decimal] = {}
    nodes: int = 1


class Parsed(msgspec.Struct, frozen=True, eq=False):
    """What came of a price list. Every price is one row of either frame.

    offers    the published columns, sorted by id
    rejected  row (from 0), firm, provider, region, instance_type, accelerator, reason, detail
    prices    on-demand prices (one a row of the table) and interruptible ones (where the row has one)
    """

    offers: pl.DataFrame
    rejected: pl.DataFrame
    on_demand: int
    interruptible: int

    def counts(self) -> pl.DataFrame:
        """By reason, `offered` first, then the most frequent: reason, on_demand, interruptible (number of prices)."""
        offered = self.offers.select("firm", reason=pl.lit("offered"))
        return (
            pl.concat([offered, self.rejected.select("firm", "reason")])
            .group_by("reason")
            .agg(on_demand=pl.col("firm").sum().cast(pl.Int64), interruptible=(~pl.col("firm")).sum().cast(pl.Int64))
            .sort(pl.col("reason") != "offered", -pl.col("on_demand"), "reason")
        )


def read(path: Path) -> pl.DataFrame:
    """The table in a Parquet or CSV file. Raises BadInput for a file that is neither."""
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (OSError, PolarsError) as error:
        raise BadInput("the price list cannot be read", file=path.name, found=str(error), would_do="a Parquet or CSV table") from error


def parse(frame: pl.DataFrame, terms: Terms) -> Parsed:
    """Offers and rejections from a price list. Raises BadInput when a column is missing or of another kind."""
    prices = _prices(_typed(frame), terms)
    kept, twice = _without_twins(prices.filter(pl.col("reason").is_null()))
    offered, implausible = _plausible(kept)
    rejected = pl.concat([prices.filter(pl.col("reason").is_not_null()), twice, implausible])
    return Parsed(
        _offers(offered, terms),
        rejected.select(pl.col(name).cast(kind) for name, kind in REJECTED.items()).sort("row", "firm", descending=[False, True]),
        frame.height,
        prices.filter(~pl.col("firm")).height,
    )


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise BadInput("the price list lacks a column", column=missing[0], would_do=f"a table with {', '.join(COLUMNS)}")
    try:
        return frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items()).with_row_index("row")
    except PolarsError as error:
        raise BadInput("a column of the price list is of another kind", found=str(error).splitlines()[0]) from error


def _prices(table: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """One row a price: on demand for every row of the table, interruptible where there is one; `reason` where it cannot trade."""
    named = ["accelerator", "accelerator_raw", "instance_type"]
    classes = table.select(named).unique(maintain_order=True)
    traded = (hardware_class(name, raw, instance_type=instance) for name, raw, instance in classes.iter_rows())
    known = [name if name in terms.hardware else None for name in traded]
    table = table.join(classes.with_columns(hardware=pl.Series(known, dtype=pl.String)), on=named, nulls_equal=True, validate="m:1")
    on_demand = table.with_columns(firm=pl.lit(value=True), price="price_per_hour")
    spot = table.filter(pl.col("spot_price_per_hour").is_not_null()).with_columns(firm=pl.lit(value=False), price="spot_price_per_hour")
    prices = pl.concat([on_demand, spot]).with_columns(_reason(terms)).with_columns(detail=_detail())
    tradable = prices["reason"].is_null()
    rates = [_rate(row, terms) if good else None for row, good in zip(prices.iter_rows(named=True), tradable, strict=True)]
    return prices.with_columns(rate_micros=pl.Series(rates, dtype=pl.Int64))


def _reason(terms: Terms) -> pl.Expr:
    """The first thing that keeps a price from trading; null when nothing does."""
    count, price = pl.col("accelerator_count"), pl.col("price")
    convertible = [terms.currency, *terms.exchange]
    return (
        pl.when(pl.col("accelerator").is_null() & pl.col("accelerator_raw").is_null())
        .then(pl.lit("no accelerator"))
        .when(pl.col("hardware").is_null())
        .then(pl.lit("accelerator not in the hardware catalogue"))
        .when(count.is_null() | ~count.is_finite() | (count <= 0))
        .then(pl.lit("number of accelerators unknown"))
        .when(count != count.floor())
        .then(pl.lit("a slice of an accelerator"))
        .when(~pl.col("currency").is_in(convertible) | pl.col("currency").is_null())
        .then(pl.lit("currency without a rate"))
        .when(price.is_null() | ~price.is_finite() | (price <= 0))
        .then(pl.lit("no price"))
        .alias("reason")
    )


def _detail() -> pl.Expr:
    """The figure behind the reason, where it has one."""
    return (
        pl.when(pl.col("reason").str.starts_with("accelerator"))
        .then(pl.coalesce("accelerator_raw", "accelerator"))
        .when(pl.col("reason").str.starts_with("currency"))
        .then("currency")
        .when(pl.col("reason").str.starts_with("a slice"))
        .then(pl.col("accelerator_count").cast(pl.String))
        .when(pl.col("reason") == "no price")
        .then(pl.col("price").cast(pl.String))
    )


def _rate(row: Mapping[str, float | str], terms: Terms) -> int:
    """Micros of the market's currency per accelerator-hour: the price as printed, converted, over the accelerators."""
    worth = Fraction(terms.exchange.get(str(row["currency"]), Decimal(1)))
    return half_up(Fraction(Decimal(repr(row["price"]))) * worth * MICROS / Fraction(row["accelerator_count"]))


def _without_twins(prices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first of every price told twice: same provider, place, instance type, accelerators, firmness and rate."""
    told = ["provider", "region", "zone", "instance_type", "hardware", "accelerator_count", "firm", "rate_micros"]
    first = prices.with_columns(first=pl.col("row").min().over(told))
    twice = first.filter(pl.col("row") != pl.col("first")).with_columns(
        reason=pl.lit("told twice"), detail=pl.format("as row {}", pl.col("first"))
    )
    return first.filter(pl.col("row") == pl.col("first")).drop("first"), twice.drop("first")


def _plausible(prices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prices within a factor of 20 of the median rate of their class; the others are quarantined with the figures.

    Within a class a reference hour is the same multiple of every hour, so rates compare as they are. A class with
    fewer than three prices has no median worth the name: nothing is told against them.
    """
    median = pl.col("rate_micros").median().over("hardware")
    times = pl.col("rate_micros") / median
    far = (pl.len().over("hardware") >= FEW) & ((times > IMPLAUSIBLE_FACTOR) | (times < 1 / IMPLAUSIBLE_FACTOR))
    judged = prices.with_columns(far=far, median=median.cast(pl.Int64))
    said = pl.format("{} micros against a class median of {}", pl.col("rate_micros"), pl.col("median"))
    implausible = judged.filter("far").with_columns(reason=pl.lit("implausible rate"), detail=said)
    return judged.filter(~pl.col("far")).drop("far", "median"), implausible.drop("far", "median")


def _offers(prices: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """The published columns. What the price list does not state stays unknown, and unknown meets no demand."""
    known = [terms.hardware[name] for name in prices["hardware"]]
    facts = ["provider", "zone", "region", "instance_type", "hardware", "accelerator_count", "firm", "rate_micros"]
    ids = [derived_id("ofr", *("" if fact is None else str(fact) for fact in row)) for row in prices.select(facts).rows()]
    node = pl.col("accelerator_count").cast(pl.Int64)
    made = prices.with_columns(
        pl.Series("offer_id", ids, dtype=pl.String),
        pl.Series("chip_origin", [chip.chip_origin for chip in known], dtype=pl.String),
        pl.Series("memory_gb", [chip.memory_gb for chip in known], dtype=pl.Float64),
        pl.Series("watts", [chip.watts or 0.0 for chip in known], dtype=pl.Float64),
        site=pl.coalesce("zone", "region", pl.lit(UNPLACED)),
        country="country_code",
        node_size=node,
        quantity=node * terms.nodes,
        zone=None,
        slot_first=0,
        slot_end=terms.slots,
        pue=1.0,
        energy_indexed=False,
        open_to=pl.lit([], dtype=pl.List(pl.String)),
        closed_to=pl.lit([], dtype=pl.List(pl.String)),
    ).with_columns(site=pl.format("{}:{}", pl.col("provider"), pl.col("site")))
    unknown = [pl.lit(None).alias(name) for name in OFFERS.schema if name not in made.columns]
    return made.with_columns(unknown).select(list(OFFERS.schema)).cast(OFFERS.schema).sort("offer_id")  # type: ignore[arg-type]
