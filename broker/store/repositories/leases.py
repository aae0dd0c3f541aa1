"""Leases, their slots, their moves, and what they delivered."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import delete, exists, func, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.accounts import PROVIDER
from broker.services.ports import LeaseEnd
from broker.store.repositories.resales import ResaleRepository
from broker.store.repositories.webhooks import WebhookRepository
from broker.store.rows import BidRow, FailoverRow, FeedSessionRow, LeaseEventRow, LeaseRow, LeaseSlotRow, UsageRow
from contracts.leasing import Failover
from contracts.terms.errors import NotFound
from contracts.terms.leases import IN_FORCE, ClosedBy, Lease, LeaseSlot, LeaseState, move
from contracts.webhooks import LeaseNotice, lease_message

GIVEN_UP = "released by its holder"


class LeaseMove(NamedTuple):
    """One move of one lease."""

    lease_id: str
    to: LeaseState
    at: datetime
    reason: str
    closed_by: ClosedBy | None = None


class LeaseRepository:
    """Leases by id; slots in order of time."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._resales = ResaleRepository(session)

    async def add_many(self, leases: list[Lease], *, at: datetime, reason: str = "won at the gate") -> None:
        """Keep new leases with their slots and first event, and why; those already there are left alone.

        What was sold by a holder is taken out of its lease; where that has not so much any more, the new one has failed from the start.
        """
        if not leases:
            return
        resales = await self._resales.named(lease.offer_id for lease in leases)
        sold_as = {lease.id: lease.offer_id for lease in leases if lease.offer_id in resales}
        # A lease runs on what its provider offers, whoever sold it.
        leases = [
            msgspec.structs.replace(lease, offer_id=resales[lease.offer_id].offer_id) if lease.id in sold_as else lease for lease in leases
        ]
        rows = [{name: getattr(lease, name) for name in LeaseRow.model_fields} for lease in leases]
        statement = insert(LeaseRow).values(rows).on_conflict_do_nothing().returning(col(LeaseRow.id))
        new = set(await self._session.scalars(statement))
        slots = [
            {"lease_id": lease.id, "slot_start": s.start, "slot_end": s.end, "quantity": s.quantity, "rate_micros": s.rate_micros}
            for lease in leases
            if lease.id in new
            for s in lease.slots
        ]
        # asyncpg binds at most 32,767 arguments a statement.
        for first in range(0, len(slots), 5000):
            await self._session.execute(insert(LeaseSlotRow).values(slots[first : first + 5000]))
        events = [{"lease_id": id_, "sequence": 0, "state": "awarded", "at": at, "reason": reason} for id_ in sorted(new)]
        if events:
            await self._session.execute(insert(LeaseEventRow).values(events))
        await self._tell([notice_of(lease, 0, move=LeaseMove(lease.id, "awarded", at, reason)) for lease in leases if lease.id in new])
        for lease in leases:
            if lease.id in new and lease.id in sold_as and not await self._resales.hand_over(lease, sold_as[lease.id], at=at):
                await self.move(lease.id, "failed", at=at, reason="its seller has it no more", closed_by="provider")
                await self.break_off(lease.id, at)

    async def give_up(self, lease_id: str, rest: Lease | None, *, at: datetime) -> None:
        """Move a lease to released, without the slots that have not begun; `rest` keeps them, for its holder to pay and to sell."""
        await self.move(lease_id, "released", at=at, reason=GIVEN_UP, closed_by="owner")
        await self.cut(lease_id, at)
        if rest is not None:
            self._session.add(LeaseRow(**{name: getattr(rest, name) for name in LeaseRow.model_fields}))
            await self._session.flush()
            slots = [
                {"lease_id": rest.id, "slot_start": s.start, "slot_end": s.end, "quantity": s.quantity, "rate_micros": s.rate_micros}
                for s in rest.slots
            ]
            await self._session.execute(insert(LeaseSlotRow).values(slots))
            await self._resales.keep_bought(lease_id, rest)
            # Nobody is told of it as of another lease: its holder has given it up, and who delivers it knows the one it was.
            told = LeaseEventRow(lease_id=rest.id, sequence=0, state=rest.state, at=at, reason=GIVEN_UP, closed_by="owner")
            self._session.add(told)
            await self._session.flush()

    async def lease(self, lease_id: str, *, locked: bool = False) -> Lease:
        """One lease. Raises NotFound."""
        row = await self._session.get(LeaseRow, lease_id, with_for_update=locked, populate_existing=locked)
        if row is None:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        return (await self._leases([row]))[0]

    async def some(self, lease_ids: list[str]) -> list[Lease]:
        """Those of these leases that there are, by id."""
        statement = select(LeaseRow).where(col(LeaseRow.id).in_(lease_ids)).order_by(col(LeaseRow.id))
        return await self._leases(list(await self._session.scalars(statement)))

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Lease]:
        """An account's leases by id, or those that start last first; those after a given one. Raises NotFound when that is no lease.

        What is the going on of another is not one of them: it belongs to that one.
        """
        statement = select(LeaseRow).where(col(LeaseRow.account_id) == account_id, col(LeaseRow.continues).is_(None))
        if newest_first:
            place = tuple_(col(LeaseRow.starts_at), col(LeaseRow.id))
            if after:
                last = await self.lease(after)
                statement = statement.where(place < tuple_(last.starts_at, last.id))
            statement = statement.order_by(col(LeaseRow.starts_at).desc(), col(LeaseRow.id).desc())
        else:
            statement = statement.where(col(LeaseRow.id) > (after or "")).order_by(col(LeaseRow.id))
        return await self._leases(list(await self._session.scalars(statement.limit(limit))))

    async def of_bid(self, bid_id: str) -> list[Lease]:
        """What a bid won, by start and id."""
        statement = select(LeaseRow).where(col(LeaseRow.bid_id) == bid_id, col(LeaseRow.continues).is_(None))
        return await self._leases(list(await self._session.scalars(statement.order_by(col(LeaseRow.starts_at), col(LeaseRow.id)))))

    async def parts_of(self, lease_ids: list[str]) -> list[Lease]:
        """What goes on from these leases, elsewhere or longer, by start and id."""
        statement = select(LeaseRow).where(col(LeaseRow.continues).in_(lease_ids))
        return await self._leases(list(await self._session.scalars(statement.order_by(col(LeaseRow.starts_at), col(LeaseRow.id)))))

    async def projects(self, bid_ids: list[str]) -> dict[str, str]:
        """What these bids, and so their leases, are for: bid → project."""
        statement = select(BidRow.id, BidRow.project_id).where(col(BidRow.id).in_(bid_ids))
        return {row.id: row.project_id for row in await self._session.execute(statement)}

    async def ends(self, lease_ids: list[str]) -> dict[str, LeaseEnd]:
        """How leases were closed, where somebody closed them."""
        events = select(LeaseEventRow).where(col(LeaseEventRow.lease_id).in_(lease_ids), col(LeaseEventRow.closed_by).is_not(None))
        ended = list(await self._session.scalars(events))
        broken = select(FailoverRow).where(col(FailoverRow.lease_id).in_([event.lease_id for event in ended]))
        owed = {row.lease_id: row for row in await self._session.scalars(broken, execution_options={"populate_existing": True})}
        return {
            event.lease_id: LeaseEnd(
                state=event.state,
                at=event.at,
                closed_by=str(event.closed_by),
                reason=event.reason,
                owed_from=owed[event.lease_id].at if event.lease_id in owed else None,
                owed=owed[event.lease_id].state if event.lease_id in owed else None,
            )
            for event in ended
        }

    async def of_silent_grids(self, heard_by: datetime, *, now: datetime) -> list[str]:
        """Ids of leases in force that are not over, of providers whose feed was last due to be heard from by a moment, in order."""
        silent = select(col(FeedSessionRow.provider_id)).where(col(FeedSessionRow.silent_at) <= heard_by)
        statement = select(col(LeaseRow.id)).where(
            col(LeaseRow.state).in_(IN_FORCE), col(LeaseRow.ends_at) > now, col(LeaseRow.provider_id).in_(silent)
        )
        return list(await self._session.scalars(statement.order_by(col(LeaseRow.id))))

    async def break_off(self, lease_id: str, at: datetime) -> None:
        """Drop the slots that begin at or after a moment, and keep them as what the holder is still owed."""
        lease = await self.lease(lease_id)
        rest = [slot for slot in lease.slots if slot.start >= at and slot.quantity]
        await self.cut(lease_id, at)
        if rest:
            owed = {"lease_id": lease_id, "at": at, "state": "waiting", "rest": msgspec.to_builtins(rest)}
            await self._session.execute(insert(FailoverRow).values(owed).on_conflict_do_nothing())

    async def promised_tier(self, lease: Lease) -> str:
        """The tier its provider is bound by: of a lease bought from a holder, that at which the provider sold it first."""
        return await self._resales.first_tier(lease.id) or lease.tier

    async def failovers(self) -> list[Failover]:
        """What is owed and not placed yet, locked until the transaction ends, by lease."""
        statement = select(FailoverRow).where(col(FailoverRow.state) == "waiting").order_by(col(FailoverRow.lease_id))
        rows = list(await self._session.scalars(statement.with_for_update(), execution_options={"populate_existing": True}))
        leases = {
            lease.id: lease
            for lease in await self._leases(
                list(await self._session.scalars(select(LeaseRow).where(col(LeaseRow.id).in_([row.lease_id for row in rows]))))
            )
        }
        return [Failover(lease=leases[row.lease_id], rest=msgspec.convert(row.rest, tuple[LeaseSlot, ...])) for row in rows]

    async def end_failover(self, lease_id: str, state: Literal["placed", "returned"]) -> None:
        """Say what became of what was owed."""
        await self._session.execute(update(FailoverRow).where(col(FailoverRow.lease_id) == lease_id).values(state=state))

    async def due(self, now: datetime) -> list[Lease]:
        """Leases that have begun and are in force, or were given up with a slot that is over and not metered; by start and id."""
        metered = exists().where(col(UsageRow.lease_id) == col(LeaseSlotRow.lease_id), col(UsageRow.start) == col(LeaseSlotRow.slot_start))
        owed = exists().where(
            col(LeaseSlotRow.lease_id) == col(LeaseRow.id), col(LeaseSlotRow.slot_end) <= now, col(LeaseSlotRow.quantity) > 0, ~metered
        )
        open_ended = col(LeaseRow.state).in_(IN_FORCE) | (col(LeaseRow.state).in_(("released", "reclaimed")) & owed)
        statement = select(LeaseRow).where(open_ended, col(LeaseRow.starts_at) <= now)
        return await self._leases(list(await self._session.scalars(statement.order_by(col(LeaseRow.starts_at), col(LeaseRow.id)))))

    async def move(self, lease_id: str, to: LeaseState, *, at: datetime, reason: str, closed_by: ClosedBy | None = None) -> None:
        """Move a lease and write the event. Raises NotFound or WrongState."""
        await self.move_all([LeaseMove(lease_id, to, at, reason, closed_by)])

    async def move_all(self, moves: list[LeaseMove]) -> None:
        """Make these moves in their order, each with its event. Raises NotFound or WrongState; nothing is moved then."""
        ids = sorted({each.lease_id for each in moves})
        locked = select(LeaseRow).where(col(LeaseRow.id).in_(ids)).order_by(col(LeaseRow.id)).with_for_update()
        rows = {row.id: row for row in await self._session.scalars(locked, execution_options={"populate_existing": True})}
        written = select(LeaseEventRow.lease_id, func.count()).where(col(LeaseEventRow.lease_id).in_(ids)).group_by(LeaseEventRow.lease_id)
        sequences = {lease_id: int(count) for lease_id, count in await self._session.execute(written)}
        told = []
        for each in moves:
            if each.lease_id not in rows:
                raise NotFound(f"no lease has the id {each.lease_id}", lease_id=each.lease_id)
            row = rows[each.lease_id]
            row.state = move(row.id, row.state, to=each.to)  # type: ignore[arg-type]
            sequence = sequences.get(row.id, 0)
            sequences[row.id] = sequence + 1
            event = LeaseEventRow(
                lease_id=row.id, sequence=sequence, state=each.to, at=each.at, reason=each.reason, closed_by=each.closed_by
            )
            self._session.add(event)
            told.append(notice_of(row, sequence, move=each))
        await self._session.flush()
        await self._tell(told)

    async def _tell(self, told: list[tuple[LeaseRow | Lease, LeaseNotice]]) -> None:
        """Put moves into the outbox, for holders and providers who want to be told."""
        webhooks = WebhookRepository(self._session)
        owners = await webhooks.owners() if told else set()
        messages = []
        for lease, notice in told:
            if lease.account_id in owners:
                whole = msgspec.structs.replace(notice, lease_id=lease.continues or lease.id)
                messages.append(lease_message(lease.account_id, whole, part_id=lease.id))
            provider = f"{PROVIDER}{lease.provider_id}"
            if provider in owners:
                messages.append(lease_message(provider, notice, part_id=lease.id))
        await webhooks.tell(messages)

    async def cut(self, lease_id: str, at: datetime) -> None:
        """Drop the slots that begin at or after a moment: what is left is offered again.

        A lease whose every slot lies ahead keeps its first one with no accelerators, so that it is still a lease.
        """
        later = (col(LeaseSlotRow.lease_id) == lease_id, col(LeaseSlotRow.slot_start) >= at)
        await self._session.execute(update(LeaseSlotRow).where(*later).values(quantity=0))
        first = select(func.min(LeaseSlotRow.slot_start)).where(col(LeaseSlotRow.lease_id) == lease_id).scalar_subquery()
        await self._session.execute(delete(LeaseSlotRow).where(*later, col(LeaseSlotRow.slot_start) > first))

    async def delivered(self, lease_ids: list[str]) -> dict[str, tuple[int, int]]:
        """Accelerator-seconds (delivered or preempted, provider_failed) by lease, from the latest revisions."""
        latest = (
            select(UsageRow.usage_id, func.max(UsageRow.rev).label("rev"))
            .where(col(UsageRow.lease_id).in_(lease_ids))
            .group_by(col(UsageRow.usage_id))
            .subquery()
        )
        failed = col(UsageRow.status) == "provider_failed"
        seconds = func.coalesce(func.sum(UsageRow.accelerator_seconds).filter(~failed), 0)
        lost = func.coalesce(func.sum(UsageRow.accelerator_seconds).filter(failed), 0)
        statement = (
            select(UsageRow.lease_id, seconds, lost)
            .join(latest, (col(UsageRow.usage_id) == latest.c.usage_id) & (col(UsageRow.rev) == latest.c.rev))
            .group_by(col(UsageRow.lease_id))
        )
        return {lease_id: (int(good), int(bad)) for lease_id, good, bad in await self._session.execute(statement)}

    async def counts(self) -> dict[str, int]:
        """How many leases are in each state."""
        statement = select(LeaseRow.state, func.count()).group_by(col(LeaseRow.state)).order_by(col(LeaseRow.state))
        return {state: int(count) for state, count in await self._session.execute(statement)}

    async def _leases(self, rows: list[LeaseRow]) -> list[Lease]:
        statement = select(LeaseSlotRow).where(col(LeaseSlotRow.lease_id).in_([row.id for row in rows]))
        slots: dict[str, list[LeaseSlot]] = {}
        ordered = statement.order_by(col(LeaseSlotRow.lease_id), col(LeaseSlotRow.slot_start))
        # What another transaction sold since this one looked first is not ours to sell.
        for slot in await self._session.scalars(ordered, execution_options={"populate_existing": True}):
            slots.setdefault(slot.lease_id, []).append(
                LeaseSlot(start=slot.slot_start, end=slot.slot_end, quantity=slot.quantity, rate_micros=slot.rate_micros)
            )
        return [_lease(row, slots[row.id]) for row in rows]


def notice_of(lease: LeaseRow | Lease, sequence: int, *, move: LeaseMove) -> tuple[LeaseRow | Lease, LeaseNotice]:
    """A lease, and one move of it as its provider is told of it."""
    facts = {name: getattr(lease, name) for name in ("site", "hardware", "tier", "accelerators", "starts_at", "ends_at")}
    notice = LeaseNotice(
        lease_id=lease.id,
        sequence=sequence,
        state=move.to,
        at=move.at,
        reason=move.reason,
        closed_by=move.closed_by,
        provider=lease.provider_id,
        **facts,
    )
    return lease, notice


def _lease(row: LeaseRow, slots: list[LeaseSlot]) -> Lease:
    facts = {name: getattr(row, name) for name in Lease.__struct_fields__ if name != "slots"}
    return Lease(**facts, slots=tuple(slots))
