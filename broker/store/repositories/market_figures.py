"""What the store says of a cleared cycle and of the market's mishaps, for everybody to read."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import polars as pl
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.market_figures import MarketMessage
from broker.services.market_views import CycleView
from broker.store.copying import copy_out
from broker.store.rows import AwardRow, FeedSessionRow, PriceRow, ProviderRow
from contracts.feed.messages import Maint

# An offer is nobody's to buy when its provider took it back, or nobody should believe it. Buyers, leases and reasons stay out of it:
# reasons are written by providers, and may name either.
HAPPENED = text("""
    WITH told AS (
        SELECT f.provider_id, f.state, o.site, o.hardware, o.quantity, o.observed_at, o.superseded_at
        FROM feed_offers f CROSS JOIN LATERAL (
            SELECT * FROM offers WHERE id = f.offer_id AND provider = f.provider_id ORDER BY version DESC LIMIT 1) o
        WHERE NOT f.staged AND (f.state = 'withdrawn' OR (f.state = 'live' AND f.suspect <> '')))
    SELECT found.*, p.name FROM (
        SELECT 'withdrawn' AS kind, max(superseded_at) AS at, provider_id AS party, site, hardware, sum(quantity) AS accelerators
        FROM told WHERE state = 'withdrawn' AND superseded_at > :since GROUP BY provider_id, site, hardware
        UNION ALL SELECT 'quarantined', max(observed_at), provider_id, site, hardware, sum(quantity)
        FROM told WHERE state = 'live' GROUP BY provider_id, site, hardware
        UNION ALL SELECT CASE e.state WHEN 'failed' THEN 'outage' ELSE 'reclaimed' END, max(e.at), l.provider_id, l.site, l.hardware, NULL
        FROM lease_events e JOIN leases l ON l.id = e.lease_id
        WHERE e.state IN ('failed', 'reclaimed') AND e.at > :since AND e.at <= :now GROUP BY e.state, l.provider_id, l.site, l.hardware
        UNION ALL SELECT 'silent', silent_at, provider_id, NULL, NULL, NULL FROM feed_sessions WHERE silent_at <= :now
        UNION ALL SELECT 'cycle_failed', gate_at, NULL, NULL, NULL, NULL FROM cycles WHERE status = 'failed' AND gate_at > :since
    ) AS found LEFT JOIN providers p ON p.id = party ORDER BY at DESC, found.kind, party, site, hardware""")


class Windows(msgspec.Struct, frozen=True):
    """What is read of a feed's session: the windows it told."""

    maintenance: tuple[Maint, ...] = ()


class MarketFiguresRepository:
    """The reading side."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def awarded(self, cycle: CycleView) -> pl.DataFrame:
        """What a cycle awarded, buyers left out: offer_id, slot, tier, rate_micros, quantity."""
        key = (col(AwardRow.offer_id), col(AwardRow.slot_start), col(AwardRow.tier), col(AwardRow.rate_micros))
        statement = (
            select(*key, func.sum(AwardRow.quantity).label("quantity")).where(col(AwardRow.cycle_id) == cycle.cycle_id).group_by(*key)
        )
        return _numbered(await copy_out(self._session, statement.order_by(*key)), cycle).with_columns(pl.col("quantity").cast(pl.Int64))

    async def pool_prices(self, cycle: CycleView, hardware: str) -> pl.DataFrame:
        """Published prices of a class: pool, slot, tier, rate_micros."""
        key = (col(PriceRow.pool), col(PriceRow.slot_start), col(PriceRow.tier))
        statement = select(*key, col(PriceRow.rate_micros)).where(
            col(PriceRow.cycle_id) == cycle.cycle_id, col(PriceRow.hardware) == hardware
        )
        return _numbered(await copy_out(self._session, statement.order_by(*key)), cycle)

    async def messages(self, now: datetime, *, since: datetime, until: datetime) -> Sequence[MarketMessage]:
        """What happened since, or will until, the latest first."""
        rows = await self._session.execute(HAPPENED, {"now": now, "since": since})
        happened = [
            MarketMessage(
                kind=row.kind,
                at=row.at,
                provider=row.name,
                site=row.site,
                hardware=row.hardware,
                accelerators=None if row.accelerators is None else int(row.accelerators),
            )
            for row in rows
        ]
        coming = [each for each in await self._maintenance(now) if each.at < until]
        return sorted([*happened, *coming], key=lambda each: each.at, reverse=True)

    async def _maintenance(self, now: datetime) -> list[MarketMessage]:
        """Windows that are not over."""
        statement = select(col(FeedSessionRow.state), col(ProviderRow.name)).join(
            ProviderRow, col(ProviderRow.id) == col(FeedSessionRow.provider_id)
        )
        rows = await self._session.execute(statement.order_by(col(ProviderRow.name), col(ProviderRow.id)))
        return [
            MarketMessage(kind="maintenance", at=window.start, until=window.end, provider=name)
            for state, name in rows
            for window in msgspec.json.decode(state, type=Windows).maintenance
            if now < window.end
        ]


def _numbered(frame: pl.DataFrame, cycle: CycleView) -> pl.DataFrame:
    """Rows with the number of their slot in place of its first instant."""
    seconds = (pl.col("slot_start") - cycle.start).dt.total_seconds()
    return frame.with_columns(slot=seconds // cycle.slot_seconds).drop("slot_start")
