"""Time in the market: always UTC, always half-open.

A `Period` is [start, end). Slots number the delivery grid of a clearing from 0. Whole microseconds
are the finest grain, so that seconds split exactly.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Period(msgspec.Struct, frozen=True, order=True):
    """A half-open span of UTC time, [start, end)."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError(f"a period is in UTC, was {self.start} to {self.end}")
        if self.end < self.start:
            raise ValueError(f"a period may not end before it starts, was {self.start} to {self.end}")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def seconds(self) -> Fraction:
        """Length in seconds, exact."""
        return Fraction((self.end - self.start) // MICROSECOND, 1_000_000)


class SlotGrid(msgspec.Struct, frozen=True):
    """The delivery slots of one clearing.

    start       first instant of slot 0
    slot_hours  length of a slot in hours, exact
    slots       how many there are
    """

    start: datetime
    slot_hours: Fraction
    slots: int

    def period(self, slot: int) -> Period:
        """The half-open span of one slot. Raises ValueError outside the grid."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"slot must be in 0..{self.slots - 1}, was {slot}")
        length = self.slot_hours * 3_600_000_000
        first = self.start + int(length * slot) * MICROSECOND
        return Period(first, self.start + int(length * (slot + 1)) * MICROSECOND)


def seconds_grid(start: datetime, *, slot_seconds: int, slots: int) -> SlotGrid:
    """A grid whose slots are a whole number of seconds long."""
    return SlotGrid(start, Fraction(slot_seconds, 3600), slots)


def utc(text: str) -> datetime:
    """Read an ISO 8601 time with `Z` or an offset, as UTC. Raises ValueError for a naive or unreadable one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its zone (`Z` for UTC), was {text!r}")
    return moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """A UTC time as ISO 8601 with `Z`; microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def month_of(moment: datetime) -> Period:
    """The calendar month (UTC) that holds a moment."""
    start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    return Period(start, following)
