"""Where feeds come in: a batch is applied by the pure session and kept with everything it changed, in one transaction.

What has been acknowledged is durable: the answer is made before the commit and given after it. A broker that stops between two
batches goes on from the row; one that stops inside a batch has taken nothing of it, and the provider sends it again. Sessions are
held in memory too, because a table of ten thousand offers is not read anew for every heartbeat; the row's revision says whether
the copy is the present one, so several processes may take one provider's batches in turn.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import compress
from operator import is_not
from typing import Any

import msgspec

from broker.clock import Clock
from broker.feeds.judging import Judge, judge
from broker.feeds.listeners import Listeners, Told
from broker.feeds.reclaiming import call_back
from broker.services.feed_views import FeedKey, FeedOffer, FeedView, Release
from broker.services.price_history import hour_of
from broker.store.repositories.feed import FeedHead, FeedRepository
from broker.store.repositories.price_history import PriceHistoryRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed.batches import take
from contracts.feed.messages import Reply
from contracts.feed.session import Effect, LeaseReclaimed, OfferChanged, Outcome, Session, open_session, silent_seconds, standing, tick
from contracts.feed.table import Entry, FeedTerms
from contracts.terms.errors import Conflict, NotFound
from contracts.terms.hardware import HardwareClass

TRUST = "community"
RELEASED = "offer_released"
LOOKED_EVERY = timedelta(minutes=5)
ENTRY = msgspec.json.Encoder()
Changed = Mapping[str, tuple[Entry | None, Entry]]


class Kept(msgspec.Struct, frozen=True):
    """A session as the row has it: under which revision, and what is held against its offers."""

    head: FeedHead
    session: Session
    suspects: dict[str, str]


class FeedDesk:
    """Takes what providers announce."""

    def __init__(self, sessions: Sessions, *, clock: Clock, hardware: Sequence[HardwareClass], terms: FeedTerms | None = None) -> None:
        self._sessions = sessions
        self._clock = clock
        self._hardware = {each.name: each for each in hardware}
        self._terms = terms or FeedTerms()
        self._kept: dict[str, Kept] = {}
        self._judge = Judge(self._hardware)
        self._looked_at: datetime | None = None
        self.listeners = Listeners()

    async def register(self, provider_id: str, public_key: str, *, trust: str = TRUST) -> FeedKey:
        """Open a provider's feed with the key that signs it (Ed25519, hexadecimal). The same key again changes nothing.

        Raises Conflict when the feed was opened with another: a key is replaced by `rotate`, signed with the one before.
        """
        session = open_session(provider_id, public_key)
        async with unit_of_work(self._sessions) as work:
            feeds = FeedRepository(work)
            await feeds.register(provider_id, _encoded(session), trust=trust)
            kept = await self._load(feeds, provider_id)
        if public_key not in {key.public_key for key in kept.session.keys}:
            raise Conflict("this feed was opened with another key; send `rotate`, signed with that one", provider=provider_id)
        return FeedKey(public_key=public_key)

    async def take(self, provider_id: str, wires: Sequence[bytes], *, binary: bool = False) -> list[Reply]:
        """Take a batch of encoded messages, one after the other; the replies, once all is kept. Raises NotFound before `register`."""
        async with unit_of_work(self._sessions) as work:
            feeds = FeedRepository(work)
            kept = await self._load(feeds, provider_id)
            now = self._clock.now()
            if len(wires) == 1:
                outcome = take(kept.session, wires, now=now, binary=binary)
            else:  # a signature each is checked beside the loop, so that other requests are answered meanwhile
                outcome = await asyncio.to_thread(take, kept.session, wires, now=now, binary=binary)
            after = await self._write(feeds, kept, outcome=outcome, now=now)
            refused = await call_back(work, provider_id, effects=outcome.effects, clock=self._clock)
        self._kept[provider_id] = after
        self.listeners.tell(provider_id, [*map(_told, outcome.replies), *map(_told, outcome.effects), *refused])
        return list(outcome.replies)

    async def pass_time(self) -> None:
        """Let silence, times to live and windows take effect in every feed, and tell what changed. Harmless at any moment."""
        async with unit_of_work(self._sessions) as work:
            providers = await FeedRepository(work).providers()
        for provider_id in providers:
            async with unit_of_work(self._sessions) as work:
                feeds = FeedRepository(work)
                kept = await self._load(feeds, provider_id)
                now = self._clock.now()
                outcome = tick(kept.session, now)
                after = await self._write(feeds, kept, outcome=outcome, now=now) if _differ(kept.session, outcome.session) else kept
            self._kept[provider_id] = after
            self._tell(provider_id, outcome)
        await self._look()

    async def _look(self) -> None:
        """Keep what is asked this hour, every few minutes: the last look at an hour is what it is remembered by."""
        now = self._clock.now()
        if self._looked_at is None or not timedelta(0) <= now - self._looked_at < LOOKED_EVERY:
            async with unit_of_work(self._sessions) as work:
                await PriceHistoryRepository(work).keep(hour_of(now))
            self._looked_at = now

    async def release(self, request: Release, *, by: str) -> FeedOffer:
        """Believe an offer in spite of its figures, until it says something else.

        Raises NotFound where nothing is held against it, Conflict where that is something else by now or no figure at all.
        """
        async with unit_of_work(self._sessions) as work:
            feeds = FeedRepository(work)
            kept = await self._load(feeds, request.provider_id)
            found = kept.suspects.get(request.offer_id)
            if found is None:
                raise NotFound("nothing is held against this offer", provider=request.provider_id, offer_id=request.offer_id)
            if found != request.reason:
                raise Conflict("something else is held against this offer by now", reason=found)
            known = await feeds.known([request.offer_id], provider_id=request.provider_id)
            if request.offer_id not in known or not known[request.offer_id].is_current:
                raise Conflict("this offer is not on the market: only its provider can announce it rightly", reason=found)
            await feeds.release(request.provider_id, request.offer_id)
            entry, now = kept.session.entries[request.offer_id], self._clock.now()
            facts = msgspec.json.encode({**msgspec.structs.asdict(request), "version": entry.offer.version, "by": by})
            digest = hashlib.sha256(facts).digest()
            await feeds.add_event(request.provider_id, RELEASED, facts=facts, digest=digest, at=now)
            suspects = {name: reason for name, reason in kept.suspects.items() if name != request.offer_id}
            after = await self._stamp(feeds, Kept(kept.head, kept.session, suspects), changed=[request.offer_id])
        self._kept[request.provider_id] = after
        return _shown(after, request.offer_id, said=standing(after.session, request.offer_id, now=now), now=now)

    async def view(self, provider_id: str, *, after: str | None = None, limit: int = 100) -> FeedView:
        """A feed as it stands: where it is, and its offers by id, those after a given one. Raises NotFound before `register`."""
        kept = await self.kept(provider_id)
        session, now = kept.session, self._clock.now()
        standings = {name: standing(session, name, now=now) for name in sorted(session.entries)}
        shown = [name for name, (state, _) in standings.items() if state != "withdrawn"]
        page = [name for name in shown if after is None or name > after][: limit + 1]
        return FeedView(
            provider=provider_id,
            epoch=session.epoch,
            seq=session.seq,
            synced=session.synced,
            silent_seconds=silent_seconds(session, now),
            hold_seconds=session.hold_seconds,
            offers_shown=len(shown),
            offers=[_shown(kept, name, said=standings[name], now=now) for name in page[:limit]],
            next_cursor=page[limit - 1] if len(page) > limit else None,
        )

    def _tell(self, provider_id: str, outcome: Outcome) -> None:
        if self.listeners.count(provider_id):
            self.listeners.tell(provider_id, [*map(_told, outcome.replies), *map(_told, outcome.effects)])

    async def kept(self, provider_id: str) -> Kept:
        """A session as it was left. Raises NotFound before `register`."""
        async with unit_of_work(self._sessions) as work:
            return await self._load(FeedRepository(work), provider_id)

    async def _load(self, feeds: FeedRepository, provider_id: str) -> Kept:
        """The session as the row has it, locked until the transaction ends; read again only when another process has changed it."""
        head = await feeds.lock(provider_id)
        if head is None:
            raise NotFound("no feed has been opened for this provider; register its public key first", provider=provider_id)
        known = self._kept.get(provider_id)
        if known is not None and known.head == head:
            return known
        session = msgspec.structs.replace(msgspec.json.decode(head.state, type=Session), terms=self._terms)
        rows = await feeds.entries(provider_id)
        entries = {name: msgspec.json.decode(data, type=Entry) for staged, name, data, _ in rows if not staged}
        if session.staged is not None:
            laid_aside = {name: msgspec.json.decode(data, type=Entry) for staged, name, data, _ in rows if staged}
            session = msgspec.structs.replace(session, staged=msgspec.structs.replace(session.staged, entries=laid_aside))
        suspects = {name: suspect for staged, name, _, suspect in rows if suspect and not staged}
        return Kept(head, msgspec.structs.replace(session, entries=entries), suspects)

    async def _write(self, feeds: FeedRepository, kept: Kept, *, outcome: Outcome, now: datetime) -> Kept:
        """Write what differs: the head, changed entries, the offers of the market that follow them, and what was told beside."""
        before, after = kept.session, outcome.session
        if before == after and not outcome.effects:
            return kept
        changed = _changed(before, after=after)
        judged = await self._follow(feeds, kept, changed=changed, now=now)
        suspects = {name: suspect for name, suspect in {**kept.suspects, **judged}.items() if suspect and name in after.entries}
        entries = {name: entry for name, (_, entry) in changed.items()}
        await _put(feeds, after.provider, entries=entries, over=[name for name in changed if name in before.entries], suspects=suspects)
        if gone := before.entries.keys() - after.entries.keys():
            await feeds.forget_entries(after.provider, sorted(gone), staged=False)
        await _stage(feeds, before, after=after)
        told = [effect.offer_id for effect in outcome.effects if isinstance(effect, OfferChanged)]
        for effect in outcome.effects if len(told) < len(outcome.effects) else ():
            if not isinstance(effect, OfferChanged):
                await feeds.add_event(after.provider, _told(effect).event, facts=_told(effect).data, digest=_identity(effect), at=now)
        return await self._stamp(feeds, Kept(kept.head, after, suspects), changed=told)

    async def _stamp(self, feeds: FeedRepository, kept: Kept, *, changed: Sequence[str]) -> Kept:
        """The session's row under its next revision, and which offers that changed."""
        session = kept.session
        head = msgspec.structs.replace(kept.head, revision=kept.head.revision + 1, state=_encoded(session))
        silent_at = session.heard_at + timedelta(seconds=session.hold_seconds) if session.heard_at else None
        await feeds.write(head, silent_at=silent_at, changed=changed)
        return Kept(head, session, kept.suspects)

    async def _follow(self, feeds: FeedRepository, kept: Kept, *, changed: Changed, now: datetime) -> dict[str, str]:
        """Bring the market's offers after the table; what is held against each offer that was judged."""
        provider = kept.session.provider
        anew = {name: entry for name, (old, entry) in changed.items() if _is_there(entry) and not _is_same(old, entry)}
        gone = [name for name, (old, entry) in changed.items() if _is_there(old) and not _is_there(entry)]
        if not anew and not gone:
            return {}
        held = [name for name, (old, _) in changed.items() if old is not None and (name in anew or _is_there(old))]
        known = await feeds.known(held, provider_id=provider) if held else {}
        if over := [name for name, there in known.items() if there.is_current]:
            await feeds.supersede(provider, over, at=now)
        if not anew:
            return {}
        norms = await self._judge.norms(feeds, without=provider, now=now)
        stated = {"provider": provider, "trust": kept.head.trust, "observed_at": now}
        judged = judge(anew, norms=norms, known=known, stated=stated)
        # An id that is new to a feed is new to the market, almost always; the table's key says when it is not.
        if judged.rows and not await feeds.list_offers(judged.rows):
            known |= await feeds.known([name for name in anew if name not in known], provider_id=provider)
            if over := [name for name, there in known.items() if there.is_current and name not in over]:
                await feeds.supersede(provider, over, at=now)
            judged = judge(anew, norms=norms, known=known, stated=stated)
            entered = not judged.rows or await feeds.list_offers(judged.rows)
            assert entered, "every id is known now, and each version follows the last"
        return judged.suspects


