"""Quotes: firm rates and the accelerators held for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment


class QuoteRow(SQLModel, table=True):
    """One quote; while it is open and has not expired its accelerators are held."""

    __tablename__ = "quotes"
    __table_args__ = (Index("quotes_open", "offer_id", "expires_at", postgresql_where=text("state = 'open'")),)

    id: str = key()
    account_id: str = Field(foreign_key="accounts.id", index=True)
    offer_id: str
    offer_version: int
    provider_id: str = Field(foreign_key="providers.id")
    site: str
    hardware: str
    tier: str
    accelerators: int
    rate_micros: int = micros()
    fee_micros: int = micros()
    currency: str
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    slot_seconds: int
    state: str
    created_at: datetime = moment()
    expires_at: datetime = moment()
    extends: str | None = Field(foreign_key="leases.id")
    request: dict[str, Any] = document()
