"""The clauses a provider keeps, and those that the two keep together over a poor line."""

from datetime import timedelta

import msgspec

from broker.feeds.protocol.sides import BrokerSide, ProviderSide
from broker.feeds.protocol.stage import START, ClauseBroken, Sides, an_offer, require
from contracts.feed.messages import (
    Ack,
    Announce,
    Envelope,
    Heartbeat,
    Hello,
    Message,
    Nack,
    Price,
    Resync,
    SnapshotBegin,
    SnapshotEnd,
    Withdraw,
)
from contracts.feed.wire import decode, encode, message_of, offer_hash, table_hash

SETTLING_STEPS = 60
STEP_SECONDS = 5
A_DAY = timedelta(days=1)


def _envelopes(wires: list[bytes]) -> list[Envelope]:
    return [decode(wire) for wire in wires]


def _messages(wires: list[bytes]) -> list[Message]:
    return [message_of(envelope) for envelope in _envelopes(wires)]


def _all_taken(provider: ProviderSide, wires: list[bytes]) -> None:
    last = _envelopes(wires)[-1]
    provider.hear(encode(Ack(epoch=last.epoch, seq=last.seq)), START)


def it_greets_with_its_table(sides: Sides) -> None:
    """An epoch begins with a hello and a snapshot whose count and hash are those of its offers."""
    provider = sides.provider()
    provider.start(START)
    provider.say(an_offer("a"), START)
    provider.say(an_offer("b"), START)
    sent = _messages(provider.start(START))
    require(isinstance(sent[0], Hello), "the first message of an epoch was not a hello")
    (begin,) = [message for message in sent if isinstance(message, SnapshotBegin)]
    offers = [message for message in sent if isinstance(message, Announce)]
    found = table_hash(map(offer_hash, offers))
    require((begin.count, begin.hash) == (len(offers), found), "count or hash of the snapshot is not that of its offers")
    require({offer.offer_id for offer in offers} == {"a", "b"}, "the snapshot is not the whole table")
    require(any(isinstance(message, SnapshotEnd) for message in sent), "the snapshot has no end")


def its_numbers_rise(sides: Sides) -> None:
    """Numbers rise by one through an epoch, over reconnections too, and every epoch is greater than the last."""
    provider = sides.provider()
    wires = provider.start(START) + provider.say(an_offer(), START) + provider.reconnect(START) + provider.say(an_offer("b"), START)
    numbers = [envelope.seq for envelope in _envelopes(wires)]
    require(numbers == list(range(1, len(numbers) + 1)), f"the numbers were {numbers}")
    epochs = {envelope.epoch for envelope in _envelopes(wires)}
    require(len(epochs) == 1 and _envelopes(provider.start(START))[0].epoch > max(epochs), "a new epoch was not greater")


def it_repeats_word_for_word(sides: Sides) -> None:
    """What is asked for again comes again from there on, byte for byte."""
    provider = sides.provider()
    _all_taken(provider, provider.start(START))
    wires = [wire for version in (1, 2, 3) for wire in provider.say(an_offer(version=version), START)]
    second = _envelopes(wires)[1]
    again = provider.hear(encode(Resync(epoch=second.epoch, from_seq=second.seq)), START)
    require(again == wires[1:], "what was asked for did not come again as it was")


def it_repeats_unasked(sides: Sides) -> None:
    """What nobody acknowledged is sent again after a while."""
    provider = sides.provider()
    _all_taken(provider, provider.start(START))
    wires = provider.say(an_offer(), START)
    later = [wire for n in range(1, 13) for wire in provider.wait(START + timedelta(seconds=5 * n))]
    require(wires[0] in later, "an unacknowledged message was not repeated within a minute")


def it_shows_signs_of_life(sides: Sides) -> None:
    """Within every hold there is a heartbeat, with the hash of the table."""
    provider = sides.provider()
    _all_taken(provider, provider.start(START))
    _all_taken(provider, provider.say(an_offer(), START))
    sent = [message for n in range(1, 13) for message in _messages(provider.wait(START + timedelta(seconds=5 * n)))]
    beats = [message for message in sent if isinstance(message, Heartbeat)]
    require(beats, "no heartbeat within a minute")
    require(
        all(beat.table_hash == table_hash([offer_hash(an_offer())]) for beat in beats), "a heartbeat with another hash than the table's"
    )


