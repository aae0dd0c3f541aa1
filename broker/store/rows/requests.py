"""What came in by the API, kept for a few days for whoever sent it."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, Index
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import moment


class RequestRow(SQLModel, table=True):
    """One request under a key: what was asked, what was answered, and how long that took, in microseconds."""

    __tablename__ = "api_requests"
    __table_args__ = (Index("ix_api_requests_party_number", "party", "number"),)

    number: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    party: str
    key_id: str | None
    at: datetime = moment(index=True)
    method: str
    path: str
    status: int
    micros: int = Field(sa_type=BigInteger)
