"""The two sides of a feed as the conformance kit meets them: bytes in, bytes out, and a few questions.

Whoever wraps an implementation in these, in whatever language it is written, may run the kit against it.
"""

from datetime import datetime
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.feed import batches, speaker
from contracts.feed.messages import Message, Unsigned
from contracts.feed.session import LeaseReclaimed, Session, may_book, shown_table, tick
from contracts.feed.speaker import Speaker, Spoken, hash_of_offers
from contracts.feed.table import ShownOffer
from contracts.feed.wire import decode_reply, encode, seal


class BrokerSide(Protocol):
    """A broker that listens to one provider."""

    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        """Take one envelope or sealed batch, encoded as JSON; the replies, likewise."""
        ...

    def wait(self, now: datetime) -> None:
        """It is now later."""
        ...

    def table(self, now: datetime) -> dict[str, ShownOffer]:
        """Offers that are not withdrawn, by id, each with its state."""
        ...

    def may_book(self, offer_id: str, *, version: int, now: datetime) -> bool:
        """Whether a hold on this version of an offer would be granted."""
        ...

    def reclaimed(self) -> set[str]:
        """Leases the provider has taken back."""
        ...


class ProviderSide(Protocol):
    """A provider that speaks to one broker."""

    def start(self, now: datetime) -> list[bytes]:
        """Begin an epoch; what is sent."""
        ...

    def reconnect(self, now: datetime) -> list[bytes]:
        """Take the epoch up again."""
        ...

    def say(self, message: Message, now: datetime) -> list[bytes]:
        """Tell of a change."""
        ...

    def hear(self, wire: bytes, now: datetime) -> list[bytes]:
        """Take a reply."""
        ...

    def wait(self, now: datetime) -> list[bytes]:
        """It is now later."""
        ...

    def table_hash(self) -> str:
        """Hash of the table as the provider has it."""
        ...


class OurBroker:
    """The pure session behind bytes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._reclaimed: set[str] = set()

    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        """What comes, taken whole; bytes that are no message are refused without a number."""
        outcome = batches.take(self.session, [wire], now=now)
        self.session = outcome.session
        self._reclaimed |= {effect.lease_id for effect in outcome.effects if isinstance(effect, LeaseReclaimed)}
        return [encode(reply) for reply in outcome.replies]

    def wait(self, now: datetime) -> None:
        """Let time pass."""
        self.session = tick(self.session, now).session

    def table(self, now: datetime) -> dict[str, ShownOffer]:
        """What is shown."""
        return {row.offer_id: row for row in shown_table(self.session, now)}

    def may_book(self, offer_id: str, *, version: int, now: datetime) -> bool:
        """Compare and set."""
        return may_book(self.session, offer_id, version=version, now=now)

    def reclaimed(self) -> set[str]:
        """Leases reclaimed so far."""
        return self._reclaimed


class OurProvider:
    """The pure speaker behind bytes, with the key that signs for it."""

    def __init__(self, memory: Speaker, key: Ed25519PrivateKey) -> None:
        self.speaker = memory
        self.key = key

    def start(self, now: datetime) -> list[bytes]:
        """A greater epoch than before, and all offers anew."""
        self.speaker = msgspec.structs.replace(self.speaker, epoch=self.speaker.epoch + 1, seq=0, log=(), answered=False)
        return self._sent(speaker.started(self.speaker, now))

    def reconnect(self, now: datetime) -> list[bytes]:
        """The memory was kept."""
        return self._sent(speaker.reconnected(self.speaker, now))

    def say(self, message: Message, now: datetime) -> list[bytes]:
        """A change of ours."""
        return self._sent(speaker.say(self.speaker, message, now=now))

    def hear(self, wire: bytes, now: datetime) -> list[bytes]:
        """A reply of theirs."""
        return self._sent(speaker.hear(self.speaker, decode_reply(wire), now=now))

    def wait(self, now: datetime) -> list[bytes]:
        """Repetitions, renewals, heartbeats."""
        return self._sent(speaker.tick(self.speaker, now))

    def table_hash(self) -> str:
        """Hash of our offers."""
        return hash_of_offers(self.speaker)

    def _sent(self, spoken: Spoken) -> list[bytes]:
        self.speaker = spoken.speaker
        return [self._sealed(unsigned) for unsigned in spoken.sent]

    def _sealed(self, unsigned: Unsigned) -> bytes:
        return encode(seal(unsigned, self.key))
