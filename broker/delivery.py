"""Moving leases along as time passes, and metering what a simulated grid delivers on them.

Every step is one transaction and may be taken again: moves are those of the state machine, usage ids
derive from the lease and the slot.
"""

from datetime import datetime

import msgspec

from broker.store.repositories.bids import BidRepository
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.usage import UsageRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.leasing import reopened
from contracts.simulated_delivery import Reliability, fate, meter
from contracts.terms.leases import Lease, LeaseSlot

LEASES_PER_STEP = 200


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of delivery did."""

    records: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0


class SimulatedGrid:
    """Delivers leases in force up to a moment."""

    def __init__(self, sessions: Sessions, reliability: Reliability) -> None:
        self._sessions = sessions
        self._reliability = reliability

    async def deliver(self, now: datetime) -> DeliveryReport:
        """Start what is due, meter the slots that have ended, complete or fail what is over."""
        async with unit_of_work(self._sessions) as work:
            due = await LeaseRepository(work).due(now)
        totals = DeliveryReport()
        for first in range(0, len(due), LEASES_PER_STEP):
            step = await self._step(due[first : first + LEASES_PER_STEP], now)
            totals = DeliveryReport(**{name: getattr(totals, name) + getattr(step, name) for name in totals.__struct_fields__})
        return totals

    async def _step(self, leases: list[Lease], now: datetime) -> DeliveryReport:
        records = started = completed = failed = 0
        async with unit_of_work(self._sessions) as work:
            repository = LeaseRepository(work)
            for lease in leases:
                if lease.state == "awarded":
                    await repository.move(lease.id, "provisioning", at=lease.starts_at, reason="the grid prepares")
                    await repository.move(lease.id, "active", at=lease.starts_at, reason="the holder has access")
                    started += 1
                over = [slot for slot in lease.slots if slot.end <= now and slot.quantity]
                broken = next((slot for slot in over if fate(self._reliability, lease, slot=slot) == "failed"), None)
                served = [slot for slot in over if broken is None or slot.start <= broken.start]
                reports = [meter(self._reliability, lease, slot=slot, received_at=slot.end) for slot in served]
                records += await UsageRepository(work).add([record for report in reports for record in report])
                if broken is not None:
                    await repository.move(lease.id, "failed", at=broken.end, reason="the grid lost it")
                    await _give_back(work_bids=BidRepository(work), leases=repository, lease=lease, broken=broken)
                    failed += 1
                elif lease.ends_at <= now:
                    await repository.move(lease.id, "completed", at=lease.ends_at, reason="delivered to the end")
                    completed += 1
        return DeliveryReport(records=records, started=started, completed=completed, failed=failed)


async def _give_back(work_bids: BidRepository, leases: LeaseRepository, *, lease: Lease, broken: LeaseSlot) -> None:
    """A failed lease's remaining hours go back to its bid, which enters the next gate if its window allows."""
    rest = [slot for slot in lease.slots if slot.start > broken.start]
    hours = sum(slot.quantity * (slot.end - slot.start).total_seconds() / 3600 for slot in rest)
    await leases.cut(lease.id, broken.end)
    bid = await work_bids.bid(lease.bid_id, locked=True)
    if hours and bid.status in {"open", "filled"} and bid.request.window_end > broken.end:
        await work_bids.replace(reopened(bid, hours))
