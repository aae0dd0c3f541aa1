"""Where the time comes from: the wall for a running market, a number we set for everything replayed.

Nothing below the edge reads a clock; it is handed `now`. Every clock answers in UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whatever can say what time it is."""

    @property
    def runs(self) -> bool:
        """Whether time passes by itself, second by second: only then may a page count down."""
        ...

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    runs = True

    def now(self) -> datetime:
        """The present moment, in UTC, to the microsecond."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still: for tests and replays. Raises ValueError for a moment that is not UTC."""

    runs = False

    def __init__(self, moment: datetime) -> None:
        self._moment = _in_utc(moment)

    def now(self) -> datetime:
        """The moment it was made with."""
        return self._moment


class SimulatedClock:
    """A clock that moves only when told to: a month of market passes in seconds.

    Raises ValueError for a start that is not UTC.
    """

    runs = False

    def __init__(self, start: datetime) -> None:
        self._moment = _in_utc(start)

    def now(self) -> datetime:
        """The start and all advances since."""
        return self._moment

    def advance(self, step: timedelta) -> datetime:
        """Move on by `step` and return the new time. Raises ValueError for a step back: time does not turn."""
        if step < timedelta(0):
            raise ValueError(f"a clock may not be set back, was asked to move by {step}")
        self._moment += step
        return self._moment


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"a clock is set in UTC, was {moment.isoformat()}")
    return moment
