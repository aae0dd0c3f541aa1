"""The broker's side of one provider's feed: what it remembers, and what holds whatever the message.

`Session` is all the memory there is. Functions take one and give the next; `contracts.feed.receiving.step` is the way in.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from contracts.feed.damping import charged, is_damped
from contracts.feed.messages import Ack, Envelope, Maint, Nack, Reply, Resync, SealedBatch
from contracts.feed.table import Entry, FeedTerms, ShownOffer, State, is_withheld, stands
from contracts.feed.wire import key_id, table_hash

RECENT_MAX = 256
SECOND = timedelta(seconds=1)
LIVE: tuple[State, str] = ("live", "")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key that may sign for the provider, until a moment or, when it is the newest, for good."""

    public_key: str
    until: datetime | None = None


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot on its way in: nothing of it counts before it is complete, and nothing at all once it is spoiled."""

    generation: int
    count: int
    hash: str
    entries: dict[str, Entry] = {}
    spoiled: bool = False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker knows of one provider's feed. Kept between messages, and across the broker's own restarts.

    epoch, seq    the last message taken; 0 before the first
    synced        whether the table is known to be the provider's: if not, only a snapshot (or a hello) is taken
    broken        the epoch is spent by a protocol error; only a greater one opens the session again
    heard_at      the last sign of life, by our clock
    recent        payload hashes of the last messages by number, to tell a repetition from a contradiction
    paid_until    the quota: each message moves it on by its share of a minute; it may run ahead of now by the burst
    asked         the gap last asked for, and when
    """

    provider: str
    keys: tuple[Key, ...]
    terms: FeedTerms = FeedTerms()
    epoch: int = 0
    seq: int = 0
    synced: bool = False
    broken: bool = False
    hold_seconds: int = 0
    restart_seconds: int = 0
    heard_at: datetime | None = None
    recent: dict[int, str] = {}
    entries: dict[str, Entry] = {}
    staged: Staged | None = None
    paused: str | None = None
    maintenance: tuple[Maint, ...] = ()
    paid_until: datetime | None = None
    asked: tuple[Resync, datetime] | None = None


class OfferChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="offer_changed"):
    """An offer, or its standing, is not what it was: the store and the book follow these."""

    offer_id: str
    version: int
    state: State
    reason: str


class LeaseReclaimed(msgspec.Struct, frozen=True, kw_only=True, tag="lease_reclaimed"):
    """The provider takes a lease back. May be told twice; the lease and deadline make it one fact."""

    lease_id: str
    deadline: datetime
    reason: str


class KeyAdded(msgspec.Struct, frozen=True, kw_only=True, tag="key_added"):
    """The provider signs with another key from now on."""

    key: str


class ProtocolError(msgspec.Struct, frozen=True, kw_only=True, tag="protocol_error"):
    """Somebody at the provider should look: two messages with one number, for one."""

    code: str
    detail: str


Effect = OfferChanged | LeaseReclaimed | KeyAdded | ProtocolError


class Outcome(msgspec.Struct, frozen=True):
    """The session after a step, what to answer, and what it means for the market."""

    session: Session
    replies: tuple[Reply, ...] = ()
    effects: tuple[Effect, ...] = ()


def open_session(provider: str, public_key: str, *, terms: FeedTerms | None = None) -> Session:
    """A provider that has not spoken yet, with the key it registered."""
    return Session(provider=provider, keys=(Key(public_key=public_key),), terms=terms or FeedTerms())


def standing(session: Session, offer_id: str, *, now: datetime) -> tuple[State, str]:
    """State of an offer and the reason for it. Silence speaks first, then the provider, then our damping."""
    entry = session.entries.get(offer_id)
    if entry is None:
        return "withdrawn", "unknown"
    return _standing_of(session, entry, whole=_standing_of_all(session, now), now=now)


def _standing_of(session: Session, entry: Entry, *, whole: tuple[State, str] | None, now: datetime) -> tuple[State, str]:
    if not stands(entry, now):
        return "withdrawn", entry.gone or "its time to live is over"
    if whole is not None:
        return whole
    if session.maintenance and is_withheld(entry, session.maintenance, now=now):
        return "paused", "maintenance"
    if entry.penalty.suppressed and is_damped(entry.penalty, now, damping=session.terms.damping):
        return "damped", "it changed too often"
    return LIVE


def _standing_of_all(session: Session, now: datetime) -> tuple[State, str] | None:
    """What holds for whatever stands in the table, if anything does."""
    silence = silent_seconds(session, now)
    if silence >= session.hold_seconds + session.restart_seconds:
        return "withdrawn", "the provider has been silent for too long"
    if silence >= session.hold_seconds:
        return "stale", f"the provider has been silent for more than {session.hold_seconds} s"
    if session.broken or not session.synced:
        return "stale", "the provider's table is being read again"
    return None if session.paused is None else ("paused", session.paused or "the provider has paused")


def may_book(session: Session, offer_id: str, *, version: int, now: datetime) -> bool:
    """Whether a hold may be taken on exactly this version: compare and set is on (offer, version)."""
    entry = session.entries.get(offer_id)
    return entry is not None and entry.offer.version == version and standing(session, offer_id, now=now)[0] == "live"


