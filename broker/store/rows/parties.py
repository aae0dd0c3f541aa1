"""Who trades, on what plan, with which keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment, moment_or_none, texts


class ProviderRow(SQLModel, table=True):
    """A provider grid."""

    __tablename__ = "providers"

    id: str = key()
    name: str
    country: str
    kind: str
    website: str = ""
    source: str = ""
    parent: str | None = None
    joined_at: datetime | None = moment_or_none()


class PlanRow(SQLModel, table=True):
    """A plan as the settlement reads it: the columns of the public table `plans`."""

    __tablename__ = "plans"

    id: str = key()
    name: str
    terms: dict[str, Any] = document()


class AccountRow(SQLModel, table=True):
    """A buyer's account."""

    __tablename__ = "accounts"

    id: str = key()
    name: str
    story: str = ""
    country: str
    parent_country: str
    plan_id: str = Field(foreign_key="plans.id")
    currency: str
    tax_bps: int
    take_bps: int
    credit_limit_micros: int = micros()
    parent: str | None = None
    legal_name: str = ""
    address: str = ""
    vat_id: str = ""
    opened_at: datetime | None = moment_or_none()


class SellerRow(SQLModel, table=True):
    """Who issues the invoices: one row."""

    __tablename__ = "sellers"

    id: str = key()
    name: str
    address: str
    country: str
    vat_id: str
    iban: str
    bic: str
    payment_terms: str


class ApiKeyRow(SQLModel, table=True):
    """An API key, known only by its digest; `made_by` is the address of the person who made it, empty for none."""

    __tablename__ = "api_keys"

    id: str = key()
    account_id: str = Field(foreign_key="accounts.id", index=True)
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    scopes: list[str] = texts()
    created_at: datetime = moment()
    revoked_at: datetime | None = moment_or_none()
    name: str = ""
    made_by: str = ""
    used_at: datetime | None = moment_or_none()


class ProviderKeyRow(SQLModel, table=True):
    """A provider grid's key, known only by its digest."""

    __tablename__ = "provider_keys"

    id: str = key()
    provider_id: str = Field(foreign_key="providers.id", index=True)
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    scopes: list[str] = texts()
    created_at: datetime = moment()
    revoked_at: datetime | None = moment_or_none()


class StaffRow(SQLModel, table=True):
    """Somebody of the broker's finance team, known by the digest of a key."""

    __tablename__ = "staff"

    id: str = key()
    name: str
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    scopes: list[str] = texts()
    created_at: datetime = moment()
    revoked_at: datetime | None = moment_or_none()


class IdempotencyRow(SQLModel, table=True):
    """What was answered the first time a key came, kept to be answered again."""

    __tablename__ = "idempotency_keys"

    account_id: str = key()
    idempotency_key: str = key()
    request_digest: bytes = Field(sa_type=LargeBinary)
    status: int
    body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment()
