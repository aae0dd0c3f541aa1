"""A lease as what a batch system can hold: spells of one quantity, from a moment to a moment."""

from datetime import datetime
from itertools import pairwise
from math import gcd
from typing import NamedTuple

import msgspec

from broker.services.access_views import DeliverySlot
from contracts.terms.errors import BadInput


class LeaseToEmit(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a lease: its holder's view and its provider's both have it."""

    lease_id: str
    slots: tuple[DeliverySlot, ...]


class Spell(NamedTuple):
    """So many accelerators from `start` on to `end`."""

    start: datetime
    end: datetime
    quantity: int

    @property
    def seconds(self) -> int:
        """How long."""
        return round((self.end - self.start).total_seconds())


def spells(lease: LeaseToEmit) -> tuple[Spell, ...]:
    """Slots that follow one another with the same quantity, as one. Raises BadInput for a lease of nothing."""
    found: list[Spell] = []
    for slot in sorted(lease.slots, key=lambda each: each.start):
        if found and (found[-1].end, found[-1].quantity) == (slot.start, slot.quantity):
            found[-1] = found[-1]._replace(end=slot.end)
        elif slot.quantity:
            found.append(Spell(slot.start, slot.end, slot.quantity))
    if not found or any(later.start < earlier.end for earlier, later in pairwise(found)):
        raise BadInput("a lease has slots of some accelerators, one after the other", found=lease.lease_id)
    return tuple(found)


def parts(quantity: int, node_size: int) -> tuple[int, int]:
    """How many machines' parts, and accelerators in each: equal parts, as large as they can be on machines of a size."""
    size = quantity if quantity <= node_size else gcd(quantity, node_size)
    return quantity // size, size
