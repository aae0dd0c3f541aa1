"""What must agree in the books, each sum taken from two places, and buyers' meters beside providers'."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.rows import CloseRow, CounterReadingRow
from contracts.close import CloseRecord, Reconciliation, record_hash
from contracts.metering import CounterReading, MeterPair
from contracts.terms.errors import KeyReused
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.time import Period

COUNTED = "e.state IN ('posted', 'reversed')"
SETTLED = f"""
    SELECT p.party, e.subject, p.currency, p.account, p.amount_micros
    FROM postings p JOIN journal_entries e ON e.id = p.entry_id WHERE e.kind = 'settlement' AND {COUNTED}
"""
CHECKS = {
    "trial balance per currency, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(p.amount_micros) AS off FROM postings p JOIN journal_entries e ON e.id = p.entry_id
            WHERE {COUNTED} GROUP BY p.currency) AS sums""",
    "entries sum to zero and are whole, entries": """
        SELECT count(*) FROM (
            SELECT e.id FROM journal_entries e LEFT JOIN (
                SELECT entry_id, count(*) AS lines FROM postings GROUP BY entry_id) AS had ON had.entry_id = e.id
            WHERE e.lines IS DISTINCT FROM had.lines
            UNION SELECT entry_id FROM postings GROUP BY entry_id, currency HAVING sum(amount_micros) <> 0) AS broken""",
    "receivables of settlements are the invoices, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT party, currency, amount_micros AS micros FROM ({SETTLED}) AS s WHERE account = 'receivable'
                UNION ALL SELECT account_id, currency, -payable_cents * {MICROS_PER_CENT} FROM invoices) AS sides
            GROUP BY party, currency) AS sums""",
    "provider payables of settlements are the payouts due, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT party, currency, amount_micros AS micros FROM ({SETTLED}) AS s WHERE account = 'provider_payable'
                UNION ALL SELECT provider_id, currency, net_micros FROM payouts) AS sides
            GROUP BY party, currency) AS sums""",
    "tax of settlements is that of the invoices, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT currency, amount_micros AS micros FROM ({SETTLED}) AS s WHERE account = 'tax'
                UNION ALL SELECT currency, tax_micros FROM invoices) AS sides
            GROUP BY currency) AS sums""",
    "invoice lines add up to the invoices, micros": """
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT account_id, period, amount_micros AS micros FROM invoice_lines
                UNION ALL SELECT account_id, period, -subtotal_micros FROM invoices) AS sides
            GROUP BY account_id, period) AS sums""",
    "providers are due what buyers are billed less fees and what plans keep, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT currency, subtotal_micros - take_micros AS micros FROM invoices
                UNION ALL SELECT currency, -net_micros FROM payouts
                UNION ALL SELECT currency, amount_micros FROM ({SETTLED}) AS s WHERE account IN ('plan_margin', 'grant')) AS sides
            GROUP BY currency) AS sums""",
    "premium shares make nothing, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(p.amount_micros) AS off FROM postings p JOIN journal_entries e ON e.id = p.entry_id
            WHERE e.kind = 'premium_share' AND p.account = 'provider_payable' AND {COUNTED} GROUP BY e.subject, p.currency) AS sums""",
    "uplift booked is at most what clearings gave, micros": f"""
        SELECT coalesce(sum(greatest(0, booked - given)), 0) FROM (
            SELECT -sum(p.amount_micros) AS booked,
                (SELECT coalesce(sum(uplift_micros), 0) FROM receipts WHERE cycle_id = e.subject)
                + (SELECT coalesce(sum(uplift_micros), 0) FROM outcomes WHERE cycle_id = e.subject) AS given
            FROM postings p JOIN journal_entries e ON e.id = p.entry_id
            WHERE e.kind = 'uplift' AND p.account <> 'uplift_fund' AND {COUNTED} GROUP BY e.subject) AS sums""",
    # Uplift, or what a resale has fetched, may have been spent when a later correction takes it back: that is owed, and nobody overspent.
    "prepaid balances are not overspent, micros": f"""
        SELECT coalesce(sum(over), 0) FROM (
            SELECT sum(p.amount_micros) AS over FROM postings p JOIN journal_entries e ON e.id = p.entry_id
            WHERE p.account = 'prepaid' AND NOT (e.kind IN ('uplift', 'resale') AND p.amount_micros > 0) AND {COUNTED}
            GROUP BY p.party, p.currency HAVING sum(p.amount_micros) > 0) AS sums""",
    "grant tranches are not overdrawn, millionths of a PF-day": f"""
        SELECT coalesce(sum(over), 0) FROM (
            SELECT sum(p.amount_micros) AS over FROM postings p JOIN journal_entries e ON e.id = p.entry_id
            WHERE p.account = 'tranche' AND {COUNTED} GROUP BY p.party HAVING sum(p.amount_micros) > 0) AS sums""",
    "payout lines paid are booked, micros": f"""
        SELECT coalesce(sum(abs(off)), 0) FROM (
            SELECT sum(micros) AS off FROM (
                SELECT facts->>'provider_id' AS party, (facts->>'cents')::bigint * {MICROS_PER_CENT} AS micros
                FROM acts WHERE kind = 'payout run' AND act = 'paid'
                UNION ALL SELECT p.party, -p.amount_micros FROM postings p JOIN journal_entries e ON e.id = p.entry_id
                WHERE e.kind = 'payout' AND p.account = 'provider_payable' AND p.amount_micros > 0 AND {COUNTED}) AS sides
            GROUP BY party) AS sums""",
}
HELD = f"""
    SELECT p.currency, sum(p.amount_micros) FROM postings p JOIN journal_entries e ON e.id = p.entry_id
    WHERE p.account = 'processor' AND {COUNTED} GROUP BY p.currency
