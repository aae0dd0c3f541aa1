"""Facts around the market: energy and carbon by zone and hour, moving data, distance in milliseconds."""

from datetime import datetime

from sqlmodel import SQLModel

from broker.store.rows.columns import key, micros, moment_key


class ZoneHourRow(SQLModel, table=True):
    """Energy price and carbon intensity of a power zone in one hour."""

    __tablename__ = "zone_hours"

    zone: str = key()
    hour: datetime = moment_key()
    price_micros_per_mwh: int | None = micros(nullable=True)
    carbon_g_per_kwh: float | None = None
    renewable_share: float | None = None


class TransferRow(SQLModel, table=True):
    """What moving a terabyte from one country to another costs, and how fast it goes."""

    __tablename__ = "transfers"

    from_country: str = key()
    to_country: str = key()
    micros_per_tb: int = micros()
    gbps: float


class LatencyRow(SQLModel, table=True):
    """Round-trip time between a place and a site, milliseconds."""

    __tablename__ = "latencies"

    place: str = key()
    site: str = key()
    rtt_ms: float
