"""Open doors of leases."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from broker.store.rows.columns import moment


class AccessRow(SQLModel, table=True):
    """Where the holder of a lease goes in, and the token to be let in; erased when the lease is over.

    The token itself, not its digest: its holder may ask to see it again.
    """

    __tablename__ = "lease_access"

    lease_id: str = Field(foreign_key="leases.id", primary_key=True)
    endpoint: str
    protocol: str
    token: str
    opened_at: datetime = moment()
