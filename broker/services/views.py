"""What participants send and see: the structs of `/v1` and of the pages.

Money is integer micros with the currency named beside it; times are UTC; a rate is per accelerator-hour
unless its name says otherwise. Fields are the dictionary's words; unknown fields are refused.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from contracts.terms.accounts import DEFAULT_PROJECT
from contracts.terms.bids import BidRequest
from contracts.terms.errors import Fact
from contracts.terms.leases import LeaseSlot

T = TypeVar("T")


class BidView(msgspec.Struct, frozen=True, kw_only=True):
    """A bid as its buyer sees it.

    status       open, filled, partial, expired or withdrawn
    hold_micros  what is held against the account's credit while the bid is open
    reason       why the last clearing gave nothing or not all
    project_id   whose spend it is
    """

    bid_id: str
    account_id: str
    entered_at: datetime
    status: str
    hours_awarded: float
    paid_micros: int
    hold_micros: int
    currency: str
    reason: str
    request: BidRequest
    project_id: str = DEFAULT_PROJECT


class CreditView(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may still promise: limit = owed + held + free, and free is negative when it promised too much.

    owed_micros  invoiced and not paid
    held_micros  set aside for open bids and for awards whose month is not settled
    """

    currency: str
    limit_micros: int
    owed_micros: int
    held_micros: int
    free_micros: int


class LeaseSlotView(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a lease."""

    start: datetime
    end: datetime
    quantity: int
    rate_micros: int


class SoldSlotView(msgspec.Struct, frozen=True, kw_only=True):
    """One slot that was sold on: what its buyer pays per accelerator-hour, and what its holder goes on paying."""

    start: datetime
    end: datetime
    quantity: int
    rate_micros: int
    own_rate_micros: int


class ResaleView(msgspec.Struct, frozen=True, kw_only=True):
    """What its holder offers on of a lease.

    resale_id  the id of the offer others see
    state      open, withdrawn or ended
    released   whether it is offered because the lease was given up
    offered    what may still be sold, at the least rate it goes for
    sold       what was
    """

    resale_id: str
    state: str
    released: bool
    offered: list[LeaseSlotView]
    sold: list[SoldSlotView]


class InterruptionView(msgspec.Struct, frozen=True, kw_only=True):
    """Notice that a lease was called back, or failed.

    kind      reclaimed or failed
    told_at   when its holder could know
    deadline  slots that begin from then on are served elsewhere first; null where no such slot was left
    rest      what became of those: waiting (for a place), placed, or returned (to the bid); null where there were none
    """

    kind: str
    told_at: datetime
    deadline: datetime | None
    rest: str | None
    closed_by: str
    reason: str


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as its holder sees it, all its parts as one; where it runs and how it stands is of the part in force.

    closed_by  whose doing its end was: owner, provider or network; null while it runs, and when it ran to its end
    parts      ids under which it goes on elsewhere after a failure, or longer: what providers report usage on
    resales    what its holder offered on, oldest first; what was sold is no slot of the lease any more
    project_id whose spend it is: its bid's
    interruptions  each time it was called back or failed, oldest first; it may have gone on since
    """

    lease_id: str
    bid_id: str
    provider: str
    site: str
    hardware: str
    tier: str
    state: str
    starts_at: datetime
    ends_at: datetime
    slots: list[LeaseSlotView]
    delivered_seconds: int
    failed_seconds: int
    closed_by: str | None = None
    close_reason: str | None = None
    parts: list[str] = []
    resales: list[ResaleView] = []
    project_id: str = DEFAULT_PROJECT
    interruptions: list[InterruptionView] = []


def slot_views(slots: Iterable[LeaseSlot]) -> list[LeaseSlotView]:
    """Slots as they are shown."""
    return [LeaseSlotView(start=s.start, end=s.end, quantity=s.quantity, rate_micros=s.rate_micros) for s in slots]


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a statement."""

    month: int
    kind: str
    hardware: str | None
    quantity_seconds: int | None
    amount_micros: int
    amount_cents: int


class StatementView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice (or credit note) of one period, with its lines."""

    account_id: str
    account_name: str
    period: int
    month_start: datetime
    month_end: datetime
    currency: str
    lines: list[StatementLine]
    subtotal_micros: int
    tax_micros: int
    total_micros: int
    subtotal_cents: int
    tax_cents: int
    payable_cents: int


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list. `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the holder of a key, or a person for a party; `provider_id` where that is a provider grid, `person_id` who that is."""

    account_id: str
    account_name: str
    scopes: frozenset[str]
    provider_id: str | None = None
    person_id: str | None = None


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key anybody may use, as a demo's are: whose it is, who that is, and the key."""

    account_name: str
    story: str
    key: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    facts: dict[str, Fact] = {}
