"""What holders may do with leases, and providers with those they deliver.

A lease may be the going on of another, elsewhere after a failure or longer after an extension. Its holder sees one lease,
by the first one's id: every part's slots, and where it runs now.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import LeaseEnd, Leases
from broker.services.resale import ResaleService, nothing_ahead, nothing_offered
from broker.services.views import Caller, InterruptionView, LeaseView, Page, slot_views
from contracts.leasing import check_reclaim
from contracts.resale import ResaleRequest, given_up
from contracts.terms.errors import NotFound, NotPermitted
from contracts.terms.leases import IN_FORCE, ClosedBy, Lease


class Reclaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on a provider wants a lease back, and why."""

    deadline: datetime
    reason: str

    def __post_init__(self) -> None:
        if self.deadline.tzinfo is None:
            raise ValueError("deadline must say its zone (`Z`)")
        _check_reason(self.reason)


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a lease cannot be delivered any more, whose doing it is, and why."""

    closed_by: ClosedBy = "provider"
    reason: str

    def __post_init__(self) -> None:
        if self.closed_by == "owner":
            raise ValueError("a failure is the provider's or the network's; its owner releases a lease")
        _check_reason(self.reason)


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason) <= 500 or "\0" in reason:
        raise ValueError("reason must have 1 to 500 characters, none of them NUL")


class LeaseService:
    """Watching leases and ending them."""

    def __init__(self, leases: Leases, resale: ResaleService, *, clock: Clock) -> None:
        self._leases = leases
        self._resale = resale
        self._clock = clock

    async def leases(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[LeaseView]:
        """The caller's leases by id, or those that start last first. Raises NotFound for a cursor that is no lease."""
        found = await self._leases.of_account(caller.account_id, after=cursor, limit=limit + 1, newest_first=newest_first)
        views = await self._views(found[:limit])
        return Page(items=views, next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def of_bid(self, bid_id: str, caller: Caller) -> list[LeaseView]:
        """What one of the caller's bids won, by start and id; nothing for anybody else's."""
        found = await self._leases.of_bid(bid_id)
        return await self._views([lease for lease in found if lease.account_id == caller.account_id])

    async def lease(self, lease_id: str, caller: Caller) -> LeaseView:
        """One of the caller's leases. Raises NotFound."""
        return (await self._views([await self._own(lease_id, caller)]))[0]

    async def begin(self, lease: Lease, *, reason: str) -> None:
        """Keep a new lease, and why it is there."""
        await self._leases.add_many([lease], at=self._clock.now(), reason=reason)

    async def release(self, lease_id: str, caller: Caller) -> LeaseView:
        """Give up the slots that have not begun: they are offered again. Raises WrongState when it has ended.

        The slot under way stays the holder's, and is paid. What nobody buys before its slot begins is paid too; what somebody buys
        counts against its rate. A plan that pays by no rate owes nothing for the rest.
        """
        require(caller, "leases:write")
        parts, now = await self._in_force(lease_id, caller), self._clock.now()
        for part in parts:
            rest = given_up(part, now=now) if await self._resale.stop(part) else None
            await self._leases.give_up(part.id, rest, at=now)
            if rest is not None:
                await self._resale.give_up(rest)
        return await self.lease(lease_id, caller)

    async def resell(self, lease_id: str, request: ResaleRequest, *, caller: Caller) -> LeaseView:
        """Offer slots that have not begun to whoever pays the rate: the holder stays liable for its own, and has what they fetch.

        Raises NotPermitted for what may not be resold, WrongState where nothing that was named is ahead, or is offered already.
        """
        require(caller, "leases:write")
        offered = [await self._resale.offer(part, request) for part in await self._in_force(lease_id, caller)]
        if not any(offered):
            raise nothing_ahead(lease_id)
        return await self.lease(lease_id, caller)

    async def withdraw_resale(self, lease_id: str, caller: Caller) -> LeaseView:
        """Take back what has not been sold. Raises NotFound where nothing is offered, WindowClosed while a cycle decides about it."""
        require(caller, "leases:write")
        taken_back = [await self._resale.withdraw(part) for part in await self._in_force(lease_id, caller)]
        if not any(taken_back):
            raise nothing_offered(lease_id)
        return await self.lease(lease_id, caller)

    async def reclaim(self, lease_id: str, wish: Reclaim, *, caller: Caller) -> LeaseView:
        """Call a spot lease back: its holder keeps the slots that begin before the deadline, the rest is served elsewhere first.

        Raises NotFound for another provider's lease, NotPermitted for a better tier, WindowClosed for less than the lease's notice.
        """
        lease, now = await self._delivered_by(lease_id, caller), self._clock.now()
        # Whoever bought it from its holder at whatever tier, the provider has promised what it promised.
        promised = msgspec.structs.replace(lease, tier=await self._leases.promised_tier(lease))
        check_reclaim(promised, wish.deadline, now=now)
        await self._leases.move(lease.id, "reclaimed", at=now, reason=wish.reason, closed_by="provider")
        await self._leases.break_off(lease.id, wish.deadline)
        return (await self._views([await self._leases.lease(lease.id)]))[0]

    async def fail(self, lease_id: str, failure: Failure, *, caller: Caller) -> LeaseView:
        """Say that a lease cannot be delivered any more: what has not begun is served elsewhere first, at no more than its rate.

        Raises NotFound for another provider's lease, WrongState when it has ended.
        """
        lease, now = await self._delivered_by(lease_id, caller), self._clock.now()
        await self._leases.move(lease.id, "failed", at=now, reason=failure.reason, closed_by=failure.closed_by)
        await self._leases.break_off(lease.id, now)
        return (await self._views([await self._leases.lease(lease.id)]))[0]

    async def whole(self, lease_id: str, caller: Caller) -> list[Lease]:
        """One of the caller's leases and what goes on from it, in order. Raises NotFound."""
        first = await self._own(lease_id, caller)
        return [first, *await self._leases.parts_of([first.id])]

    async def _in_force(self, lease_id: str, caller: Caller) -> list[Lease]:
        """The parts of one of the caller's leases that are in force, or the first of it, locked once their hardware's turn is taken."""
        parts = await self.whole(lease_id, caller)
        await self._resale.take_turn(parts)
        parts = [await self._leases.lease(part.id, locked=True) for part in parts]
        return [part for part in parts if part.state in IN_FORCE] or parts[:1]

    async def _own(self, lease_id: str, caller: Caller) -> Lease:
        lease = await self._leases.lease(lease_id)
        if lease.account_id != caller.account_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        return await self._leases.lease(lease.continues) if lease.continues else lease

    async def _delivered_by(self, lease_id: str, caller: Caller) -> Lease:
        require(caller, "leases:write")
        if caller.provider_id is None:
            raise NotPermitted("only the provider that delivers a lease may do that", lease_id=lease_id)
        lease = await self._leases.lease(lease_id, locked=True)
        if lease.provider_id != caller.provider_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        return lease

    async def _views(self, leases: list[Lease]) -> list[LeaseView]:
        parts: dict[str, list[Lease]] = {}
        for part in await self._leases.parts_of([lease.id for lease in leases]):
            parts.setdefault(str(part.continues), []).append(part)
        ids = [lease.id for lease in (*leases, *(part for each in parts.values() for part in each))]
        delivered, ends = await self._leases.delivered(ids), await self._leases.ends(ids)
        resales = await self._resale.views(ids)
        projects = await self._leases.projects([lease.bid_id for lease in leases])
        views = []
        for lease in leases:
            each = [lease, *parts.get(lease.id, [])]
            offered = [resale for part in each for resale in resales.get(part.id, [])]
            kept = [part for part in each if not any(resale.released for resale in resales.get(part.id, []))]
            view = _view(each, kept=kept, delivered=delivered, ends=ends)
            views.append(msgspec.structs.replace(view, resales=offered, project_id=projects[lease.bid_id]))
        return views


def _view(parts: Sequence[Lease], *, kept: Sequence[Lease], delivered: dict[str, tuple[int, int]], ends: dict[str, LeaseEnd]) -> LeaseView:
    """The parts of one lease as one: the first says which, the latest in force (or the last) where and how it stands.

    kept   those whose slots are its holder's to use: what was given up is only paid, and sold
    """
    first = parts[0]
    now = next((part for part in parts if part.state in IN_FORCE), parts[-1])
    slots = sorted((slot for part in kept for slot in part.slots if slot.quantity or len(kept) == 1), key=lambda slot: slot.start)
    end = ends.get(now.id)
    return LeaseView(
        lease_id=first.id,
        bid_id=first.bid_id,
        provider=now.provider_id,
        site=now.site,
        hardware=now.hardware,
        tier=now.tier,
        state=now.state,
        starts_at=first.starts_at,
        ends_at=max(part.ends_at for part in kept),
        slots=slot_views(slots),
        delivered_seconds=sum(delivered.get(part.id, (0, 0))[0] for part in parts),
        failed_seconds=sum(delivered.get(part.id, (0, 0))[1] for part in parts),
        closed_by=end.closed_by if end else None,
        close_reason=end.reason if end else None,
        interruptions=_interruptions([ends[part.id] for part in parts if part.id in ends]),
        parts=[part.id for part in parts[1:]],
    )


def _interruptions(ends: Sequence[LeaseEnd]) -> list[InterruptionView]:
    """What its holder did not bring about, oldest first."""
    return [
        InterruptionView(kind=end.state, told_at=end.at, deadline=end.owed_from, rest=end.owed, closed_by=end.closed_by, reason=end.reason)
        for end in sorted(ends, key=lambda end: end.at)
        if end.closed_by != "owner"
    ]
