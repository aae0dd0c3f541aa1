"""Leases kept in a list: what the API and the pages show without a database."""

from collections.abc import Sequence

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.leases import Failure, Reclaim
from broker.services.resale import nothing_ahead, nothing_offered
from broker.services.views import Caller, LeaseView, Page, ResaleView
from contracts.resale import ResaleRequest
from contracts.terms.errors import NotFound, NotPermitted


class FakeLeases:
    """Leases of the buyer kept in a list; a released one gives back what has not begun."""

    def __init__(self, leases: Sequence[LeaseView], clock: Clock) -> None:
        self._clock = clock
        self.kept = {lease.lease_id: lease for lease in leases}

    async def leases(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[LeaseView]:
        return Page(items=sorted(self.kept.values(), key=lambda lease: lease.starts_at, reverse=newest_first))

    async def of_bid(self, bid_id: str, caller: Caller) -> list[LeaseView]:
        return [lease for lease in self.kept.values() if lease.bid_id == bid_id]

    async def lease(self, lease_id: str, caller: Caller) -> LeaseView:
        if lease_id not in self.kept:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        return self.kept[lease_id]

    async def release(self, lease_id: str, caller: Caller) -> LeaseView:
        require(caller, "leases:write")
        lease = await self.lease(lease_id, caller)
        begun = [slot for slot in lease.slots if slot.start < self._clock.now()]
        self.kept[lease_id] = msgspec.structs.replace(lease, state="released", slots=begun)
        return self.kept[lease_id]

    async def resell(self, lease_id: str, request: ResaleRequest, *, caller: Caller) -> LeaseView:
        require(caller, "leases:write")
        lease = await self.lease(lease_id, caller)
        ahead = [slot for slot in lease.slots if slot.start >= self._clock.now() and request.admits(slot)]
        if not ahead:
            raise nothing_ahead(lease_id)
        offered = [msgspec.structs.replace(slot, rate_micros=request.rate_micros) for slot in ahead]
        resale = ResaleView(resale_id="ofr_running~1", state="open", released=False, offered=offered, sold=[])
        self.kept[lease_id] = msgspec.structs.replace(lease, resales=[*lease.resales, resale])
        return self.kept[lease_id]

    async def withdraw_resale(self, lease_id: str, caller: Caller) -> LeaseView:
        require(caller, "leases:write")
        lease = await self.lease(lease_id, caller)
        if not any(each.state == "open" for each in lease.resales):
            raise nothing_offered(lease_id)
        closed = [msgspec.structs.replace(each, state="withdrawn", offered=[]) for each in lease.resales]
        self.kept[lease_id] = msgspec.structs.replace(lease, resales=closed)
        return self.kept[lease_id]

    async def reclaim(self, lease_id: str, wish: Reclaim, *, caller: Caller) -> LeaseView:
        raise NotPermitted("only the provider that delivers a lease may do that", lease_id=lease_id)

    async def fail(self, lease_id: str, failure: Failure, *, caller: Caller) -> LeaseView:
        raise NotPermitted("only the provider that delivers a lease may do that", lease_id=lease_id)
