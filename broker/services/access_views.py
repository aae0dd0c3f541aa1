"""What a provider's agent and a lease's holder tell the broker of a delivery, and what they are told."""

from datetime import datetime
from typing import Annotated, Literal, Protocol

import msgspec

from contracts.terms.leases import Lease, LeaseState

TOKEN_PREFIX = "gfa_"
TOKEN_BYTES = 20
Endpoint = Annotated[str, msgspec.Meta(min_length=8, max_length=300, pattern=r"^(https?|ssh)://[^\s\x00-\x1f\x7f]+\Z")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9-]*\Z")]


class DeliverySlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot to deliver: accelerators."""

    start: datetime
    end: datetime
    quantity: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as who delivers it sees it.

    metered_until  end of the last usage record there is; null before the first
    token_digest   SHA-256 of the token to let in, hexadecimal; null before the lease was told to be active, and once it is over
    """

    lease_id: str
    offer_id: str
    site: str
    hardware: str
    tier: str
    state: LeaseState
    slots: tuple[DeliverySlot, ...]
    metered_until: datetime | None = None
    token_digest: str | None = None


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what a provider has to deliver, by lease id; `now` is the broker's clock, by which slots begin and end."""

    now: datetime
    items: list[Delivery]
    next_cursor: str | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a delivery is.

    endpoint  where the holder goes in, given when the lease is active; it may be told again when it has moved
    protocol  what answers there: `jobs` is the agent's own, `ssh` a shell
    """

    state: Literal["provisioning", "active", "completed"]
    endpoint: Endpoint | None = None
    protocol: Word = "jobs"

    def __post_init__(self) -> None:
        if (self.endpoint is None) == (self.state == "active"):
            raise ValueError("endpoint is told with the state `active`, and only then")


class AccessView(msgspec.Struct, frozen=True, kw_only=True):
    """How the holder of a lease gets at it.

    protocol     what answers at the endpoint: `jobs` takes commands over HTTP, `ssh` is a shell
    token        the bearer token (or password) that is let in, until `valid_until` and not after the lease has ended otherwise
    """

    lease_id: str
    protocol: str
    endpoint: str
    token: str
    valid_until: datetime


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an open door."""

    endpoint: str
    protocol: str
    token: str


class Doors(Protocol):
    """Where open doors are kept, and what their keepers have to deliver."""

    async def to_deliver(self, provider_id: str, *, now: datetime, after: str, limit: int) -> list[Lease]:
        """A provider's leases that are in force, that still hold slots, or that owe a meter's word for one; by id, after a given one."""
        ...

    async def metered_until(self, lease_ids: list[str]) -> dict[str, datetime]:
        """End of the last usage record, by lease."""
        ...

    async def doors(self, lease_ids: list[str]) -> dict[str, Access]:
        """The open doors of some leases, by lease."""
        ...

    async def open(self, lease_id: str, access: Access, *, at: datetime) -> None:
        """Open a door, or move it elsewhere: the token of the first time stays."""
        ...

    async def forget_over(self, now: datetime) -> int:
        """Erase the tokens of leases that are over; returns how many."""
        ...
