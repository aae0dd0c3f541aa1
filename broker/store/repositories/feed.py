"""Feeds as they were left: sessions, tables, and the offers of the market that follow them.

A batch changes a few rows of thousands, so only those travel: by COPY to a temporary table, and from there in one statement.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import polars as pl
from sqlalchemy import ColumnElement, bindparam, delete, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.copying import copy_text, driver
from broker.store.rows import FeedEventRow, FeedOfferRow, FeedSessionRow, OfferRow
from contracts.terms.tables import OFFERS

OFFER_COLUMNS = ("id", *(name for name in OFFERS.schema if name not in {"offer_id", "slot_first", "slot_end"}))
ENTRY_COLUMNS = ("provider_id", "staged", "offer_id", "entry", "until", "state", "reason", "suspect")
KEY = {"provider_id", "staged", "offer_id"}
ENTRY_SCHEMA = {
    "provider_id": pl.String(),
    "staged": pl.Boolean(),
    "offer_id": pl.String(),
    "entry": pl.Binary(),
    "until": pl.Datetime("us", "UTC"),
    "state": pl.String(),
    "reason": pl.String(),
    "suspect": pl.String(),
}
PUT_ENTRIES = f"""INSERT INTO feed_offers ({", ".join(ENTRY_COLUMNS)}) SELECT {", ".join(ENTRY_COLUMNS)} FROM feed_offers_arriving
    ON CONFLICT (provider_id, staged, offer_id) DO UPDATE SET
    {", ".join(f"{name} = EXCLUDED.{name}" for name in ENTRY_COLUMNS if name not in KEY)}"""
LIST_OFFERS = f"""INSERT INTO offers ({", ".join(OFFER_COLUMNS)}, version, observed_at)
    SELECT {", ".join(OFFER_COLUMNS)}, 1 + COALESCE((SELECT max(o.version) FROM offers o WHERE o.id = a.id), 0), $1
    FROM offers_arriving a"""
# One voice a provider: the median of its own rates; an offer in doubt has none.
RATES = text("""SELECT hardware, percentile_disc(0.5) WITHIN GROUP (ORDER BY rate), count(*) FROM (
    SELECT o.hardware, o.provider, percentile_disc(0.5) WITHIN GROUP (ORDER BY o.rate_micros) AS rate FROM offers o
    WHERE o.superseded_at IS NULL AND o.provider <> :provider AND NOT EXISTS (
        SELECT FROM feed_offers f WHERE f.provider_id = o.provider AND f.offer_id = o.id AND NOT f.staged AND f.suspect <> '')
    GROUP BY o.hardware, o.provider) AS voices GROUP BY hardware""")


def believed() -> ColumnElement[bool]:
    """Of the offers of a query: those that did not come by a feed, and those that did, are live and plausible."""
    fed = select(col(FeedOfferRow.offer_id)).where(
        col(FeedOfferRow.provider_id) == col(OfferRow.provider),
        col(FeedOfferRow.staged).is_(False),
        col(FeedOfferRow.offer_id) == col(OfferRow.id),
        or_(col(FeedOfferRow.state) != "live", col(FeedOfferRow.suspect) != ""),
    )
    return ~fed.exists()


class FeedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A session without its table: `revision` says which, `state` is its JSON."""

    provider_id: str
    revision: int
    state: bytes
    trust: str


