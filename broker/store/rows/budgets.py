"""Ceilings that accounts set themselves."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import moment


class BudgetRow(SQLModel, table=True):
    """The most an account may agree to in a month."""

    __tablename__ = "budgets"

    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    limit_micros: int = Field(sa_type=BigInteger)
    alert_percent: int
    set_by: str
    set_at: datetime = moment()
