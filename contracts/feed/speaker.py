"""The provider's side of the feed: it numbers what it says, keeps it until it is taken, and says it again when asked.

`Speaker` is all the memory there is, and holds no key: what it sends is numbered and unsigned, and the edge signs it.
A provider that keeps its `Speaker` over a restart calls `reconnected`; one that lost it starts a greater epoch.
"""

from datetime import datetime, timedelta

import msgspec

from contracts.feed.messages import (
    VERSION,
    Ack,
    Announce,
    Capacity,
    Heartbeat,
    Hello,
    Maint,
    Message,
    Nack,
    Pause,
    Price,
    Reclaim,
    Reply,
    Resume,
    Resync,
    Rotate,
    SnapshotBegin,
    SnapshotEnd,
    Unsigned,
    Welcome,
    Withdraw,
)
from contracts.feed.wire import offer_hash, table_hash

HEARTBEATS_PER_HOLD = 3
RENEWALS_PER_LIFE = 2


class SpeakerTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider wishes for, and how patient it is.

    retry_seconds  what has not been acknowledged by then is sent again
    log_max        messages kept for repetition; beyond, a snapshot takes their place
    """

    hold_seconds: int = 60
    restart_seconds: int = 600
    retry_seconds: int = 5
    log_max: int = 256


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as we last said it, and when."""

    offer: Announce
    at: datetime


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The broker will not have this; a person should look. An offer at fault is in the table no more."""

    code: str
    field: str
    offer_id: str


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider must remember to keep its feed going.

    seq         the last number used
    hello_seq   number of the last hello, and whether it has been answered
    log         what has not been acknowledged, in order
    sent_at     when something was last sent; `beaten_at`, when a heartbeat was
    wait_until  the broker asked for patience
    """

    provider: str
    epoch: int
    terms: SpeakerTerms = SpeakerTerms()
    seq: int = 0
    hello_seq: int = 0
    answered: bool = False
    hold_seconds: int = 60
    ttl_seconds_max: int = 86_400
    generation: int = 0
    snapshot_seq: int = 0
    offers: dict[str, Said] = {}
    log: tuple[Unsigned, ...] = ()
    paused: Pause | None = None
    maintenance: tuple[Maint, ...] = ()
    sent_at: datetime | None = None
    beaten_at: datetime | None = None
    wait_until: datetime | None = None


class Spoken(msgspec.Struct, frozen=True):
    """The speaker after a step, what to sign and send, and what the broker refused for good."""

    speaker: Speaker
    sent: tuple[Unsigned, ...] = ()
    refused: tuple[Refused, ...] = ()


def started(speaker: Speaker, now: datetime) -> Spoken:
    """Begin an epoch: hello, and the whole table behind it without waiting."""
    return _snapshot(_greeted(speaker, now), now)


def reconnected(speaker: Speaker, now: datetime) -> Spoken:
    """Take the epoch up again after a lost connection or a restart with the memory kept.

    What was not acknowledged is not sent again: the hash in the hello shows whether it arrived, and if it did not the
    broker asks for a snapshot. Only what no snapshot tells, a lease reclaimed or a key, is said again.
    """
    owed = _owed(speaker)
    said = _greeted(msgspec.structs.replace(speaker, log=()), now)
    for message in (*_standing_facts(speaker, now), *owed):
        said = _said(said, message, now=now)
    return Spoken(said, said.log)


def say(speaker: Speaker, message: Message, *, now: datetime) -> Spoken:
    """Tell the broker of a change.

    Raises ValueError for a version that does not rise, for an offer that was never announced, and for messages that
    the speaker sends by itself (hello, heartbeat, snapshot).
    """
    speaker = _changed(speaker, message, now=now)
    before = len(speaker.log)
    speaker = _said(speaker, message, now=now)
    if len(speaker.log) > speaker.terms.log_max + 2 * len(speaker.offers):
        return _snapshot(speaker, now)
    return Spoken(speaker, speaker.log[before:])


