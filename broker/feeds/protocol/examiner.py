"""A broker that examines the provider that speaks to it: it listens, forgets, asks again and asks for patience, each in its turn.

A provider's client cannot be told what to do from here, so every clause waits for what the client says by itself: signs of life are
enough. Pure: batches in, replies out, the time an argument; a few minutes of it are needed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import msgspec

from broker.feeds.protocol.card import Mark
from broker.feeds.protocol.provider_clauses import PROVIDER_CLAUSES
from broker.feeds.protocol.sides import OurBroker
from contracts.feed.messages import Announce, Heartbeat, Hello, Message, Nack, Resync, SnapshotBegin, SnapshotEnd
from contracts.feed.sealed import contents_of, decode_batch
from contracts.feed.session import hash_of_table, open_session
from contracts.feed.wire import decode, decode_reply, encode, message_of, sha256
from contracts.terms.errors import BadInput

Stage = Literal["greeting", "deaf", "asking", "pressed", "gone", "watching", "done"]
ORDER: tuple[Stage, ...] = ("greeting", "deaf", "asking", "pressed", "gone", "watching", "done")
# How long a provider has for what is due "after a while", and for how long it is asked to wait.
A_WHILE = timedelta(seconds=60)
PRESSED_SECONDS = 10
# A renewal may be lost in a stage that takes nothing: so much later than its end an offer is certainly not renewed.
GRACE = timedelta(seconds=15)
WATCHED_MAX = timedelta(seconds=180)
GREETS, RISES, AGAIN, UNASKED, LIVES, RENEWS, WAITS = (clause.__name__ for clause in PROVIDER_CLAUSES)


class Item(msgspec.Struct, frozen=True):
    """One message heard: its place, what it is, and the hash of what was said."""

    epoch: int
    seq: int
    message: Message
    digest: str

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and number."""
        return self.epoch, self.seq


