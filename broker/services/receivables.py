"""What buyers owe since when, what they are told about it, and whether the books agree with everything beside them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.disputes import DisputeService
from broker.services.finance_ports import Acts, Books, Meters, Sums
from broker.services.ports import Leases
from broker.services.views import Caller
from contracts.acts import DUNNING, By
from contracts.ageing import Ageing, Notice, OpenDebt, ageing, notices, open_debts
from contracts.close import Reconciliation
from contracts.metering import CounterReading, MeterDifference, differences
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.time import Period


class ReconciliationView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must agree, each with its difference; `holds` when all of them are 0."""

    holds: bool
    checks: tuple[Reconciliation, ...]


class ReadingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the buyer's own meter counted on a lease in a span, whole accelerator-seconds."""

    start: Annotated[datetime, msgspec.Meta(tz=True)]
    end: Annotated[datetime, msgspec.Meta(tz=True)]
    accelerator_seconds: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class ReceivableService:
    """Ageing and dunning."""

    def __init__(self, acts: Acts, books: Books, *, disputes: DisputeService, clock: Clock) -> None:
        self._acts = acts
        self._books = books
        self._disputes = disputes
        self._clock = clock

    async def ageing(self, caller: Caller) -> list[Ageing]:
        """What every account owes, by age."""
        require(caller, "finance:read")
        return list(ageing(await self._books.receivable_moves(), now=self._clock.now()))

    async def debts(self, caller: Caller) -> list[OpenDebt]:
        """What is still open of each invoice and other debt, by account, the oldest first."""
        require(caller, "finance:read")
        return list(open_debts(await self._books.receivable_moves(), now=self._clock.now()))

    async def prepaid(self, caller: Caller) -> dict[str, int]:
        """What the caller has paid in advance and not spent, micros by currency."""
        balances = await self._books.by_party("prepaid")
        return {currency: -micros for (currency, party), micros in balances.items() if party == caller.account_id}

    async def dun(self, caller: Caller) -> list[Notice]:
        """Take the next step with everybody who owes too long, each step once; returns the notices to send."""
        require(caller, "finance:write")
        histories = await self._acts.histories(DUNNING.kind)
        told = {tuple(name.split("|", 1)): len(history) for name, history in histories.items()}
        due = notices(await self.ageing(caller), told, disputed=await self._disputes.disputed_micros())  # type: ignore[arg-type]
        for notice in due:
            subject = f"{notice.account_id}|{notice.entry_id}"
            by = By(caller.account_id, self._clock.now())
            await self._acts.append(DUNNING.next(subject, histories.get(subject, []), act="told", by=by, facts=notice))
        return list(due)


class MeterService:
    """The buyer's counter-meter beside the provider's."""

    def __init__(self, meters: Meters, leases: Leases, *, clock: Clock) -> None:
        self._meters = meters
        self._leases = leases
        self._clock = clock

    async def read(self, lease_id: str, readings: list[ReadingRequest], *, caller: Caller) -> int:
        """Keep readings of one of the caller's leases; how many were new. Raises NotFound, BadInput, KeyReused."""
        lease = await self._leases.lease(lease_id)
        if lease.account_id != caller.account_id:
            raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)
        now = self._clock.now()
        for each in readings:
            if not each.start < each.end <= now:
                raise BadInput("a reading ends after it starts and not in the future", found=each.end.isoformat())
        facts = [msgspec.structs.asdict(each) | {"lease_id": lease_id, "received_at": now} for each in readings]
        return await self._meters.keep([CounterReading(**each) for each in facts])

    async def differences(self, month: Period, caller: Caller) -> list[MeterDifference]:
        """Where buyers' meters saw something else than providers reported in a month, the greatest difference first."""
        require(caller, "finance:read")
        return list(differences(await self._meters.pairs(month)))


class ReconciliationService:
    """The books beside everything that must agree with them."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    async def reconcile(self, held: Mapping[str, int] | None = None) -> ReconciliationView:
        """Every check; `held` are the processor's cents by currency, where there is one."""
        checks = tuple(await self._sums.checks(held))
        return ReconciliationView(holds=not any(each.difference for each in checks), checks=checks)
