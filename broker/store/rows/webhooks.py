"""Webhooks: where they go, what is to be said, and how saying it went."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import key, moment, moment_or_none, texts


class WebhookEndpointRow(SQLModel, table=True):
    """An address somebody wants to be told at, and the secrets that sign what is sent there."""

    __tablename__ = "webhook_endpoints"

    id: str = key()
    owner: str = Field(index=True)
    url: str
    kinds: list[str] = texts()
    secret: str
    secret_before: str | None
    secret_before_until: datetime | None = moment_or_none()
    created_at: datetime = moment()
    closed_at: datetime | None = moment_or_none()


class WebhookMessageRow(SQLModel, table=True):
    """One thing that happened to somebody, in the words it is told in; written in the transaction in which it happened."""

    __tablename__ = "webhook_messages"
    __table_args__ = (Index("ix_webhook_messages_owner_number", "owner", "number"),)

    number: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    id: str = Field(sa_type=Text, unique=True)
    owner: str
    kind: str
    at: datetime = moment()
    body: bytes = Field(sa_type=LargeBinary)


class WebhookDeliveryRow(SQLModel, table=True):
    """One message on its way to one endpoint: waiting until `next_at`, delivered, or given up."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("webhook_deliveries_waiting", "next_at", postgresql_where=text("state = 'waiting'")),)

    endpoint_id: str = Field(foreign_key="webhook_endpoints.id", primary_key=True)
    message_number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    state: str
    attempts: int
    next_at: datetime = moment()
    answered: int | None
    finding: str
