"""What a clause of the conformance kit plays on: a broker that has not been spoken to, a script, a clock, a poor line."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.feeds.protocol.sides import BrokerSide, OurBroker, OurProvider, ProviderSide
from contracts.feed.messages import VERSION, Announce, Hello, Message, Reply, SnapshotBegin, SnapshotEnd, Unsigned
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


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """What is under test: each call gives a fresh side. A side that is left out is ours."""

    broker: Callable[[], BrokerSide] = our_broker
    provider: Callable[[], ProviderSide] = our_provider


def an_offer(name: str = "ofr_1", *, version: int = 1, **terms: object) -> Announce:
    """Eight accelerators at 2.00 for a quarter of an hour, unless said otherwise."""
    facts = {"offer_id": name, "version": version, "quantity": 8, "rate_micros": 2_000_000, "ttl_seconds": 900, **terms}
    return msgspec.convert(facts, Announce)


class Script:
    """A provider played by hand against a broker: right unless told to be wrong."""

    def __init__(self, broker: BrokerSide) -> None:
        self.broker = broker
        self.now = START
        self.epoch = 1
        self.seq = 0

    def wire(self, message: Message, *, seq: int, key: Ed25519PrivateKey = KEY, extra: dict[str, object] | None = None) -> bytes:
        """A message under a number, signed, with members of our own beside the known ones."""
        unsigned = Unsigned(provider=PROVIDER, epoch=self.epoch, seq=seq, message=message)
        if extra is None:
            return encode(seal(unsigned, key))
        return encode(seal_payload(unsigned, key, payload={**msgspec.to_builtins(message), **extra}))

    def batch(self, *messages: Message, key: Ed25519PrivateKey = KEY) -> bytes:
        """The next messages under one signature; their numbers are used."""
        said = [
            Unsigned(provider=PROVIDER, epoch=self.epoch, seq=seq, message=message) for seq, message in enumerate(messages, self.seq + 1)
        ]
        self.seq += len(messages)
        return seal_batch(said, key)

    def send(self, wire: bytes) -> list[Reply]:
        """Bytes as they are."""
        return [decode_reply(reply) for reply in self.broker.take(wire, self.now)]

    def say(self, message: Message, *, key: Ed25519PrivateKey = KEY) -> list[Reply]:
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
        """What the broker shows now."""
        return self.broker.table(self.now)

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
    return Script(sides.broker())
