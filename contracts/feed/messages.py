"""What is said over the feed, and what is answered.

A message travels in an `Envelope` that numbers and signs it. Lengths of time are whole seconds and each side measures
them with its own clock, so two clocks that differ by a day change nothing; only a maintenance window and a reclaim
deadline are moments, and the broker's clock decides about them.
"""

from datetime import datetime
from typing import Annotated

import msgspec

VERSION = "1.1"
ATTRIBUTES_BYTES_MAX = 8_192
WHOLE_MAX = 2**53 - 1

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w.:/@-]+$")]
Sequence = Annotated[int, msgspec.Meta(ge=1, le=WHOLE_MAX)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Micros = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=31_536_000)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, msgspec.Meta(max_length=200)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it travels.

    epoch      rises whenever the provider begins anew without its memory; microseconds since 1970 will do
    seq        rises by one with every message of an epoch
    key        id of the Ed25519 key that signed
    signature  over the canonical bytes of provider, epoch, seq and the payload's hash, hexadecimal
    payload    the message as sent, members we do not know included: they are part of what was signed
    """

    provider: Name
    epoch: Sequence
    seq: Sequence
    key: Name
    payload: dict[str, object]
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]


class SealedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Messages in a row under one signature; each of them is what it would be in an envelope of its own.

    seq        number of the first message; those after it follow without a gap
    messages   an array of payloads, still encoded
    signature  over the canonical bytes of provider, epoch, seq and the SHA-256 of `messages` as sent, hexadecimal
    """

    provider: Name
    epoch: Sequence
    seq: Sequence
    key: Name
    messages: msgspec.Raw
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered message before it is signed: the state that makes it holds no key."""

    provider: str
    epoch: int
    seq: int
    message: "Message"


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What a third party says of an offer, kept apart from what the provider says of itself.

    signature  the issuer's, over the canonical bytes of issuer, provider, offer_id, claim and value, hexadecimal
    """

    issuer: Name
    claim: Name
    value: str
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Opens a session, or takes one up again.

    hold_seconds     silence after which the provider's offers are stale
    restart_seconds  further silence after which they are withdrawn
    table_hash       of the table the provider believes the broker has
    capabilities     optional parts of the protocol the provider knows; none are defined yet
    """

    version: str
    hold_seconds: Seconds
    restart_seconds: Seconds
    table_hash: Sha256
    capabilities: tuple[str, ...] = ()


class Announce(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="announce"):
    """An offer, whole. The same version and content again renews its time to live.

    version       rises whenever anything in the offer changes
    quantity      accelerators: a hint, since only a hold is a promise
    rate_micros   the least the provider accepts, micro-currency per accelerator-hour
    ttl_seconds   how long the offer stands unless renewed; the broker may shorten it
    attributes    everything else the provider says of it; kept whether known or not
    attestations  what others say of it
    """

    offer_id: Name
    version: Sequence
    quantity: Count
    rate_micros: Micros
    ttl_seconds: Seconds
    attributes: dict[str, object] = {}
    attestations: tuple[Attestation, ...] = ()


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="withdraw"):
    """The offer is gone. Leases on it go on."""

    offer_id: Name
    reason: Reason = ""


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="price"):
    """A new version of an offer in which only the rate differs, micro-currency per accelerator-hour."""

    offer_id: Name
    version: Sequence
    rate_micros: Micros


class Capacity(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="capacity"):
    """A new version of an offer in which only the quantity differs, accelerators."""

    offer_id: Name
    version: Sequence
    quantity: Count


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """The provider is there, and this is the hash of its table."""

    table_hash: Sha256


class SnapshotBegin(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot_begin"):
    """The whole table follows, one announce an offer.

    generation  number of this snapshot within the epoch
    count       offers in it
    hash        the table hash of them
    """

    generation: Sequence
    count: Count
    hash: Sha256


class SnapshotEnd(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot_end"):
    """The snapshot is complete: it replaces the broker's table now, or not at all."""

    generation: Sequence


class Maint(msgspec.Struct, frozen=True, kw_only=True, tag="maint"):
    """Offers may not be booked in the window [start, end), UTC; all of them when none is named."""

    start: datetime
    end: datetime
    offer_ids: tuple[Name, ...] = ()


class Reclaim(msgspec.Struct, frozen=True, kw_only=True, tag="reclaim"):
    """The provider takes a lease back at the deadline, UTC. What it owes for that is in the lease."""

    lease_id: Name
    deadline: datetime
    reason: Reason = ""


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """None of the provider's offers may be booked until it resumes."""

    reason: Reason = ""


class Resume(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Ends a pause."""


class Rotate(msgspec.Struct, frozen=True, kw_only=True, tag="rotate"):
    """A new signing key, vouched for by the old one, which signs this message.

    public_key       Ed25519, 32 bytes in hexadecimal
    proof            the new key's own signature over the canonical bytes of provider and public_key
    overlap_seconds  how long the older keys still count
    """

    public_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    proof: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]
    overlap_seconds: Seconds


Message = (
    Hello | Announce | Withdraw | Price | Capacity | Heartbeat | SnapshotBegin | SnapshotEnd | Maint | Reclaim | Pause | Resume | Rotate
)


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The session is open on these terms: the broker's limits applied to what was wished for."""

    epoch: int
    seq: int
    version: str
    hold_seconds: int
    restart_seconds: int
    ttl_seconds_max: int
    offers_max: int


class Ack(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="ack"):
    """Everything up to `seq` has been taken."""

    epoch: int
    seq: int


class Resync(msgspec.Struct, frozen=True, kw_only=True, tag="resync"):
    """Send again from `from_seq` on; with `snapshot`, send the whole table instead."""

    epoch: int
    from_seq: int
    snapshot: bool = False


class Nack(msgspec.Struct, frozen=True, kw_only=True, tag="nack"):
    """A message was refused.

    code      permanent word for the reason, listed in the specification
    consumed  whether its number is used up all the same: if not, it may come again
    field     the member at fault, and offer_id the offer, where there is one
    """

    epoch: int
    seq: int
    code: str
    consumed: bool
    field: str = ""
    offer_id: str = ""
    retry_after_seconds: int = 0


Reply = Welcome | Ack | Resync | Nack
