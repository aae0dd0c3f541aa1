"""What parties are told of, in what words, and how often it is tried: the pure half of webhooks.

The form is Standard Webhooks: `type`, `timestamp` and `data`; the id stays the same however often a message is sent.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from contracts.terms.ids import derived_id
from contracts.terms.time import iso

KINDS = (
    "lease.awarded",
    "lease.provisioning",
    "lease.active",
    "lease.completed",
    "lease.failed",
    "lease.reclaimed",
    "lease.released",
    "budget.reached",
)
DeliveryState = Literal["waiting", "delivered", "given_up"]
# After each try that failed; after the last one a message is given up, and may be replayed.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600))
ROTATION = timedelta(hours=24)
GONE = 410


class LeaseNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a lease, as its holder and its provider are told of it.

    sequence    of the lease's events, from 0
    lease_id    what the reader knows it by: the holder by the first part's id, the provider by the part's own
    closed_by   whose doing an end was: owner, provider or network
    """

    lease_id: str
    sequence: int
    state: str
    at: datetime
    reason: str
    closed_by: str | None
    provider: str
    site: str
    hardware: str
    tier: str
    accelerators: int
    starts_at: datetime
    ends_at: datetime


class BudgetNotice(msgspec.Struct, frozen=True, kw_only=True):
    """That what is agreed and held has reached a share of a month's budget, of a project or of the whole account.

    percent         the share, of those that were to be warned of
    project_id      null for the account's own budget; `project` is its name
    """

    project_id: str | None
    project: str | None
    month_start: datetime
    percent: int
    used_percent: int
    limit_micros: int
    agreed_micros: int
    held_micros: int
    currency: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one party. `body` is what is sent and signed, byte for byte, however often."""

    id: str
    owner: str
    kind: str
    at: datetime
    body: bytes


def lease_message(owner: str, notice: LeaseNotice, *, part_id: str) -> Message:
    """A move of a lease for one of its parties; its id derives from the part, the move and the reader, so it is written once."""
    kind = f"lease.{notice.state}"
    body = msgspec.json.encode({"type": kind, "timestamp": iso(notice.at), "data": notice})
    return Message(id=derived_id("msg", part_id, notice.sequence, owner), owner=owner, kind=kind, at=notice.at, body=body)


def budget_message(owner: str, notice: BudgetNotice, *, set_at: datetime, at: datetime) -> Message:
    """A share of a budget that was reached. Its id derives from budget, month and share: told once, until the budget is set anew."""
    body = msgspec.json.encode({"type": "budget.reached", "timestamp": iso(at), "data": notice})
    told = derived_id("msg", owner, notice.project_id or "", iso(notice.month_start), notice.percent, iso(set_at))
    return Message(id=told, owner=owner, kind="budget.reached", at=at, body=body)


def wanted(kinds: list[str], kind: str) -> bool:
    """Whether an endpoint that names these kinds is told of one; naming none means all."""
    return not kinds or kind in kinds


def after_try(attempts: int, answered: int | None, *, now: datetime) -> tuple[DeliveryState, datetime]:
    """What becomes of a delivery after a try, and when the next is due.

    attempts   tries so far, this one included
    answered   status of the answer; None for none
    """
    if answered is not None and 200 <= answered < 300:
        return "delivered", now
    if answered == GONE or attempts > len(WAITS):
        return "given_up", now
    return "waiting", now + WAITS[attempts - 1]
