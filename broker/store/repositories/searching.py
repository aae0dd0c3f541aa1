"""The book as a frame: every current offer with its provider, its standing and the carbon of its power."""

from datetime import datetime

import polars as pl
from sqlalchemy import Float, String, case, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.book_view import SCHEMA
from broker.store.copying import copy_out
from broker.store.rows import FeedOfferRow, FeedSessionRow, OfferRow, ProviderRow, ZoneHourRow

GRAMS_PER_KILO = 1000


class BookReader:
    """Reads the whole book at once."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def token(self) -> int:
        """A number that changes whenever a feed does."""
        return int(await self._session.scalar(select(func.coalesce(func.sum(FeedSessionRow.revision), 0))) or 0)

    async def frame(self, now: datetime) -> pl.DataFrame:
        """Every current offer: the columns of `SCHEMA`. Carbon is that of the latest hour known of its zone."""
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
        return await copy_out(self._session, statement)
