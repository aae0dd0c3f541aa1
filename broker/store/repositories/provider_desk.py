"""What the store knows of one provider: its offers, leases, deliveries, statements and money."""

from sqlalchemy import Float, Numeric, cast, func, text
from sqlalchemy import select as select_columns
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.provider_views import ProviderLease, SiteRecord
from broker.services.providers import OfferNow
from broker.store.rows import CloseRow, JournalEntryRow, LeaseRow, LeaseSlotRow, OfferRow, PayoutRow, PostingRow, ProviderRow
from contracts.statements import PayoutAdvice
from contracts.terms.leases import IN_FORCE
from contracts.terms.money import BASIS_POINTS, MICROS_PER_CENT, half_up

SECONDS_PER_HOUR = 3600
SITES = text("""
    WITH mine AS (SELECT id, site, hardware, state FROM leases WHERE provider_id = :provider),
    latest AS (
        SELECT DISTINCT ON (u.usage_id) m.site, m.hardware, u.accelerator_seconds AS seconds, u.status
        FROM usage_records u JOIN mine m ON m.id = u.lease_id ORDER BY u.usage_id, u.rev DESC),
    metered AS (
        SELECT site, hardware, sum(seconds) FILTER (WHERE status <> 'provider_failed') AS delivered,
            sum(seconds) FILTER (WHERE status = 'provider_failed') AS broken
        FROM latest GROUP BY site, hardware)
    SELECT m.site, m.hardware, count(*), count(*) FILTER (WHERE m.state = ANY(:running)), count(*) FILTER (WHERE m.state = 'failed'),
        coalesce(max(d.delivered), 0), coalesce(max(d.broken), 0)
    FROM mine m LEFT JOIN metered d USING (site, hardware) GROUP BY m.site, m.hardware ORDER BY m.site, m.hardware""")


class ProviderRepository:
    """Reading one provider."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def offers(self, provider_id: str) -> list[OfferNow]:
        """Its offers as they stand, by site, class and id."""
        current = select(OfferRow).where(col(OfferRow.provider) == provider_id, col(OfferRow.superseded_at).is_(None))
        rows = await self._session.scalars(current.order_by(col(OfferRow.site), col(OfferRow.hardware), col(OfferRow.id)))
        facts = [name for name in OfferNow.__struct_fields__ if name != "offer_id"]
        return [OfferNow(offer_id=row.id, **{name: getattr(row, name) for name in facts}) for row in rows]

    async def leases(self, provider_id: str, *, limit: int) -> list[ProviderLease]:
        """Its leases, those that begin last first."""
        seconds = func.extract("epoch", col(LeaseSlotRow.slot_end) - col(LeaseSlotRow.slot_start))
        hours = cast(seconds, Numeric) * col(LeaseSlotRow.quantity) / SECONDS_PER_HOUR
        sums = (
            select_columns(
                col(LeaseSlotRow.lease_id),
                cast(func.sum(hours), Float).label("hours"),
                func.sum(hours * col(LeaseSlotRow.rate_micros)).label("value"),
            )
            .group_by(col(LeaseSlotRow.lease_id))
            .subquery()
        )
        statement = select(LeaseRow, sums.c.hours, sums.c.value).join(sums, sums.c.lease_id == col(LeaseRow.id))
        statement = statement.where(col(LeaseRow.provider_id) == provider_id)
        rows = await self._session.execute(statement.order_by(col(LeaseRow.starts_at).desc(), col(LeaseRow.id)).limit(limit))
        facts = [name for name in ProviderLease.__struct_fields__ if name not in {"lease_id", "hours", "value_micros"}]
        return [
            ProviderLease(lease_id=row.id, hours=worth_hours, value_micros=round(value), **{name: getattr(row, name) for name in facts})
            for row, worth_hours, value in rows
        ]

    async def sites(self, provider_id: str) -> list[SiteRecord]:
        """How reliably it has delivered, by site and class: the latest revision of each usage record counts."""
        rows = await self._session.execute(SITES, {"provider": provider_id, "running": list(IN_FORCE)})
        return [_site(*row) for row in rows]

    async def statements(self, provider_id: str) -> list[PayoutAdvice]:
        """What it is owed for every closed period, the latest first."""
        named = select(PayoutRow, ProviderRow, CloseRow).join(ProviderRow, col(ProviderRow.id) == col(PayoutRow.provider_id))
        named = named.join(CloseRow, col(CloseRow.period) == col(PayoutRow.period)).where(col(PayoutRow.provider_id) == provider_id)
        rows = await self._session.execute(named.order_by(col(PayoutRow.period).desc(), col(PayoutRow.currency)))
        return [
            PayoutAdvice(**row.model_dump(), provider_name=provider.name, month_start=close.month_start, month_end=close.month_end)
            for row, provider, close in rows
        ]

    async def money(self, provider_id: str) -> tuple[dict[str, int], dict[str, int]]:
        """By currency, micros it is owed now and cents that were paid out to it."""
        due = (col(PostingRow.account) == "provider_payable", col(PostingRow.party) == provider_id)
        counted = col(JournalEntryRow.state).in_(("posted", "reversed"))
        paid_out = (col(JournalEntryRow.kind) == "payout") & (col(PostingRow.amount_micros) > 0)
        sums = select_columns(
            col(PostingRow.currency),
            func.sum(col(PostingRow.amount_micros)),
            func.coalesce(func.sum(col(PostingRow.amount_micros)).filter(paid_out), 0),
        ).join(JournalEntryRow, col(JournalEntryRow.id) == col(PostingRow.entry_id))
        rows = list(await self._session.execute(sums.where(*due, counted).group_by(col(PostingRow.currency))))
        # A payable is a credit, and credits are negative; what is paid out is a debit of it.
        return {currency: -int(total) for currency, total, _ in rows}, {c: int(paid) // MICROS_PER_CENT for c, _, paid in rows}


def _site(site: str, hardware: str, leases: int, *counts: int) -> SiteRecord:
    running, failed, delivered, broken = (int(count) for count in counts)
    return SiteRecord(
        site=site,
        hardware=hardware,
        leases=leases,
        running=running,
        failed=failed,
        delivered_seconds=delivered,
        failed_seconds=broken,
        delivered_bps=half_up(delivered * BASIS_POINTS, delivered + broken) if delivered + broken else None,
    )