def _is_there(entry: Entry | None) -> bool:
    """Whether an entry was last told to be in the table, live or not."""
    return entry is not None and entry.shown[0] != "withdrawn"


def _is_same(old: Entry | None, entry: Entry) -> bool:
    """Whether an offer that is there was there before, and says what it said."""
    return old is not None and _is_there(old) and old.hash == entry.hash


def _encoded(session: Session) -> bytes:
    """A session without what stands in rows of its own, or in the settings."""
    staged = None if session.staged is None else msgspec.structs.replace(session.staged, entries={})
    return msgspec.json.encode(msgspec.structs.replace(session, entries={}, staged=staged, terms=FeedTerms()))


def _changed(before: Session, *, after: Session) -> Changed:
    """The entries that are not the ones there were, each with the one there was: found without a step of Python for those that are."""
    old, new = before.entries, after.entries
    return {name: (old.get(name), entry) for name, entry in compress(new.items(), map(is_not, new.values(), map(old.get, new)))}


def _differ(before: Session, after: Session) -> bool:
    """Whether time changed anything: a tick that looks at every offer makes new dictionaries."""
    if before is after:
        return False
    if len(before.entries) != len(after.entries) or before.maintenance != after.maintenance:
        return True
    return bool(_changed(before, after=after))


async def _put(
    feeds: FeedRepository, provider: str, *, entries: Mapping[str, Entry], over: Sequence[str], suspects: Mapping[str, str] | None
) -> None:
    """Write entries, those of the ids in `over` in place of what is there; staged ones where there is nothing to hold against them."""
    if not entries:
        return
    said = [_said(entry) for entry in entries.values()]
    columns: dict[str, list[Any]] = {
        "provider_id": [provider] * len(entries),
        "staged": [suspects is None] * len(entries),
        "offer_id": list(entries),
        "entry": [ENTRY.encode(entry) for entry in entries.values()],
        "until": [entry.until for entry in entries.values()],
        "state": [state for state, _ in said],
        "reason": [reason for _, reason in said],
        "suspect": [(suspects or {}).get(name, "") for name in entries],
    }
    await feeds.put_entries(columns, over=over)


