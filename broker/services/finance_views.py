"""What the finance team sends and sees: periods, previews, payout runs, collections."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from contracts.acts import Act, latest
from contracts.payout_runs import PayoutLine
from contracts.periods import PeriodStanding, Preview, Reviewed
from contracts.review import BillChange, Outlier

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Note = Annotated[str, msgspec.Meta(max_length=4000)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Cents = Annotated[int, msgspec.Meta(ge=1, le=99_999_999)]


class ActView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, when."""

    act: str
    actor: str
    at: datetime
    note: str = ""


class PeriodView(msgspec.Struct, frozen=True, kw_only=True):
    """A period on its way: open, frozen, rated, returned, reviewed, finalised, exported.

    closes_at  what arrived before it counts; null while the period is open
    hash       of the close record, once rated
    outliers   what was rated outside its safety bounds
    """

    period: int
    month_start: datetime
    month_end: datetime
    state: str
    closes_at: datetime | None
    hash: str | None
    outliers: tuple[Outlier, ...]
    history: tuple[ActView, ...]


class PreviewView(msgspec.Struct, frozen=True, kw_only=True):
    """What a period would bill with what is known until a moment; `changes` are against the preview of `before`."""

    period: int
    known_until: datetime
    before: datetime | None
    payable_cents: dict[str, int]
    changes: tuple[BillChange, ...]
    outliers: tuple[Outlier, ...]


class FreezeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when what arrived counts; now, where nothing is said."""

    closes_at: Moment | None = None


class ReviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reviewer says; `accept` false sends the period back to be rated again."""

    accept: bool = True
    note: Note = ""


class PayoutRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The currency to pay out."""

    currency: Currency


class PayoutRunView(msgspec.Struct, frozen=True, kw_only=True):
    """A payout run: proposed, approved, rejected, paid (in part), ended.

    paid     providers whose lines are paid
    waiting  providers whom the processor would not pay yet, as far as this call has tried
    """

    currency: str
    number: int
    state: str
    cents: int
    lines: tuple[PayoutLine, ...]
    paid: tuple[str, ...]
    waiting: tuple[str, ...]
    history: tuple[ActView, ...]


class ClearanceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That somebody has looked at what an account paid a provider of its own parent."""

    account_id: Key
    provider_id: Key
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of what an account paid for a period, given back once under this key."""

    key: Key
    account_id: Key
    cents: Cents


class TopUpRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment in advance; the same key is the same payment."""

    key: Key
    cents: Cents


class TopUpView(msgspec.Struct, frozen=True, kw_only=True):
    """Where the payment is made: a page of the processor's."""

    url: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How many things were new."""

    new: int


def period_view(standing: PeriodStanding) -> PeriodView:
    """A period as finance sees it."""
    rated = standing.rated
    return PeriodView(
        period=standing.period,
        month_start=standing.month.start,
        month_end=standing.month.end,
        state=standing.state,
        closes_at=standing.closes_at,
        hash=rated.record.hash if rated else None,
        outliers=rated.outliers if rated else (),
        history=act_views(standing.history),
    )


def preview_view(preview: Preview) -> PreviewView:
    """A preview with its totals by currency."""
    totals: dict[str, int] = {}
    for change in preview.changes:
        totals[change.bill.currency] = totals.get(change.bill.currency, 0) + change.bill.payable_cents
    return PreviewView(
        period=preview.period,
        known_until=preview.known_until,
        before=preview.before,
        payable_cents=totals,
        changes=preview.changes,
        outliers=preview.outliers,
    )


def act_views(history: Sequence[Act]) -> tuple[ActView, ...]:
    """Acts without what they decided, but for the notes."""
    return tuple(ActView(act=each.act, actor=each.actor, at=each.at, note=_note(each)) for each in history)


def _note(act: Act) -> str:
    reviewed = latest([act], "reviewed") or latest([act], "returned")
    return reviewed.told(Reviewed).note if reviewed else ""
