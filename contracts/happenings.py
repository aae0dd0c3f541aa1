"""What a party may listen to as it happens: moves of its leases, quotes that ended untaken, prices of another gate.

Moves of leases are told in the words of webhooks, under the same ids. A listener that comes back says the last position it heard;
what happened up to an hour before that is told again under the same ids, since not everything is written down in the order in
which it happened: whoever keeps the ids hears each once.
"""

from datetime import datetime, timedelta

import msgspec

from contracts.terms.errors import BadInput
from contracts.terms.ids import derived_id
from contracts.terms.time import EPOCH, MICROSECOND, iso
from contracts.webhooks import Message

OVERLAP = timedelta(hours=1)
LONGEST_AWAY = timedelta(days=1)
DIGITS_MAX = 17


class QuoteNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A quote whose time is over: what it held is free again."""

    quote_id: str
    offer_id: str
    hardware: str
    tier: str
    accelerators: int
    rate_micros: int
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime


class CycleNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle that was applied: its prices are published, and what they were won at is leased."""

    number: int
    gate_at: datetime
    start: datetime
    slots: int
    slot_seconds: int
    applied_at: datetime


def quote_message(owner: str, notice: QuoteNotice) -> Message:
    """That a quote of a party's has ended untaken."""
    return _message(owner, "quote.expired", at=notice.expires_at, data=notice, subject=notice.quote_id)


def cycle_message(owner: str, notice: CycleNotice) -> Message:
    """That a cycle was applied, for whoever listens."""
    return _message(owner, "cycle.applied", at=notice.applied_at, data=notice, subject=str(notice.number))


def position(message: Message) -> str:
    """Where a listener stands that has heard this: the moment in microseconds since 1970, and the id.

    >>> from datetime import UTC, datetime
    >>> position(Message(id="msg_1", owner="acct_1", kind="cycle.applied", at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), body=b"{}"))
    '1000000-msg_1'
    """
    return f"{(message.at - EPOCH) // MICROSECOND}-{message.id}"


def moment_of(position: str) -> datetime:
    """The moment of a position. Raises BadInput for one that nobody was given."""
    digits, dash, _ = position.partition("-")
    if not dash or not (digits.isascii() and digits.isdigit()) or len(digits) > DIGITS_MAX:
        raise BadInput("the position is not one we gave", found=position, would_do="the id of the last event that was heard")
    return EPOCH + int(digits) * MICROSECOND


def _message(owner: str, kind: str, *, at: datetime, data: msgspec.Struct, subject: str) -> Message:
    body = msgspec.json.encode({"type": kind, "timestamp": iso(at), "data": data})
    return Message(id=derived_id("msg", kind, subject, owner), owner=owner, kind=kind, at=at, body=body)
