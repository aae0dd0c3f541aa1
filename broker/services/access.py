"""Getting at a lease: what its provider's agent is told and tells, and what its holder is given for as long as it lives."""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime

from broker.clock import Clock
from broker.services.access_views import TOKEN_BYTES, TOKEN_PREFIX, Access, AccessView, Deliveries, Delivery, DeliverySlot, Doors, Progress
from broker.services.accounts import require
from broker.services.ports import Leases
from broker.services.views import Caller
from contracts.terms.errors import NotFound, NotPermitted, WrongState
from contracts.terms.leases import Lease, LeaseState

# A lease given up or called back still has the slot under way, or those before its deadline.
OPEN: tuple[LeaseState, ...] = ("active", "released", "reclaimed")
WAY: tuple[LeaseState, ...] = ("awarded", "provisioning", "active", "completed")
REASONS = {"provisioning": "the grid prepares", "active": "the holder has access", "completed": "delivered to the end"}


class AccessService:
    """Opens doors, hands out their tokens, and forgets them."""

    def __init__(self, doors: Doors, leases: Leases, *, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._doors = doors
        self._leases = leases
        self._clock = clock
        self._entropy = entropy

    async def deliveries(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Deliveries:
        """What the caller's grid has to deliver, and what it owes a meter's word for. Raises NotPermitted for others than providers."""
        provider_id, now = _provider(caller), self._clock.now()
        found = await self._doors.to_deliver(provider_id, now=now, after=cursor or "", limit=limit + 1)
        page = found[:limit]
        return Deliveries(now=now, items=await self._shown(page, now), next_cursor=page[-1].id if len(found) > limit else None)

    async def tell(self, lease_id: str, progress: Progress, *, caller: Caller) -> Delivery:
        """Take a provider's word for how far a delivery is; telling it again changes nothing, but for where the door is.

        Raises NotFound for another provider's lease, WrongState for what cannot be so: active before its start, completed before its
        end, or anything of a lease that has ended otherwise.
        """
        provider_id, now = _provider(caller), self._clock.now()
        lease = await self._leases.lease(lease_id, locked=True)
        if lease.provider_id != provider_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        _check(lease, progress.state, now=now)
        for state in _steps(lease.state, progress.state):
            await self._leases.move(lease.id, state, at=now, reason=REASONS[state])
        if progress.endpoint is not None and _lives(lease, now):
            token = TOKEN_PREFIX + base64.b32encode(self._entropy(TOKEN_BYTES)).decode().lower()
            access = Access(endpoint=progress.endpoint, protocol=progress.protocol, token=token)
            await self._doors.open(lease.id, access, at=now)
        (shown,) = await self._shown([await self._leases.lease(lease.id)], now)
        return shown

    async def access(self, lease_id: str, caller: Caller) -> AccessView:
        """Where the holder of a lease goes in and with what, while it lives: wherever it runs now.

        Raises NotFound for somebody else's lease, WrongState before its grid opened it and once it is over.
        """
        require(caller, "leases:write")
        lease, now = await self._leases.lease(lease_id), self._clock.now()
        if lease.account_id != caller.account_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        first = await self._leases.lease(lease.continues) if lease.continues else lease
        parts = [first, *await self._leases.parts_of([first.id])]
        doors = await self._doors.doors([part.id for part in parts if _is_open(part, now)])
        for part in parts:
            if part.id in doors:
                door = doors[part.id]
                return AccessView(
                    lease_id=first.id, protocol=door.protocol, endpoint=door.endpoint, token=door.token, valid_until=_ends(part)
                )
        if any(part.state in WAY and _lives(part, now) for part in parts):
            raise WrongState("its grid has not opened this lease yet; it does so at its start", lease_id=first.id, state=parts[-1].state)
        raise WrongState("this lease is over, and so is access to it", lease_id=first.id, state=parts[-1].state)

    async def forget_over(self) -> int:
        """Erase the tokens of leases that are over; returns how many."""
        return await self._doors.forget_over(self._clock.now())

    async def _shown(self, leases: list[Lease], now: datetime) -> list[Delivery]:
        ids = [lease.id for lease in leases]
        metered, doors = await self._doors.metered_until(ids), await self._doors.doors(ids)
        return [
            Delivery(
                lease_id=lease.id,
                offer_id=lease.offer_id,
                site=lease.site,
                hardware=lease.hardware,
                tier=lease.tier,
                state=lease.state,
                slots=tuple(DeliverySlot(start=s.start, end=s.end, quantity=s.quantity) for s in lease.slots if s.quantity),
                metered_until=metered.get(lease.id),
                token_digest=token_digest(doors[lease.id].token) if lease.id in doors and _is_open(lease, now) else None,
            )
            for lease in leases
        ]


def token_digest(token: str) -> str:
    """What an agent is told of a token, and compares what it is shown with: SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def _provider(caller: Caller) -> str:
    require(caller, "leases:write")
    if caller.provider_id is None:
        raise NotPermitted("only a provider's key is told what to deliver", scope="leases:write")
    return caller.provider_id


def _check(lease: Lease, to: LeaseState, *, now: datetime) -> None:
    if lease.state in {"released", "reclaimed"} and to == "active":
        return
    if lease.state not in WAY:
        raise WrongState(f"a lease that is {lease.state} is not delivered any more", lease_id=lease.id, state=lease.state)
    if to == "active" and now < lease.starts_at:
        raise WrongState("a lease is active from its start on", lease_id=lease.id, starts_at=lease.starts_at.isoformat())
    if to == "completed" and now < lease.ends_at:
        raise WrongState("a lease is completed at its end", lease_id=lease.id, ends_at=lease.ends_at.isoformat())
    if to == "completed" and lease.state in {"awarded", "provisioning"}:
        raise WrongState("a lease that never was active is not completed; it failed", lease_id=lease.id, state=lease.state)


def _steps(state: LeaseState, to: LeaseState) -> tuple[LeaseState, ...]:
    """The moves from one state to a later one; none when it is there already, or not on the way."""
    return WAY[WAY.index(state) + 1 : WAY.index(to) + 1] if state in WAY else ()


def _lives(lease: Lease, now: datetime) -> bool:
    return lease.state != "failed" and now < _ends(lease)


def _is_open(lease: Lease, now: datetime) -> bool:
    return lease.state in OPEN and _lives(lease, now)


def _ends(lease: Lease) -> datetime:
    return max((slot.end for slot in lease.slots if slot.quantity), default=lease.starts_at)
