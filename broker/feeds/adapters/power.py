"""Energy prices and carbon by zone, hour by hour: hourly files as they are published become the market's `zones` table.

The interface for any source is this file: CSV with a column `zone`, `utc_hour` (the hour's start, UTC), and any of `price_per_mwh`
with `price_currency`, `gco2_per_kwh`, `renewable_share`. Whoever has another source writes these columns.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import polars as pl

from broker.feeds.adapters.sheet import Unread, number, read_sheet
from contracts.terms.money import MICROS, half_up
from contracts.terms.tables import ZONES

COLUMNS = ("zone", "utc_hour")
OPTIONAL = ("price_per_mwh", "price_currency", "gco2_per_kwh", "renewable_share")
FIGURES = ("price_per_mwh", "gco2_per_kwh", "renewable_share")
# A price beyond this, in the file's currency, is a fault of the file and not of the grid.
PRICE_MAX = 1e7
CARBON_MAX = 5_000.0
HOUR = timedelta(hours=1)
FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f%:z")


class PowerTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Which hours are wanted, and in which currency.

    start     of the market's first slot, UTC; an hour counts for a slot that begins in it
    slots     how many, an hour each
    currency  of the market
    exchange  units of it for one unit of another; a price in a currency that is not here is rejected, and its carbon kept
    """

    start: datetime
    slots: int
    currency: str
    exchange: dict[str, Decimal] = {}


class Hours(msgspec.Struct, frozen=True, eq=False):
    """What came of a file.

    zones     the columns of the published table, by zone and slot
    rejected  row (from 0), reason, detail: rows, or the one figure of a row, that do not count
    missing   by zone: slots of the market the file says nothing of
    fault     why nothing could be read at all; empty when something could
    """

    zones: pl.DataFrame
    rejected: list[Unread]
    missing: dict[str, int]
    fault: str = ""


def parse(payload: bytes, terms: PowerTerms) -> Hours:
    """The hours of the market from a file of many. Never raises; hours outside the market are not rejected, they are not asked for."""
    sheet = read_sheet(payload, COLUMNS, optional=OPTIONAL)
    if sheet.fault:
        return Hours(ZONES.empty(), [], {}, sheet.fault)
    hours = pl.coalesce(pl.col("utc_hour").str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC") for form in FORMATS)
    table = sheet.frame.with_columns(hours.alias("at"), *(number(name) for name in FIGURES))
    rejected = [*sheet.unread, *_unplaced(table)]
    good = table.filter(pl.col("at").is_not_null() & pl.col("zone").is_not_null())
    first = terms.start.replace(minute=0, second=0, microsecond=0)
    inside = good.filter((pl.col("at") >= first) & (pl.col("at") < first + terms.slots * HOUR))
    inside = inside.with_columns(slot=((pl.col("at") - first).dt.total_seconds() // 3_600).cast(pl.Int64))
    twice = inside.filter(pl.struct("zone", "slot").is_first_distinct().not_())
    rejected += [(row, "told twice", f"{zone}, slot {slot}") for row, zone, slot in twice.select("row", "zone", "slot").iter_rows()]
    rows = [_hour(row, terms, rejected=rejected) for row in inside.unique(["zone", "slot"], keep="first").iter_rows(named=True)]
    zones = pl.DataFrame(rows, schema=ZONES.schema, orient="row").sort("zone", "slot")
    counts = dict(zones.group_by("zone").len().iter_rows())
    known = sorted(set(good["zone"]))
    missing = {zone: terms.slots - counts.get(zone, 0) for zone in known if counts.get(zone, 0) < terms.slots}
    return Hours(zones, sorted(rejected), missing)


def _unplaced(table: pl.DataFrame) -> list[Unread]:
    """Rows without a zone or an hour."""
    bad = table.filter(pl.col("at").is_null() | pl.col("zone").is_null()).select("row", "zone", "utc_hour")
    return [(row, "no zone", "") if zone is None else (row, "not an hour", hour or "") for row, zone, hour in bad.iter_rows()]


def _hour(row: dict[str, object], terms: PowerTerms, *, rejected: list[Unread]) -> tuple[object, ...]:
    """One row of the published table; a figure that cannot stand is unknown there, and said."""

    def kept(name: str, *, most: float, least: float = 0.0) -> float | None:
        figure = row[name]
        if isinstance(figure, float) and least <= figure <= most:
            return figure
        if figure is not None:
            rejected.append((int(str(row["row"])), f"implausible {name}", str(figure)))
        return None

    price = kept("price_per_mwh", most=PRICE_MAX, least=-PRICE_MAX)
    currency = str(row["price_currency"] or terms.currency)
    if price is not None and currency != terms.currency and currency not in terms.exchange:
        rejected.append((int(str(row["row"])), "currency without a rate", currency))
        price = None
    worth = Fraction(terms.exchange.get(currency, Decimal(1)))
    micros = None if price is None else half_up(Fraction(Decimal(repr(price))) * worth * MICROS)
    return row["zone"], row["slot"], micros, kept("gco2_per_kwh", most=CARBON_MAX), kept("renewable_share", most=1.0)