def it_renews(sides: Sides) -> None:
    """An offer is announced again, unchanged, before its time to live is over."""
    provider = sides.provider()
    _all_taken(provider, provider.start(START))
    _all_taken(provider, provider.say(an_offer(ttl_seconds=60), START))
    sent = []
    for seconds in range(5, 60, 5):
        wires = provider.wait(START + timedelta(seconds=seconds))
        sent += _messages(wires)
        if wires:
            _all_taken(provider, wires)
    require(an_offer(ttl_seconds=60) in sent, "an offer of a minute was not renewed within the minute")


def it_waits_when_told(sides: Sides) -> None:
    """Refused for their number, messages are not sent again before the time is over, and then they are."""
    provider = sides.provider()
    _all_taken(provider, provider.start(START))
    wires = provider.say(an_offer(), START)
    told = _envelopes(wires)[0]
    nack = Nack(epoch=told.epoch, seq=told.seq, code="too_many_messages", consumed=False, retry_after_seconds=30)
    sent = provider.hear(encode(nack), START) + [wire for n in range(1, 6) for wire in provider.wait(START + timedelta(seconds=5 * n))]
    require(wires[0] not in sent, "it did not wait")
    late = [wire for n in (31, 45, 60) for wire in provider.wait(START + timedelta(seconds=n))]
    require(wires[0] in late, "after the wait it was not sent again")


class Line(msgspec.Struct, kw_only=True):
    """A line between two sides that loses, doubles and turns around what it carries, in a fixed pattern."""

    broker: BrokerSide
    provider: ProviderSide
    carried: int = 0
    poor: bool = True
    skew: timedelta = timedelta(0)

    def carry(self, wires: list[bytes], *, seconds: int) -> None:
        """Carry messages and their replies until nobody has anything more to say, at most a few rounds."""
        now = START + timedelta(seconds=seconds)
        for _ in range(8):
            replies = [reply for wire in self._as_it_comes(wires) for reply in self.broker.take(wire, now)]
            wires = [wire for reply in self._as_it_comes(replies) for wire in self.provider.hear(reply, now + self.skew)]
            if not wires:
                return

    def _as_it_comes(self, items: list[bytes]) -> list[bytes]:
        if not self.poor:
            return items
        arriving: list[bytes] = []
        for item in items:
            self.carried += 1
            if self.carried % 3 == 0:
                continue
            arriving += [item] * (2 if self.carried % 5 == 0 else 1)
        return arriving[::-1] if self.carried % 2 else arriving


def they_agree_in_the_end(sides: Sides) -> None:
    """A third lost, a fifth doubled, many turned around, a restart, clocks a day apart: the tables end equal."""
    line = Line(broker=sides.broker(), provider=sides.provider(), skew=A_DAY)
    line.carry(line.provider.start(START + A_DAY), seconds=0)
    for n in range(1, 13):
        at = START + timedelta(seconds=STEP_SECONDS * n) + line.skew
        changes: list[Message] = [an_offer(f"o{n}", ttl_seconds=900)]
        if n > 2:
            changes.append(Price(offer_id=f"o{n - 1}", version=2, rate_micros=n))
        if n > 4:
            changes.append(Withdraw(offer_id=f"o{n - 4}"))
        wires = [wire for change in changes for wire in line.provider.say(change, at)]
        line.carry(wires + (line.provider.reconnect(at) if n in (5, 9) else []), seconds=STEP_SECONDS * n)
    line.poor = False
    for n in range(13, 13 + SETTLING_STEPS):
        line.broker.wait(START + timedelta(seconds=STEP_SECONDS * n))
        line.carry(line.provider.wait(START + timedelta(seconds=STEP_SECONDS * n) + line.skew), seconds=STEP_SECONDS * n)
    end = START + timedelta(seconds=STEP_SECONDS * (12 + SETTLING_STEPS))
    rows = line.broker.table(end).values()
    told = [an_offer(row.offer_id, version=row.version, quantity=row.quantity, rate_micros=row.rate_micros) for row in rows]
    if table_hash(map(offer_hash, told)) != line.provider.table_hash():
        raise ClauseBroken(f"five minutes after the line was mended the broker still has another table: {sorted(o.offer_id for o in told)}")
    require({row.state for row in rows} == {"live"}, f"the tables agree and are not live: {[row.state for row in rows]}")


PROVIDER_CLAUSES = (
    it_greets_with_its_table,
    its_numbers_rise,
    it_repeats_word_for_word,
    it_repeats_unasked,
    it_shows_signs_of_life,
    it_renews,
    it_waits_when_told,
)
TOGETHER_CLAUSES = (they_agree_in_the_end,)
