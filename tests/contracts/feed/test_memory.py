"""What each side remembers can be written down and read again, and what it tells is told once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.feed import receiving, speaker
from contracts.feed.messages import Announce, Heartbeat, Maint, Message, Pause, Price, Reclaim, Withdraw
from contracts.feed.session import LeaseReclaimed, OfferChanged, Session, open_session, tick
from contracts.feed.speaker import Speaker
from contracts.feed.wire import public_key_of, seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = datetime(2027, 1, 1, tzinfo=UTC)
OFFER = Announce(offer_id="ofr_1", version=1, quantity=8, rate_micros=2_000_000, ttl_seconds=900, attributes={"site": "lyon-1"})


def talked(*messages: Message) -> tuple[Session, Speaker, list[object]]:
    """Both sides after these messages over a perfect line, at one moment; and what the broker told."""
    session = open_session("prv_x", public_key_of(KEY))
    spoken = speaker.started(Speaker(provider="prv_x", epoch=1), START)
    sent = list(spoken.sent)
    told: list[object] = []
    for message in messages:
        spoken = speaker.say(spoken.speaker, message, now=START)
        sent += spoken.sent
    for unsigned in sent:
        outcome = receiving.step(session, seal(unsigned, KEY), now=START)
        session = outcome.session
        told += outcome.effects
    return session, spoken.speaker, told


def test_both_memories_survive_being_written_down():
    session, memory, _ = talked(OFFER, Pause(reason="audit"), Maint(start=START, end=START + timedelta(hours=1)))
    assert len(session.entries) == len(memory.offers) == 1
    assert msgspec.json.decode(msgspec.json.encode(session), type=Session) == session
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Speaker) == memory


def test_each_change_of_standing_is_told_once():
    session, _, told = talked(OFFER)
    assert told == [OfferChanged(offer_id="ofr_1", version=1, state="live", reason="")]
    seen = []
    for seconds in range(0, 800, 10):
        outcome = tick(session, START + timedelta(seconds=seconds))
        session = outcome.session
        seen += [(seconds, effect.state) for effect in outcome.effects]
    assert seen == [(60, "stale"), (660, "withdrawn")], "hold 60 s, and 600 s to restart"


def test_a_reclaim_reaches_the_market():
    _, _, told = talked(Reclaim(lease_id="lse_1", deadline=START, reason="power"))
    assert told == [LeaseReclaimed(lease_id="lse_1", deadline=START, reason="power")]


def test_a_forgotten_offer_is_forgotten_after_a_day():
    session, _, _ = talked(OFFER, Withdraw(offer_id="ofr_1"))
    assert "ofr_1" in tick(session, START + timedelta(seconds=86_399)).session.entries
    assert tick(session, START + timedelta(seconds=86_400)).session.entries == {}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Price(offer_id="ofr_1", version=1, rate_micros=1), "must be above 1, was 1"),
        (msgspec.structs.replace(OFFER, quantity=9), "must be above 1, was 1"),
        (Withdraw(offer_id="ofr_2"), "was never announced"),
        (Heartbeat(table_hash="0" * 64), "by itself"),
    ],
)
def test_what_a_provider_may_not_say_is_refused_before_it_is_numbered(message: Message, why: str):
    _, memory, _ = talked(OFFER)
    with pytest.raises(ValueError, match=why):
        speaker.say(memory, message, now=START)