class FeedRepository:
    """What is remembered of feeds."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def register(self, provider_id: str, state: bytes, *, trust: str) -> bool:
        """Open a provider's feed, once; whether it was new."""
        row = {"provider_id": provider_id, "revision": 1, "state": state, "silent_at": None, "trust": trust}
        statement = insert(FeedSessionRow).values(row).on_conflict_do_nothing().returning(col(FeedSessionRow.provider_id))
        return (await self._session.scalar(statement)) is not None

    async def lock(self, provider_id: str) -> FeedHead | None:
        """A session, locked until the transaction ends; None for a provider without one."""
        statement = select(FeedSessionRow).where(col(FeedSessionRow.provider_id) == provider_id).with_for_update()
        row = (await self._session.scalars(statement.execution_options(populate_existing=True))).first()
        return None if row is None else FeedHead(provider_id=provider_id, revision=row.revision, state=row.state, trust=row.trust)

    async def providers(self) -> list[str]:
        """Providers whose feed has been opened, in order."""
        return list(await self._session.scalars(select(col(FeedSessionRow.provider_id)).order_by(col(FeedSessionRow.provider_id))))

    async def entries(self, provider_id: str) -> list[tuple[bool, str, bytes, str]]:
        """The table and what is staged, in order: staged, offer_id, entry, suspect."""
        columns = [getattr(FeedOfferRow, name) for name in ("staged", "offer_id", "entry", "suspect")]
        statement = select(*columns).where(col(FeedOfferRow.provider_id) == provider_id)
        found = await self._session.execute(statement.order_by(col(FeedOfferRow.staged), col(FeedOfferRow.offer_id)))
        return [(row[0], row[1], row[2], row[3]) for row in found]

    async def write(self, head: FeedHead, *, silent_at: datetime | None) -> None:
        """Write a session's head under its new revision."""
        row = {"revision": head.revision, "state": head.state, "silent_at": silent_at}
        await self._session.execute(update(FeedSessionRow).where(col(FeedSessionRow.provider_id) == head.provider_id).values(row))

    async def put_entries(self, rows: pl.DataFrame) -> None:
        """Write entries over what was there: the columns of `ENTRY_COLUMNS`."""
        await self._stage("feed_offers", rows.select(ENTRY_COLUMNS))
        connection = await driver(self._session)
        await connection.execute(PUT_ENTRIES)
        await connection.execute("DROP TABLE feed_offers_arriving")

    async def forget_entries(self, provider_id: str, offer_ids: Sequence[str], *, staged: bool) -> None:
        """Take entries out of the table, or out of what is staged."""
        row = FeedOfferRow
        same = (col(row.provider_id) == provider_id, col(row.staged).is_(staged), col(row.offer_id) == func.any(bindparam("ids")))
        await self._session.execute(delete(row).where(*same), {"ids": list(offer_ids)})

    async def add_event(self, provider_id: str, kind: str, *, facts: bytes, digest: bytes, at: datetime) -> None:
        """Keep what a feed told, each fact once."""
        row = {"provider_id": provider_id, "kind": kind, "digest": digest, "at": at, "facts": facts}
        await self._session.execute(insert(FeedEventRow).values(row).on_conflict_do_nothing())

    async def strangers(self, offer_ids: Sequence[str], *, provider_id: str) -> set[str]:
        """Of these ids, those that another provider's offer has, or ever had."""
        statement = select(col(OfferRow.id)).where(col(OfferRow.provider) != provider_id, col(OfferRow.id) == func.any(bindparam("ids")))
        return set(await self._session.scalars(statement, {"ids": list(offer_ids)}))

    async def list_offers(self, rows: pl.DataFrame, *, at: datetime) -> None:
        """Enter offers as versions after those there are: the columns of `OFFER_COLUMNS`. Supersede what stands first."""
        await self._stage("offers", rows.select(OFFER_COLUMNS))
        connection = await driver(self._session)
        await connection.execute(LIST_OFFERS, at)
        await connection.execute("DROP TABLE offers_arriving")

    async def supersede(self, provider_id: str, offer_ids: Sequence[str], *, at: datetime) -> None:
        """End the current versions of a provider's offers."""
        row = OfferRow
        current = (col(row.provider) == provider_id, col(row.superseded_at).is_(None), col(row.id) == func.any(bindparam("ids")))
        await self._session.execute(update(row).where(*current).values(superseded_at=at), {"ids": list(offer_ids)})

    async def usual_rates(self, *, without: str) -> dict[str, tuple[int, int]]:
        """By class, the median of providers' median rates, and how many providers; one provider's own left out."""
        return {row[0]: (int(row[1]), int(row[2])) for row in await self._session.execute(RATES, {"provider": without})}

    async def _stage(self, table: str, rows: pl.DataFrame) -> None:
        names = ", ".join(rows.columns)
        connection = await driver(self._session)
        await connection.execute(f"CREATE TEMPORARY TABLE {table}_arriving ON COMMIT DROP AS SELECT {names} FROM {table} LIMIT 0")
        await copy_text(self._session, f"{table}_arriving", frame=rows)
