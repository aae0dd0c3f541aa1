"""`agent.toml`: what a provider tells its agent, and the files it names.

    broker = "https://market.example"        # where the broker is
    provider = "prv_x"                       # who sells
    api_key_file = "api.key"                 # holds the API key
    signing_key_file = "feed.key"            # holds the key of the feed; made when it is not there
    memory_file = "agent.json"               # what the agent remembers

    [cluster]
    kind = "ray"
    address = "10.0.0.5:6379"

    [door]                                   # where holders knock
    host = "0.0.0.0"
    port = 8700
    url = "https://grid.example"             # how they reach it

    [[offers]]
    offer_id = "ofr_x_h100"
    accelerator = "H100"                     # what the cluster calls them
    rate_micros = 1_800_000
    [offers.attributes]                      # as in the feed
    site = "fr-1"
    country = "FR"
    hardware = "H100-SXM"

Files are looked for beside it.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.agent.announcing import OfferTerms
from broker.agent.deciding import Patience
from contracts.feed.messages import Name, Seconds
from contracts.terms.errors import BadInput

OWNER_ONLY = 0o600
KEY_BYTES = 32


class ClusterAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cluster, of which kind."""

    kind: Literal["ray"]
    address: str


class DoorAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the door listens, and how holders reach it."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+")]
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8_700


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's grid as its agent runs it.

    every_seconds  between two turns of the agent
    hold_seconds   silence after which the broker takes the offers for stale
    """

    broker: str
    provider: Name
    cluster: ClusterAddress
    door: DoorAddress
    offers: Annotated[tuple[OfferTerms, ...], msgspec.Meta(min_length=1)]
    api_key_file: Path = Path("api.key")
    signing_key_file: Path = Path("feed.key")
    memory_file: Path = Path("agent.json")
    every_seconds: Annotated[float, msgspec.Meta(gt=0, le=20)] = 5.0
    hold_seconds: Seconds = 60
    patience: Patience = Patience()

    def accelerator_of(self, offer_id: str) -> str | None:
        """What the cluster calls the accelerators of an offer; None for one that is not of this grid."""
        return next((each.accelerator for each in self.offers if each.offer_id == offer_id), None)


def read_grid(path: Path) -> Grid:
    """A grid as written, its files beside it. Raises BadInput naming what cannot stand."""
    try:
        grid = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Grid)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as fault:
        raise BadInput(str(fault), file=str(path)) from fault
    files = {name: path.parent / getattr(grid, name) for name in ("api_key_file", "signing_key_file", "memory_file")}
    return msgspec.structs.replace(grid, **files)


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key a feed is signed with: 32 bytes in hexadecimal; made, for its owner's eyes only, when there is none. Raises BadInput."""
    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes_raw().hex()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w", encoding="ascii") as file:
            file.write(made)
    text = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError as fault:
        raise BadInput("this is no key", file=str(path), would_do=f"{KEY_BYTES} bytes in hexadecimal, or no file: one is made") from fault
