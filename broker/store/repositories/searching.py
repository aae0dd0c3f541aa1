"""The book as a frame: every current offer with its provider, its standing and the carbon of its power."""

from collections.abc import Mapping
from datetime import datetime

import polars as pl
from sqlalchemy import Float, Select, String, any_, case, cast, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.book_view import SCHEMA
from broker.store.copying import copy_out
from broker.store.rows import CycleRow, FeedOfferRow, FeedSessionRow, OfferRow, ProviderRow, ZoneHourRow
from broker.store.rows.feed import FeedChangeRow

GRAMS_PER_KILO = 1000


class BookReader:
    """Reads the whole book at once."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def told(self) -> tuple[int, int]:
        """A number that changes whenever a feed does, and the last applied cycle's; 0 before the first."""
        feeds = select(func.coalesce(func.sum(FeedSessionRow.revision), 0)).scalar_subquery()
        cycle = select(func.coalesce(func.max(CycleRow.number), 0)).where(col(CycleRow.applied_at).is_not(None)).scalar_subquery()
        found = (await self._session.execute(select(feeds, cycle))).one()
        return int(found[0]), int(found[1])

    async def revisions(self) -> dict[str, int]:
        """Each feed's revision, in order of provider."""
        row = FeedSessionRow
        found = await self._session.execute(select(col(row.provider_id), col(row.revision)).order_by(col(row.provider_id)))
        return {row[0]: row[1] for row in found}

    async def changed(self, since: Mapping[str, int]) -> list[str]:
        """Offers that feeds changed after these revisions, in order; a feed that is not named counts from its beginning."""
        return sorted(set(await self._session.scalars(_changes(since))))

    async def frame(self, now: datetime, *, since: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Every current offer, or those that feeds changed after these revisions: the columns of `SCHEMA`.

        Carbon is that of the latest hour known of its zone.
        """
        fed = FeedOfferRow
        doubted = (col(fed.state) == "live") & (col(fed.suspect) != "")
        latest = (
            select(col(ZoneHourRow.zone), func.max(ZoneHourRow.hour).label("hour"))
            .where(col(ZoneHourRow.hour) <= now)
            .group_by(col(ZoneHourRow.zone))
            .subquery()
        )
        special = {
            "offer_id": col(OfferRow.id),
            "provider_name": col(ProviderRow.name),
            "source": col(ProviderRow.source),
            "state": case((doubted, "suspect"), else_=func.coalesce(col(fed.state), literal("live"))),
            "reason": case((doubted, col(fed.suspect)), else_=func.coalesce(col(fed.reason), literal(""))),
            "carbon_g": cast(col(OfferRow.watts) * col(OfferRow.pue) * col(ZoneHourRow.carbon_g_per_kwh) / GRAMS_PER_KILO, Float),
        }
        texts = {"state", "reason"}
        columns = [
            (cast(special[name], String) if name in texts else special[name] if name in special else getattr(OfferRow, name)).label(name)
            for name in SCHEMA
        ]
        statement = (
            select(*columns)
            .join(ProviderRow, col(ProviderRow.id) == col(OfferRow.provider))
            .outerjoin(fed, (col(fed.provider_id) == col(OfferRow.provider)) & ~col(fed.staged) & (col(fed.offer_id) == col(OfferRow.id)))
            .outerjoin(latest, latest.c.zone == col(OfferRow.zone))
            .outerjoin(ZoneHourRow, (col(ZoneHourRow.zone) == latest.c.zone) & (col(ZoneHourRow.hour) == latest.c.hour))
            .where(col(OfferRow.superseded_at).is_(None))
        )
        if since is not None:
            # As one array, found first: the planner, who cannot know how many there are, would otherwise read every offer to join them.
            statement = statement.where(col(OfferRow.id) == any_(func.array(_changes(since).scalar_subquery())))
        return await copy_out(self._session, statement)


def _changes(since: Mapping[str, int]) -> Select[tuple[str]]:
    row = FeedChangeRow
    later = [(col(row.provider_id) == provider) & (col(row.revision) > revision) for provider, revision in since.items()]
    return select(func.unnest(col(row.offer_ids))).where(or_(*later, col(row.provider_id).not_in(list(since))))
