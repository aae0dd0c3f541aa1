"""From prices to offers: what can be traded becomes an offer, and every price that cannot is rejected with its reason.

Price lists are made for reading, not for trading: most rows have no accelerator, prices are per instance, several currencies stand
side by side and nothing says how much there is. Nothing is lost silently.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import polars as pl

from broker.feeds.accelerator_names import hardware_class
from broker.feeds.adapters.plausible import plausible
from broker.feeds.adapters.prices import PRICES, REJECTED, Parsed, Terms
from contracts.terms.ids import derived_id
from contracts.terms.money import MICROS, half_up
from contracts.terms.tables import OFFERS

UNPLACED = "unplaced"
NODE_MAX = 4_096
RATE_MAX = 2**50
NAMED = ("provider", "region", "country_code", "zone", "instance_type", "accelerator", "accelerator_raw", "currency")


def offered(prices: pl.DataFrame, terms: Terms, *, unread: pl.DataFrame | None = None) -> Parsed:
    """Offers and rejections from the columns of `PRICES`; `unread` are rejections made before, while reading. Never raises."""
    told = [pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)).alias(name) for name in NAMED]
    prices = prices.select(list(PRICES)).cast(PRICES).with_columns(told)  # type: ignore[arg-type]
    prices = prices.with_columns(country_code=pl.when(pl.col("country_code").str.contains(r"^[A-Z]{2}$")).then("country_code"))
    judged = _judged(prices, terms)
    kept, twice = _without_twins(judged.filter(pl.col("reason").is_null()))
    good, implausible = plausible(kept)
    rejected = pl.concat([judged.filter(pl.col("reason").is_not_null()), twice, implausible])
    rejected = rejected.select(pl.col(name).cast(kind) for name, kind in REJECTED.items())
    rejected = rejected if unread is None else pl.concat([rejected, unread])
    firm = prices.filter("firm").height + (0 if unread is None else unread.height)
    return Parsed(_offers(good, terms), rejected.sort("row", "firm", descending=[False, True]), firm, prices.filter(~pl.col("firm")).height)


def nothing(fault: str) -> Parsed:
    """What comes of something that cannot be read at all."""
    return Parsed(OFFERS.empty(), pl.DataFrame(schema=REJECTED), 0, 0, fault)


def unread_rows(rows: list[tuple[int, str, str]]) -> pl.DataFrame:
    """Rejections of rows by number, reason and detail, before anything of them is known."""
    return pl.DataFrame(
        [(row, True, None, None, None, None, reason, detail) for row, reason, detail in rows], schema=dict(REJECTED), orient="row"
    )


def _judged(table: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Prices with hardware and rate_micros, and `reason` and `detail` where they cannot trade."""
    named = ["accelerator", "accelerator_raw", "instance_type"]
    classes = table.select(named).unique(maintain_order=True)
    traded = (hardware_class(name, raw, instance_type=instance) for name, raw, instance in classes.iter_rows())
    known = [name if name in terms.hardware else None for name in traded]
    table = table.join(classes.with_columns(hardware=pl.Series(known, dtype=pl.String)), on=named, nulls_equal=True, validate="m:1")
    prices = table.with_columns(_reason(terms)).with_columns(detail=_detail())
    rates = [_rate(row, terms) if row["reason"] is None else None for row in prices.iter_rows(named=True)]
    beyond = pl.Series([rate is not None and not 0 < rate <= RATE_MAX for rate in rates], dtype=pl.Boolean)
    prices = prices.with_columns(
        beyond=beyond, rate_micros=pl.Series([None if out else rate for rate, out in zip(rates, beyond, strict=True)], dtype=pl.Int64)
    )
    return prices.with_columns(
        reason=pl.when("beyond").then(pl.lit("implausible rate")).otherwise("reason"),
        detail=pl.when("beyond").then(pl.col("price").cast(pl.String)).otherwise("detail"),
    ).drop("beyond")


def _reason(terms: Terms) -> pl.Expr:
    """The first thing that keeps a price from trading; null when nothing does."""
    count, price = pl.col("accelerator_count"), pl.col("price")
    convertible = [terms.currency, *terms.exchange]
    return (
        pl.when(pl.col("accelerator").is_null() & pl.col("accelerator_raw").is_null())
        .then(pl.lit("no accelerator"))
        .when(pl.col("hardware").is_null())
        .then(pl.lit("accelerator not in the hardware catalogue"))
        .when(pl.col("provider").is_null())
        .then(pl.lit("no provider"))
        .when(count.is_null() | ~count.is_finite() | (count <= 0) | (count > NODE_MAX))
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
