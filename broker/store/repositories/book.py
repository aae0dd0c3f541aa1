"""The book a cycle reads: offers, leases in force, open bids and the facts around them, in one short read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import literal
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col, select

from broker.services.quote_ports import HeldAt
from broker.store.copying import copy_out, merge
from broker.store.repositories.feed import believed
from broker.store.repositories.resales import AskedSlot, ResaleRepository
from broker.store.rows import (
    AccountRow,
    LatencyRow,
    LeaseRow,
    LeaseSlotRow,
    OfferHourRow,
    OfferRow,
    ProviderRow,
    QuoteRow,
    TransferRow,
    ZoneHourRow,
)
from contracts.leasing import Place
from contracts.terms.accounts import Account
from contracts.terms.bids import Bid
from contracts.terms.leases import HOLDING
from contracts.terms.orders import MarketBook, MarketRules, canonical_book
from contracts.terms.tables import BIDS, COMMITMENTS, LATENCY, OFFER_SLOTS, OFFERS, TRANSFER, ZONES, Table
from contracts.terms.time import Period


class BookRepository:
    """Reads a market book; writes the supply side of one."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._resales = ResaleRepository(session)

    async def places(self) -> dict[str, Place]:
        """Where each offer runs, those that are gone too: what was cleared while they were there is delivered."""
        statement = select(OfferRow).order_by(col(OfferRow.id), col(OfferRow.version))
        return {row.id: Place(row.provider, row.site, row.hardware) for row in await self._session.scalars(statement)}

    async def book(self, rules: MarketRules, bids: list[Bid], *, now: datetime) -> MarketBook:
        """The market as it stands for these slots and bids: what leases have and quotes open at a moment hold is not for sale.

        A bid enters with the hours no clearing has given it yet, and with its width less what its leases already
        hold in any slot of this grid; a bid without width left sits this one out.
        """
        period_start, period_end = rules.start, rules.grid.period(rules.slots - 1).end
        slots = await self._slots_in_force(period_start, period_end)
        offers = await self._offers(rules.slots)
        resold = await self._resales.for_sale(offers["offer_id"], Period(period_start, period_end), now=now)
        offers = offers.filter(~pl.col("offer_id").is_in([name for name, left in resold.items() if not left]))
        frames = {
            "offers": offers,
            "bids": _bid_frame(rules, bids, held=_held_by_bid(slots), accounts=await self._accounts()),
            "commitments": _on(offers, pl.concat([_commitments(rules, slots), await self._held(rules, HeldAt(now))])),
            "offer_slots": pl.concat([await self._offer_slots(rules), _resold_slots(rules, offers, resold=resold)]),
            "zones": await self._zones(rules),
            "latency": await self._facts(LatencyRow, LATENCY),
        }
        transfer = await self._facts(TransferRow, TRANSFER)
        return canonical_book(rules, frames | ({"transfer": transfer} if transfer.height else {}))

    async def shelf(self, rules: MarketRules, bid: Bid, *, site: str | None, held: HeldAt) -> tuple[MarketBook, dict[str, int]]:
        """The book of one bid alone: the offers of its hardware classes (at one site, where one is named) and the version of each."""
        wanted = select(OfferRow).where(
            col(OfferRow.superseded_at).is_(None), believed(), col(OfferRow.hardware).in_(list(bid.request.hardware))
        )
        if site is not None:
            wanted = wanted.where(col(OfferRow.site) == site)
        rows = list(await self._session.scalars(wanted.order_by(col(OfferRow.id))))
        ids = [row.id for row in rows]
        offers = _offer_frame(rows, rules.slots)
        end = rules.grid.period(rules.slots - 1).end
        slots = await self._slots_in_force(rules.start, end, offers=ids)
        resold = await self._resales.for_sale(ids, Period(rules.start, end), now=held.now)
        account = await self._session.get_one(AccountRow, bid.account_id)
        frames = {
            "offers": offers,
            "bids": _bid_frame(rules, [bid], held={}, accounts={bid.account_id: _account(account)}),
            "commitments": _on(offers, pl.concat([_commitments(rules, slots), await self._held(rules, held)])),
            "offer_slots": pl.concat([await self._offer_slots(rules, offers=ids), _resold_slots(rules, offers, resold=resold)]),
        }
        if any(row.energy_indexed for row in rows):
            frames["zones"] = await self._zones(rules)
        if bid.request.place is not None:
            frames["latency"] = await self._facts(LatencyRow, LATENCY)
        return canonical_book(rules, frames), {row.id: row.version for row in rows}

    async def supply(self, rules: MarketRules, *, now: datetime) -> MarketBook:
        """The offers for these slots with what leases and open quotes leave of them, and no bids: read by the column, for all at once."""
        period = Period(rules.start, rules.grid.period(rules.slots - 1).end)
        offers = await self._offers_at_once(rules.slots)
        resold = await self._resales.for_sale(offers["offer_id"], period, now=now)
        frames = {
            "offers": offers,
            "bids": BIDS.empty(),
            "commitments": _on(offers, pl.concat([await self._leased(rules, period), await self._held(rules, HeldAt(now))])),
            "offer_slots": pl.concat([await self._offer_slots(rules), _resold_slots(rules, offers, resold=resold)]),
        }
        if offers["energy_indexed"].any():
            frames["zones"] = await self._zones(rules)
        return canonical_book(rules, frames)

    async def _offers_at_once(self, slots: int) -> pl.DataFrame:
        special = {"offer_id": col(OfferRow.id), "slot_first": literal(0), "slot_end": literal(slots)}
        columns = [special[name].label(name) if name in special else getattr(OfferRow, name) for name in OFFERS.schema]
        frame = await copy_out(self._session, select(*columns).where(col(OfferRow.superseded_at).is_(None), believed()))
        return frame.select(pl.col(name).cast(dtype) for name, dtype in OFFERS.schema.items())

    async def _leased(self, rules: MarketRules, period: Period) -> pl.DataFrame:
        """Slots of leases that nobody else may have."""
        facts = (LeaseRow.offer_id, LeaseRow.tier, LeaseSlotRow.slot_start, LeaseSlotRow.quantity)
        columns = [col(LeaseRow.id).label("lease_id"), *map(col, facts)]
        statement = (
            select(*columns)
            .join(LeaseSlotRow, col(LeaseSlotRow.lease_id) == col(LeaseRow.id))
            .where(
                col(LeaseRow.state).in_(HOLDING),
                col(LeaseSlotRow.slot_start) >= period.start,
                col(LeaseSlotRow.slot_start) < period.end,
                col(LeaseSlotRow.quantity) > 0,
            )
        )
        starts = pl.DataFrame(
            {"slot_start": [rules.grid.period(slot).start for slot in range(rules.slots)], "slot": range(rules.slots)},
            schema={"slot_start": pl.Datetime("us", "UTC"), "slot": pl.Int64()},
        )
        leased = (await copy_out(self._session, statement)).join(starts, on="slot_start")
        return leased.select(pl.col(name).cast(dtype) for name, dtype in COMMITMENTS.schema.items())

    async def _held(self, rules: MarketRules, held: HeldAt) -> pl.DataFrame:
        """What open quotes hold, as if it were leased already."""
        spans = [rules.grid.period(slot) for slot in range(rules.slots)]
        statement = select(QuoteRow).where(
            col(QuoteRow.state) == "open",
            col(QuoteRow.expires_at) > held.now,
            col(QuoteRow.starts_at) < spans[-1].end,
            col(QuoteRow.ends_at) > spans[0].start,
            col(QuoteRow.id) != (held.apart_from or ""),
        )
        rows = [
            {"lease_id": row.id, "offer_id": row.offer_id, "slot": slot, "tier": row.tier, "quantity": row.accelerators}
            for row in await self._session.scalars(statement.order_by(col(QuoteRow.id)))
            for slot, span in enumerate(spans)
            if row.starts_at < span.end and row.ends_at > span.start
        ]
        return _frame(rows, COMMITMENTS)

    async def _offers(self, slots: int) -> pl.DataFrame:
        statement = select(OfferRow).where(col(OfferRow.superseded_at).is_(None), believed()).order_by(col(OfferRow.id))
        return _offer_frame(list(await self._session.scalars(statement)), slots)

    async def _offer_slots(self, rules: MarketRules, *, offers: list[str] | None = None) -> pl.DataFrame:
        hours = [rules.grid.period(slot).start.hour for slot in range(rules.slots)]
        statement = select(OfferHourRow).order_by(col(OfferHourRow.offer_id), col(OfferHourRow.hour))
        rows = await self._session.scalars(statement if offers is None else statement.where(col(OfferHourRow.offer_id).in_(offers)))
        found = [row.model_dump() | {"slot": slot} for row in rows for slot, hour in enumerate(hours) if hour == row.hour]
        return _frame(found, OFFER_SLOTS)

    async def _slots_in_force(
        self, start: datetime, end: datetime, *, offers: list[str] | None = None
    ) -> Sequence[tuple[LeaseRow, LeaseSlotRow]]:
        statement = (
            select(LeaseRow, LeaseSlotRow)
            .join(LeaseSlotRow, col(LeaseSlotRow.lease_id) == col(LeaseRow.id))
            .where(
                col(LeaseRow.state).in_(HOLDING),
                col(LeaseSlotRow.slot_start) >= start,
                col(LeaseSlotRow.slot_start) < end,
                col(LeaseSlotRow.quantity) > 0,
            )
            .order_by(col(LeaseRow.id), col(LeaseSlotRow.slot_start))
        )
        if offers is not None:
            statement = statement.where(col(LeaseRow.offer_id).in_(offers))
        return [(lease, slot) for lease, slot in await self._session.execute(statement)]

    async def _accounts(self) -> dict[str, Account]:
        rows = await self._session.scalars(select(AccountRow))
        return {row.id: _account(row) for row in rows}

    async def _zones(self, rules: MarketRules) -> pl.DataFrame:
        """Energy and carbon by slot; of an hour nothing is known of yet, what that hour of the day was last time."""
        hours = [rules.grid.period(slot).start.replace(minute=0, second=0, microsecond=0) for slot in range(rules.slots)]
        statement = select(ZoneHourRow).where(col(ZoneHourRow.hour) <= hours[-1]).order_by(col(ZoneHourRow.zone), col(ZoneHourRow.hour))
        known: dict[tuple[str, int], dict[datetime, ZoneHourRow]] = {}
        for row in await self._session.scalars(statement):
            known.setdefault((row.zone, row.hour.hour), {})[row.hour] = row
        found = [
            (rows.get(hour) or rows[max(rows)]).model_dump() | {"slot": slot}
            for (_, hour_of_day), rows in known.items()
            for slot, hour in enumerate(hours)
            if hour.hour == hour_of_day
        ]
        return _frame(found, ZONES)

    async def _facts(self, row: type[SQLModel], table: Table) -> pl.DataFrame:
        return _frame([each.model_dump() for each in await self._session.scalars(select(row))], table)

    async def add_supply(self, book: MarketBook, *, providers: list[str], at: datetime) -> int:
        """Enter the offers of a book of one day as first versions, where nothing has their id yet; returns how many are current.

        What an offer sells in a slot becomes what it sells in that hour of every day.
        """
        known = set(await self._session.scalars(select(OfferRow.id)))
        assert set(book.offers["provider"]) <= set(providers), "register the providers first"
        fields = set(OfferRow.model_fields) - {"id", "version", "observed_at", "superseded_at"}
        for row in book.offers.iter_rows(named=True):
            if row["offer_id"] not in known:
                facts = {name: row[name] for name in fields}
                self._session.add(OfferRow(id=row["offer_id"], version=1, observed_at=at, superseded_at=None, **facts))
        hours = [row for row in _hours(book) if row["offer_id"] not in known]
        self._session.add_all([OfferHourRow(**row) for row in hours])
        await self._session.flush()
        return len((await self._session.scalars(select(OfferRow.id).where(col(OfferRow.superseded_at).is_(None)))).all())

    async def add_facts(self, book: MarketBook) -> None:
        """Enter latencies and transfer costs, where they are not known yet."""
        await merge(self._session, LatencyRow, frame=book.latency)
        if book.transfer is not None:
            await merge(self._session, TransferRow, frame=book.transfer)

    async def add_zone_hours(self, book: MarketBook) -> None:
        """Enter energy prices and carbon of the book's slots, where that hour is not known yet."""
        starts = {slot: book.rules.grid.period(slot).start for slot in range(book.rules.slots)}
        hours = book.zones.with_columns(pl.col("slot").replace_strict(starts, return_dtype=pl.Datetime("us", "UTC")).alias("hour"))
        await merge(self._session, ZoneHourRow, frame=hours.drop("slot"))

    async def providers(self) -> list[str]:
        """Provider ids, in order."""
        return list(await self._session.scalars(select(ProviderRow.id).order_by(col(ProviderRow.id))))


