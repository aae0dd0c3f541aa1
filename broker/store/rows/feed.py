"""What the broker remembers of each provider's feed: the session, the table, and what happened."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import key, micros, moment, moment_key, moment_or_none, texts


class FeedSessionRow(SQLModel, table=True):
    """One provider's session without its table.

    revision   rises with every change, so that a copy in memory is known to be the present one
    state      the session as JSON; bytes, since what providers write may hold what PostgreSQL's text cannot
    silent_at  when silence makes its offers stale, unless something is heard; null before the first hello
    trust      class of the operator, which is for the broker to say
    """

    __tablename__ = "feed_sessions"

    provider_id: str = Field(foreign_key="providers.id", primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    state: bytes = Field(sa_type=LargeBinary)
    silent_at: datetime | None = moment_or_none()
    trust: str


class FeedOfferRow(SQLModel, table=True):
    """One offer of a provider's table, or of a snapshot on its way in.

    entry    the entry as JSON
    until    end of its time to live
    state    as last told: live, stale, damped, paused or withdrawn
    reason   why it is not live
    suspect  why nobody should believe it; empty when it is plausible
    """

    __tablename__ = "feed_offers"

    provider_id: str = key()
    staged: bool = Field(primary_key=True)
    offer_id: str = key()
    entry: bytes = Field(sa_type=LargeBinary)
    until: datetime = moment()
    state: str
    reason: str
    suspect: str


class FeedChangeRow(SQLModel, table=True):
    """Which offers a revision of a feed changed. Kept while a view of the book may be that far behind."""

    __tablename__ = "feed_changes"

    provider_id: str = key()
    revision: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    offer_ids: list[str] = texts()


class FeedEventRow(SQLModel, table=True):
    """What a feed told beside its offers: a lease reclaimed, a key added, a protocol error. Each fact once."""

    __tablename__ = "feed_events"
    __table_args__ = (UniqueConstraint("provider_id", "kind", "digest", name="feed_events_once"),)

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    provider_id: str = Field(foreign_key="providers.id")
    kind: str
    digest: bytes = Field(sa_type=LargeBinary)
    at: datetime = moment()
    facts: bytes = Field(sa_type=LargeBinary)


class PriceHourRow(SQLModel, table=True):
    """What was asked for a class in an hour, as it stood when the hour was last looked at: micros per accelerator-hour.

    offers  current offers of the class that were believed; the percentiles are of these, one voice an offer
    """

    __tablename__ = "price_hours"

    hardware: str = key()
    hour: datetime = moment_key()
    offers: int
    rate_p10_micros: int = micros()
    rate_p50_micros: int = micros()
    rate_p90_micros: int = micros()
