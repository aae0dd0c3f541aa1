"""The broker's table of one provider's offers, and what each of them is worth believing right now.

| state | meaning |
|---|---|
| live | may be booked |
| stale | the provider is silent, or its table is not known to be ours: shown with its age |
| damped | it changed too often: shown with the reason |
| paused | the provider, or a maintenance window, holds it back |
| withdrawn | gone: by its provider, by its time to live, by long silence |

Only a live offer may be booked. Leases are none of the table's business.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

import msgspec

from contracts.feed.damping import Damping, Penalty
from contracts.feed.messages import Announce, Maint

State = Literal["live", "stale", "damped", "paused", "withdrawn"]


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """A third party's claim, and whether its signature is good by a key we hold."""

    issuer: str
    claim: str
    value: str
    verified: bool


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One offer in the table.

    hash      of what it says
    heard_at  when it was last announced, changed or renewed
    until     end of its time to live, by our clock
    gone      why it was withdrawn; empty while it stands. The entry stays a while, for its version and its penalty
    shown     the state last told to whoever follows the table
    """

    offer: Announce
    hash: str
    heard_at: datetime
    until: datetime
    penalty: Penalty
    attested: tuple[Attested, ...] = ()
    gone: str = ""
    shown: tuple[State, str] = ("withdrawn", "unknown")


class ShownOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A row for people and for the book: the offer, its state with the reason, and its age in whole seconds."""

    offer_id: str
    version: int
    quantity: int
    rate_micros: int
    state: State
    reason: str = ""
    age_seconds: int = 0
    attributes: dict[str, object] = {}
    attested: tuple[Attested, ...] = ()


class FeedTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's limits for a provider.

    updates_per_minute, updates_burst  quota of messages: the lasting pace, and how many at once
    offers_max                         offers in the table; as many again may be remembered after they are gone
    resync_seconds                     the same gap is asked for again after this long
    memory_seconds                     how long a withdrawn offer's version is remembered
    issuers                            public keys of third parties whose attestations are checked, hexadecimal, by name
    """

    hold_seconds_min: int = 10
    hold_seconds_max: int = 600
    restart_seconds_max: int = 3_600
    ttl_seconds_max: int = 86_400
    offers_max: int = 10_000
    updates_per_minute: int = 6_000
    updates_burst: int = 2_000
    resync_seconds: int = 5
    memory_seconds: int = 86_400
    damping: Damping = Damping()
    issuers: dict[str, str] = {}


def stands(entry: Entry, now: datetime) -> bool:
    """Whether the offer is in the table: neither withdrawn nor past its time to live."""
    return not entry.gone and now < entry.until


def is_withheld(entry: Entry, windows: tuple[Maint, ...], *, now: datetime) -> bool:
    """Whether a maintenance window holds the offer back now."""
    return any(w.start <= now < w.end and (not w.offer_ids or entry.offer.offer_id in w.offer_ids) for w in windows)


def life(ttl_seconds: int, terms: FeedTerms, *, now: datetime) -> datetime:
    """End of a time to live that starts now, never longer than the broker allows."""
    return _later(now, min(ttl_seconds, terms.ttl_seconds_max))


@lru_cache(maxsize=1_024)
def _later(now: datetime, seconds: int) -> datetime:
    """The offers of a batch end at a few moments, which are worked out once."""
    return now + timedelta(seconds=seconds)