def hear(speaker: Speaker, reply: Reply, *, now: datetime) -> Spoken:
    """Take an answer of the broker's. Answers may come late, twice or never."""
    if reply.epoch != speaker.epoch:
        return Spoken(speaker)
    match reply:
        case Welcome():
            speaker = msgspec.structs.replace(speaker, hold_seconds=reply.hold_seconds, ttl_seconds_max=reply.ttl_seconds_max)
            return Spoken(_taken(speaker, reply.seq))
        case Ack():
            return Spoken(_taken(speaker, reply.seq))
        case Resync():
            return _asked(speaker, reply, now=now)
        case Nack():
            return _refused(speaker, reply, now=now)


def tick(speaker: Speaker, now: datetime) -> Spoken:
    """Let time pass: repeat what went unanswered, renew offers in half their time, show a sign of life."""
    if speaker.wait_until is not None and now < speaker.wait_until:
        return Spoken(speaker)
    late = speaker.sent_at is None or now >= speaker.sent_at + timedelta(seconds=speaker.terms.retry_seconds)
    if speaker.log:
        return Spoken(msgspec.structs.replace(speaker, sent_at=now), speaker.log) if late else Spoken(speaker)
    for said in speaker.offers.values():
        life = min(said.offer.ttl_seconds, speaker.ttl_seconds_max)
        if now >= said.at + timedelta(seconds=life) / RENEWALS_PER_LIFE:
            speaker = _said(_changed(speaker, said.offer, now=now), said.offer, now=now)
    beat = speaker.beaten_at is None or now >= speaker.beaten_at + timedelta(seconds=speaker.hold_seconds) / HEARTBEATS_PER_HOLD
    if beat:
        heartbeat = Heartbeat(table_hash=hash_of_offers(speaker))
        speaker = msgspec.structs.replace(_said(speaker, heartbeat, now=now), beaten_at=now)
    return Spoken(speaker, speaker.log)


def hash_of_offers(speaker: Speaker) -> str:
    """Hash of the table as the provider has it."""
    return table_hash(offer_hash(said.offer) for said in speaker.offers.values())


def _said(speaker: Speaker, message: Message, *, now: datetime) -> Speaker:
    seq = speaker.seq + 1
    entry = Unsigned(provider=speaker.provider, epoch=speaker.epoch, seq=seq, message=message)
    return msgspec.structs.replace(speaker, seq=seq, log=(*speaker.log, entry), sent_at=now)


def _greeted(speaker: Speaker, now: datetime) -> Speaker:
    terms = speaker.terms
    hello = Hello(
        version=VERSION,
        hold_seconds=terms.hold_seconds,
        restart_seconds=terms.restart_seconds,
        table_hash=hash_of_offers(speaker),
    )
    speaker = _said(speaker, hello, now=now)
    return msgspec.structs.replace(speaker, hello_seq=speaker.seq, answered=False, beaten_at=now, wait_until=None)


def _owed(speaker: Speaker) -> tuple[Message, ...]:
    """Facts in the log that no snapshot tells."""
    return tuple(entry.message for entry in speaker.log if isinstance(entry.message, Reclaim | Rotate))


def _standing_facts(speaker: Speaker, now: datetime) -> tuple[Message, ...]:
    """What holds beside the table, said again whenever the table is: a pause or its end, and the windows ahead."""
    paused: Message = speaker.paused or Resume()
    return (paused, *(window for window in speaker.maintenance if now < window.end))


def _snapshot(speaker: Speaker, now: datetime) -> Spoken:
    """Say the whole table. It makes everything before it in the log superfluous, but for a hello and what is owed."""
    owed = _owed(speaker)
    hello = tuple(entry for entry in speaker.log if entry.seq == speaker.hello_seq and not speaker.answered)
    speaker = msgspec.structs.replace(speaker, log=hello, generation=speaker.generation + 1)
    offers = {name: msgspec.structs.replace(said, at=now) for name, said in speaker.offers.items()}
    begin = SnapshotBegin(generation=speaker.generation, count=len(offers), hash=hash_of_offers(speaker))
    speaker = _said(msgspec.structs.replace(speaker, offers=offers), begin, now=now)
    speaker = msgspec.structs.replace(speaker, snapshot_seq=speaker.seq)
    for name in sorted(offers):
        speaker = _said(speaker, offers[name].offer, now=now)
    for message in (SnapshotEnd(generation=speaker.generation), *_standing_facts(speaker, now), *owed):
        speaker = _said(speaker, message, now=now)
    return Spoken(speaker, speaker.log)


