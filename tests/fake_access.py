"""Doors of the leases in a list: open while one is active."""

from collections.abc import Sequence

from broker.clock import Clock
from broker.services.access_views import AccessView, Deliveries, Delivery, Progress
from broker.services.accounts import require
from broker.services.views import Caller, LeaseView
from contracts.terms.errors import NotFound, NotPermitted, WrongState


class FakeAccess:
    """Every active lease is reached at the same place; nobody is a provider."""

    def __init__(self, leases: Sequence[LeaseView], clock: Clock) -> None:
        self._clock = clock
        self._leases = {lease.lease_id: lease for lease in leases}

    async def access(self, lease_id: str, caller: Caller) -> AccessView:
        require(caller, "leases:write")
        if lease_id not in self._leases:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        lease = self._leases[lease_id]
        if lease.state != "active":
            raise WrongState("its grid has not opened this lease yet", lease_id=lease_id, state=lease.state)
        return AccessView(
            lease_id=lease_id, protocol="jobs", endpoint="https://grid.example/leases", token="gfa_open", valid_until=lease.ends_at
        )

    async def deliveries(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Deliveries:
        raise NotPermitted("only a provider's key is told what to deliver", scope="leases:write")

    async def tell(self, lease_id: str, progress: Progress, *, caller: Caller) -> Delivery:
        raise NotPermitted("only a provider's key is told what to deliver", scope="leases:write")

    async def forget_over(self) -> int:
        return 0
