"""Feeds as they were left: sessions, tables, and the offers of the market that follow them.

A batch changes a few rows of thousands, so only those travel: what they replace is taken away in one statement, and COPY brings them in.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from asyncpg import UniqueViolationError
from sqlalchemy import ColumnElement, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.copying import driver
from broker.store.packing import copy_columns
from broker.store.rows import FeedEventRow, FeedOfferRow, FeedSessionRow, OfferRow
from contracts.terms.tables import OFFERS

LISTED = ("id", "version", *(name for name in OFFERS.schema if name not in {"offer_id", "slot_first", "slot_end"}), "observed_at")
ENTRY_COLUMNS = ("provider_id", "staged", "offer_id", "entry", "until", "state", "reason", "suspect")
CHANGES_KEPT = 256
# One voice a provider: the median of its own rates; an offer in doubt has none.
VOICES = text("""SELECT o.hardware, o.provider, percentile_disc(0.5) WITHIN GROUP (ORDER BY o.rate_micros), count(*) FROM offers o
    WHERE o.superseded_at IS NULL AND NOT EXISTS (
        SELECT FROM feed_offers f WHERE f.provider_id = o.provider AND f.offer_id = o.id AND NOT f.staged AND f.suspect <> '')
    GROUP BY o.hardware, o.provider ORDER BY o.hardware, o.provider""")
LOCK = "SELECT revision, state, trust FROM feed_sessions WHERE provider_id = $1 FOR UPDATE"
WRITE = """WITH changes AS (INSERT INTO feed_changes SELECT $1, $2, $5::text[] WHERE cardinality($5::text[]) > 0)
    UPDATE feed_sessions SET revision = $2, state = $3, silent_at = $4 WHERE provider_id = $1"""
FORGET_CHANGES = "DELETE FROM feed_changes WHERE provider_id = $1 AND revision < $2"
FORGET = "DELETE FROM feed_offers WHERE provider_id = $1 AND staged = $2 AND offer_id = ANY($3::text[])"
RELEASE = "UPDATE feed_offers SET suspect = '' WHERE provider_id = $1 AND NOT staged AND offer_id = $2"
SUPERSEDE = "UPDATE offers SET superseded_at = $3 WHERE id = ANY($2::text[]) AND superseded_at IS NULL AND provider = $1"
# Each id by itself, so that the index of the key is used whatever the planner thinks of a thousand of them.
KNOWN = """SELECT a.id, o.* FROM unnest($1::text[]) AS a(id) CROSS JOIN LATERAL (
    SELECT max(version), bool_or(provider = $2 AND superseded_at IS NULL), bool_or(provider <> $2) FROM offers WHERE offers.id = a.id
    ) AS o WHERE o.max IS NOT NULL"""


class Known(msgspec.Struct, frozen=True):
    """What the market has under an id: its last version, whether one of ours is current, whether it is or was another provider's."""

    version: int
    is_current: bool
    is_strangers: bool


