"""What a holder may do with leases."""

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Leases
from broker.services.views import Caller, LeaseSlotView, LeaseView, Page
from contracts.terms.errors import NotFound
from contracts.terms.leases import Lease


class LeaseService:
    """Watching and releasing leases."""

    def __init__(self, leases: Leases, *, clock: Clock) -> None:
        self._leases = leases
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

    async def release(self, lease_id: str, caller: Caller) -> LeaseView:
        """Give up the slots that have not begun: they are offered again. Raises WrongState when it has ended.

        The slot under way stays the holder's, and is paid.
        """
        require(caller, "leases:write")
        await self._own(lease_id, caller)
        now = self._clock.now()
        await self._leases.move(lease_id, "released", at=now, reason="released by its holder")
        await self._leases.cut(lease_id, now)
        return await self.lease(lease_id, caller)

    async def _own(self, lease_id: str, caller: Caller) -> Lease:
        lease = await self._leases.lease(lease_id)
        if lease.account_id != caller.account_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        return lease

    async def _views(self, leases: list[Lease]) -> list[LeaseView]:
        delivered = await self._leases.delivered([lease.id for lease in leases])
        return [_view(lease, delivered.get(lease.id, (0, 0))) for lease in leases]


def _view(lease: Lease, seconds: tuple[int, int]) -> LeaseView:
    delivered, failed = seconds
    return LeaseView(
        lease_id=lease.id,
        bid_id=lease.bid_id,
        provider=lease.provider_id,
        site=lease.site,
        hardware=lease.hardware,
        tier=lease.tier,
        state=lease.state,
        starts_at=lease.starts_at,
        ends_at=lease.ends_at,
        slots=[LeaseSlotView(start=s.start, end=s.end, quantity=s.quantity, rate_micros=s.rate_micros) for s in lease.slots],
        delivered_seconds=delivered,
        failed_seconds=failed,
    )
