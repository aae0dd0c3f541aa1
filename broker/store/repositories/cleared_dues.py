"""What clearings owe beyond the rates of leases, from what they published and what was delivered since."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker.store.books import decode_book
from broker.store.repositories.settlements import ClosedPeriod
from contracts.cleared_dues import ReceiptSlot, SoldSlot, premium_gains, uplift_due
from contracts.events import premium_shares, uplift_paid
from contracts.journal import JournalEntry
from contracts.terms.money import half_up
from pricing.pools import gather

SECONDS_PER_HOUR = 3600
# Cycles that owe anything and of which a close learns something new: a slot of its month, or a record that came since the close before.
# What the buyer of a holder is given, the holder has bought at the cycle.
CYCLES = """
    WITH RECURSIVE bought(lease_id, of_lease_id) AS (
        SELECT lease_id, of_lease_id FROM lease_sales
        UNION SELECT b.lease_id, s.of_lease_id FROM bought b JOIN lease_sales s ON s.lease_id = b.of_lease_id),
    news AS NOT MATERIALIZED (
        SELECT u.lease_id FROM usage_records u WHERE u.received_at < :closes_at
            AND (u."end" > :month_start
                OR u.received_at >= coalesce((SELECT max(closes_at) FROM closes WHERE period < :period), '-infinity')))
    SELECT c.id, c.slot_seconds FROM cycles c
    WHERE (EXISTS (SELECT FROM receipts r WHERE r.cycle_id = c.id AND (r.premium_micros > 0 OR r.uplift_micros > 0))
            OR EXISTS (SELECT FROM outcomes o WHERE o.cycle_id = c.id AND o.uplift_micros > 0))
        AND (EXISTS (SELECT FROM leases l JOIN news u ON u.lease_id = l.id WHERE l.cycle_id = c.id)
            OR EXISTS (SELECT FROM leases l JOIN bought b ON b.of_lease_id = l.id JOIN news u ON u.lease_id = b.lease_id
                WHERE l.cycle_id = c.id))
    ORDER BY c.number"""
# Of each award: its seconds as known, delivered and failed, up to the month's end and rounded down, each record in the slot it begins in.
# They are given on its lease, and on what was given up or sold of that.
SOLD = """
    WITH RECURSIVE given(lease_id, of_lease_id) AS (
        SELECT id, id FROM leases WHERE cycle_id = :cycle
        UNION SELECT s.lease_id, g.of_lease_id FROM given g JOIN lease_sales s ON s.of_lease_id = g.lease_id),
    metered AS (
        SELECT g.of_lease_id AS lease_id, s.slot_start, u.status = 'provider_failed' AS failed, div(
            u.accelerator_seconds * (extract(epoch FROM least(u."end", :month_end) - u.start) * 1000000)::bigint::numeric,
            (extract(epoch FROM u."end" - u.start) * 1000000)::bigint::numeric) AS seconds
        FROM given g JOIN usage_records u ON u.lease_id = g.lease_id
        JOIN LATERAL (SELECT slot_start FROM lease_slots
            WHERE lease_id = u.lease_id AND slot_start <= u.start ORDER BY slot_start DESC LIMIT 1) s ON true
        WHERE u.received_at < :closes_at AND u."end" > u.start AND u.start < :month_end
            AND NOT EXISTS (SELECT FROM usage_records n
                WHERE n.usage_id = u.usage_id AND n.rev > u.rev AND n.received_at < :closes_at)),
    delivered AS (
        SELECT lease_id, slot_start, coalesce(sum(seconds) FILTER (WHERE NOT failed), 0) AS seconds,
            coalesce(sum(seconds) FILTER (WHERE failed), 0) AS failed
        FROM metered GROUP BY lease_id, slot_start)
    SELECT a.bid_id, a.offer_id, min(l.provider_id), a.slot_start, a.quantity, a.charge_micros,
        coalesce(sum(d.seconds), 0)::bigint AS seconds, coalesce(sum(d.failed), 0)::bigint AS failed
    FROM awards a
    JOIN leases l ON l.cycle_id = a.cycle_id AND l.bid_id = a.bid_id AND l.tier = a.tier
        AND coalesce((SELECT min(s.resale_id) FROM lease_sales s WHERE s.lease_id = l.id), l.offer_id) = a.offer_id
    LEFT JOIN delivered d ON d.lease_id = l.id AND d.slot_start = a.slot_start
    WHERE a.cycle_id = :cycle
    GROUP BY a.id, a.bid_id, a.offer_id, a.slot_start, a.quantity, a.charge_micros, a.tier
    ORDER BY a.bid_id, a.offer_id, a.slot_start, a.tier"""
SPOT = "SELECT pool, slot_start, rate_micros FROM prices WHERE cycle_id = :cycle AND tier = 'spot'"
RECEIPTS = """SELECT offer_id, slot_start, premium_micros, uplift_micros FROM receipts
    WHERE cycle_id = :cycle AND (premium_micros > 0 OR uplift_micros > 0) ORDER BY offer_id, slot_start"""
BIDS = """SELECT o.bid_id, b.account_id, o.uplift_micros FROM outcomes o JOIN bids b ON b.id = o.bid_id
    WHERE o.cycle_id = :cycle AND o.uplift_micros > 0 ORDER BY o.bid_id"""
POSTED = """SELECT e.kind, p.account, p.party, -sum(p.amount_micros)::bigint FROM postings p JOIN journal_entries e ON e.id = p.entry_id
    WHERE e.subject = :cycle AND e.kind IN ('premium_share', 'uplift') AND e.state IN ('posted', 'reversed') AND p.party <> ''
    GROUP BY e.kind, p.account, p.party"""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an offer stands in the book that was cleared: its pool, who sells, and its accelerators slot by slot, leases included."""

    pool: str
    provider_id: str
    accelerators: dict[datetime, int]