"""
PAIRS = """
    WITH latest AS (
        SELECT DISTINCT ON (u.usage_id) u.lease_id, u.start, u."end", u.accelerator_seconds, u.status
        FROM usage_records u WHERE u.lease_id IN (SELECT lease_id FROM counter_readings WHERE start >= :start AND start < :end)
        ORDER BY u.usage_id, u.rev DESC)
    SELECT l.account_id, l.provider_id, r.lease_id, r.start, r."end", r.accelerator_seconds AS buyer_seconds,
        (SELECT coalesce(sum(u.accelerator_seconds), 0)::bigint FROM latest u
         WHERE u.lease_id = r.lease_id AND u.start >= r.start AND u."end" <= r."end" AND u.status <> 'provider_failed') AS provider_seconds
    FROM counter_readings r JOIN leases l ON l.id = r.lease_id
    WHERE r.start >= :start AND r.start < :end ORDER BY r.lease_id, r.start
"""


class ReconciliationRepository:
    """Sums that must be 0."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def checks(self, held: Mapping[str, int] | None) -> list[Reconciliation]:
        """Every sum that must agree with another; `held` are the processor's cents by currency, None where there is none."""
        found = [Reconciliation(name=name, difference=int(await self._number(question))) for name, question in CHECKS.items()]
        found.append(Reconciliation(name="close records prove themselves and those before, records", difference=await self._broken_links()))
        if held is not None:
            booked = {currency: int(micros) for currency, micros in await self._session.execute(text(HELD))}
            off = sum(abs(booked.get(name, 0) - held.get(name, 0) * MICROS_PER_CENT) for name in booked.keys() | held.keys())
            found.append(Reconciliation(name="what the processor holds is what we say it holds, micros", difference=off))
        return found

    async def _number(self, question: str) -> int:
        return int((await self._session.execute(text(question))).scalar_one())

    async def _broken_links(self) -> int:
        broken, before = 0, None
        for row in await self._session.scalars(select(CloseRow).order_by(col(CloseRow.period))):
            record = msgspec.convert(row.record, CloseRecord)
            unlinked = record.previous is not None and record.previous != before
            broken += record_hash(record) != record.hash or unlinked
            before = record.hash
        return broken


class MeterRepository:
    """Readings of buyers' own meters."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def keep(self, readings: list[CounterReading]) -> int:
        """Keep new readings; how many were new. Raises KeyReused for a known span with another count."""
        if not readings:
            return 0
        rows = [msgspec.structs.asdict(each) for each in readings]
        statement = insert(CounterReadingRow).values(rows).on_conflict_do_nothing().returning(col(CounterReadingRow.start))
        new = len((await self._session.scalars(statement)).all())
        for each in readings if new < len(readings) else ():
            known = await self._session.get(CounterReadingRow, (each.lease_id, each.start))
            if known is not None and (known.end, known.accelerator_seconds) != (each.end, each.accelerator_seconds):
                raise KeyReused("a reading of this span is known with another count", lease_id=each.lease_id, start=each.start.isoformat())
        return new

    async def pairs(self, month: Period) -> list[MeterPair]:
        """Readings that began in a month, each with what the provider reported, by lease and start."""
        rows = await self._session.execute(text(PAIRS), {"start": month.start, "end": month.end})
        return [MeterPair(**row) for row in rows.mappings()]