class Examiner:
    """What was heard of one provider, the stage of its examination, and what was found."""

    def __init__(self, public_key: str, *, now: datetime) -> None:
        self._public_key = public_key
        self._broker: OurBroker | None = None
        self._heard: dict[tuple[int, int], str] = {}
        self._found: dict[str, str] = {}
        self._awaited: Item | None = None
        self._hold = A_WHILE
        self._staging = False
        self._beaten_at = now
        self._since = now
        self.stage: Stage = "greeting"

    def take(self, wires: Sequence[bytes], now: datetime) -> list[bytes] | None:
        """A batch of JSON; the replies, or None for no answer at all."""
        items = [item for wire in wires for item in self._read(wire)]
        for item in items:
            self._number(item)
        for before, item in pairwise(items):
            if item.epoch == before.epoch and item.seq > before.seq + 1:
                self._broken(RISES, f"number {item.seq} came behind {before.seq} in one batch")
        self._look(now)
        match self.stage:
            case "deaf" | "asking" | "pressed":
                return self._tried(wires, items, now=now)
            case "gone":
                self._next(now)
                return None
        return self._fed(wires, items, now=now)

    def wait(self, now: datetime) -> None:
        """It is now later, and nothing came."""
        self._look(now)

    def card(self) -> tuple[Mark, ...]:
        """Every clause a provider keeps, as far as it was tried."""
        marks = []
        for clause in PROVIDER_CLAUSES:
            mark = Mark(part="provider", name=clause.__name__, law=(clause.__doc__ or "").strip())
            found = self._found.get(clause.__name__)
            untried = "" if found is not None else "nothing the client said by itself showed it"
            marks.append(msgspec.structs.replace(mark, found=found or "", untried=untried))
        return tuple(marks)

    def _read(self, wire: bytes) -> list[Item]:
        """The messages of an envelope or a sealed batch; none for what is neither, which the session refuses by itself."""
        try:
            batch = decode_batch(wire)
            if batch is None:
                envelope = decode(wire)
                provider, items = envelope.provider, [Item(envelope.epoch, envelope.seq, message_of(envelope), sha256(envelope.payload))]
            else:
                contents, provider = contents_of(batch), batch.provider
                told = zip(contents.payloads, contents.messages or [], strict=False)
                places = enumerate(told, batch.seq)
                items = [Item(batch.epoch, seq, message, sha256(msgspec.json.decode(data))) for seq, (data, message) in places]
        except (BadInput, msgspec.ValidationError):
            return []
        if self._broker is None:
            self._broker = OurBroker(open_session(provider, self._public_key))
        return items

    def _number(self, item: Item) -> None:
        """Numbers: the same under one number, one after another, epochs that rise."""
        self._found.setdefault(RISES, "")
        known = self._heard.setdefault(item.place, item.digest)
        if known != item.digest:
            self._broken(RISES, f"two messages under number {item.seq}")
        elif item.epoch < max(epoch for epoch, _ in self._heard):
            self._broken(RISES, f"epoch {item.epoch} after a greater one")

    def _look(self, now: datetime) -> None:
        """What time alone shows."""
        late = now - self._since > A_WHILE
        if self.stage == "greeting" and late:
            self._broken(GREETS, "no whole table within a minute")
            self._next(now)
        elif self._awaited is not None and late:
            clause, found = {
                "deaf": (UNASKED, "an unacknowledged message was not repeated within a minute"),
                "asking": (AGAIN, "what was asked for did not come within a minute"),
                "pressed": (WAITS, "after the wait it was not sent again"),
            }[self.stage]
            self._broken(clause, found)
            self._next(now)
        elif self.stage == "watching":
            self._watch(now)

    def _watch(self, now: datetime) -> None:
        """Signs of life and renewals, until enough was seen."""
        assert self._broker is not None, "nothing is watched before something was said"
        if now - self._beaten_at > self._hold:
            self._broken(LIVES, f"no heartbeat within the hold of {self._hold.total_seconds():.0f} s")
        for offer_id, entry in self._broker.session.entries.items():
            grace = timedelta(0) if entry.heard_at >= self._since else GRACE
            if not entry.gone and entry.until + grace <= now:
                self._broken(RENEWS, f"{offer_id} outlived its time without being renewed")
        if now - self._since > min(2 * self._hold, WATCHED_MAX):
            numbers = sorted(self._heard)
            gaps = [b for a, b in pairwise(numbers) if a[0] == b[0] and b[1] != a[1] + 1]
            if gaps:
                self._broken(RISES, f"number {gaps[0][1]} came without those before it")
            self._next(now)

    def _tried(self, wires: Sequence[bytes], items: list[Item], *, now: datetime) -> list[bytes]:
        """The stages in which nothing is acknowledged until what is awaited has come."""
        if not items:
            return []
        if self._awaited is None:
            self._awaited, self._since = items[0], now
            return self._asked(items[0])
        awaited = self._awaited
        came = next((item for item in items if item.place == awaited.place), None)
        instead = any(isinstance(item.message, Hello | SnapshotBegin) and item.place > awaited.place for item in items)
        early = now - self._since < timedelta(seconds=PRESSED_SECONDS)
        if came is not None and self.stage == "pressed" and early:
            self._broken(WAITS, "it did not wait")
        if came is not None:
            self._found.setdefault({"deaf": UNASKED, "asking": AGAIN, "pressed": WAITS}[self.stage], "")
        elif not instead:
            return []
        elif self.stage == "deaf":
            self._found.setdefault(UNASKED, "")
        self._next(now)
        return self._fed(wires, items, now=now)

    def _asked(self, item: Item) -> list[bytes]:
        """What is said to the first message of a stage that tries."""
        if self.stage == "asking":
            return [encode(Resync(epoch=item.epoch, from_seq=item.seq))]
        if self.stage == "pressed":
            return [
                encode(Nack(epoch=item.epoch, seq=item.seq, code="too_many_messages", consumed=False, retry_after_seconds=PRESSED_SECONDS))
            ]
        return []

    def _fed(self, wires: Sequence[bytes], items: list[Item], *, now: datetime) -> list[bytes]:
        """As a broker does; what the session makes of it is part of what is found."""
        if self._broker is None:
            return []
        replies: list[bytes] = []
        for wire in wires:
            for reply in self._broker.take(wire, now):
                replies.append(reply)
                self._judge(reply)
        for item in items:
            self._noted(item, now)
        if self.stage == "greeting" and self._broker.session.synced:
            self._found.setdefault(GREETS, "")
            self._next(now)
        return replies

    def _judge(self, reply: bytes) -> None:
        said = decode_reply(reply)
        match said:
            case Nack(code="snapshot_incomplete"):
                self._broken(GREETS, "count or hash of the snapshot is not that of its offers")
            case Nack(code="bad_signature" | "unknown_key" | "unreadable" | "malformed" as code):
                self._broken(GREETS, f"refused: {code}")
            case Resync(snapshot=True) if self.stage == "watching":
                self._broken(LIVES, "a heartbeat with another hash than the table's")

    def _noted(self, item: Item, now: datetime) -> None:
        assert self._broker is not None, "what is noted was fed"
        match item.message:
            case Hello():
                self._hold = timedelta(seconds=item.message.hold_seconds)
            case Heartbeat():
                self._beaten_at = now
                if self.stage == "watching" and hash_of_table(self._broker.session, now) == item.message.table_hash:
                    self._found.setdefault(LIVES, "")
            case SnapshotBegin():
                self._staging = True
            case SnapshotEnd():
                self._staging = False
            case Announce() if self.stage == "watching" and not self._staging:
                self._found.setdefault(RENEWS, "")

    def _broken(self, clause: str, found: str) -> None:
        """The first thing found against a clause stands."""
        if not self._found.get(clause):
            self._found[clause] = found

    def _next(self, now: datetime) -> None:
        self.stage = ORDER[ORDER.index(self.stage) + 1]
        self._awaited, self._since, self._beaten_at = None, now, now