class ClearedDuesRepository:
    """Premium shares and uplift, as far as a close knows them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def entries(self, closed: ClosedPeriod) -> list[JournalEntry]:
        """For every cycle of which this close learns something: what it comes to, less what earlier closes have posted."""
        known = {"month_start": closed.month.start, "month_end": closed.month.end, "closes_at": closed.closes_at}
        cycles = (await self._session.execute(text(CYCLES), {**known, "period": closed.period})).all()
        found = [await self._of(cycle, closed, slot_seconds=slot_seconds) for cycle, slot_seconds in cycles]
        return [entry for entries in found for entry in entries if entry is not None]

    async def _of(self, cycle: str, closed: ClosedPeriod, *, slot_seconds: int) -> Iterable[JournalEntry | None]:
        currency, places = await self._places(cycle)
        facts = {"cycle": cycle}
        spot = {(pool, start): rate for pool, start, rate in await self._session.execute(text(SPOT), facts)}
        known = {"month_end": closed.month.end, "closes_at": closed.closes_at}
        sold = []
        for bid, offer, provider, start, quantity, charge, seconds, failed in await self._session.execute(text(SOLD), {**facts, **known}):
            pool, whole = places[offer].pool, quantity * slot_seconds
            above = charge - half_up(spot[pool, start] * whole, SECONDS_PER_HOUR)
            sold.append(
                SoldSlot(
                    bid_id=bid,
                    offer_id=offer,
                    provider_id=provider,
                    pool=pool,
                    slot_start=start,
                    premium_micros=above,
                    seconds_sold=whole,
                    seconds_delivered=seconds,
                    seconds_failed=failed,
                )
            )
        receipts = [
            ReceiptSlot(
                offer_id=offer,
                provider_id=places[offer].provider_id,
                pool=places[offer].pool,
                slot_start=start,
                premium_micros=premium,
                uplift_micros=uplift,
                seconds_standing=places[offer].accelerators[start] * slot_seconds,
            )
            for offer, start, premium, uplift in await self._session.execute(text(RECEIPTS), facts)
        ]
        bids = {bid: (account, micros) for bid, account, micros in await self._session.execute(text(BIDS), facts)}
        posted = {(kind, account, party): -micros for kind, account, party, micros in await self._session.execute(text(POSTED), facts)}
        shares = {("premium_share", "provider_payable", name): gain for name, gain in premium_gains(sold, receipts).items()}
        uplift = {("uplift", *party): micros for party, micros in uplift_due(sold, receipts, bids=bids).items()}
        change = {key: (shares | uplift).get(key, 0) + posted.get(key, 0) for key in (shares | uplift | posted)}
        gains = {party: micros for (kind, _, party), micros in change.items() if kind == "premium_share"}
        due = {(account, party): micros for (kind, account, party), micros in change.items() if kind == "uplift"}
        period, at = closed.period, closed.closes_at
        return (
            premium_shares(cycle, gains, period=period, currency=currency, at=at),
            uplift_paid(cycle, due, period=period, currency=currency, at=at),
        )

    async def _places(self, cycle: str) -> tuple[str, dict[str, _Place]]:
        """The currency of a cycle, and where each offer stands."""
        data = (await self._session.execute(text("SELECT book FROM cycles WHERE id = :cycle"), {"cycle": cycle})).scalar_one()
        book = decode_book(data)
        supply = gather(book)
        names = supply.pools["pool"].gather(pl.Series(supply.pool_of)).to_list()
        providers = dict(book.offers.select("offer_id", "provider").iter_rows())
        starts = [book.rules.grid.period(slot).start for slot in range(book.rules.slots)]
        return book.rules.currency, {
            offer: _Place(pool=pool, provider_id=providers[offer], accelerators=dict(zip(starts, row, strict=True)))
            for offer, pool, row in zip(supply.offer_ids, names, supply.gross.tolist(), strict=True)
        }