def _account(row: AccountRow) -> Account:
    return Account(**{name: getattr(row, name) for name in Account.__struct_fields__})


def _offer_frame(rows: Sequence[OfferRow], slots: int) -> pl.DataFrame:
    return _frame([row.model_dump() | {"offer_id": row.id, "slot_first": 0, "slot_end": slots} for row in rows], OFFERS)


def _on(offers: pl.DataFrame, commitments: pl.DataFrame) -> pl.DataFrame:
    """Commitments on offers that still stand; what is withdrawn has nothing left to be committed of."""
    return commitments.join(offers.select("offer_id"), on="offer_id", how="semi")


def _resold_slots(rules: MarketRules, offers: pl.DataFrame, *, resold: Mapping[str, Mapping[datetime, AskedSlot]]) -> pl.DataFrame:
    """What resales have in each slot of the grid, nothing where they have none: what a holder sells is no promise for every day."""
    starts = [rules.grid.period(slot).start for slot in range(rules.slots)]
    rows = [
        {"offer_id": name, "slot": slot, "quantity": asked.quantity, "rate_micros": asked.rate_micros}
        for name, rate in offers.select("offer_id", "rate_micros").iter_rows()
        if name in resold
        for slot, start in enumerate(starts)
        for asked in [resold[name].get(start, AskedSlot(0, rate))]
    ]
    return _frame(rows, OFFER_SLOTS)


