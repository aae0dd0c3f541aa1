"""What each message changes in the broker's table, once it is known to be genuine and next in order."""

from datetime import UTC, datetime, timedelta

import msgspec

from contracts.feed.messages import (
    ATTRIBUTES_BYTES_MAX,
    Announce,
    Capacity,
    Envelope,
    Heartbeat,
    Hello,
    Maint,
    Message,
    Nack,
    Pause,
    Price,
    Reclaim,
    Resume,
    Rotate,
    SnapshotBegin,
    SnapshotEnd,
    Withdraw,
)
from contracts.feed.runs import Numbered, run
from contracts.feed.session import (
    Effect,
    Key,
    KeyAdded,
    LeaseReclaimed,
    Outcome,
    Session,
    Staged,
    asked_again,
    hash_of_table,
    refusal,
    told,
    withdrawn,
)
from contracts.feed.table import stands
from contracts.feed.wire import canonical, is_signed, key_id, offer_hash, proof_bytes, table_hash

WINDOWS_MAX = 64
ATTESTATIONS_MAX = 16


def checked(message: Message, envelope: Envelope) -> Message | Nack:
    """The message if it makes sense in itself, else the refusal that uses up its number."""
    field = ""
    match message:
        case Announce() if len(canonical(message.attributes)) > ATTRIBUTES_BYTES_MAX:
            field = "attributes"
        case Announce() if len(message.attestations) > ATTESTATIONS_MAX:
            field = "attestations"
        case Maint() if not _in_utc(message.start) or not _in_utc(message.end) or message.start >= message.end:
            field = "end"
        case Reclaim() if not _in_utc(message.deadline):
            field = "deadline"
        case _:
            return message
    return refusal(envelope, "malformed", consumed=True, field=field)


def apply(session: Session, envelope: Envelope, *, message: Message, now: datetime) -> Outcome:
    """The table after a message that is next in order, and what to say beside the acknowledgement."""
    match message:
        case Announce() | Price() | Capacity() | Withdraw():
            content = offer_hash(message) if isinstance(message, Announce) else ""
            return run(session, (Numbered(envelope.seq, message, content),), now=now)
        case Heartbeat():
            return _confirmed(session, message, now=now)
        case SnapshotBegin():
            return _begun(session, envelope, message=message)
        case SnapshotEnd():
            return _replaced(session, envelope, message=message, now=now)
        case Rotate():
            return _rotated(session, envelope, message=message, now=now)
        case Maint() | Pause() | Resume() | Reclaim():
            return _held_back(session, message, now=now)
        case Hello():
            raise AssertionError("a hello is taken before any change")


def _in_utc(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment.utcoffset() == moment.astimezone(UTC).utcoffset()


def _refused(session: Session, envelope: Envelope, *, code: str, field: str, offer_id: str) -> Outcome:
    return Outcome(session, (refusal(envelope, code, consumed=True, field=field, offer_id=offer_id),))


def _confirmed(session: Session, message: Heartbeat, *, now: datetime) -> Outcome:
    """The hashes agree, or the table is not to be trusted until a snapshot has come."""
    if hash_of_table(session, now) == message.table_hash:
        return told(session, now)
    outcome = told(msgspec.structs.replace(session, synced=False), now)
    asking = asked_again(outcome.session, now, snapshot=True)
    return Outcome(asking.session, asking.replies, outcome.effects)


def _begun(session: Session, envelope: Envelope, *, message: SnapshotBegin) -> Outcome:
    too_many = message.count > session.terms.offers_max
    staged = Staged(generation=message.generation, count=message.count, hash=message.hash, spoiled=too_many)
    session = msgspec.structs.replace(session, staged=staged)
    return _refused(session, envelope, code="too_many_offers", field="count", offer_id="") if too_many else Outcome(session)


def _replaced(session: Session, envelope: Envelope, *, message: SnapshotEnd, now: datetime) -> Outcome:
    """All of a snapshot at once, if it is all there; what it does not name is withdrawn."""
    staged = session.staged
    session = msgspec.structs.replace(session, staged=None)
    if staged is None:
        return _refused(session, envelope, code="no_snapshot", field="generation", offer_id="")
    found = table_hash(entry.hash for entry in staged.entries.values())
    if staged.spoiled or (message.generation, len(staged.entries), found) != (staged.generation, staged.count, staged.hash):
        refused = _refused(session, envelope, code="snapshot_incomplete", field="hash", offer_id="")
        asking = asked_again(session, now, snapshot=True)
        return Outcome(asking.session, (*refused.replies, *asking.replies))
    entries = dict(staged.entries)
    for offer_id, old in session.entries.items():
        if offer_id not in entries:
            leaves = stands(old, now)
            entries[offer_id] = withdrawn(old, "not in the provider's snapshot", now=now, terms=session.terms) if leaves else old
    return told(msgspec.structs.replace(session, entries=entries, synced=True, asked=None), now)


def _rotated(session: Session, envelope: Envelope, *, message: Rotate, now: datetime) -> Outcome:
    """Only the newest key may name its successor: whoever stole an old one cannot."""
    data = proof_bytes(session.provider, message.public_key)
    newest = session.keys[-1]
    if key_id(newest.public_key) == key_id(message.public_key):
        return Outcome(session)
    if envelope.key != key_id(newest.public_key) or not is_signed(message.proof, data, public_key=message.public_key):
        return _refused(session, envelope, code="bad_proof", field="proof", offer_id="")
    retires = now + timedelta(seconds=message.overlap_seconds)
    older = tuple(
        msgspec.structs.replace(key, until=retires if key.until is None else min(key.until, retires))
        for key in session.keys
        if key.until is None or now < key.until
    )
    keys = (*older, Key(public_key=message.public_key))
    return Outcome(msgspec.structs.replace(session, keys=keys), (), (KeyAdded(key=key_id(message.public_key)),))


def _held_back(session: Session, message: Maint | Pause | Resume | Reclaim, *, now: datetime) -> Outcome:
    """What concerns booking or a lease, and never the table itself."""
    effects: tuple[Effect, ...] = ()
    match message:
        case Maint():
            ahead = tuple(window for window in session.maintenance if now < window.end and window != message)
            session = msgspec.structs.replace(session, maintenance=(*ahead, message)[-WINDOWS_MAX:])
        case Pause():
            session = msgspec.structs.replace(session, paused=message.reason)
        case Resume():
            session = msgspec.structs.replace(session, paused=None)
        case Reclaim():
            effects = (LeaseReclaimed(lease_id=message.lease_id, deadline=message.deadline, reason=message.reason),)
    return told(session, now, effects=effects)
