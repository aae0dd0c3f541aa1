"""Offers, bids, cycles and what cycles decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment, moment_key, moment_or_none, texts


class OfferRow(SQLModel, table=True):
    """One version of an offer; the current one is not superseded."""

    __tablename__ = "offers"
    __table_args__ = (Index("offers_current", "id", unique=True, postgresql_where=text("superseded_at IS NULL")),)

    id: str = key()
    version: int = Field(primary_key=True)
    provider: str = Field(index=True)
    site: str
    country: str | None
    subdivision: str | None
    operator_country: str | None
    parent_country: str | None
    trust: str | None
    hardware: str = Field(index=True)
    chip_origin: str | None
    memory_gb: float | None
    quantity: int
    node_size: int
    rate_micros: int = micros()
    firm: bool
    uptime: float | None
    latitude: float | None
    longitude: float | None
    zone: str | None
    watts: float
    pue: float
    energy_indexed: bool
    certifications: list[str] | None = Field(sa_type=texts().sa_type, nullable=True)
    open_to: list[str] = texts()
    closed_to: list[str] = texts()
    observed_at: datetime = moment()
    superseded_at: datetime | None = moment_or_none()


class OfferHourRow(SQLModel, table=True):
    """What an offer sells in one hour of the day (UTC) where that differs from its row."""

    __tablename__ = "offer_hours"

    offer_id: str = key()
    hour: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    quantity: int
    rate_micros: int = micros()


class BidRow(SQLModel, table=True):
    """A bid and its life: open until its hours are awarded, its window has passed or it is withdrawn."""

    __tablename__ = "bids"

    id: str = key()
    account_id: str = Field(foreign_key="accounts.id", index=True)
    project_id: str
    entered_at: datetime = moment()
    window_start: datetime = moment()
    window_end: datetime = moment(index=True)
    width: int
    hours: float
    hours_left: float
    status: str = Field(index=True)
    requirements: dict[str, Any] = document()


class CycleRow(SQLModel, table=True):
    """One clearing of the market. `token` fences the run that may apply it."""

    __tablename__ = "cycles"

    id: str = key()
    number: int = Field(unique=True)
    gate_at: datetime = moment(index=True)
    start: datetime = moment()
    slots: int
    slot_seconds: int
    status: str
    token: int
    applied_at: datetime | None = moment_or_none()
    finding: str = ""
    certificate: dict[str, Any] | None = Field(sa_type=document().sa_type, nullable=True, default=None)
    book: bytes | None = Field(sa_type=LargeBinary, nullable=True, default=None)


class AwardRow(SQLModel, table=True):
    """What a cycle granted: a bid, an offer, a slot, a tier."""

    __tablename__ = "awards"

    id: str = key()
    cycle_id: str = Field(foreign_key="cycles.id", index=True)
    bid_id: str = Field(foreign_key="bids.id", index=True)
    offer_id: str
    slot_start: datetime = moment()
    tier: str
    quantity: int
    rate_micros: int = micros()
    charge_micros: int = micros()


class PriceRow(SQLModel, table=True):
    """The price of a pool, slot and tier in one cycle, with both ends of its tie range."""

    __tablename__ = "prices"

    cycle_id: str = Field(foreign_key="cycles.id", primary_key=True)
    pool: str = key()
    slot_start: datetime = moment_key()
    tier: str = key()
    site: str
    country: str | None
    hardware: str = Field(index=True)
    firm: bool
    rate_micros: int = micros()
    rate_low_micros: int = micros()
    rate_high_micros: int = micros()
    sold: int = Field(sa_type=BigInteger)
    offered: int = Field(sa_type=BigInteger)


class OutcomeRow(SQLModel, table=True):
    """What became of a bid in one cycle, and why."""

    __tablename__ = "outcomes"

    cycle_id: str = Field(foreign_key="cycles.id", primary_key=True)
    bid_id: str = Field(foreign_key="bids.id", primary_key=True)
    status: str
    hours: float
    reference_hours: float
    paid_micros: int = micros()
    fee_micros: int = micros()
    transfer_micros: int = micros()
    uplift_micros: int = micros()
    reason: str


class ReceiptRow(SQLModel, table=True):
    """What an offer earned in one slot of one cycle."""

    __tablename__ = "receipts"

    cycle_id: str = Field(foreign_key="cycles.id", primary_key=True)
    offer_id: str = key()
    slot_start: datetime = moment_key()
    sold: int
    received_micros: int = micros()
    premium_micros: int = micros()
    uplift_micros: int = micros()
