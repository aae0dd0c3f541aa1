"""Ids that say what they name and where they came from.

An id is a prefix and a body: `bid_01k…`. A *derived* id is a hash of the facts that make the thing
what it is, so writing it twice writes it once: awards derive from the cycle, leases from the award,
journal entries from the business event. Fresh ids are made at the edge and passed in.
"""

import base64
import hashlib

PREFIXES = {
    "acct": "account",
    "awd": "award",
    "bid": "bid",
    "cyc": "cycle",
    "ent": "journal entry",
    "hld": "hold",
    "inv": "invoice",
    "ivt": "invitation",
    "key": "API key",
    "lse": "lease",
    "msg": "webhook message",
    "ofr": "offer",
    "prs": "person",
    "prj": "project",
    "prv": "provider",
    "quo": "quote",
    "ses": "session",
    "use": "usage record",
    "whk": "webhook endpoint",
}
BODY_LENGTH = 26


def derived_id(prefix: str, *facts: str | int) -> str:
    """The id that these facts always give: `prefix_` and 26 letters of base32.

    130 bits of SHA-256 over the length-prefixed facts, so ("a", "bc") and ("ab", "c") differ.
    Raises ValueError for a prefix nobody registered.
    """
    return f"{_known(prefix)}_{_body(b''.join(_framed(fact) for fact in facts))}"


def fresh_id(prefix: str, entropy: bytes) -> str:
    """An id from at least 16 random bytes handed in by the edge."""
    if len(entropy) < 16:
        raise ValueError(f"an id needs 16 random bytes, was given {len(entropy)}")
    return f"{_known(prefix)}_{_body(entropy)}"


def _known(prefix: str) -> str:
    if prefix not in PREFIXES:
        raise ValueError(f"prefix must be one of {', '.join(PREFIXES)}, was {prefix!r}")
    return prefix


def _framed(fact: str | int) -> bytes:
    data = str(fact).encode()
    return len(data).to_bytes(4, "big") + data


def _body(data: bytes) -> str:
    return base64.b32encode(hashlib.sha256(data).digest()).decode().lower()[:BODY_LENGTH]
