"""Prices by the hour: what was asked, kept as it stood; what was paid, from the prices of cycles; one offer's, from its versions."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import DateTime, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.price_history import AskedHour, Version
from broker.store.repositories.feed import believed
from broker.store.rows import OfferRow
from broker.store.rows.feed import PriceHourRow

PERCENTILES = {"rate_p10_micros": 0.1, "rate_p50_micros": 0.5, "rate_p90_micros": 0.9}
# Every cycle that priced a slot sold in it; what was sold at each price is its weight.
CLEARED = text("""SELECT date_trunc('hour', p.slot_start, 'UTC') AS hour, sum(p.rate_micros::numeric * p.sold), sum(p.sold)
    FROM prices p JOIN cycles c ON c.id = p.cycle_id
    WHERE p.hardware = :hardware AND p.slot_start >= :start AND p.slot_start < :end AND p.sold > 0 AND c.applied_at IS NOT NULL
    GROUP BY hour ORDER BY hour""")


class PriceHistoryRepository:
    """The hours."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def keep(self, hour: datetime) -> None:
        """Write what is asked now as what is asked in an hour, over what an earlier look at the same hour wrote."""
        rate = col(OfferRow.rate_micros)
        found = [func.percentile_disc(part).within_group(rate) for part in PERCENTILES.values()]
        asked = (
            select(col(OfferRow.hardware), literal(hour, DateTime(timezone=True)), func.count(), *found)
            .where(col(OfferRow.superseded_at).is_(None), believed())
            .group_by(col(OfferRow.hardware))
        )
        statement = insert(PriceHourRow).from_select(["hardware", "hour", "offers", *PERCENTILES], asked)
        fresh = {name: statement.excluded[name] for name in ("offers", *PERCENTILES)}
        await self._session.execute(statement.on_conflict_do_update(index_elements=["hardware", "hour"], set_=fresh))

    async def asked(self, hardware: str, *, start: datetime, end: datetime) -> list[AskedHour]:
        """What was asked for a class in the hours of [start, end), in order."""
        row = PriceHourRow
        statement = select(row).where(col(row.hardware) == hardware, col(row.hour) >= start, col(row.hour) < end).order_by(col(row.hour))
        return [
            AskedHour(
                hour=each.hour,
                offers=each.offers,
                rate_p10_micros=each.rate_p10_micros,
                rate_p50_micros=each.rate_p50_micros,
                rate_p90_micros=each.rate_p90_micros,
            )
            for each in await self._session.scalars(statement)
        ]

    async def cleared(self, hardware: str, *, start: datetime, end: datetime) -> dict[datetime, tuple[int, int]]:
        """By hour, Σ rate × sold (micros × accelerator-slots) and what was sold (accelerator-slots), where anything was."""
        found = await self._session.execute(CLEARED, {"hardware": hardware, "start": start, "end": end})
        return {row[0]: (int(row[1]), int(row[2])) for row in found}

    async def versions(self, offer_id: str, *, start: datetime, end: datetime) -> Sequence[Version]:
        """Versions of one offer that stood in [start, end), in order."""
        row = OfferRow
        since, until = col(row.observed_at), func.coalesce(col(row.superseded_at), end + timedelta(hours=1))
        statement = select(since, until, col(row.rate_micros)).where(col(row.id) == offer_id, since < end, until > start)
        found = await self._session.execute(statement.order_by(col(row.version)))
        return [Version(since=each[0], until=each[1], rate_micros=each[2]) for each in found]
