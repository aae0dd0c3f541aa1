"""What people of finance did, and what buyers' own meters counted."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment, moment_key


class ActRow(SQLModel, table=True):
    """One act about one subject; `sequence` counts from 1, so that of two runs that want the same number one is refused."""

    __tablename__ = "acts"

    kind: str = key()
    subject: str = key()
    sequence: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    act: str
    actor: str
    at: datetime = moment()
    facts: dict[str, Any] = document()


class CounterReadingRow(SQLModel, table=True):
    """What a buyer's own meter counted on a lease."""

    __tablename__ = "counter_readings"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    start: datetime = moment_key()
    end: datetime = moment()
    accelerator_seconds: int = micros()
    received_at: datetime = moment()
