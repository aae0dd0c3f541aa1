"""How the broker takes a message: is it theirs, is it next, is there quota, what does it change.

The order of the questions is the protocol. A forged message is refused before it can cost the provider anything; one
out of order is never applied, it only makes the broker ask; one over the quota is refused but keeps the session alive.
"""

from datetime import datetime, timedelta
from itertools import count

import msgspec

from contracts.feed import changes
from contracts.feed.messages import (
    VERSION,
    Ack,
    Announce,
    Envelope,
    Heartbeat,
    Hello,
    Message,
    Nack,
    Reply,
    SealedBatch,
    SnapshotBegin,
    SnapshotEnd,
    Welcome,
)
from contracts.feed.runs import ONE_OFFER, Numbered, run
from contracts.feed.sealed import Contents, contents_of, payload_hashes, payload_of, sealed_bytes
from contracts.feed.session import (
    RECENT_MAX,
    Effect,
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
    refused = _not_theirs(session, envelope, now=now)
    return Outcome(session, (refused,)) if refused else _admitted(lapsed(session, now), envelope, now=now)


def step_sealed(session: Session, batch: SealedBatch, *, now: datetime, binary: bool = False) -> Outcome:
    """Take the messages of a sealed batch: its signature is checked once, and then each is what it would be in an envelope of its own.

    Changes of single offers that follow one another are applied together. Raises BadInput when the batch is genuine and cannot be read.
    """
    refused = _not_theirs(session, batch, now=now)
    if refused:
        return Outcome(session, (refused,))
    found = contents_of(batch, binary=binary)
    session = lapsed(session, now)
    replies: list[Reply] = []
    effects: list[Effect] = []
    place = 0
    while place < len(found.payloads):
        part = _together(session, batch, found=found, place=place, now=now)
        if part:
            end = place + len(part)
            hashes = payload_hashes(found, first=max(place, end - RECENT_MAX), end=end, binary=binary)
            outcome = _applied(session, part, hashes=hashes, now=now)
        else:
            payload = payload_of(found.payloads[place], binary=binary)
            facts = {"provider": batch.provider, "epoch": batch.epoch, "key": batch.key, "signature": batch.signature}
            outcome = _admitted(session, Envelope(seq=batch.seq + place, payload=payload, **facts), now=now)  # type: ignore[arg-type]
        session = outcome.session
        replies += outcome.replies
        effects += outcome.effects
        place += max(1, len(part))
    return Outcome(session, tuple(replies), tuple(effects))


def _not_theirs(session: Session, sent: Envelope | SealedBatch, *, now: datetime) -> Nack | None:
    """The refusal of what was not sent by this provider, with a key of its own; it costs the provider nothing."""
    if sent.provider != session.provider:
        return refusal(sent, "wrong_provider", field="provider")
    public_key = key_claimed(session, sent, now=now)
    data = sealed_bytes(sent) if isinstance(sent, SealedBatch) else signed_bytes(sent)
    if public_key is None or not is_signed(sent.signature, data, public_key=public_key):
        return refusal(sent, "bad_signature" if public_key else "unknown_key", field="signature")
    return None


def _admitted(session: Session, envelope: Envelope, *, now: datetime) -> Outcome:
    """A message that is theirs: is it next, and may it be applied."""
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


def _together(session: Session, batch: SealedBatch, *, found: Contents, place: int, now: datetime) -> list[Numbered]:
    """The changes of single offers that are next and paid for, from a place on; none where the next message has to be judged alone."""
    in_place = (batch.epoch, batch.seq + place) == (session.epoch, session.seq + 1) and not session.broken
    if found.messages is None or not in_place or (session.staged is None and not session.synced):
        return []
    part = []
    for seq, message, content in zip(count(batch.seq + place), found.messages[place:], found.hashes[place:], strict=False):
        if not isinstance(message, ONE_OFFER) or (session.staged is not None and not isinstance(message, Announce)):
            break
        part.append(Numbered(seq, message, content))
    return part if session.staged is not None or _wait(session, len(part), now=now) == 0 else []


def _applied(session: Session, part: list[Numbered], *, hashes: list[str], now: datetime) -> Outcome:
    """Changes in their place, all at once. Of acknowledgements that follow one another only the last is given."""
    first, last = part[0].seq, part[-1].seq
    recent = session.recent | dict(enumerate(hashes, last - len(hashes) + 1))
    paid_until = session.paid_until if session.staged is not None else _paid(session, len(part), now=now)
    outcome = run(msgspec.structs.replace(session, heard_at=now, paid_until=paid_until), part, now=now)
    replies: list[Reply] = []
    for nack in outcome.replies:
        assert isinstance(nack, Nack), "changes of single offers are refused or taken"
        replies += (Ack(epoch=session.epoch, seq=nack.seq - 1), nack) if nack.seq > first else (nack,)
        first = nack.seq + 1
    if first <= last:
        replies.append(Ack(epoch=session.epoch, seq=last))
    kept = {seq: known for seq, known in recent.items() if seq > last - RECENT_MAX}
    return Outcome(msgspec.structs.replace(outcome.session, seq=last, recent=kept), tuple(replies), outcome.effects)


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
    cost = SNAPSHOT_COST if isinstance(message, SnapshotBegin) else 1
    wait = _wait(session, cost, now=now)
    return (session, wait) if wait else (msgspec.structs.replace(session, paid_until=_paid(session, cost, now=now)), 0)


def _wait(session: Session, cost: int, *, now: datetime) -> int:
    """Whole seconds until there is quota for so many messages; 0 when there is."""
    ahead = _paid(session, cost, now=now) - now - _share(session) * session.terms.updates_burst
    return 0 if ahead <= timedelta(0) else max(1, -(-ahead // timedelta(seconds=1)))


def _paid(session: Session, cost: int, *, now: datetime) -> datetime:
    return max(session.paid_until or now, now) + _share(session) * cost


def _share(session: Session) -> timedelta:
    """What one message takes of the quota."""
    return timedelta(seconds=SECONDS_PER_MINUTE) / session.terms.updates_per_minute
