"""What a provider sends and sees of its feed over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec

from contracts.feed.messages import Reply


class FeedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Ed25519 key a feed is signed with: 32 bytes, lower-case hexadecimal."""

    public_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An offer that is to be believed after all, until it says something else.

    reason  what is held against it, as it was shown: another reason is another judgement
    why     why it is believed all the same; kept with the name of who said so
    """

    provider_id: str
    offer_id: str
    reason: str
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class FeedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The replies to a batch in their order; of acknowledgements in a row only the last."""

    replies: list[Reply]


class FeedOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One offer of a feed.

    state        live, suspect, damped, paused or stale; only a live offer is booked
    reason       why it is not live
    age_seconds  since it was last announced, changed or renewed
    ends_at      end of its time to live
    """

    offer_id: str
    version: int
    quantity: int
    rate_micros: int
    state: str
    reason: str
    heard_at: datetime
    age_seconds: int
    ends_at: datetime


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's feed as the broker has it.

    epoch, seq      the last message taken; 0 before the first
    synced          whether the table is known to be the provider's; if not, a snapshot is awaited
    offers_shown    offers in the table; `offers` is a page of them, by id
    """

    provider: str
    epoch: int
    seq: int
    synced: bool
    silent_seconds: int
    hold_seconds: int
    offers_shown: int
    offers: list[FeedOffer]
    next_cursor: str | None