def _hours(book: MarketBook) -> list[dict[str, Any]]:
    """Overrides by hour of the day: those of the book's slots, and nothing outside an offer's window."""
    start = book.rules.start
    rows = {(row["offer_id"], row["slot"]): (row["quantity"], row["rate_micros"]) for row in book.offer_slots.iter_rows(named=True)}
    for offer in book.offers.iter_rows(named=True):
        for slot in range(book.rules.slots):
            if not offer["slot_first"] <= slot < offer["slot_end"]:
                rows[offer["offer_id"], slot] = (0, offer["rate_micros"])
    return [
        {"offer_id": offer_id, "hour": (start.hour + slot) % 24, "quantity": quantity, "rate_micros": rate}
        for (offer_id, slot), (quantity, rate) in sorted(rows.items())
    ]


def _held_by_bid(slots: Sequence[tuple[LeaseRow, LeaseSlotRow]]) -> dict[str, int]:
    """The most accelerators each bid's leases hold in any one slot."""
    by_slot: dict[tuple[str, datetime], int] = {}
    for lease, slot in slots:
        key = (lease.bid_id, slot.slot_start)
        by_slot[key] = by_slot.get(key, 0) + slot.quantity
    held: dict[str, int] = {}
    for (bid_id, _), quantity in by_slot.items():
        held[bid_id] = max(held.get(bid_id, 0), quantity)
    return held


