"""Implementations with one fault each, as somebody might write them: the kit has to find every one."""

from datetime import datetime, timedelta

import msgspec

from broker.feeds.protocol.sides import OurBroker, OurProvider
from broker.feeds.protocol.stage import KEY, PROVIDER, TERMS
from contracts.feed.damping import Penalty
from contracts.feed.messages import Heartbeat, Unsigned
from contracts.feed.sealed import decode_batch, sealed_bytes
from contracts.feed.session import open_session
from contracts.feed.speaker import Speaker, Spoken
from contracts.feed.table import ShownOffer
from contracts.feed.wire import decode, encode, is_signed, key_id, public_key_of, seal, seal_payload, sha256, table_hash
from contracts.terms.errors import BadInput

change = msgspec.structs.replace


class FaultyBroker(OurBroker):
    """Ours, on the kit's terms, to be spoilt."""

    def __init__(self) -> None:
        super().__init__(open_session(PROVIDER, public_key_of(KEY), terms=TERMS))

    def spoil(self, **facts: object) -> None:
        """Change what it remembers."""
        self.session = change(self.session, **facts)

    def spoil_entries(self, **facts: object) -> None:
        """Change every offer it remembers."""
        self.spoil(entries={name: change(entry, **facts) for name, entry in self.session.entries.items()})


