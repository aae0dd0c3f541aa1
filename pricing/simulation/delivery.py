"""A grid that does not exist, delivering like one that does: mostly all, sometimes not.

What happens in a slot is a function of (seed, lease, slot), so a delivery can be replayed and a broker
that was killed half way meets the same grid again.
"""

import hashlib
from datetime import datetime
from typing import Literal

import msgspec

from contracts.terms.ids import derived_id
from contracts.terms.leases import Lease, LeaseSlot
from contracts.terms.time import MICROSECOND
from contracts.usage import UsageRecord

Fate = Literal["delivered", "interrupted", "failed"]
MILLION = 1_000_000


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """How often a slot goes wrong, per million.

    interrupted  its second half is not delivered, the next slot is
    failed       nothing is delivered from this slot on: the lease fails
    """

    seed: int
    interrupted: int = 15_000
    failed: int = 3_000


def fate(reliability: Reliability, lease: Lease, *, slot: LeaseSlot) -> Fate:
    """What happens to a lease in a slot."""
    text = f"{reliability.seed}:{lease.id}:{slot.start.isoformat()}"
    draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % MILLION
    if draw < reliability.failed:
        return "failed"
    return "interrupted" if draw < reliability.failed + reliability.interrupted else "delivered"


def meter(reliability: Reliability, lease: Lease, *, slot: LeaseSlot, received_at: datetime) -> list[UsageRecord]:
    """What the grid's meter reports for one slot of a lease: one record for what was delivered, one for what was not."""
    outcome = fate(reliability, lease, slot=slot)
    middle = slot.start + ((slot.end - slot.start) // 2 // MICROSECOND) * MICROSECOND
    parts: dict[Fate, list[tuple[datetime, datetime, Literal["delivered", "provider_failed"]]]] = {
        "delivered": [(slot.start, slot.end, "delivered")],
        "interrupted": [(slot.start, middle, "delivered"), (middle, slot.end, "provider_failed")],
        "failed": [(slot.start, slot.end, "provider_failed")],
    }
    return [
        UsageRecord(
            usage_id=derived_id("use", lease.id, start.isoformat()),
            lease_id=lease.id,
            start=start,
            end=end,
            accelerator_seconds=slot.quantity * int((end - start).total_seconds()),
            status=status,
            received_at=received_at,
        )
        for start, end, status in parts[outcome]
    ]
