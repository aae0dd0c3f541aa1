"""The catalogue of the shipped world: what there is, before anybody offers or bids.

Every function reads one small table of `data/` anew and returns it as a frame whose columns are the file's.
"""

from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl

from contracts.terms.hardware import HardwareClass

DATA = Path(__file__).parent / "data"


class MarketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `market.toml` of the shipped world says beyond start and slots."""

    currency: str
    fee_bps: int


class RateModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rate of an invented operator was set.

    anchor_micros           micros per H100 hour
    interruptible_share     of the firm rate
    china_portability_loss  discount of a Chinese design
    multipliers             provider → factor on the anchor
    """

    anchor_micros: int
    interruptible_share: Decimal
    china_portability_loss: Decimal
    multipliers: dict[str, Decimal]


class Portability(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What translating a software stack costs: the share of throughput lost, and which makers each stack is native to."""

    loss: Decimal
    stacks: dict[str, tuple[str, ...]]


class LatencyModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Round-trip time where no table knows it: ms and ms per km, near and far of `near_km`."""

    near_km: float
    near_ms: float
    near_ms_per_km: float
    far_ms: float
    far_ms_per_km: float


class EnergyModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far price, carbon and renewable share swing about their level in a day, as a share of it."""

    price_depth: float
    carbon_depth: float
    renewable_depth: float


class TransferModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What moving a terabyte costs (micros) and how fast it goes (Gb/s): at home, inside an area, far, over a gate."""

    home_gbps: float
    near_micros_per_tb: int
    near_gbps: float
    far_micros_per_tb: int
    far_gbps: float
    gated_micros_per_tb: int
    gated_gbps: float
    gated: tuple[str, ...]
    areas: dict[str, tuple[str, ...]]


class WorldModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every assumption of the shipped world (`data/world.toml`)."""

    market: MarketSettings
    modelled: RateModel
    portability: Portability
    latency: LatencyModel
    energy: EnergyModel
    transfer: TransferModel


def model() -> WorldModel:
    """The assumptions, read from `data/world.toml`."""
    return msgspec.toml.decode((DATA / "world.toml").read_bytes(), type=WorldModel)


def table(name: str) -> pl.DataFrame:
    """One table of `data/` by name, every empty cell null."""
    return pl.read_csv(DATA / f"{name}.csv", infer_schema_length=None)


def listed(name: str) -> pl.Expr:
    """A `;`-separated column as a list; an empty cell is an empty list."""
    text = pl.col(name).cast(pl.String).fill_null("")
    return pl.when(text == "").then(pl.lit([], dtype=pl.List(pl.String))).otherwise(text.str.split(";")).alias(name)


def hardware() -> pl.DataFrame:
    """The hardware catalogue: hardware, vendor, variant, tflops, memory_gb, bandwidth_gb_s, watts, chip_origin, confidence, source."""
    return table("hardware").with_columns(pl.col("memory_gb", "bandwidth_gb_s", "watts").cast(pl.Float64))


def hardware_classes() -> dict[str, HardwareClass]:
    """The hardware catalogue as terms, by class name."""
    rows = hardware().drop("bandwidth_gb_s").rename({"hardware": "name"}).to_dicts()
    return {row["name"]: msgspec.convert(row, HardwareClass) for row in rows}


def countries() -> pl.DataFrame:
    """Country names by ISO 3166-1 alpha-2 code: country, name, source."""
    return table("countries")


def subdivisions() -> pl.DataFrame:
    """The 34 provincial-level subdivisions ISO 3166-2:CN lists, with a hub city.

    `country` is the ISO 3166-1 code that law and sovereignty go by: HK, MO and TW have their own.
    """
    return table("subdivisions")


def providers() -> pl.DataFrame:
    """The provider grids: provider, name, kind, operator_country, parent_country, trust, uptime (percent), modelled, source."""
    return table("providers")


def sites() -> pl.DataFrame:
    """The sites: where each stands, who runs it, its power zone, PUE, certifications (`;`-separated) and size (core or edge)."""
    return table("sites").with_columns(pl.col("certifications").fill_null(""))


def places() -> pl.DataFrame:
    """The places bids measure latency from: place, name, country, latitude, longitude, network_region, source."""
    return table("places")


def accounts() -> pl.DataFrame:
    """The buyers: account_id, name, country, parent_country, plan_id (metered, flat-rate or grant), kind, credit_limit_micros, story."""
    return table("buyers")