class AppliesOutOfOrder(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        seq = decode(wire).seq if b'"payload":' in wire else 0
        if seq > self.session.seq + 1:
            self.spoil(seq=seq - 1)
        return super().take(wire, now)


class AppliesTwice(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        envelope = decode(wire) if b'"payload":' in wire else None
        if envelope and self.session.recent.get(envelope.seq) == sha256(envelope.payload):
            self.spoil(seq=envelope.seq - 1)
        return super().take(wire, now)


class BelievesAnySignature(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        try:
            envelope = decode(wire)
        except BadInput:
            return super().take(wire, now)
        unsigned = Unsigned(provider=envelope.provider, epoch=envelope.epoch, seq=envelope.seq, message=Heartbeat(table_hash="0" * 64))
        return super().take(encode(seal_payload(unsigned, KEY, payload=envelope.payload)), now)


class BelievesAnyBatch(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        batch = decode_batch(wire)
        if batch is not None:
            own = change(batch, key=key_id(public_key_of(KEY)))
            wire = msgspec.json.encode(change(own, signature=KEY.sign(sealed_bytes(own)).hex()))
        return super().take(wire, now)


class TakesTheFirstOfABatch(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        batch = decode_batch(wire)
        if batch is not None:
            first = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(batch.messages)[:1]))
            own = change(batch, messages=first)
            if is_signed(batch.signature, sealed_bytes(batch), public_key=public_key_of(KEY)):
                wire = msgspec.json.encode(change(own, signature=KEY.sign(sealed_bytes(own)).hex()))
        return super().take(wire, now)


class IgnoresContradictions(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        self.spoil(recent={})
        return super().take(wire, now)


class NeverTakesSilenceSeriously(FaultyBroker):
    def wait(self, now: datetime) -> None:
        self.spoil(heard_at=now)
        super().wait(now)


class EmptiesTheTableWhenASnapshotBegins(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        replies = super().take(wire, now)
        if self.session.staged is not None:
            self.spoil(entries={})
        return replies


class TakesAnySnapshot(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        staged = self.session.staged
        if staged is not None and b"snapshot_end" in wire:
            found = table_hash(entry.hash for entry in staged.entries.values())
            self.spoil(staged=change(staged, count=len(staged.entries), hash=found, spoiled=False))
        return super().take(wire, now)


class KeepsOffersForEver(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        replies = super().take(wire, now)
        self.spoil_entries(until=now + timedelta(days=365))
        return replies


class LosesUnknownAttributes(FaultyBroker):
    def table(self, now: datetime) -> dict[str, ShownOffer]:
        return {name: change(row, attributes={}) for name, row in super().table(now).items()}


class NeverDamps(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        replies = super().take(wire, now)
        self.spoil_entries(penalty=Penalty(0, now))
        return replies


class HasNoQuota(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        self.spoil(paid_until=None)
        return super().take(wire, now)


class ForgetsTheTableAtAHello(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        if b'"hello"' in wire:
            self.spoil(entries={})
        return super().take(wire, now)


class ListensToOldEpochs(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        envelope = decode(wire) if b'"payload":' in wire else None
        if envelope and envelope.epoch < self.session.epoch:
            self.spoil(epoch=envelope.epoch, seq=envelope.seq - 1)
        return super().take(wire, now)


class BelievesAnyHeartbeat(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        synced = self.session.synced
        replies = super().take(wire, now)
        if b"heartbeat" in wire and synced:
            self.spoil(synced=True)
        return replies


class NeverRetiresAKey(FaultyBroker):
    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        self.spoil(keys=tuple(change(key, until=None) for key in self.session.keys))
        return super().take(wire, now)


class BooksAnyVersion(FaultyBroker):
    def may_book(self, offer_id: str, *, version: int, now: datetime) -> bool:
        row = self.table(now).get(offer_id)
        return row is not None and row.state == "live"


class VouchesForEverybody(FaultyBroker):
    def table(self, now: datetime) -> dict[str, ShownOffer]:
        rows = super().table(now)
        return {name: change(row, attested=tuple(change(one, verified=True) for one in row.attested)) for name, row in rows.items()}


class FaultyProvider(OurProvider):
    """Ours, to be spoilt."""

    def __init__(self) -> None:
        super().__init__(Speaker(provider=PROVIDER, epoch=1), KEY)


class CountsFromOneAgain(FaultyProvider):
    def reconnect(self, now: datetime) -> list[bytes]:
        self.speaker = change(self.speaker, seq=0)
        return super().reconnect(now)


class NeverRepeats(FaultyProvider):
    def wait(self, now: datetime) -> list[bytes]:
        self.speaker = change(self.speaker, log=())
        return super().wait(now)


class NumbersAnewWhatIsAskedFor(FaultyProvider):
    def hear(self, wire: bytes, now: datetime) -> list[bytes]:
        again = super().hear(wire, now)
        if b"resync" not in wire or b'"snapshot":true' in wire:
            return again
        return [self._sealed(change(entry, seq=entry.seq + 100)) for entry in self.speaker.log]


class BeatsWithoutLooking(FaultyProvider):
    def _sealed(self, unsigned: Unsigned) -> bytes:
        if isinstance(unsigned.message, Heartbeat):
            unsigned = change(unsigned, message=Heartbeat(table_hash="0" * 64))
        return encode(seal(unsigned, self.key))


class SendsHalfItsTable(FaultyProvider):
    def _sent(self, spoken: Spoken) -> list[bytes]:
        announced = [entry for entry in spoken.sent if type(entry.message).__name__ == "Announce"]
        begins = any(type(entry.message).__name__ == "SnapshotBegin" for entry in spoken.sent)
        kept = [entry for entry in spoken.sent if not begins or entry not in announced[1:]]
        return super()._sent(change(spoken, sent=tuple(kept)))


class NeverRenews(FaultyProvider):
    def wait(self, now: datetime) -> list[bytes]:
        offers = {name: change(said, at=now) for name, said in self.speaker.offers.items()}
        self.speaker = change(self.speaker, offers=offers)
        return super().wait(now)


class NeverWaits(FaultyProvider):
    def wait(self, now: datetime) -> list[bytes]:
        self.speaker = change(self.speaker, wait_until=None)
        return super().wait(now)


# Each fault with a clause that has to find it; others may find it too.
FAULTY_BROKERS: dict[type[FaultyBroker], str] = {
    AppliesOutOfOrder: "never_out_of_order",
    AppliesTwice: "repeated_is_acknowledged_again",
    BelievesAnySignature: "forged_is_refused",
    BelievesAnyBatch: "a_batch_is_signed_whole",
    TakesTheFirstOfABatch: "a_batch_is_its_messages",
    IgnoresContradictions: "one_number_one_content",
    NeverTakesSilenceSeriously: "silence_makes_stale_then_withdrawn",
    EmptiesTheTableWhenASnapshotBegins: "half_a_snapshot_is_nothing",
    TakesAnySnapshot: "a_wrong_snapshot_is_nothing",
    KeepsOffersForEver: "a_life_is_the_brokers",
    LosesUnknownAttributes: "the_unknown_is_kept",
    NeverDamps: "flapping_is_damped",
    HasNoQuota: "a_flood_is_held_off",
    ForgetsTheTableAtAHello: "a_restart_keeps_offers",
    ListensToOldEpochs: "an_old_epoch_is_over",
    BelievesAnyHeartbeat: "a_heartbeat_compares",
    NeverRetiresAKey: "keys_rotate",
    BooksAnyVersion: "versions_rise",
    VouchesForEverybody: "others_speak_apart",
}
FAULTY_PROVIDERS: dict[type[FaultyProvider], str] = {
    CountsFromOneAgain: "its_numbers_rise",
    NeverRepeats: "it_repeats_unasked",
    NumbersAnewWhatIsAskedFor: "it_repeats_word_for_word",
    BeatsWithoutLooking: "it_shows_signs_of_life",
    SendsHalfItsTable: "it_greets_with_its_table",
    NeverRenews: "it_renews",
    NeverWaits: "it_waits_when_told",
}
