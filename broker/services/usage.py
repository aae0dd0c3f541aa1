"""Taking in what providers metered."""

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Leases, Usage
from broker.services.views import Caller
from contracts.terms.errors import BadInput
from contracts.usage import UsageRecord, plausible


class UsageService:
    """Keeps usage records, once each."""

    def __init__(self, usage: Usage, leases: Leases, *, clock: Clock) -> None:
        self._usage = usage
        self._leases = leases
        self._clock = clock

    async def report(self, records: list[UsageRecord], caller: Caller) -> int:
        """Keep the records that are new; returns how many were.

        Raises BadInput for more seconds than a lease's accelerators can do, NotFound for an unknown lease and
        KeyReused for a known id with another content; nothing of the batch is kept then.
        """
        require(caller, "usage:write")
        for record in records:
            lease = await self._leases.lease(record.lease_id)
            if not plausible(record, lease.accelerators):
                raise BadInput(
                    f"{lease.accelerators} accelerators cannot do {record.accelerator_seconds} accelerator-seconds in that time",
                    usage_id=record.usage_id,
                    found=record.accelerator_seconds,
                )
        return await self._usage.add(records)
