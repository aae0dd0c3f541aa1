"""Leases, the slots they cover, how they moved, and the seconds they delivered."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment, moment_key


class LeaseRow(SQLModel, table=True):
    """An award turned into an obligation to deliver: one bid, one offer, one tier, one cycle or quote."""

    __tablename__ = "leases"

    id: str = key()
    cycle_id: str | None = Field(foreign_key="cycles.id", index=True)
    bid_id: str = Field(foreign_key="bids.id", index=True)
    account_id: str = Field(foreign_key="accounts.id", index=True)
    provider_id: str = Field(foreign_key="providers.id", index=True)
    offer_id: str
    site: str
    hardware: str
    tier: str
    state: str = Field(index=True)
    accelerators: int
    starts_at: datetime = moment(index=True)
    ends_at: datetime = moment(index=True)
    continues: str | None = Field(default=None, foreign_key="leases.id", index=True)


class LeaseSlotRow(SQLModel, table=True):
    """One slot of a lease: how many accelerators, at what rate."""

    __tablename__ = "lease_slots"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    slot_start: datetime = moment_key()
    slot_end: datetime = moment()
    quantity: int
    rate_micros: int = micros()


class LeaseEventRow(SQLModel, table=True):
    """One move of a lease's state machine."""

    __tablename__ = "lease_events"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    sequence: int = Field(primary_key=True)
    state: str
    at: datetime = moment()
    reason: str = ""
    closed_by: str | None = None


class FailoverRow(SQLModel, table=True):
    """What a lease that broke off still owes its holder: slots that had not begun, until they are placed or given back to its bid."""

    __tablename__ = "lease_failovers"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    at: datetime = moment()
    state: str
    rest: list[dict[str, Any]] = document()


class ResaleRow(SQLModel, table=True):
    """What a holder offers on of a lease; the offer others see has the same id. `slots` are what is still offered."""

    __tablename__ = "lease_resales"
    __table_args__ = (Index("lease_resales_open", "lease_id", unique=True, postgresql_where=text("state = 'open'")),)

    id: str = key()
    lease_id: str = Field(foreign_key="leases.id", index=True)
    offer_id: str
    state: str
    released: bool
    created_at: datetime = moment()
    slots: list[dict[str, Any]] = document()


class SaleRow(SQLModel, table=True):
    """One slot that a buyer's lease took over from a holder's, and the rate the holder goes on paying; never changed."""

    __tablename__ = "lease_sales"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    slot_start: datetime = moment_key()
    resale_id: str = Field(foreign_key="lease_resales.id")
    of_lease_id: str = Field(foreign_key="leases.id", index=True)
    quantity: int
    rate_micros: int = micros()


class UsageRow(SQLModel, table=True):
    """One revision of a usage record; never updated, never deleted. That its lease is known is checked a statement at a time."""

    __tablename__ = "usage_records"
    __table_args__ = (Index("ix_usage_records_lease_start", "lease_id", "start"),)

    usage_id: str = key()
    rev: int = Field(primary_key=True)
    lease_id: str
    start: datetime = moment()
    end: datetime = moment()
    accelerator_seconds: int = Field(sa_type=BigInteger)
    status: str
    received_at: datetime = moment(index=True)


class SetAsideRow(SQLModel, table=True):
    """A usage record that was reported and is not counted, and why; the same one for the same reason is kept once."""

    __tablename__ = "usage_set_aside"
    __table_args__ = (
        UniqueConstraint(
            "usage_id",
            "rev",
            "lease_id",
            "start",
            "end",
            "accelerator_seconds",
            "status",
            "reason",
            "reported_by",
            name="usage_set_aside_once",
        ),
    )

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    usage_id: str = Field(sa_type=Text)
    rev: int
    lease_id: str
    start: datetime = moment()
    end: datetime = moment()
    accelerator_seconds: int = Field(sa_type=BigInteger)
    status: str
    received_at: datetime = moment()
    reason: str
    reported_by: str = Field(index=True)
