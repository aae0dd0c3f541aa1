"""The journal, and what a close leaves behind."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from broker.store.rows.columns import document, key, micros, moment


class JournalEntryRow(SQLModel, table=True):
    """A balanced set of so many `lines`; only its state may move, pending → posted | voided, posted → reversed."""

    __tablename__ = "journal_entries"

    id: str = key()
    kind: str = Field(index=True)
    state: str = Field(index=True)
    at: datetime = moment()
    subject: str = Field(index=True)
    reason: str
    lines: int


class PostingRow(SQLModel, table=True):
    """One line of an entry: debit positive."""

    __tablename__ = "postings"

    entry_id: str = Field(foreign_key="journal_entries.id", primary_key=True)
    line: int = Field(primary_key=True)
    account: str = Field(index=True)
    party: str = Field(index=True)
    currency: str
    amount_micros: int = micros()


class CloseRow(SQLModel, table=True):
    """A finalised period and the record that proves it."""

    __tablename__ = "closes"

    period: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    month_start: datetime = moment()
    month_end: datetime = moment()
    closes_at: datetime = moment()
    status: str
    record: dict[str, Any] = document()


class InvoiceRow(SQLModel, table=True):
    """One invoice of one account and period."""

    __tablename__ = "invoices"

    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    period: int = Field(foreign_key="closes.period", primary_key=True)
    currency: str
    subtotal_micros: int = micros()
    tax_micros: int = micros()
    total_micros: int = micros()
    subtotal_cents: int = micros()
    tax_cents: int = micros()
    payable_cents: int = micros()
    cost_micros: int = micros()
    take_micros: int = micros()


class InvoiceLineRow(SQLModel, table=True):
    """One line of an invoice; lines add up to it in micros and in cents."""

    __tablename__ = "invoice_lines"

    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    period: int = Field(foreign_key="closes.period", primary_key=True)
    line: int = Field(primary_key=True)
    month: int
    kind: str
    hardware: str | None
    quantity_seconds: int | None = micros(nullable=True)
    amount_micros: int = micros()
    amount_cents: int = micros()


class PayoutRow(SQLModel, table=True):
    """What a provider is owed for one period."""

    __tablename__ = "payouts"

    provider_id: str = Field(foreign_key="providers.id", primary_key=True)
    period: int = Field(foreign_key="closes.period", primary_key=True)
    currency: str = Field(primary_key=True)
    gross_micros: int = micros()
    adjustments_micros: int = micros()
    net_micros: int = micros()
