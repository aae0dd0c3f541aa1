"""Price and carbon of power, by zone and hour."""

import math
from datetime import datetime
from fractions import Fraction

import msgspec
import polars as pl

from broker.world.catalogue import EnergyModel, WorldModel, table
from contracts.terms.money import half_up
from contracts.terms.tables import ZONES

HOURS = 24


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A power zone and the level of its day: micros per MWh, g/kWh, share; None where only recorded hours say."""

    zone: str
    longitude: float
    price_micros_per_mwh: int | None
    carbon_g_per_kwh: float
    renewable_share: float | None


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded of one UTC hour in one zone; None where nothing was."""

    price_micros_per_mwh: int | None = None
    carbon_g_per_kwh: float | None = None
    renewable_share: float | None = None


def zones(world: WorldModel, *, start: datetime, slots: int) -> pl.DataFrame:
    """Every power zone over `slots` hourly slots: zone, slot, price_micros_per_mwh, carbon_g_per_kwh, renewable_share.

    One recorded day repeats: slot s is the hour (start + s) mod 24 of it. What was not recorded is the zone's level
    bent by the sun (see `data/world.toml`).
    """
    recorded = {(row["zone"], row["hour"]): msgspec.convert(row, Hour) for row in table("zone_hours").iter_rows(named=True)}
    levels = msgspec.convert(table("zones").to_dicts(), list[Zone])
    rows = [
        (level.zone, slot, *_hour(level, hour, recorded=recorded.get((level.zone, hour), Hour()), depths=world.energy))
        for level in levels
        for slot, hour in ((slot, (start.hour + slot) % HOURS) for slot in range(slots))
    ]
    return pl.DataFrame(rows, schema=ZONES.schema, orient="row")


def _hour(level: Zone, hour: int, *, recorded: Hour, depths: EnergyModel) -> tuple[int | None, float, float | None]:
    """Price, carbon and renewable share of one hour: as recorded, else as modelled."""
    sun = _sun(hour, level.longitude)
    price, carbon, green = recorded.price_micros_per_mwh, recorded.carbon_g_per_kwh, recorded.renewable_share
    if price is None and level.price_micros_per_mwh is not None:
        price = half_up(Fraction(level.price_micros_per_mwh * (1 - depths.price_depth * sun)))
    if carbon is None:
        carbon = round(level.carbon_g_per_kwh * (1 - depths.carbon_depth * sun), 1)
    if green is None and level.renewable_share is not None:
        green = round(min(1.0, level.renewable_share * (1 + depths.renewable_depth * sun)), 4)
    return price, carbon, green


def _sun(hour: int, longitude: float) -> float:
    """1 at solar noon, -1 at solar midnight, in the middle of the UTC hour."""
    local = hour + 0.5 + longitude / 15
    return math.cos(2 * math.pi * (local - 12) / HOURS)