def _changed(speaker: Speaker, message: Message, *, now: datetime) -> Speaker:
    """Our own picture after a change."""
    offers = dict(speaker.offers)
    match message:
        case Announce():
            old = offers.get(message.offer_id)
            if old is not None and (message.version < old.offer.version or (message.version == old.offer.version and message != old.offer)):
                raise ValueError(f"offer {message.offer_id}: its version must be above {old.offer.version}, was {message.version}")
            offers[message.offer_id] = Said(offer=message, at=now)
        case Price() | Capacity() | Withdraw():
            if message.offer_id not in offers:
                raise ValueError(f"offer {message.offer_id} was never announced; announce it first")
            old = offers.pop(message.offer_id)
            if not isinstance(message, Withdraw):
                if message.version <= old.offer.version:
                    raise ValueError(f"offer {message.offer_id}: its version must be above {old.offer.version}, was {message.version}")
                new = msgspec.structs.replace(old.offer, version=message.version)
                if isinstance(message, Price):
                    new = msgspec.structs.replace(new, rate_micros=message.rate_micros)
                else:
                    new = msgspec.structs.replace(new, quantity=message.quantity)
                offers[message.offer_id] = Said(offer=new, at=now)
        case Pause() | Resume():
            return msgspec.structs.replace(speaker, paused=message if isinstance(message, Pause) else None)
        case Maint():
            return msgspec.structs.replace(speaker, maintenance=(*(w for w in speaker.maintenance if now < w.end), message))
        case Reclaim() | Rotate():
            return speaker
        case _:
            raise ValueError(f"the speaker sends {type(message).__name__} by itself")
    return msgspec.structs.replace(speaker, offers=offers)


def _taken(speaker: Speaker, seq: int) -> Speaker:
    log = tuple(entry for entry in speaker.log if entry.seq > seq)
    return msgspec.structs.replace(speaker, log=log, answered=speaker.answered or seq >= speaker.hello_seq)


def _asked(speaker: Speaker, reply: Resync, *, now: datetime) -> Spoken:
    """Say again what is missing; the whole table if we no longer have it, unless that is on its way already."""
    under_way = speaker.snapshot_seq >= reply.from_seq and any(entry.seq >= speaker.snapshot_seq for entry in speaker.log)
    if reply.snapshot:
        return Spoken(speaker) if under_way or reply.from_seq <= speaker.hello_seq else _snapshot(speaker, now)
    missing = tuple(entry for entry in speaker.log if entry.seq >= reply.from_seq)
    if missing:
        return Spoken(msgspec.structs.replace(speaker, sent_at=now), missing)
    return Spoken(speaker)


def _refused(speaker: Speaker, reply: Nack, *, now: datetime) -> Spoken:
    """Wait, greet again, or give an offer up, as the code says."""
    if reply.code == "too_many_messages":
        wait = now + timedelta(seconds=max(1, reply.retry_after_seconds))
        return Spoken(msgspec.structs.replace(speaker, wait_until=wait))
    if reply.code == "hello_first":
        # While the hello is on its way the log brings it again; only after an answer has the broker forgotten us.
        return started(speaker, now) if speaker.answered else Spoken(speaker)
    refused = Refused(code=reply.code, field=reply.field, offer_id=reply.offer_id)
    if not reply.consumed:
        return Spoken(speaker, (), (refused,))
    known = any(entry.seq == reply.seq for entry in speaker.log)
    offers = {name: said for name, said in speaker.offers.items() if name != reply.offer_id or not known}
    return Spoken(_taken(msgspec.structs.replace(speaker, offers=offers), reply.seq), (), (refused,))
