"""Moving leases along as time passes, and metering what a simulated grid delivers on them.

Every step is one transaction and may be taken again: moves are those of the state machine, usage ids
derive from the lease and the slot.
"""

from collections import Counter
from datetime import datetime

import msgspec

from broker.store.repositories.leases import LeaseMove, LeaseRepository
from broker.store.repositories.usage import UsageRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.leases import Lease, LeaseSlot
from contracts.usage import UsageRecord
from pricing.simulation.delivery import Reliability, fate, meter

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
        passages = [_passage(self._reliability, lease, now=now) for lease in leases]
        async with unit_of_work(self._sessions) as work:
            repository = LeaseRepository(work)
            new = await UsageRepository(work).add([record for passage in passages for record in passage.records])
            await repository.move_all([step for passage in passages for step in passage.moves])
            for lease, passage in zip(leases, passages, strict=True):
                if passage.broken is not None:
                    await repository.break_off(lease.id, passage.broken.end)
        reached = Counter(step.to for passage in passages for step in passage.moves)
        return DeliveryReport(records=new, started=reached["active"], completed=reached["completed"], failed=reached["failed"])


class _Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What time did to a lease: what was metered, how it moved, and the slot in which it broke."""

    records: list[UsageRecord]
    moves: list[LeaseMove]
    broken: LeaseSlot | None


def _passage(reliability: Reliability, lease: Lease, *, now: datetime) -> _Passage:
    moves = []
    if lease.state == "awarded":
        moves.append(LeaseMove(lease.id, "provisioning", lease.starts_at, "the grid prepares"))
        moves.append(LeaseMove(lease.id, "active", lease.starts_at, "the holder has access"))
    over = [slot for slot in lease.slots if slot.end <= now and slot.quantity]
    if lease.state in ("released", "reclaimed"):  # it moves no more; what its holder kept is metered all the same
        return _Passage(records=_metered(reliability, lease, slots=over), moves=[], broken=None)
    broken = next((slot for slot in over if fate(reliability, lease, slot=slot) == "failed"), None)
    if broken is not None:
        moves.append(LeaseMove(lease.id, "failed", broken.end, "the grid lost it", "provider"))
    elif lease.ends_at <= now:
        moves.append(LeaseMove(lease.id, "completed", lease.ends_at, "delivered to the end"))
    served = [slot for slot in over if broken is None or slot.start <= broken.start]
    return _Passage(records=_metered(reliability, lease, slots=served), moves=moves, broken=broken)


def _metered(reliability: Reliability, lease: Lease, *, slots: list[LeaseSlot]) -> list[UsageRecord]:
    return [record for slot in slots for record in meter(reliability, lease, slot=slot, received_at=slot.end)]
