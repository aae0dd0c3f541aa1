"""Leases: an award turned into an obligation to deliver, and the moves it may make.

    awarded → provisioning → active → completed
        └──────────┴───────────┴────→ failed | reclaimed | released

A lease is one bid on one offer at one tier, from one cycle or from one quote; its slots carry their own quantity and rate.
"""

from datetime import datetime
from typing import Literal

import msgspec

from contracts.terms.errors import WrongState

LeaseState = Literal["awarded", "provisioning", "active", "completed", "failed", "reclaimed", "released"]
MOVES: dict[LeaseState, tuple[LeaseState, ...]] = {
    "awarded": ("provisioning", "failed", "reclaimed", "released"),
    "provisioning": ("active", "failed", "reclaimed", "released"),
    "active": ("completed", "failed", "reclaimed", "released"),
    "completed": (),
    "failed": (),
    "reclaimed": (),
    "released": (),
}
IN_FORCE: tuple[LeaseState, ...] = ("awarded", "provisioning", "active")
# What these still have of their slots is nobody else's: a released lease keeps the slot under way, a reclaimed one its notice.
HOLDING: tuple[LeaseState, ...] = (*IN_FORCE, "released", "reclaimed")
ClosedBy = Literal["owner", "provider", "network"]


class LeaseSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a lease: accelerators and the rate per accelerator-hour, micros."""

    start: datetime
    end: datetime
    quantity: int
    rate_micros: int


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed to a buyer: capacity made available, slot by slot.

    cycle_id       the clearing it was won at; None for one taken as a quote
    accelerators   the most in any slot
    continues      the lease this is the going on of, elsewhere or longer: its holder knows both by that one's id
    """

    id: str
    cycle_id: str | None
    bid_id: str
    account_id: str
    provider_id: str
    offer_id: str
    site: str
    hardware: str
    tier: str
    state: LeaseState
    slots: tuple[LeaseSlot, ...]
    continues: str | None = None

    def __post_init__(self) -> None:
        if not self.slots:
            raise ValueError(f"lease {self.id}: at least one slot")
        if any(later.start < earlier.end for earlier, later in zip(self.slots, self.slots[1:], strict=False)):
            raise ValueError(f"lease {self.id}: slots must be in order and apart")

    @property
    def accelerators(self) -> int:
        """The most accelerators in any slot."""
        return max(slot.quantity for slot in self.slots)

    @property
    def starts_at(self) -> datetime:
        """First instant of the first slot."""
        return self.slots[0].start

    @property
    def ends_at(self) -> datetime:
        """End of the last slot, exclusive."""
        return self.slots[-1].end


def move(lease_id: str, state: LeaseState, *, to: LeaseState) -> LeaseState:
    """The state after a move. Raises WrongState, naming what would be possible."""
    if to not in MOVES[state]:
        possible = ", ".join(MOVES[state]) or "nothing, it has ended"
        raise WrongState(f"a lease that is {state} cannot become {to}; possible: {possible}", lease_id=lease_id, state=state)
    return to
