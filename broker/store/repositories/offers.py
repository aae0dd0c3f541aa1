"""Reading offers as they stand, and the facts a search weighs them with."""

from sqlalchemy import Numeric, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.offers import OfferRecord, TransferRate
from broker.store.repositories.feed import believed
from broker.store.rows import CycleRow, LatencyRow, OfferRow, PriceRow, ProviderRow, TransferRow
from contracts.terms.money import half_up

OFFER_FACTS = [name for name in OfferRecord.__struct_fields__ if name in OfferRow.model_fields]


class OfferSearchRepository:
    """The reading side of offers."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def current(self) -> list[OfferRecord]:
        """Every offer that may be booked, by id: not superseded, and live and plausible where it came by a feed."""
        columns = [OfferRow.id, ProviderRow.name, ProviderRow.source, *(getattr(OfferRow, name) for name in OFFER_FACTS)]
        statement = (
            select(*columns)
            .join(ProviderRow, col(ProviderRow.id) == col(OfferRow.provider))
            .where(col(OfferRow.superseded_at).is_(None), believed())
            .order_by(col(OfferRow.id))
        )
        return [
            OfferRecord(offer_id=row[0], provider_name=row[1], source=row[2], **dict(zip(OFFER_FACTS, row[3:], strict=True)))
            for row in await self._session.execute(statement)
        ]

    async def latencies(self, place: str) -> dict[str, float]:
        """Measured round-trip time from a place, milliseconds by site."""
        rows = await self._session.scalars(select(LatencyRow).where(col(LatencyRow.place) == place).order_by(col(LatencyRow.site)))
        return {row.site: row.rtt_ms for row in rows}

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        """Moving data out of a country, by destination."""
        statement = select(TransferRow).where(col(TransferRow.from_country) == from_country).order_by(col(TransferRow.to_country))
        return {row.to_country: TransferRate(row.micros_per_tb, row.gbps) for row in await self._session.scalars(statement)}

    async def places(self) -> list[str]:
        """Places round-trip times are known from, in order."""
        return list(await self._session.scalars(select(col(LatencyRow.place)).distinct().order_by(col(LatencyRow.place))))

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        """Volume-weighted price of the last applied cycle by (site, hardware, firm), where something was sold."""
        latest = (
            select(col(CycleRow.id))
            .where(col(CycleRow.applied_at).is_not(None))
            .order_by(col(CycleRow.number).desc())
            .limit(1)
            .scalar_subquery()
        )
        group = (col(PriceRow.site), col(PriceRow.hardware), col(PriceRow.firm))
        statement = (
            select(*group, func.sum(cast(PriceRow.rate_micros, Numeric) * col(PriceRow.sold)), func.sum(PriceRow.sold))
            .where(col(PriceRow.cycle_id) == latest, col(PriceRow.tier) == tier, col(PriceRow.sold) > 0)
            .group_by(*group)
            .order_by(*group)
        )
        rows = await self._session.execute(statement)
        return {(site, hardware, firm): half_up(int(weighted), int(sold)) for site, hardware, firm, weighted, sold in rows}
