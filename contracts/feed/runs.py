"""Changes of single offers, as many in a row as have come: the table is copied once for all of them.

A message that comes alone is a row of one, so that there is one rule for both. Whoever calls has seen to it that the messages are
genuine, next in order and paid for.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from contracts.feed.damping import Penalty, charged
from contracts.feed.messages import Announce, Capacity, Nack, Price, Withdraw
from contracts.feed.session import Outcome, Session, told_of, withdrawn
from contracts.feed.table import Attested, Entry, life, stands
from contracts.feed.wire import attested_bytes, is_signed, offer_hash

OneOffer = Announce | Price | Capacity | Withdraw
ONE_OFFER = (Announce, Price, Capacity, Withdraw)


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A change under its number; `hash` is the content hash of an announce, empty for the others."""

    seq: int
    message: OneOffer
    hash: str


class Fault(msgspec.Struct, frozen=True):
    """Why a change is refused: the code, and the member at fault."""

    code: str
    field: str


def run(session: Session, part: Sequence[Numbered], *, now: datetime) -> Outcome:
    """Take changes one after the other; the refusals among them are the replies. Each standing is told once, as it is in the end."""
    if session.staged is not None:
        return _staged(session, part, now=now)
    entries, refused = dict(session.entries), []
    touched: dict[str, None] = {}
    room = _room(session, part, now=now)
    for each in part:
        message = each.message
        name = message.offer_id
        old = entries.get(name)
        if isinstance(message, Announce):
            found = _announced(session, old, offer=message, content=each.hash, now=now)
            comes = isinstance(found, Entry) and (old is None or not stands(old, now))
            if comes and room is not None and not room.admits(is_new=old is None):
                found = Fault("too_many_offers", "offer_id")
        elif isinstance(message, Withdraw):
            found = _withdrawn(session, old, message=message, now=now)
            if room is not None and isinstance(found, Entry):
                room.standing -= 1
        else:
            found = _moved(session, old, message=message, now=now)
        if isinstance(found, Entry):
            entries[name] = found
            touched[name] = None
        else:
            refused.append(_nack(session, each, fault=found))
    outcome = told_of(session, entries, now=now, only=touched)
    return Outcome(outcome.session, tuple(refused), outcome.effects)


class _Room(msgspec.Struct):
    """Offers that stand and offers that are remembered, counted along."""

    limit: int
    standing: int
    remembered: int

    def admits(self, *, is_new: bool) -> bool:
        """Whether one more may stand; if so it does."""
        others = self.remembered if is_new else self.remembered - 1
        if self.standing >= self.limit or others >= 2 * self.limit:
            return False
        self.standing += 1
        self.remembered += is_new
        return True


def _room(session: Session, part: Sequence[Numbered], *, now: datetime) -> _Room | None:
    """What room there is; None where there is enough for all of them, which is almost always, and nothing needs counting."""
    if len(session.entries) + len(part) <= session.terms.offers_max:
        return None
    standing = sum(stands(entry, now) for entry in session.entries.values())
    return _Room(session.terms.offers_max, standing, len(session.entries))


def _announced(session: Session, old: Entry | None, *, offer: Announce, content: str, now: datetime) -> Entry | Fault:
    code = "" if old is None else _version_fault(old, offer.version, content=content)
    return Fault(code, "version") if code else _entry(session, old, offer=offer, content=content, now=now)


def _moved(session: Session, old: Entry | None, *, message: Price | Capacity, now: datetime) -> Entry | Fault:
    """Only the rate or only the quantity differs; everything else stands as announced."""
    if old is None or not stands(old, now):
        return Fault("unknown_offer", "offer_id")
    if isinstance(message, Price):
        offer = msgspec.structs.replace(old.offer, version=message.version, rate_micros=message.rate_micros)
    else:
        offer = msgspec.structs.replace(old.offer, version=message.version, quantity=message.quantity)
    return _announced(session, old, offer=offer, content=offer_hash(offer), now=now)


def _withdrawn(session: Session, old: Entry | None, *, message: Withdraw, now: datetime) -> Entry | Fault:
    if old is None or not stands(old, now):
        return Fault("unknown_offer", "offer_id")
    return withdrawn(old, message.reason or "withdrawn by the provider", now=now, terms=session.terms)


def _staged(session: Session, part: Sequence[Numbered], *, now: datetime) -> Outcome:
    """Offers of a snapshot are laid aside. One fault spoils the whole snapshot, and what follows up to its end."""
    staged = session.staged
    assert staged is not None, "only a snapshot on its way in stages offers"
    if staged.spoiled:
        return Outcome(session)
    entries = dict(staged.entries)
    refused: tuple[Nack, ...] = ()
    for each in part:
        offer = each.message
        assert isinstance(offer, Announce), "between begin and end only announces are taken"
        old = session.entries.get(offer.offer_id)
        code = "" if old is None else _version_fault(old, offer.version, content=each.hash)
        if offer.offer_id in entries:
            code = "offer_twice"
        elif len(entries) >= staged.count:
            code = "snapshot_incomplete"
        if code:
            refused = (_nack(session, each, fault=Fault(code, "version")),)
            break
        entries[offer.offer_id] = _entry(session, old, offer=offer, content=each.hash, now=now)
    staged = msgspec.structs.replace(staged, entries=entries, spoiled=bool(refused))
    return Outcome(msgspec.structs.replace(session, staged=staged), refused)


def _nack(session: Session, each: Numbered, *, fault: Fault) -> Nack:
    offer_id = each.message.offer_id
    return Nack(epoch=session.epoch, seq=each.seq, code=fault.code, consumed=True, field=fault.field, offer_id=offer_id)


def _version_fault(entry: Entry, version: int, *, content: str) -> str:
    """Why a version may not follow the one we know: it lies behind, or says two things. Empty if it may."""
    if version < entry.offer.version:
        return "version_behind"
    return "version_reused" if version == entry.offer.version and content != entry.hash else ""


def _entry(session: Session, old: Entry | None, *, offer: Announce, content: str, now: datetime) -> Entry:
    """The entry an offer would have: its penalty carried on, and charged for what changed."""
    penalty = Penalty(0, now) if old is None else old.penalty
    if old is not None and not old.gone and content != old.hash:
        penalty = charged(penalty, _points(session, old.offer, new=offer), now=now, damping=session.terms.damping)
    return Entry(
        offer=offer,
        hash=content,
        heard_at=now,
        until=life(offer.ttl_seconds, session.terms, now=now),
        penalty=penalty,
        attested=_attested(session, offer) if offer.attestations else (),
        shown=("withdrawn", "unknown") if old is None else old.shown,
    )


def _points(session: Session, old: Announce, *, new: Announce) -> int:
    """What a change costs: by what changed, not by the message that said so."""
    damping = session.terms.damping
    if (old.attributes, old.attestations) != (new.attributes, new.attestations):
        return damping.change
    return (damping.price if old.rate_micros != new.rate_micros else 0) + (damping.capacity if old.quantity != new.quantity else 0)


def _attested(session: Session, offer: Announce) -> tuple[Attested, ...]:
    """Third parties' claims with their standing; one by an unknown issuer is kept, unverified."""
    claims = []
    for one in offer.attestations:
        public_key = session.terms.issuers.get(one.issuer, "")
        data = attested_bytes(session.provider, offer.offer_id, attestation=one)
        good = bool(public_key) and is_signed(one.signature, data, public_key=public_key)
        claims.append(Attested(issuer=one.issuer, claim=one.claim, value=one.value, verified=good))
    return tuple(claims)
