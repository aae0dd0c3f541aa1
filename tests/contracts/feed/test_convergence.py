"""Whatever a line does to the messages, the broker's table was once the provider's, and in the end it is.

The machine loses, repeats and reorders messages and replies, lets time pass, and restarts either side with or without
its memory. Two laws are checked throughout. *In order, and whole*: the broker's table is always one that the provider had at
some moment, and those moments never go back; a message applied early, or half a snapshot, would show as a table
that never was. *Convergence*: once the line carries everything, the tables are equal and every offer is live.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.feed import receiving, speaker
from contracts.feed.damping import Damping
from contracts.feed.messages import Announce, Capacity, Envelope, Message, Pause, Price, Reclaim, Reply, Resume, Withdraw
from contracts.feed.session import LeaseReclaimed, hash_of_table, open_session, standing, tick
from contracts.feed.speaker import Speaker, SpeakerTerms, Spoken, hash_of_offers
from contracts.feed.table import FeedTerms
from contracts.feed.wire import public_key_of, seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = datetime(2027, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.integers(0, 30)
# Nothing ends by itself here, and nothing is damped: what differs, differs because a message went astray.
TERMS = FeedTerms(
    hold_seconds_max=600, restart_seconds_max=1_000_000, updates_per_minute=600, updates_burst=100, damping=Damping(suppress=10**9)
)
WISHES = SpeakerTerms(hold_seconds=600, restart_seconds=1_000_000, log_max=8)
SETTLING_ROUNDS = 80


class PoorLine(RuleBasedStateMachine):
    """A provider, a broker, and everything that is on its way between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.version = 0
        self.session = open_session("prv_x", public_key_of(KEY), terms=TERMS)
        self.speaker = Speaker(provider="prv_x", epoch=1, terms=WISHES)
        self.there: list[Envelope] = []
        self.back: list[Reply] = []
        self.history = [hash_of_offers(self.speaker)]
        self.position = 0
        self.reclaims: set[str] = set()
        self.told: set[str] = set()
        self.sent(speaker.started(self.speaker, self.now))
        self.carry_everything()

    def sent(self, spoken: Spoken) -> None:
        self.speaker = spoken.speaker
        self.there += [seal(unsigned, KEY) for unsigned in spoken.sent]
        current = hash_of_offers(self.speaker)
        if current != self.history[-1]:
            self.history.append(current)

    def say(self, message: Message) -> None:
        self.sent(speaker.say(self.speaker, message, now=self.now))

    def arrive(self, envelope: Envelope) -> None:
        outcome = receiving.step(self.session, envelope, now=self.now)
        if outcome.session.epoch == self.session.epoch:
            assert outcome.session.seq >= self.session.seq
        self.session = outcome.session
        self.back += outcome.replies
        self.told |= {effect.lease_id for effect in outcome.effects if isinstance(effect, LeaseReclaimed)}

    def answer(self, reply: Reply) -> None:
        self.sent(speaker.hear(self.speaker, reply, now=self.now))

    @rule(name=NAMES, quantity=st.integers(0, 3))
    def announce(self, name: str, quantity: int) -> None:
        self.version += 1
        self.say(Announce(offer_id=name, version=self.version, quantity=quantity, rate_micros=1, ttl_seconds=86_400))

    @precondition(lambda self: self.speaker.offers)
    @rule(place=PLACES, kind=st.sampled_from(["price", "capacity", "withdraw"]))
    def change(self, place: int, kind: str) -> None:
        self.version += 1
        name = sorted(self.speaker.offers)[place % len(self.speaker.offers)]
        match kind:
            case "price":
                self.say(Price(offer_id=name, version=self.version, rate_micros=self.version))
            case "capacity":
                self.say(Capacity(offer_id=name, version=self.version, quantity=self.version))
            case _:
                self.say(Withdraw(offer_id=name))

    @rule()
    def reclaim(self) -> None:
        lease = f"lse_{len(self.reclaims)}"
        self.reclaims.add(lease)
        self.say(Reclaim(lease_id=lease, deadline=START))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.say(Pause() if paused else Resume())

    @precondition(lambda self: self.there)
    @rule(place=PLACES, fate=st.sampled_from(["arrives", "arrives", "arrives", "doubled", "lost"]))
    def message(self, place: int, fate: str) -> None:
        index = place % len(self.there)
        envelope = self.there[index] if fate == "doubled" else self.there.pop(index)
        if fate != "lost":
            self.arrive(envelope)

    @precondition(lambda self: self.back)
    @rule(place=PLACES, fate=st.sampled_from(["arrives", "arrives", "arrives", "doubled", "lost"]))
    def reply(self, place: int, fate: str) -> None:
        index = place % len(self.back)
        reply = self.back[index] if fate == "doubled" else self.back.pop(index)
        if fate != "lost":
            self.answer(reply)

    @rule(seconds=st.sampled_from([0, 1, 6, 250]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.session = tick(self.session, self.now).session
        told = {name: entry.shown[0] for name, entry in self.session.entries.items()}
        assert told == {name: standing(self.session, name, now=self.now)[0] for name in told}, "time is told of as it passes"
        self.sent(speaker.tick(self.speaker, self.now))

    @rule()
    def carry_everything(self) -> None:
        there, self.there = self.there, []
        for envelope in there:
            self.arrive(envelope)
        back, self.back = self.back, []
        for reply in back:
            self.answer(reply)

    @rule(luck=st.integers(0, 9))
    def restart(self, luck: int) -> None:
        """Now and then; too often, and hardly anything else would ever happen."""
        match luck:
            case 9:
                self.broker_loses_its_memory()
            case 8:
                self.provider_loses_its_memory()
            case 6 | 7:
                self.reconnect()

    def reconnect(self) -> None:
        self.sent(speaker.reconnected(self.speaker, self.now))

    def provider_loses_its_memory(self) -> None:
        fresh = Speaker(provider="prv_x", epoch=self.speaker.epoch + 1, terms=WISHES)
        # A reclaim dies with the memory that held it: it is the provider's to say again, from its own records.
        owed = sorted(self.reclaims - self.told)
        self.speaker = msgspec.structs.replace(fresh, offers=self.speaker.offers, paused=self.speaker.paused)
        self.sent(speaker.started(self.speaker, self.now))
        for lease in owed:
            self.say(Reclaim(lease_id=lease, deadline=START))

    def broker_loses_its_memory(self) -> None:
        self.session = open_session("prv_x", public_key_of(KEY), terms=TERMS)
        self.history = [hash_of_table(self.session, self.now), *self.history]
        self.position = 0
        # Without its memory the broker cannot tell an old message from a new one: what was on its way is dropped.
        self.there = []

    @invariant()
    def the_table_was_once_the_providers(self) -> None:
        found = hash_of_table(self.session, self.now)
        assert found in self.history[self.position :], "the broker has a table that the provider never had, or had only before"
        self.position = self.history.index(found, self.position)

    def teardown(self) -> None:
        for _ in range(SETTLING_ROUNDS):
            self.carry_everything()
            self.the_table_was_once_the_providers()
            self.now += timedelta(seconds=6)
            self.sent(speaker.tick(self.speaker, self.now))
        self.carry_everything()
        assert hash_of_table(self.session, self.now) == hash_of_offers(self.speaker)
        expected = "paused" if self.speaker.paused else "live"
        assert {standing(self.session, name, now=self.now)[0] for name in self.speaker.offers} <= {expected}
        assert self.told == self.reclaims


PoorLine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
test_poor_line = PoorLine.TestCase
