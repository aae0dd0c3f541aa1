"""What a clause of the conformance kit plays on: a broker that has not been spoken to, a script, a clock, a poor line."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.feeds.protocol.sides import BrokerSide, OurBroker, OurProvider, ProviderSide
from contracts.feed.messages import (
    VERSION,
    Announce,
    Capacity,
    Hello,
    Maint,
    Message,
    Price,
    Reply,
    SnapshotBegin,
    SnapshotEnd,
    Unsigned,
    Withdraw,
)
from contracts.feed.sealed import seal_batch
from contracts.feed.session import open_session
from contracts.feed.speaker import Speaker
from contracts.feed.table import FeedTerms, ShownOffer
from contracts.feed.wire import decode_reply, encode, offer_hash, public_key_of, seal, seal_payload, table_hash

PROVIDER = "prv_conformance"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ISSUER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
START = datetime(2027, 1, 1, tzinfo=UTC)
# Small limits, so that a flood is short and a hold is soon over.
TERMS = FeedTerms(
    hold_seconds_min=10,
    ttl_seconds_max=1_000,
    updates_per_minute=60,
    updates_burst=60,
    offers_max=50,
    issuers={"auditor": public_key_of(ISSUER_KEY)},
)


# What the names of offers begin with. A feed that outlives a clause remembers them, their versions and their moods, so over a line
# every clause has names of its own; alone every clause has a fresh feed.
NAMES: ContextVar[str] = ContextVar("NAMES", default="")


class ClauseBroken(Exception):
    """A clause of the specification is not kept; the message says what was found."""


def require(holds: object, found: str) -> None:
    """Raise ClauseBroken unless it holds."""
    if not holds:
        raise ClauseBroken(found)


def our_broker() -> BrokerSide:
    """Our broker, on the kit's terms."""
    return OurBroker(open_session(PROVIDER, public_key_of(KEY), terms=TERMS))


def our_provider() -> ProviderSide:
    """Our provider, silent so far."""
    return OurProvider(Speaker(provider=PROVIDER, epoch=1), KEY)


def as_it_was(now: datetime) -> datetime:
    """A clock that moves only when the script says so."""
    return now


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """As whom a script speaks, since when, in which epoch, and what time it is after something was said: where time is real, later."""

    provider: str = PROVIDER
    key: Ed25519PrivateKey = KEY
    start: datetime = START
    epoch: int = 1
    present: Callable[[datetime], datetime] = as_it_was


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """What is under test: each call gives a fresh side, and the part a script plays against it. What is left out is ours."""

    broker: Callable[[], BrokerSide] = our_broker
    provider: Callable[[], ProviderSide] = our_provider
    part: Callable[[], Part] = Part


def an_offer(name: str = "ofr_1", *, version: int = 1, **terms: object) -> Announce:
    """Eight accelerators at 2.00 for a quarter of an hour, unless said otherwise."""
    facts = {"offer_id": NAMES.get() + name, "version": version, "quantity": 8, "rate_micros": 2_000_000, "ttl_seconds": 900, **terms}
    return msgspec.convert(facts, Announce)


class Script:
    """A provider played by hand against a broker: right unless told to be wrong."""

    def __init__(self, broker: BrokerSide, part: Part) -> None:
        self.broker = broker
        self.part = part
        self.now = part.start
        self.epoch = part.epoch
        self.seq = 0

    def wire(self, message: Message, *, seq: int, key: Ed25519PrivateKey | None = None, extra: dict[str, object] | None = None) -> bytes:
        """A message under a number, signed, with members of our own beside the known ones."""
        unsigned = Unsigned(provider=self.part.provider, epoch=self.epoch, seq=seq, message=_named(message))
        if extra is None:
            return encode(seal(unsigned, key or self.part.key))
        return encode(seal_payload(unsigned, key or self.part.key, payload={**msgspec.to_builtins(unsigned.message), **extra}))

    def batch(self, *messages: Message, key: Ed25519PrivateKey | None = None) -> bytes:
        """The next messages under one signature; their numbers are used."""
        numbered = enumerate(map(_named, messages), self.seq + 1)
        said = [Unsigned(provider=self.part.provider, epoch=self.epoch, seq=seq, message=message) for seq, message in numbered]
        self.seq += len(messages)
        return seal_batch(said, key or self.part.key)

    def send(self, wire: bytes) -> list[Reply]:
        """Bytes as they are."""
        replies = [decode_reply(reply) for reply in self.broker.take(wire, self.now)]
        self.now = self.part.present(self.now)
        return replies

    def say(self, message: Message, *, key: Ed25519PrivateKey | None = None) -> list[Reply]:
        """The next message."""
        self.seq += 1
        return self.send(self.wire(message, seq=self.seq, key=key))

    def hello(self, *offers: Announce) -> list[Reply]:
        """A greeting with the hash of these offers; hold 30 s, restart 60 s."""
        hashes = [offer_hash(offer) for offer in offers]
        return self.say(Hello(version=VERSION, hold_seconds=30, restart_seconds=60, table_hash=table_hash(hashes)))

    def snapshot(self, *offers: Announce) -> list[Reply]:
        """A whole table; the reply to its end."""
        generation = self.seq + 1
        found = table_hash(offer_hash(offer) for offer in offers)
        self.say(SnapshotBegin(generation=generation, count=len(offers), hash=found))
        for offer in offers:
            self.say(offer)
        return self.say(SnapshotEnd(generation=generation))

    def opened(self, *offers: Announce) -> "Script":
        """Greeted, and the table sent."""
        self.hello()
        self.snapshot(*offers)
        return self

    def pass_seconds(self, seconds: int) -> None:
        """Later."""
        self.now += timedelta(seconds=seconds)
        self.broker.wait(self.now)

    def table(self) -> dict[str, ShownOffer]:
        """What the broker shows now of the offers of this clause."""
        mine = NAMES.get()
        return {name.removeprefix(mine): row for name, row in self.broker.table(self.now).items() if name.startswith(mine)}

    def may_book(self, offer_id: str, *, version: int) -> bool:
        """Whether a hold on this version of an offer would be granted now."""
        return self.broker.may_book(NAMES.get() + offer_id, version=version, now=self.now)

    def row(self, offer_id: str) -> ShownOffer:
        """One offer as shown; a broken clause if it is not."""
        table = self.table()
        require(offer_id in table, f"{offer_id} is not in the table, which has {sorted(table)}")
        return table[offer_id]

    def states(self) -> dict[str, str]:
        """State of each offer shown."""
        return {name: row.state for name, row in self.table().items()}


def codes(replies: list[Reply]) -> list[str]:
    """Replies in a word each: ack, welcome, resync, or the code of a refusal."""
    return [getattr(reply, "code", type(reply).__name__.lower()) for reply in replies]


def script(sides: Sides) -> Script:
    """A script against a fresh broker."""
    return Script(sides.broker(), sides.part())


def _named(message: Message) -> Message:
    """A message about offers of this clause."""
    mine = NAMES.get()
    if isinstance(message, Price | Capacity | Withdraw):
        return msgspec.structs.replace(message, offer_id=mine + message.offer_id)
    if isinstance(message, Maint):
        return msgspec.structs.replace(message, offer_ids=tuple(mine + name for name in message.offer_ids))
    return message
