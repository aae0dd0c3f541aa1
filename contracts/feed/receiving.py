"""How the broker takes a message: is it theirs, is it next, is there quota, what does it change.

The order of the questions is the protocol. A forged message is refused before it can cost the provider anything; one
out of order is never applied, it only makes the broker ask; one over the quota is refused but keeps the session alive.
"""

from datetime import datetime, timedelta

import msgspec

from contracts.feed import changes
from contracts.feed.messages import VERSION, Announce, Envelope, Heartbeat, Hello, Message, Nack, Reply, SnapshotBegin, SnapshotEnd, Welcome
from contracts.feed.session import (
    RECENT_MAX,
    Outcome,
    ProtocolError,
    Session,
    acknowledged,
    asked_again,
    hash_of_table,
    key_claimed,
    lapsed,
    refusal,
    told,
)
from contracts.feed.wire import is_signed, message_of, sha256, signed_bytes

MAJOR = VERSION.split(".", maxsplit=1)[0]
SNAPSHOT_COST = 20
SECONDS_PER_MINUTE = 60


def step(session: Session, envelope: Envelope, *, now: datetime) -> Outcome:
    """Take one message. `now` is the broker's clock, UTC. The envelope has passed `wire.decode`."""
    if envelope.provider != session.provider:
        return Outcome(session, (refusal(envelope, "wrong_provider", field="provider"),))
    public_key = key_claimed(session, envelope, now=now)
    if public_key is None or not is_signed(envelope.signature, signed_bytes(envelope), public_key=public_key):
        return Outcome(session, (refusal(envelope, "bad_signature" if public_key else "unknown_key", field="signature"),))
    session = lapsed(session, now)
    if envelope.epoch < session.epoch:
        return Outcome(session, (refusal(envelope, "epoch_behind", field="epoch"),))
    message = _read(envelope)
    if envelope.epoch > session.epoch:
        if not isinstance(message, Hello):
            return Outcome(session, (refusal(envelope, "hello_first"),))
    elif session.broken:
        return Outcome(session, (refusal(envelope, "epoch_spent", field="epoch"),))
    elif envelope.seq <= session.seq:
        return _repeated(session, envelope, now=now)
    elif envelope.seq > session.seq + 1 and not isinstance(message, Hello | SnapshotBegin):
        return asked_again(session, now)
    return _next(session, envelope, message=message, now=now)


def _read(envelope: Envelope) -> Message | Nack:
    try:
        message = message_of(envelope)
    except msgspec.ValidationError as fault:
        text = str(fault)
        field = text.rsplit("$.", 1)[-1].rstrip("`") if "$." in text else ""
        code = "unknown_type" if field == "type" or "type" not in envelope.payload else "malformed"
        return refusal(envelope, code, consumed=True, field=field)
    return changes.checked(message, envelope)


def _repeated(session: Session, envelope: Envelope, *, now: datetime) -> Outcome:
    """A number we have had: the same message is acknowledged again, another one spends the epoch."""
    before = session.recent.get(envelope.seq)
    if before is None or before == sha256(envelope.payload):
        return Outcome(session, (acknowledged(session),))
    error = ProtocolError(code="sequence_reused", detail=f"message {envelope.seq} came with two contents")
    outcome = told(msgspec.structs.replace(session, broken=True, staged=None), now, effects=(error,))
    return Outcome(outcome.session, (refusal(envelope, "sequence_reused", field="seq"),), outcome.effects)


def _next(session: Session, envelope: Envelope, *, message: Message | Nack, now: datetime) -> Outcome:
    """A message that may be applied: it is in its place, or makes good whatever it jumped over."""
    if envelope.epoch == session.epoch:
        session = msgspec.structs.replace(session, heard_at=now)
    opens = isinstance(message, Hello | SnapshotBegin)
    if not session.synced and session.staged is None and not opens and not isinstance(message, Nack):
        return asked_again(session, now, snapshot=True)
    if session.staged is not None and not opens and not isinstance(message, Announce | SnapshotEnd | Nack):
        return asked_again(session, now, snapshot=True)
    session, wait = _charged(session, message, now=now)
    if wait:
        nack = msgspec.structs.replace(refusal(envelope, "too_many_messages"), retry_after_seconds=wait)
        return Outcome(session, (nack,))
    if isinstance(message, Hello) and message.version.split(".", maxsplit=1)[0] != MAJOR:
        return Outcome(session, (refusal(envelope, "version_unsupported", field="version"),))
    if isinstance(message, Hello):
        return _opened(session, envelope, message=message, now=now)
    session = _numbered(session, envelope)
    if isinstance(message, Nack):
        return Outcome(session, (message,))
    outcome = changes.apply(session, envelope, message=message, now=now)
    refused = any(isinstance(reply, Nack) for reply in outcome.replies)
    replies: tuple[Reply, ...] = outcome.replies if refused else (acknowledged(outcome.session), *outcome.replies)
    return Outcome(outcome.session, replies, outcome.effects)


def _opened(session: Session, envelope: Envelope, *, message: Hello, now: datetime) -> Outcome:
    """A hello keeps the table if the epoch is the same and the hashes agree; otherwise it is stale until a snapshot."""
    terms = session.terms
    anew = envelope.epoch > session.epoch
    if anew:
        session = msgspec.structs.replace(session, recent={}, paused=None, maintenance=(), broken=False)
    synced = not anew and hash_of_table(session, now) == message.table_hash
    session = _numbered(
        msgspec.structs.replace(
            session,
            epoch=envelope.epoch,
            synced=synced,
            staged=None,
            asked=None,
            heard_at=now,
            hold_seconds=min(max(message.hold_seconds, terms.hold_seconds_min), terms.hold_seconds_max),
            restart_seconds=min(message.restart_seconds, terms.restart_seconds_max),
        ),
        envelope,
    )
    welcome = Welcome(
        epoch=session.epoch,
        seq=session.seq,
        version=VERSION,
        hold_seconds=session.hold_seconds,
        restart_seconds=session.restart_seconds,
        ttl_seconds_max=terms.ttl_seconds_max,
        offers_max=terms.offers_max,
    )
    outcome = told(session, now)
    if synced:
        return Outcome(outcome.session, (welcome,), outcome.effects)
    asking = asked_again(outcome.session, now, snapshot=True)
    return Outcome(asking.session, (welcome, *asking.replies), outcome.effects)


def _numbered(session: Session, envelope: Envelope) -> Session:
    """The message's number is used up."""
    recent = {seq: known for seq, known in session.recent.items() if seq > envelope.seq - RECENT_MAX}
    recent[envelope.seq] = sha256(envelope.payload)
    return msgspec.structs.replace(session, seq=envelope.seq, recent=recent)


def _charged(session: Session, message: Message | Nack, *, now: datetime) -> tuple[Session, int]:
    """Take a message's share of the quota; the seconds to wait if there is none left, and then nothing is taken.

    A heartbeat is free, or a busy provider would be taken for a silent one; a snapshot pays at its beginning.
    """
    if isinstance(message, Heartbeat) or (session.staged is not None and isinstance(message, Announce | SnapshotEnd)):
        return session, 0
    terms = session.terms
    share = timedelta(seconds=SECONDS_PER_MINUTE) / terms.updates_per_minute
    burst = share * terms.updates_burst
    cost = SNAPSHOT_COST if isinstance(message, SnapshotBegin) else 1
    paid_until = max(session.paid_until or now, now) + share * cost
    if paid_until - now > burst:
        return session, max(1, -((now - paid_until + burst) // timedelta(seconds=1)))
    return msgspec.structs.replace(session, paid_until=paid_until), 0