def _bid_frame(rules: MarketRules, bids: list[Bid], *, held: dict[str, int], accounts: dict[str, Account]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for bid in bids:
        first, end = _slot_window(rules, bid)
        width = bid.request.width - held.get(bid.id, 0)
        if first >= end or width < 1:
            continue
        account, request = accounts[bid.account_id], bid.request
        facts = {name: getattr(request, name) for name in request.__struct_fields__ if name in BIDS.schema}
        rows.append(
            facts
            | {
                "bid_id": bid.id,
                "buyer": bid.account_id,
                "buyer_country": account.country,
                "buyer_parent_country": account.parent_country,
                "entered_at": bid.entered_at,
                "kind": "flexible",
                "width": width,
                "hours": bid.hours_left,
                "slot_first": first,
                "slot_end": end,
                "hardware": request.factor_texts(),
                "sites_max": 1,
                "semantics": "hours",
            }
        )
    return _frame(rows, BIDS)


def _slot_window(rules: MarketRules, bid: Bid) -> tuple[int, int]:
    """The whole slots of the grid that lie inside a bid's window."""
    seconds = float(rules.hours * 3600)
    first = -int(-(bid.request.window_start - rules.start).total_seconds() // seconds)
    end = int((bid.request.window_end - rules.start).total_seconds() // seconds)
    return max(0, first), min(rules.slots, end)


def _commitments(rules: MarketRules, slots: Sequence[tuple[LeaseRow, LeaseSlotRow]]) -> pl.DataFrame:
    numbers = {rules.grid.period(slot).start: slot for slot in range(rules.slots)}
    rows = [
        {"lease_id": lease.id, "offer_id": lease.offer_id, "slot": numbers[slot.slot_start], "tier": lease.tier, "quantity": slot.quantity}
        for lease, slot in slots
        if slot.slot_start in numbers
    ]
    return _frame(rows, COMMITMENTS)


def _frame(rows: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    return pl.DataFrame([{name: row[name] for name in table.schema} for row in rows], schema=table.schema)