class Voice(msgspec.Struct, frozen=True):
    """What a provider asks for a class: the median of its rates, micros per accelerator-hour, and of how many offers."""

    hardware: str
    provider: str
    rate_micros: int
    offers: int


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
    """What is remembered of feeds. A batch takes a few milliseconds in all, so its statements go to the driver as they are."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._connection: Any = None

    async def register(self, provider_id: str, state: bytes, *, trust: str) -> bool:
        """Open a provider's feed, once; whether it was new."""
        row = {"provider_id": provider_id, "revision": 1, "state": state, "silent_at": None, "trust": trust}
        statement = insert(FeedSessionRow).values(row).on_conflict_do_nothing().returning(col(FeedSessionRow.provider_id))
        return (await self._session.scalar(statement)) is not None

    async def lock(self, provider_id: str) -> FeedHead | None:
        """A session, locked until the transaction ends; None for a provider without one."""
        connection = await self._driver()
        row = await connection.fetchrow(LOCK, provider_id)
        return None if row is None else FeedHead(provider_id=provider_id, revision=row[0], state=row[1], trust=row[2])

    async def providers(self) -> list[str]:
        """Providers whose feed has been opened, in order."""
        return list(await self._session.scalars(select(col(FeedSessionRow.provider_id)).order_by(col(FeedSessionRow.provider_id))))

    async def entries(self, provider_id: str) -> list[tuple[bool, str, bytes, str]]:
        """The table and what is staged, in order: staged, offer_id, entry, suspect."""
        columns = [getattr(FeedOfferRow, name) for name in ("staged", "offer_id", "entry", "suspect")]
        statement = select(*columns).where(col(FeedOfferRow.provider_id) == provider_id)
        found = await self._session.execute(statement.order_by(col(FeedOfferRow.staged), col(FeedOfferRow.offer_id)))
        return [(row[0], row[1], row[2], row[3]) for row in found]

    async def write(self, head: FeedHead, *, silent_at: datetime | None, changed: Sequence[str]) -> None:
        """Write a session's head under its new revision, and which offers that changed.

        So a view of the book reads those alone; what was changed by revisions long past is forgotten.
        """
        connection = await self._driver()
        await connection.execute(WRITE, head.provider_id, head.revision, head.state, silent_at, changed)
        if head.revision % CHANGES_KEPT == 0:
            await connection.execute(FORGET_CHANGES, head.provider_id, head.revision - CHANGES_KEPT)

    async def put_entries(self, columns: Mapping[str, Sequence[Any]], *, over: Sequence[str]) -> None:
        """Write entries of one provider, all staged or none: `ENTRY_COLUMNS`, none of them empty. Those of the ids in `over` are there."""
        if over:
            await self.forget_entries(columns["provider_id"][0], over, staged=columns["staged"][0])
        await copy_columns(await self._driver(), FeedOfferRow, columns=columns)

    async def forget_entries(self, provider_id: str, offer_ids: Sequence[str], *, staged: bool) -> None:
        """Take entries out of the table, or out of what is staged."""
        connection = await self._driver()
        await connection.execute(FORGET, provider_id, staged, offer_ids)

    async def release(self, provider_id: str, offer_id: str) -> None:
        """Hold nothing against an offer any more."""
        connection = await self._driver()
        await connection.execute(RELEASE, provider_id, offer_id)

    async def add_event(self, provider_id: str, kind: str, *, facts: bytes, digest: bytes, at: datetime) -> None:
        """Keep what a feed told, each fact once."""
        row = {"provider_id": provider_id, "kind": kind, "digest": digest, "at": at, "facts": facts}
        await self._session.execute(insert(FeedEventRow).values(row).on_conflict_do_nothing())

    async def known(self, offer_ids: Sequence[str], *, provider_id: str) -> dict[str, Known]:
        """What the market has under these ids."""
        connection = await self._driver()
        return {row[0]: Known(row[1], row[2], row[3]) for row in await connection.fetch(KNOWN, offer_ids, provider_id)}

    async def list_offers(self, columns: Mapping[str, Sequence[Any]]) -> bool:
        """Enter offers as versions after those there are: the columns of `LISTED`. Supersede what stands first.

        False when one of them is there already, and then none has been entered.
        """
        connection = await self._driver()
        await connection.execute("SAVEPOINT before_offers")
        try:
            await copy_columns(connection, OfferRow, columns=columns)
        except UniqueViolationError:
            await connection.execute("ROLLBACK TO SAVEPOINT before_offers")
            return False
        return True

    async def supersede(self, provider_id: str, offer_ids: Sequence[str], *, at: datetime) -> None:
        """End the current versions of a provider's offers."""
        connection = await self._driver()
        await connection.execute(SUPERSEDE, provider_id, offer_ids, at)

    async def voices(self) -> list[Voice]:
        """What each provider asks for each class, offers in doubt left out."""
        return [Voice(row[0], row[1], int(row[2]), int(row[3])) for row in await self._session.execute(VOICES)]

    async def _driver(self) -> Any:
        if self._connection is None:
            self._connection = await driver(self._session)
        return self._connection
