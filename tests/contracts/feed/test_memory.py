"""What each side remembers can be written down and read again, and what it tells is told once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.feed import receiving, speaker
from contracts.feed.damping import Penalty
from contracts.feed.messages import Announce, Heartbeat, Maint, Message, Pause, Price, Reclaim, Withdraw
from contracts.feed.session import LeaseReclaimed, OfferChanged, Session, open_session, tick, told
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
    effects: list[object] = []
    for message in messages:
        spoken = speaker.say(spoken.speaker, message, now=START)
        sent += spoken.sent
    for unsigned in sent:
        outcome = receiving.step(session, seal(unsigned, KEY), now=START)
        session = outcome.session
        effects += outcome.effects
    return session, spoken.speaker, effects


def test_both_memories_survive_being_written_down():
    session, memory, _ = talked(OFFER, Pause(reason="audit"), Maint(start=START, end=START + timedelta(hours=1)))
    assert len(session.entries) == len(memory.offers) == 1
    assert msgspec.json.decode(msgspec.json.encode(session), type=Session) == session
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Speaker) == memory


def test_each_change_of_standing_is_told_once():
    session, _, said = talked(OFFER)
    assert said == [OfferChanged(offer_id="ofr_1", version=1, state="live", reason="")]
    seen = []
    for seconds in range(0, 800, 10):
        outcome = tick(session, START + timedelta(seconds=seconds))
        session = outcome.session
        seen += [(seconds, effect.state) for effect in outcome.effects]
    assert seen == [(60, "stale"), (660, "withdrawn")], "hold 60 s, and 600 s to restart"


def test_an_offer_ends_with_its_time_to_live_though_nobody_says_anything():
    session, _, _ = talked(msgspec.structs.replace(OFFER, ttl_seconds=30))
    before = tick(session, START + timedelta(seconds=29))
    assert (before.session, before.effects) == (session, ()), "nothing has come to pass"
    (ended,) = tick(session, START + timedelta(seconds=30)).effects
    assert (ended.state, ended.reason) == ("withdrawn", "its time to live is over")


def test_a_damped_offer_comes_back_by_itself():
    """4000 points have fallen below 750 after 2252 s, not after 2250; the provider is heard all the while."""
    session, _, _ = talked(msgspec.structs.replace(OFFER, ttl_seconds=3_600))
    damped = msgspec.structs.replace(session.entries["ofr_1"], penalty=Penalty(4000, START, suppressed=True))
    session, seen = told(msgspec.structs.replace(session, entries={"ofr_1": damped}), START).session, []
    for seconds in (1, 2250, 2252, 2253):
        now = START + timedelta(seconds=seconds)
        outcome = tick(msgspec.structs.replace(session, heard_at=now), now)
        session = outcome.session
        seen += [(seconds, effect.state) for effect in outcome.effects]
    assert seen == [(2252, "live")]


def test_a_reclaim_reaches_the_market():
    _, _, said = talked(Reclaim(lease_id="lse_1", deadline=START, reason="power"))
    assert said == [LeaseReclaimed(lease_id="lse_1", deadline=START, reason="power")]


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
