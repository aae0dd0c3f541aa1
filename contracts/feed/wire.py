"""Bytes of the feed: JSON or MessagePack to read, canonical JSON (RFC 8785) to hash and sign, Ed25519 to vouch.

Whatever the encoding, the hash is of the canonical JSON, so a message may be re-encoded without being signed again.
Signing is deterministic; keys come from the edge.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.feed.messages import Announce, Attestation, Envelope, Message, Reply, Unsigned
from contracts.terms.errors import BadInput

WIRE_BYTES_MAX = 65_536
DEPTH_MAX = 32
WHOLE_LIMIT = 2**53
# Between these every fraction is written without an exponent, by RFC 8785 as by everybody else.
FRACTION_MIN, FRACTION_MAX = 1e-4, 1e15
SORTED = msgspec.json.Encoder(order="sorted")


class NotPlain(Exception):
    """A value whose canonical text takes the long way: rare names, rare numbers, or no JSON value at all."""


def canonical(value: object) -> bytes:
    """The one text of a JSON value, RFC 8785.

    Raises ValueError for what JSON cannot say alike everywhere: NaN, whole numbers beyond 2^53, names that are not text. Almost all there
    is to say is plain, and the encoder in C writes it as the RFC wants it, once whole numbers are written as such.
    """
    try:
        return SORTED.encode(_plain(value))
    except NotPlain:
        return rfc8785.dumps(msgspec.to_builtins(value))


def text_of(value: object) -> bytes:
    """The canonical text of what was read from JSON or MessagePack.

    Raises ValueError and TypeError for values that only MessagePack has, bytes and moments, and like `canonical`.
    """
    try:
        return SORTED.encode(_plain(value))
    except NotPlain:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # anything that is no JSON value is refused there


def _plain(value: Any) -> object:
    """The same value with its whole numbers as such. Raises NotPlain where the two ways of writing it may differ."""
    kind = type(value)
    if kind is float:
        return plain_number(value)
    if kind is str or kind is bool or value is None or (kind is int and -WHOLE_LIMIT < value < WHOLE_LIMIT):
        return value
    if kind is list:
        return [one if type(one) is str else _plain(one) for one in value]
    if kind is not dict:
        raise NotPlain
    try:
        names = "".join(value)
    except TypeError as fault:
        raise NotPlain from fault
    if not names.isascii():
        raise NotPlain
    return {name: one if type(one) is str else _plain(one) for name, one in value.items()}


def plain_number(value: float) -> float:
    """A fraction as it is, a whole number as such. Raises NotPlain for what the RFC may write otherwise than everybody else."""
    if -FRACTION_MAX < value < FRACTION_MAX:
        if value == int(value):
            return int(value)
        if abs(value) >= FRACTION_MIN:
            return value
    raise NotPlain


def sha256(value: object) -> str:
    """SHA-256 of the canonical bytes, hexadecimal. Raises ValueError like `canonical`."""
    return hashlib.sha256(canonical(value)).hexdigest()


def offer_hash(offer: Announce) -> str:
    """Hash of what an offer says. The time to live is left out: each side counts its own."""
    return sha256(_said(offer))


def plain_offer_hash(offer: Announce) -> str:
    """The same hash, for an offer that is known to be plain: read from ASCII without escapes, its whole numbers as such."""
    return hashlib.sha256(SORTED.encode(_said(offer))).hexdigest()


def _said(offer: Announce) -> dict[str, object]:
    return {
        "offer_id": offer.offer_id,
        "version": offer.version,
        "quantity": offer.quantity,
        "rate_micros": offer.rate_micros,
        "attributes": offer.attributes,
        "attestations": offer.attestations or [],
    }


def table_hash(offer_hashes: Iterable[str]) -> str:
    """Hash of a table: of its offers' hashes in text order, one a line. An empty table has the hash of nothing."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(offer_hashes)).encode()).hexdigest()


def key_id(public_key: str) -> str:
    """The short name of a public key: the first 16 digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public half, hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def seal(unsigned: Unsigned, key: Ed25519PrivateKey) -> Envelope:
    """Sign a numbered message. The same message gives the same bytes every time."""
    return seal_payload(unsigned, key, payload=msgspec.to_builtins(unsigned.message))


def seal_payload(unsigned: Unsigned, key: Ed25519PrivateKey, *, payload: dict[str, object]) -> Envelope:
    """Sign a payload of one's own under the number of `unsigned`: for members this version does not know."""
    envelope = Envelope(
        provider=unsigned.provider,
        epoch=unsigned.epoch,
        seq=unsigned.seq,
        key=key_id(public_key_of(key)),
        payload=payload,
        signature="00" * 64,
    )
    return msgspec.structs.replace(envelope, signature=key.sign(signed_bytes(envelope)).hex())


def signed_bytes(envelope: Envelope) -> bytes:
    """What a signature is over."""
    facts = {"provider": envelope.provider, "epoch": envelope.epoch, "seq": envelope.seq, "payload_hash": sha256(envelope.payload)}
    return canonical(facts)


def proof_bytes(provider: str, public_key: str) -> bytes:
    """What a new key signs to show that its holder asked for the rotation."""
    return canonical({"provider": provider, "public_key": public_key})


def attested_bytes(provider: str, offer_id: str, *, attestation: Attestation) -> bytes:
    """What the issuer of an attestation signs."""
    facts = {"issuer": attestation.issuer, "claim": attestation.claim, "value": attestation.value}
    return canonical({"provider": provider, "offer_id": offer_id, **facts})


def is_signed(signature: str, data: bytes, *, public_key: str) -> bool:
    """Whether the holder of a key signed these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def encode(item: Envelope | Reply, *, binary: bool = False) -> bytes:
    """JSON, or MessagePack when binary."""
    return msgspec.msgpack.encode(item) if binary else msgspec.json.encode(item)


def decode(data: bytes, *, binary: bool = False) -> Envelope:
    """An envelope whose payload can be hashed. Raises BadInput for anything else, whatever the bytes."""
    if len(data) > WIRE_BYTES_MAX:
        raise BadInput(f"a message has at most {WIRE_BYTES_MAX} bytes", found=len(data))
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope) if binary else msgspec.json.decode(data, type=Envelope)
        text_of(envelope.payload)  # bytes and moments, which only MessagePack has, are refused here
    except (ValueError, RecursionError, TypeError, msgspec.DecodeError) as fault:
        raise BadInput(f"the message cannot be read: {fault}") from fault
    if is_deeper(envelope.payload, DEPTH_MAX):
        raise BadInput(f"a message is nested at most {DEPTH_MAX} deep")
    return envelope


def is_deeper(value: object, levels: int) -> bool:
    """Whether a value is nested deeper than so many levels; it goes no deeper itself."""
    if levels == 0:
        return isinstance(value, dict | list)
    inner: Iterable[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(is_deeper(one, levels - 1) for one in inner)


def decode_reply(data: bytes, *, binary: bool = False) -> Reply:
    """What the broker answered. Raises BadInput for anything else."""
    try:
        reply: Reply = msgspec.msgpack.decode(data, type=Reply) if binary else msgspec.json.decode(data, type=Reply)
    except (ValueError, RecursionError, msgspec.DecodeError) as fault:
        raise BadInput(f"the reply cannot be read: {fault}") from fault
    return reply


def message_of(envelope: Envelope) -> Message:
    """The message inside. Raises msgspec.ValidationError naming the member at fault."""
    message: Message = msgspec.convert(envelope.payload, Message)
    return message
