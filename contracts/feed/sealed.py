"""Batches of messages under one signature: what is signed is the SHA-256 of the messages as they were sent.

A signature takes as long to check as forty announcements to apply, so a provider that says much at a time signs once. The bytes
are hashed as they came, JSON or MessagePack, and read after that: nothing between the signer and the reader can tell them apart.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.feed.messages import ATTRIBUTES_BYTES_MAX, Announce, Message, SealedBatch, Unsigned
from contracts.feed.wire import (
    DEPTH_MAX,
    FRACTION_MAX,
    SORTED,
    WIRE_BYTES_MAX,
    NotPlain,
    canonical,
    encode,
    is_deeper,
    key_id,
    offer_hash,
    plain_number,
    plain_offer_hash,
    public_key_of,
    seal,
    text_of,
)
from contracts.terms.errors import BadInput

MESSAGES_MAX = 1_000
# Whole numbers beyond 2^53 have at least sixteen digits: without such a row of them there is none.
LONG_NUMBER = b"0" * 16
DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
# One byte of a message may become six of canonical text: a control character in MessagePack.
GROWTH_MAX = 6


def _fraction(text: str) -> float:
    value = float(text)
    if 1 <= value < FRACTION_MAX and (whole := int(value)) == value:  # what most figures are, decided here and not a call further
        return whole
    return plain_number(value)


PLAIN_MESSAGES = msgspec.json.Decoder(list[Message], float_hook=_fraction)
PLAIN_PAYLOAD = msgspec.json.Decoder(dict[str, object], float_hook=_fraction)


class Contents(msgspec.Struct, frozen=True):
    """The messages of a sealed batch.

    payloads  each still encoded
    messages  each read; None where one of them is malformed or long, and each has to be judged alone
    hashes    the content hash of each announce, empty for the others
    is_plain  whether their sorted text is their canonical text, which is almost always so and quick to hash
    """

    payloads: list[bytes]
    messages: list[Message] | None
    hashes: list[str]
    is_plain: bool


def seal_batch(said: Sequence[Unsigned], key: Ed25519PrivateKey, *, binary: bool = False) -> bytes:
    """Messages that follow one another in one epoch, as one sealed batch, encoded."""
    first = said[0]
    assert all((each.epoch, each.seq) == (first.epoch, first.seq + place) for place, each in enumerate(said)), "numbers follow one another"
    coder = msgspec.msgpack if binary else msgspec.json
    batch = SealedBatch(
        provider=first.provider,
        epoch=first.epoch,
        seq=first.seq,
        key=key_id(public_key_of(key)),
        messages=msgspec.Raw(coder.encode([each.message for each in said])),
        signature="00" * 64,
    )
    signed: bytes = coder.encode(msgspec.structs.replace(batch, signature=key.sign(sealed_bytes(batch)).hex()))
    return signed


def packed(said: Sequence[Unsigned], key: Ed25519PrivateKey, *, binary: bool = False) -> list[bytes]:
    """What a provider has to send, signed and encoded with as few signatures as the protocol allows. For brokers of 1.1 and above."""
    rows: list[list[Unsigned]] = []
    for each in said:
        last = rows[-1][-1] if rows else None
        follows = last is not None and (each.epoch, each.seq) == (last.epoch, last.seq + 1)
        if follows and len(rows[-1]) < MESSAGES_MAX:
            rows[-1].append(each)
        else:
            rows.append([each])
    return [seal_batch(row, key, binary=binary) if len(row) > 1 else encode(seal(row[0], key), binary=binary) for row in rows]


def sealed_bytes(batch: SealedBatch) -> bytes:
    """What the signature of a sealed batch is over."""
    found = hashlib.sha256(batch.messages).hexdigest()
    return canonical({"provider": batch.provider, "epoch": batch.epoch, "seq": batch.seq, "messages_hash": found})


def decode_batch(data: bytes, *, binary: bool = False) -> SealedBatch | None:
    """A sealed batch, its messages still encoded; None for what is none, which may be an envelope."""
    coder = msgspec.msgpack if binary else msgspec.json
    try:
        batch: SealedBatch = coder.decode(data, type=SealedBatch)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None
    return batch


def contents_of(batch: SealedBatch, *, binary: bool = False) -> Contents:
    """The messages of a batch. Raises BadInput, for the whole of it, where one of them could not travel in an envelope."""
    coder = msgspec.msgpack if binary else msgspec.json
    try:
        payloads = [bytes(each) for each in coder.decode(batch.messages, type=list[msgspec.Raw])]
        longest = max(map(len, payloads), default=0)
        if not 0 < len(payloads) <= MESSAGES_MAX or longest > WIRE_BYTES_MAX:
            raise BadInput(f"a batch has 1 to {MESSAGES_MAX} messages of at most {WIRE_BYTES_MAX} bytes", found=len(payloads))
        messages, is_plain = _messages(batch.messages, binary=binary, plain=not binary and _is_plain(batch.messages, payloads=payloads))
        if not is_plain:
            for each in payloads:
                _general_hash(each, binary=binary)
    except (ValueError, RecursionError, TypeError, msgspec.DecodeError) as fault:
        raise BadInput(f"the batch cannot be read: {fault}") from fault
    if longest * GROWTH_MAX > ATTRIBUTES_BYTES_MAX:
        messages = None
    content = plain_offer_hash if is_plain else offer_hash
    hashes = [content(message) if isinstance(message, Announce) else "" for message in messages or ()]
    return Contents(payloads, messages, hashes, is_plain)


def payload_of(data: bytes, *, binary: bool = False) -> dict[str, object]:
    """One payload as sent, members we do not know included."""
    coder = msgspec.msgpack if binary else msgspec.json
    payload: dict[str, object] = coder.decode(data, type=dict[str, object])
    return payload


def payload_hashes(found: Contents, *, first: int, end: int, binary: bool = False) -> list[str]:
    """The hashes of the payloads in the places [first, end)."""
    sent = found.payloads[first:end]
    if found.is_plain:
        try:
            return [hashlib.sha256(SORTED.encode(PLAIN_PAYLOAD.decode(each))).hexdigest() for each in sent]
        except NotPlain:  # a fraction in a member nobody reads
            pass
    return [_general_hash(each, binary=binary) for each in sent]


def _is_plain(data: msgspec.Raw, *, payloads: list[bytes]) -> bool:
    """Whether canonical text differs from sorted text in its numbers at most: ASCII, no escapes, nothing long or deep."""
    text = bytes(data)
    shallow = max(each.count(b"{") + each.count(b"[") for each in payloads) <= DEPTH_MAX
    return shallow and text.isascii() and b"\\" not in text and LONG_NUMBER not in text.translate(DIGITS_ALIKE)


def _messages(data: msgspec.Raw, *, binary: bool, plain: bool) -> tuple[list[Message] | None, bool]:
    """The messages, read, or None where one of them is malformed; and whether they are plain after all, by their fractions."""
    if plain:
        try:
            return PLAIN_MESSAGES.decode(data), True
        except msgspec.ValidationError:
            return None, False
        except NotPlain:
            pass
    coder = msgspec.msgpack if binary else msgspec.json
    try:
        found: list[Message] = coder.decode(data, type=list[Message])
    except msgspec.ValidationError:
        return None, False
    return found, False


def _general_hash(data: bytes, *, binary: bool = False) -> str:
    payload = payload_of(data, binary=binary)
    if is_deeper(payload, DEPTH_MAX):
        raise BadInput(f"a message is nested at most {DEPTH_MAX} deep")
    return hashlib.sha256(text_of(payload)).hexdigest()
