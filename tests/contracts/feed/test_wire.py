"""The bytes: canonical text, hashes and signatures that anybody else would compute too."""

import hashlib
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.feed.messages import Ack, Announce, Envelope, Maint, Message, Nack, Unsigned, Withdraw
from contracts.feed.wire import (
    canonical,
    decode,
    decode_reply,
    encode,
    is_signed,
    message_of,
    public_key_of,
    seal,
    seal_payload,
    signed_bytes,
    table_hash,
)
from contracts.terms.errors import BadInput

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WINDOW = Maint(start=datetime(2027, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 2, tzinfo=UTC))


def sealed(message: Message) -> Envelope:
    return seal(Unsigned(provider="prv_x", epoch=1, seq=1, message=message), KEY)


def test_canonical_text_is_that_of_rfc_8785():
    """The example of the RFC's own text, section 3.2.2, numbers only."""
    assert canonical({"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], "a": None}) == (
        b'{"a":null,"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'
    )


def test_signatures_are_those_of_rfc_8032():
    """The RFC's first test: an empty message."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert public_key_of(key) == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert is_signed(signature, b"", public_key=public_key_of(key))
    assert not is_signed(signature, b"x", public_key=public_key_of(key))
    assert not is_signed("no hex", b"", public_key=public_key_of(key))


def test_what_is_signed_can_be_written_by_hand():
    envelope = sealed(Withdraw(offer_id="ofr_1"))
    payload = hashlib.sha256(b'{"offer_id":"ofr_1","reason":"","type":"withdraw"}').hexdigest()
    assert signed_bytes(envelope) == f'{{"epoch":1,"payload_hash":"{payload}","provider":"prv_x","seq":1}}'.encode()


def test_a_table_hash_can_be_computed_with_sha256sum():
    one, two = "11" * 32, "22" * 32
    assert table_hash([two, one]) == hashlib.sha256(f"{one}\n{two}\n".encode()).hexdigest()
    assert table_hash([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(attributes=st.dictionaries(st.text(), JSON, max_size=4), binary=st.booleans())
def test_either_encoding_carries_the_same_signed_message(attributes, binary: bool):
    offer = Announce(offer_id="ofr_1", version=1, quantity=1, rate_micros=1, ttl_seconds=1, attributes=attributes)
    envelope = sealed(offer)
    again = decode(encode(envelope, binary=binary), binary=binary)
    assert signed_bytes(again) == signed_bytes(envelope)
    assert is_signed(again.signature, signed_bytes(again), public_key=public_key_of(KEY))
    assert canonical(message_of(again).attributes) == canonical(attributes)


@pytest.mark.parametrize("binary", [False, True])
def test_moments_survive_both_encodings(binary: bool):
    assert message_of(decode(encode(sealed(WINDOW), binary=binary), binary=binary)) == WINDOW
    for reply in (Ack(epoch=1, seq=2), Nack(epoch=1, seq=2, code="x", consumed=True)):
        assert decode_reply(encode(reply, binary=binary), binary=binary) == reply


@given(junk=st.binary(max_size=80), binary=st.booleans())
def test_any_other_bytes_are_refused_as_such(junk: bytes, binary: bool):
    for read in (decode, decode_reply):
        with pytest.raises(BadInput):
            read(junk, binary=binary)


@pytest.mark.parametrize(
    "payload",
    [{"n": 2**60}, {"n": float("nan")}, {"n": {1: 2}}, {"n": b"bytes"}],
    ids=["beyond 2^53", "not a number", "names that are no text", "bytes"],
)
def test_what_has_no_canonical_text_is_refused(payload):
    wire = msgspec.msgpack.encode(msgspec.structs.replace(sealed(WINDOW), payload=payload))
    with pytest.raises(BadInput):
        decode(wire, binary=True)


def test_deep_and_long_messages_are_refused():
    good = encode(sealed(Withdraw(offer_id="ofr_1")))
    for value in (b"[" * 20_000 + b"]" * 20_000, b'"' + b"x" * 70_000 + b'"', b"[" * 32 + b"]" * 32):
        with pytest.raises(BadInput):
            decode(good.replace(b'"ofr_1"', value))


def test_members_we_do_not_know_are_part_of_what_is_signed():
    unsigned = Unsigned(provider="prv_x", epoch=1, seq=1, message=WINDOW)
    envelope = seal_payload(unsigned, KEY, payload={"type": "resume", "mood": "good"})
    other = msgspec.structs.replace(envelope, payload={"type": "resume", "mood": "bad"})
    assert is_signed(envelope.signature, signed_bytes(envelope), public_key=public_key_of(KEY))
    assert not is_signed(envelope.signature, signed_bytes(other), public_key=public_key_of(KEY))


def test_as_deep_as_allowed_is_taken():
    wire = encode(sealed(Withdraw(offer_id="ofr_1"))).replace(b'"ofr_1"', b"[" * 31 + b"]" * 31)
    assert decode(wire).payload["type"] == "withdraw"
