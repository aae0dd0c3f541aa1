"""A period on its way to its close: what each step decides, and where the period stands after its acts.

open ─freeze→ frozen ─rate→ rated ─review→ reviewed ─finalise→ finalised ─export→ exported
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from contracts.acts import Act, latest, state
from contracts.close import CloseRecord
from contracts.review import Bill, BillChange, Outlier
from contracts.terms.time import Period

CLOSED = ("finalised", "exported")


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """What freezing decides: the month, and until when what arrived counts."""

    month_start: datetime
    month_end: datetime
    closes_at: datetime


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """What rating found: the record that finalising must come to again, and what a reviewer should look at."""

    record: CloseRecord
    outliers: tuple[Outlier, ...] = ()


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """What a reviewer has to say."""

    note: str = ""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was given out: file name → SHA-256."""

    files: dict[str, str]


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What would have been billed."""

    known_until: datetime
    bills: tuple[Bill, ...]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A file that holds a copy of the usage received in a period: its name, how many rows, and the SHA-256 of them as CSV."""

    name: str
    rows: int
    sha256: str


class PeriodStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A period and what was done to it; `state` is `open` before anything was."""

    period: int
    month: Period
    state: str
    history: tuple[Act, ...] = ()
    closes_at: datetime | None = None
    rated: Rated | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a period would bill if it closed with what is known at `known_until`, beside the preview before."""

    period: int
    month: Period
    known_until: datetime
    before: datetime | None
    changes: tuple[BillChange, ...]
    outliers: tuple[Outlier, ...]


def standing_of(period: int, month: Period, *, history: Sequence[Act], closed_at: datetime | None) -> PeriodStanding:
    """A period from its acts. `closed_at` is from the table of closes: one that was closed before acts were kept is finalised."""
    frozen, rated = latest(history, "frozen"), latest(history, "rated")
    closes_at = frozen.told(Frozen).closes_at if frozen else closed_at
    return PeriodStanding(
        period=period,
        month=month,
        state=state(history) or ("finalised" if closed_at else "open"),
        history=tuple(history),
        closes_at=closes_at,
        rated=rated.told(Rated) if rated else None,
    )