def _said(entry: Entry) -> tuple[str, str]:
    """State and reason as last told. What PostgreSQL's text cannot hold is left out of the reason."""
    state, mark = entry.shown
    return state, mark.partition(":")[2].replace("\x00", "")


async def _stage(feeds: FeedRepository, before: Session, *, after: Session) -> None:
    """Bring the staged rows after the snapshot on its way in."""
    old = before.staged.entries if before.staged is not None else {}
    new = after.staged.entries if after.staged is not None else {}
    if gone := [name for name in old if name not in new]:
        await feeds.forget_entries(after.provider, gone, staged=True)
    entries = {name: entry for name, entry in new.items() if old.get(name) is not entry}
    await _put(feeds, after.provider, entries=entries, over=[name for name in entries if name in old], suspects=None)


def _told(item: Reply | Effect) -> Told:
    """A reply or an effect as an event: its tag names it."""
    tag = item.__struct_config__.tag
    assert isinstance(tag, str), "every reply and effect has a tag"
    return Told(tag, msgspec.json.encode(item))


def _identity(effect: Effect) -> bytes:
    """What makes an effect one fact: of a reclaim the lease and the deadline, however often and for whatever reason it is told."""
    fact = msgspec.structs.replace(effect, reason="") if isinstance(effect, LeaseReclaimed) else effect
    return hashlib.sha256(msgspec.json.encode(fact)).digest()


def _shown(kept: Kept, offer_id: str, *, said: tuple[str, str], now: datetime) -> FeedOffer:
    entry, suspect = kept.session.entries[offer_id], kept.suspects.get(offer_id, "")
    state, reason = ("suspect", suspect) if suspect and said[0] == "live" else said
    return FeedOffer(
        offer_id=offer_id,
        version=entry.offer.version,
        quantity=entry.offer.quantity,
        rate_micros=entry.offer.rate_micros,
        state=state,
        reason=reason,
        heard_at=entry.heard_at,
        age_seconds=max(0, int((now - entry.heard_at).total_seconds())),
        ends_at=entry.until,
    )
