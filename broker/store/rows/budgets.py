"""Ceilings that accounts set themselves."""

from datetime import datetime

from sqlalchemy import BigInteger, Integer
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import moment


class BudgetRow(SQLModel, table=True):
    """The most that may be agreed to in a month, by a whole account (`project_id` is empty) or for one of its projects."""

    __tablename__ = "budgets"

    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    project_id: str = Field(primary_key=True)
    limit_micros: int = Field(sa_type=BigInteger)
    alert_percents: list[int] = Field(sa_type=ARRAY(Integer), nullable=False)
    set_by: str
    set_at: datetime = moment()
