"""A sealed batch is its messages, one by one: the same table, the same answers; and one signature that guards every byte."""

import msgspec
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.feed.batches import take
from contracts.feed.damping import Damping
from contracts.feed.messages import (
    VERSION,
    Ack,
    Announce,
    Capacity,
    Heartbeat,
    Hello,
    Message,
    Nack,
    Pause,
    Price,
    SealedBatch,
    SnapshotBegin,
    SnapshotEnd,
    Unsigned,
    Withdraw,
)
from contracts.feed.sealed import MESSAGES_MAX, contents_of, decode_batch, packed, seal_batch, sealed_bytes
from contracts.feed.session import Session, hash_of_table, open_session, tick
from contracts.feed.speaker import Speaker, started
from contracts.feed.table import FeedTerms
from contracts.feed.wire import encode, offer_hash, public_key_of, seal, seal_payload, table_hash, text_of
from contracts.terms.errors import BadInput
from contracts.terms.time import utc

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NOW = utc("2027-01-01T00:00:00Z")
# A flood, a full table and an offer that is damped are all within reach of a few dozen messages.
TIGHT = FeedTerms(updates_per_minute=60, updates_burst=45, offers_max=4, damping=Damping(suppress=1_200, reuse=600))
NAMES = st.sampled_from("abcdef")
VERSIONS = st.integers(1, 4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def an_offer(name: str = "a", *, version: int = 1, **facts: object) -> Announce:
    return msgspec.convert({"offer_id": name, "version": version, "quantity": 8, "rate_micros": 9, "ttl_seconds": 900, **facts}, Announce)


# Whole, broken and rare numbers, plain and rare text: each way of hashing has its turn.
SITES = st.sampled_from([0, 0, 0, 1, 1.0, 1.5, 1e-9, 1e22, -0.0, True, "a", 'a"b', "é", {"é": 1}, {"b": [1.0, {}], "a": None}])
OFFERS = st.builds(
    lambda name, version, site: an_offer(name, version=version, attributes={"site": site}), NAMES, VERSIONS, st.integers(0, 1)
)
CHANGES = (
    OFFERS
    | st.builds(lambda name, version: Price(offer_id=name, version=version, rate_micros=version), NAMES, VERSIONS)
    | st.builds(lambda name, version: Capacity(offer_id=name, version=version, quantity=version), NAMES, VERSIONS)
    | st.builds(lambda name: Withdraw(offer_id=name), NAMES)
)
SNAPSHOTS = st.lists(OFFERS, max_size=5).map(
    lambda offers: [
        SnapshotBegin(generation=1, count=len(offers), hash=table_hash(map(offer_hash, offers))),
        *offers,
        SnapshotEnd(generation=1),
    ]
)
OTHERS = st.sampled_from([
    Hello(version=VERSION, hold_seconds=60, restart_seconds=60, table_hash=table_hash([])),
    Heartbeat(table_hash="0" * 64),
    SnapshotBegin(generation=2, count=2, hash="0" * 64),
    SnapshotEnd(generation=2),
    Pause(),
])  # fmt: skip
SPEECHES = st.lists(st.lists(CHANGES, max_size=12) | SNAPSHOTS | OTHERS.map(lambda one: [one]), max_size=6).map(
    lambda parts: [message for part in parts for message in part]
)


def opened(terms: FeedTerms = TIGHT) -> Session:
    """A session with three offers in step, numbers up to 6 used."""
    session = open_session("prv_x", public_key_of(KEY), terms=terms)
    offers = {name: an_offer(name, attributes={"site": 0}) for name in "abc"}
    said = started(Speaker(provider="prv_x", epoch=1), NOW).speaker
    assert said.seq == 4, "hello, begin, end, resume"
    wires = [encode(seal(each, KEY)) for each in said.log]
    wires += [encode(seal(each, KEY)) for each in numbered(list(offers.values()), first=5)]
    return take(session, wires, now=NOW).session


def numbered(messages: list[Message], *, first: int, epoch: int = 1) -> list[Unsigned]:
    return [Unsigned(provider="prv_x", epoch=epoch, seq=seq, message=message) for seq, message in enumerate(messages, first)]


@given(speech=SPEECHES, gap=st.sampled_from([0, 0, 0, 0, 0, 1, -2]), epoch=st.sampled_from([1, 1, 1, 1, 2]), binary=st.booleans())
@settings(max_examples=300)
def test_a_batch_is_its_messages_one_by_one(speech: list[Message], gap: int, epoch: int, binary: bool):
    """In step or not, paid for or not, refused in the middle or not: session and replies are the same."""
    before = opened()
    said = numbered(speech, first=max(1, before.seq + 1 + gap), epoch=epoch)
    if not said:
        return
    alone = take(before, [encode(seal(each, KEY), binary=binary) for each in said], now=NOW, binary=binary)
    together = take(before, [seal_batch(said, KEY, binary=binary)], now=NOW, binary=binary)
    assert together.replies == alone.replies
    assert together.session == alone.session
    assert tick(together.session, NOW).session == tick(alone.session, NOW).session


@given(speech=st.lists(CHANGES, min_size=1, max_size=12), cut=st.integers(0, 12))
def test_a_batch_may_be_said_again_in_other_pieces(speech: list[Message], cut: int):
    """What was acknowledged is acknowledged again and changes nothing, however it is packed."""
    before = opened(FeedTerms())
    said = numbered(speech, first=before.seq + 1)
    after = take(before, [seal_batch(said, KEY)], now=NOW).session
    pieces = [piece for piece in (said[:cut], said[cut:]) if piece]
    again = take(after, [wire for piece in pieces for wire in packed(piece, KEY)], now=NOW)
    assert again.session == after
    assert again.replies == (Ack(epoch=1, seq=after.seq),)


def test_one_number_says_one_thing_in_a_batch_too():
    before = opened()
    after = take(before, [seal_batch(numbered([an_offer(version=2)], first=before.seq + 1), KEY)], now=NOW).session
    other = take(after, [seal_batch(numbered([an_offer(version=3)], first=before.seq + 1), KEY)], now=NOW)
    assert [getattr(reply, "code", "") for reply in other.replies] == ["sequence_reused"]


@pytest.mark.parametrize("binary", [False, True])
def test_every_byte_of_a_batch_is_signed(binary: bool):
    """Another key, another number, a message replaced, dropped, doubled or turned around: refused, and nothing changed."""
    before = opened()
    said = numbered([Withdraw(offer_id=name) for name in "abc"], first=before.seq + 1)
    good = decode_batch(seal_batch(said, KEY, binary=binary), binary=binary)
    coder = msgspec.msgpack if binary else msgspec.json
    parts = coder.decode(good.messages)
    changed = [[*parts[:2], {**parts[2], "offer_id": "d"}], parts[:2], [*parts, parts[2]], parts[::-1]]
    forged = [msgspec.structs.replace(good, messages=msgspec.Raw(coder.encode(each))) for each in changed]
    forged += [msgspec.structs.replace(good, seq=good.seq + 1), msgspec.structs.replace(good, epoch=2)]
    forged += [msgspec.structs.replace(good, signature=OTHER_KEY.sign(sealed_bytes(good)).hex())]
    for each in forged:
        outcome = take(before, [coder.encode(each)], now=NOW, binary=binary)
        assert [reply.code for reply in outcome.replies] == ["bad_signature"]
        assert outcome.session == before
    assert take(before, [coder.encode(good)], now=NOW, binary=binary).replies == (Ack(epoch=1, seq=before.seq + 3),)


def test_a_malformed_message_is_refused_in_its_place_and_the_others_are_taken():
    """As it would be alone: its number is used up."""
    before = opened()
    good = decode_batch(seal_batch(numbered([Withdraw(offer_id="a"), Withdraw(offer_id="b")], first=before.seq + 1), KEY))
    parts = [
        {"type": "weather"},
        {"type": "withdraw", "offer_id": "a"},
        {"type": "price", "offer_id": "b", "version": -1, "rate_micros": 1},
    ]
    unsigned = msgspec.structs.replace(good, messages=msgspec.Raw(msgspec.json.encode(parts)))
    batch = msgspec.structs.replace(unsigned, signature=KEY.sign(sealed_bytes(unsigned)).hex())
    outcome = take(before, [msgspec.json.encode(batch)], now=NOW)
    codes = [getattr(reply, "code", "ack") for reply in outcome.replies]
    assert codes == ["unknown_type", "ack", "malformed"]
    assert (outcome.session.entries["a"].gone, outcome.session.entries["b"].gone) == ("withdrawn by the provider", "")


@pytest.mark.parametrize(
    "messages",
    [
        b"[]",
        b"7",
        b"[7]",
        b'[{"type":"withdraw","offer_id":"a","x":9007199254740992}]',
        b'[{"type":"withdraw","offer_id":"a"},' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"]",
        b"[" + b",".join([b'{"type":"resume"}'] * (MESSAGES_MAX + 1)) + b"]",
        b'[{"type":"pause","reason":"' + b"x" * 70_000 + b'"}]',
    ],
    ids=["none", "no array", "no message", "beyond 2^53", "too deep", "too many", "too long"],
)
def test_a_batch_with_what_no_envelope_could_carry_is_unreadable(messages: bytes):
    before = opened()
    unsigned = SealedBatch(provider="prv_x", epoch=1, seq=before.seq + 1, key="k", messages=msgspec.Raw(messages), signature="0" * 128)
    named = msgspec.structs.replace(unsigned, key=decode_batch(seal_batch(numbered([Pause()], first=1), KEY)).key)
    batch = msgspec.structs.replace(named, signature=KEY.sign(sealed_bytes(named)).hex())
    outcome = take(before, [msgspec.json.encode(batch)], now=NOW)
    assert outcome.replies == (Nack(epoch=1, seq=before.seq, code="unreadable", consumed=False),)
    assert outcome.session == before


def test_what_only_messagepack_has_is_unreadable():
    unsigned = decode_batch(seal_batch(numbered([an_offer()], first=9), KEY, binary=True), binary=True)
    raw = msgspec.msgpack.encode([{**msgspec.to_builtins(an_offer()), "type": "announce", "attributes": {"site": b"bytes"}}])
    with pytest.raises(BadInput):
        contents_of(msgspec.structs.replace(unsigned, messages=msgspec.Raw(raw)), binary=True)


@given(value=JSON)
def test_the_short_way_to_the_canonical_text_ends_where_the_long_one_does(value: object):
    assert text_of(value) == rfc8785.dumps(value)


def test_packing_signs_as_seldom_as_it_may():
    """Two thousand and one messages in a row and one of another epoch: three batches would do for the row, the last message goes alone."""
    row = numbered([Pause()] * (2 * MESSAGES_MAX + 1), first=1)
    wires = packed([*row, *numbered([Pause()], first=1, epoch=2)], KEY)
    assert [decode_batch(wire) is not None for wire in wires] == [True, True, False, False]


@pytest.mark.parametrize("unknown", ["green", 1e300, {"deep": [1.5, "é"]}])
def test_unknown_members_are_signed_and_skipped(unknown: object):
    before = opened()
    unsigned = Unsigned(provider="prv_x", epoch=1, seq=before.seq + 1, message=Withdraw(offer_id="a"))
    payload = {**msgspec.to_builtins(unsigned.message), "colour": unknown}
    alone = take(before, [encode(seal_payload(unsigned, KEY, payload=payload))], now=NOW)
    plain = decode_batch(seal_batch([unsigned], KEY))
    coloured = msgspec.structs.replace(plain, messages=msgspec.Raw(msgspec.json.encode([payload])))
    signed = msgspec.structs.replace(coloured, signature=KEY.sign(sealed_bytes(coloured)).hex())
    assert take(before, [msgspec.json.encode(signed)], now=NOW).session == alone.session
    assert hash_of_table(alone.session, NOW) == table_hash(offer_hash(an_offer(name, attributes={"site": 0})) for name in "bc")
