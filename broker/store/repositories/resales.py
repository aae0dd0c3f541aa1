"""What holders offer on, what of it is still theirs to sell, and how a slot changes hands."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl
from sqlalchemy import func, text, update
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.copying import copy_out
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import (
    AccountRow,
    FeedSessionRow,
    LeaseRow,
    LeaseSlotRow,
    OfferHourRow,
    OfferRow,
    ProviderRow,
    ResaleRow,
    SaleRow,
)
from contracts.resale import MARK, SELLING, Resale, ResaleState, Sale, handed_over, reseller, sales_of, still_offered
from contracts.terms.accounts import Provider
from contracts.terms.leases import Lease, LeaseSlot
from contracts.terms.time import Period

KIND = "resale"
KEEP_BOUGHT = """INSERT INTO lease_sales (lease_id, slot_start, resale_id, of_lease_id, quantity, rate_micros)
    SELECT :rest, s.slot_start, s.resale_id, s.of_lease_id, r.quantity, s.rate_micros
    FROM lease_sales s JOIN lease_slots r ON r.lease_id = :rest AND r.slot_start = s.slot_start WHERE s.lease_id = :lease"""
FIRST_TIER = """
    WITH RECURSIVE sold(lease_id, depth) AS (
        SELECT of_lease_id, 1 FROM lease_sales WHERE lease_id = :lease
        UNION SELECT s.of_lease_id, sold.depth + 1 FROM lease_sales s JOIN sold ON s.lease_id = sold.lease_id)
    SELECT l.tier FROM sold JOIN leases l ON l.id = sold.lease_id ORDER BY sold.depth DESC LIMIT 1"""


class AskedSlot(NamedTuple):
    """What is asked for one accelerator of a resale in one slot, and how many there are."""

    quantity: int
    rate_micros: int


class ResaleRepository:
    """Resales by id; slots in order of time."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def plan_kind(self, account_id: str) -> str:
        """What kind of plan an account has signed."""
        return await AccountRepository(self._session).plan_kind(account_id)

    async def next_id(self, offer_id: str) -> str:
        """The id of the next resale on an offer. It sorts behind the offer, whose name their pool keeps."""
        count = select(func.count()).select_from(ResaleRow).where(col(ResaleRow.offer_id) == offer_id)
        return f"{offer_id}{MARK}{(await self._session.scalars(count)).one() + 1}"

    async def asked_by_provider(self, lease: Lease) -> tuple[LeaseSlot, ...]:
        """The slots of a lease at what its offer asks for them now, or asked last, before energy."""
        base = await self._offer(lease.offer_id)
        hours = await self._session.scalars(select(OfferHourRow).where(col(OfferHourRow.offer_id) == lease.offer_id))
        by_hour = {row.hour: row.rate_micros for row in hours}
        return tuple(msgspec.structs.replace(slot, rate_micros=by_hour.get(slot.start.hour, base.rate_micros)) for slot in lease.slots)

    async def add(self, resale: Resale, *, account_id: str, at: datetime) -> None:
        """Keep a new resale, and show it as an offer that may be interrupted: the facts of the one its lease runs on, at its own rate."""
        row = {name: getattr(resale, name) for name in ("id", "lease_id", "offer_id", "state", "released")}
        self._session.add(ResaleRow(**row, created_at=at, slots=msgspec.to_builtins(resale.slots)))
        account = await self._session.get_one(AccountRow, account_id)
        party = Provider(
            id=reseller(account_id), name=account.name, country=account.country, kind=KIND, parent=account.parent, joined_at=at
        )
        await self._session.execute(insert(ProviderRow).values(msgspec.structs.asdict(party)).on_conflict_do_nothing())
        facts = (await self._offer(resale.offer_id)).model_dump() | {"id": resale.id, "version": 0, "firm": False}
        # What a holder asks is what it asks; only a lease that was given up goes at what its provider would take.
        facts["energy_indexed"] = facts["energy_indexed"] and resale.released
        await self._show(facts, resale, at=at)

    async def of_leases(self, lease_ids: Sequence[str]) -> list[Resale]:
        """Every resale of some leases, oldest first."""
        statement = select(ResaleRow).where(col(ResaleRow.lease_id).in_(lease_ids))
        return [_resale(row) for row in await self._session.scalars(statement.order_by(col(ResaleRow.created_at), col(ResaleRow.id)))]

    async def open_of(self, lease_id: str) -> Resale | None:
        """The open resale of a lease, locked until the transaction ends; None where there is none."""
        statement = select(ResaleRow).where(col(ResaleRow.lease_id) == lease_id, col(ResaleRow.state) == "open").with_for_update()
        row = (await self._session.scalars(statement, execution_options={"populate_existing": True})).first()
        return _resale(row) if row else None

    async def close(self, resale: Resale, state: ResaleState, *, at: datetime) -> None:
        """End a resale: nobody sees it as an offer any more."""
        await self._session.execute(update(ResaleRow).where(col(ResaleRow.id) == resale.id).values(state=state))
        current = (col(OfferRow.id) == resale.id, col(OfferRow.superseded_at).is_(None))
        await self._session.execute(update(OfferRow).where(*current).values(superseded_at=at))

    async def end_over(self, now: datetime) -> None:
        """End the resales of which nothing can be sold any more: every slot has begun, or their lease has ended."""
        for resale, lease in await self._open():
            if not resale.may_sell(lease.state) or all(slot.start < now or not slot.quantity for slot in resale.slots):  # type: ignore[arg-type]
                await self.close(resale, "ended", at=now)

    async def for_sale(self, offer_ids: Iterable[str], span: Period, *, now: datetime) -> dict[str, dict[datetime, AskedSlot]]:
        """Of some offers, those that are resales: id → slots of a span, with what of them is still its holder's.

        Nothing of a provider whose feed is silent. A resale without anything in the span is there with no slots, so that its offer
        can be left out of a book.
        """
        ids = [offer_id for offer_id in offer_ids if MARK in offer_id]
        if not ids:
            return {}
        silent = set(await self._session.scalars(select(FeedSessionRow.provider_id).where(col(FeedSessionRow.silent_at) <= now)))
        opened = await self._open(ids)
        held = await self._held([lease.id for _, lease in opened])
        found: dict[str, dict[datetime, AskedSlot]] = {}
        for resale, lease in opened:
            mine = found.setdefault(resale.id, {})
            if lease.provider_id in silent or not resale.may_sell(lease.state):  # type: ignore[arg-type]
                continue
            for slot in resale.slots:
                left = min(slot.quantity, held[lease.id].get(slot.start, 0))
                if span.start <= slot.start < span.end and slot.start >= now and left:
                    mine[slot.start] = AskedSlot(left, slot.rate_micros)
        return found

    async def named(self, offer_ids: Iterable[str]) -> dict[str, Resale]:
        """Those of some offers that are resales, locked until the transaction ends."""
        ids = sorted({offer_id for offer_id in offer_ids if MARK in offer_id})
        if not ids:
            return {}
        statement = select(ResaleRow).where(col(ResaleRow.id).in_(ids)).order_by(col(ResaleRow.id)).with_for_update()
        return {row.id: _resale(row) for row in await self._session.scalars(statement, execution_options={"populate_existing": True})}

    async def hand_over(self, lease: Lease, resale_id: str, *, at: datetime) -> bool:
        """Take what a buyer's new lease has out of its holder's; False, with nothing done, where the holder has not so much any more."""
        resale = (await self.named([resale_id]))[resale_id]
        holder = await self._session.get_one(LeaseRow, resale.lease_id, with_for_update=True, populate_existing=True)
        rows = await self._session.scalars(
            select(LeaseSlotRow).where(col(LeaseSlotRow.lease_id) == holder.id).order_by(col(LeaseSlotRow.slot_start)).with_for_update(),
            execution_options={"populate_existing": True},
        )
        held = [LeaseSlot(start=r.slot_start, end=r.slot_end, quantity=r.quantity, rate_micros=r.rate_micros) for r in rows]
        left = handed_over(held, lease.slots)
        if left is None or holder.state not in SELLING:
            return False
        for before, after in zip(held, left, strict=True):
            if before.quantity != after.quantity:
                mine = (col(LeaseSlotRow.lease_id) == holder.id, col(LeaseSlotRow.slot_start) == after.start)
                await self._session.execute(update(LeaseSlotRow).where(*mine).values(quantity=after.quantity))
        await self._session.execute(insert(SaleRow).values([msgspec.structs.asdict(sale) for sale in sales_of(lease, resale, held=held)]))
        still = still_offered(resale, lease.slots)
        slots = msgspec.to_builtins(still.slots)
        await self._session.execute(update(ResaleRow).where(col(ResaleRow.id) == resale_id).values(slots=slots))
        if resale.state == "open":
            await self._show((await self._offer(resale_id)).model_dump(), still, at=at)
        return True

    async def keep_bought(self, lease_id: str, rest: Lease) -> None:
        """Say of what a released lease leaves that it was bought as the lease was: its seller is still due what it is billed."""
        await self._session.execute(text(KEEP_BOUGHT), {"lease": lease_id, "rest": rest.id})

    async def first_tier(self, lease_id: str) -> str | None:
        """Of a lease bought from a holder, the tier at which its provider sold it first; None for one bought from its provider."""
        return (await self._session.execute(text(FIRST_TIER), {"lease": lease_id})).scalar_one_or_none()

    async def sales(self, *, of_leases: Sequence[str]) -> list[tuple[Sale, datetime, int]]:
        """What was sold of some leases: the sale, when its slot ends, and the buyer's rate; by slot and buyer's lease."""
        statement = (
            select(SaleRow, LeaseSlotRow.slot_end, LeaseSlotRow.rate_micros)
            .join(
                LeaseSlotRow,
                (col(LeaseSlotRow.lease_id) == col(SaleRow.lease_id)) & (col(LeaseSlotRow.slot_start) == col(SaleRow.slot_start)),
            )
            .where(col(SaleRow.of_lease_id).in_(of_leases))
            .order_by(col(SaleRow.slot_start), col(SaleRow.lease_id))
        )
        return [(Sale(**row.model_dump()), end, rate) for row, end, rate in await self._session.execute(statement)]

    async def all_sales(self) -> pl.DataFrame:
        """Every slot that changed hands: lease_id, slot_start, of_lease_id, quantity, rate_micros, and the holder's account."""
        statement = select_columns(
            col(SaleRow.lease_id),
            col(SaleRow.slot_start),
            col(SaleRow.of_lease_id),
            col(SaleRow.quantity),
            col(SaleRow.rate_micros),
            col(LeaseRow.account_id),
        ).join(LeaseRow, col(LeaseRow.id) == col(SaleRow.of_lease_id))
        return await copy_out(self._session, statement)

    async def _open(self, ids: Sequence[str] | None = None) -> list[tuple[Resale, LeaseRow]]:
        statement = select(ResaleRow, LeaseRow).join(LeaseRow, col(LeaseRow.id) == col(ResaleRow.lease_id))
        if ids is not None:
            statement = statement.where(col(ResaleRow.id).in_(ids))
        rows = await self._session.execute(statement.where(col(ResaleRow.state) == "open").order_by(col(ResaleRow.id)))
        return [(_resale(row), lease) for row, lease in rows]

    async def _held(self, lease_ids: list[str]) -> dict[str, dict[datetime, int]]:
        wanted = select(LeaseSlotRow).where(col(LeaseSlotRow.lease_id).in_(lease_ids))
        rows = await self._session.scalars(wanted, execution_options={"populate_existing": True})
        held: dict[str, dict[datetime, int]] = {lease_id: {} for lease_id in lease_ids}
        for row in rows:
            held[row.lease_id][row.slot_start] = row.quantity
        return held

    async def _offer(self, offer_id: str) -> OfferRow:
        """The latest version of an offer, there or gone."""
        statement = select(OfferRow).where(col(OfferRow.id) == offer_id).order_by(col(OfferRow.version).desc()).limit(1)
        return (await self._session.scalars(statement)).one()

    async def _show(self, facts: dict[str, Any], resale: Resale, *, at: datetime) -> None:
        """Put a version of the resale's offer in the place of the one there is; none where nothing is left of it."""
        current = (col(OfferRow.id) == resale.id, col(OfferRow.superseded_at).is_(None))
        await self._session.execute(update(OfferRow).where(*current).values(superseded_at=at))
        left = [slot for slot in resale.slots if slot.quantity]
        if left:
            version = {"version": facts["version"] + 1, "observed_at": at, "superseded_at": None}
            asked = {"quantity": max(slot.quantity for slot in left), "rate_micros": min(slot.rate_micros for slot in left)}
            self._session.add(OfferRow(**(facts | version | asked)))
        await self._session.flush()


def _resale(row: ResaleRow) -> Resale:
    return Resale(
        id=row.id,
        lease_id=row.lease_id,
        offer_id=row.offer_id,
        slots=msgspec.convert(row.slots, tuple[LeaseSlot, ...]),
        released=row.released,
        state=row.state,  # type: ignore[arg-type]
    )