def shown_table(session: Session, now: datetime) -> tuple[ShownOffer, ...]:
    """Every offer that has not been withdrawn, by id, with its state and age."""
    rows = []
    for offer_id in sorted(session.entries):
        entry = session.entries[offer_id]
        state, reason = standing(session, offer_id, now=now)
        if state != "withdrawn":
            offer = entry.offer
            row = ShownOffer(
                offer_id=offer_id,
                version=offer.version,
                quantity=offer.quantity,
                rate_micros=offer.rate_micros,
                state=state,
                reason=reason,
                age_seconds=max(0, (now - entry.heard_at) // SECOND),
                attributes=offer.attributes,
                attested=entry.attested,
            )
            rows.append(row)
    return tuple(rows)


def hash_of_table(session: Session, now: datetime) -> str:
    """Hash of what stands, to compare with the provider's."""
    return table_hash(entry.hash for entry in session.entries.values() if stands(entry, now))


def silent_seconds(session: Session, now: datetime) -> int:
    """Whole seconds since the last sign of life; 0 before the first."""
    return 0 if session.heard_at is None else max(0, (now - session.heard_at) // SECOND)


def tick(session: Session, now: datetime) -> Outcome:
    """Let time pass: silence, times to live, windows and damping take effect and are told. Call it every few seconds.

    A session in which nothing has come to pass is returned as it is.
    """
    if _is_steady(session, now):
        return Outcome(session)
    session = lapsed(session, now)
    kept = {}
    for offer_id, entry in session.entries.items():
        if stands(entry, now):
            kept[offer_id] = entry
        elif not entry.gone:
            kept[offer_id] = msgspec.structs.replace(entry, gone="its time to live is over")
        elif now < entry.heard_at + timedelta(seconds=session.terms.memory_seconds) or entry.shown[0] != "withdrawn":
            kept[offer_id] = entry
    windows = tuple(window for window in session.maintenance if now < window.end)
    return told(msgspec.structs.replace(session, entries=kept, maintenance=windows), now)


def _is_steady(session: Session, now: datetime) -> bool:
    """Whether every offer was told to be live and still is, which is almost always so.

    Time ends an offer, brings silence and windows about, and lets what was damped, withdrawn or held back come or go; it damps nothing.
    """
    if session.maintenance or _standing_of_all(session, now) is not None:
        return False
    return all(entry.shown[0] == "live" and now < entry.until for entry in session.entries.values())


def lapsed(session: Session, now: datetime) -> Session:
    """After silence beyond hold and restart the offers are withdrawn for good: speaking again does not bring them back."""
    if silent_seconds(session, now) < session.hold_seconds + session.restart_seconds or not session.entries:
        return session
    reason = "the provider has been silent for too long"
    entries = {name: entry if entry.gone else msgspec.structs.replace(entry, gone=reason) for name, entry in session.entries.items()}
    return msgspec.structs.replace(session, entries=entries)


def told(session: Session, now: datetime, *, effects: tuple[Effect, ...] = ()) -> Outcome:
    """Tell each change of standing once."""
    return told_of(session, dict(session.entries), now=now, effects=effects)


def told_of(
    session: Session, entries: dict[str, Entry], *, now: datetime, only: Collection[str] | None = None, effects: tuple[Effect, ...] = ()
) -> Outcome:
    """The session with these entries, which are its own from now on; each change of standing among them, or among some, is told once."""
    changes: list[Effect] = []
    whole = _standing_of_all(session, now)
    plain = whole is None and not session.maintenance
    for offer_id in tuple(entries) if only is None else only:
        entry = entries[offer_id]
        if plain and not entry.gone and now < entry.until and not entry.penalty.suppressed:
            state, reason = LIVE
        else:
            state, reason = _standing_of(session, entry, whole=whole, now=now)
        mark = (state, f"{entry.hash}:{reason}")
        if mark != entry.shown:
            entries[offer_id] = msgspec.structs.replace(entry, shown=mark)
            changes.append(OfferChanged(offer_id=offer_id, version=entry.offer.version, state=state, reason=reason))
    return Outcome(msgspec.structs.replace(session, entries=entries), (), (*effects, *changes))


def withdrawn(entry: Entry, reason: str, *, now: datetime, terms: FeedTerms) -> Entry:
    """The entry after its offer has gone. Coming and going costs the most."""
    penalty = charged(entry.penalty, terms.damping.withdraw, now=now, damping=terms.damping)
    return msgspec.structs.replace(entry, gone=reason, penalty=penalty, heard_at=now)


def acknowledged(session: Session) -> Ack:
    """Everything so far has been taken."""
    return Ack(epoch=session.epoch, seq=session.seq)


def refusal(envelope: Envelope | SealedBatch, code: str, *, consumed: bool = False, field: str = "", offer_id: str = "") -> Nack:
    """A refusal of this message."""
    return Nack(epoch=envelope.epoch, seq=envelope.seq, code=code, consumed=consumed, field=field, offer_id=offer_id)


def asked_again(session: Session, now: datetime, *, snapshot: bool = False) -> Outcome:
    """Ask for what is missing; for the same gap only now and then, or a flood of late messages would become a flood of repetitions."""
    wanted = Resync(epoch=session.epoch, from_seq=session.seq + 1, snapshot=snapshot)
    if session.asked is not None:
        before, at = session.asked
        if before == wanted and now < at + timedelta(seconds=session.terms.resync_seconds):
            return Outcome(session)
    return Outcome(msgspec.structs.replace(session, asked=(wanted, now)), (wanted,))


def key_claimed(session: Session, envelope: Envelope | SealedBatch, *, now: datetime) -> str | None:
    """The public key an envelope claims, if it may sign now."""
    for key in session.keys:
        if key_id(key.public_key) == envelope.key and (key.until is None or now < key.until):
            return key.public_key
    return None
