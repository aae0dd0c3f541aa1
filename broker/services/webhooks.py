"""Webhooks: where a buyer or a provider wants to be told of what happens to its leases, and what it was told.

Messages are written in the transaction of what they tell, and sent by the worker; the secret that signs them is shown when
it is made, and never again.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.views import Caller, Page
from contracts.terms.errors import BadInput, Conflict, NotFound, WrongState
from contracts.terms.ids import fresh_id
from contracts.webhooks import KINDS, ROTATION

ENDPOINTS_MAX = 10
SECRET_BYTES = 24
URL_MAX = 2000
NUMBER_DIGITS_MAX = 18


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send, and what: no kinds means all of them."""

    url: str
    kinds: list[str] = []

    def __post_init__(self) -> None:
        if len(self.url) > URL_MAX or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise ValueError(f"url must be at most {URL_MAX} plain characters")
        parts = urlsplit(self.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise ValueError("url must be https://host/… without a name or password in it")
        if strange := sorted(set(self.kinds) - set(KINDS)):
            raise ValueError(f"kinds must be of {', '.join(KINDS)}; was {', '.join(strange)}")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as the store keeps it; while `secret_before_until` lasts both secrets sign."""

    id: str
    owner: str
    url: str
    kinds: list[str]
    secret: str
    created_at: datetime
    secret_before: str | None = None
    secret_before_until: datetime | None = None
    closed_at: datetime | None = None


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as its owner sees it. `secret` is there only in the answer to what made it."""

    endpoint_id: str
    url: str
    kinds: list[str]
    created_at: datetime
    closed_at: datetime | None = None
    secret: str | None = None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """How telling one endpoint went: waiting, delivered or given_up; `answered` is the last status, null for no answer."""

    endpoint_id: str
    state: str
    attempts: int
    answered: int | None
    finding: str


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner was told, as it was told, and how that went."""

    message_id: str
    kind: str
    at: datetime
    body: str
    deliveries: list[DeliveryView]


class Webhooks(Protocol):
    """Where endpoints and messages are kept."""

    async def add(self, endpoint: Endpoint) -> None:
        """Keep a new endpoint."""
        ...

    async def endpoint(self, endpoint_id: str, *, locked: bool = False) -> Endpoint:
        """One endpoint. Raises NotFound."""
        ...

    async def endpoints(self, owner: str) -> list[Endpoint]:
        """An owner's endpoints by id, closed ones too."""
        ...

    async def replace(self, endpoint: Endpoint) -> None:
        """Write what may change of an endpoint: its secrets and its end."""
        ...

    async def messages(self, owner: str, *, after: int, limit: int, newest_first: bool = False) -> list[tuple[int, MessageView]]:
        """What an owner was told, after a number, in order or the other way round."""
        ...

    async def replay(self, owner: str, message_id: str, *, at: datetime) -> MessageView:
        """Have a message sent again to every open endpoint of its owner that wants it. Raises NotFound."""
        ...


class WebhookService:
    """What a party may do about being told."""

    def __init__(self, webhooks: Webhooks, *, clock: Clock, entropy: Callable[[int], bytes], plain: bool = False) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._entropy = entropy
        self._plain = plain

    async def add(self, request: EndpointRequest, caller: Caller) -> EndpointView:
        """Register an endpoint; the answer holds its secret. Raises BadInput for a plain address, Conflict for one too many."""
        require(caller, "leases:write")
        if not self._plain and urlsplit(request.url).scheme != "https":
            raise BadInput("webhooks are sent over TLS", column="url", found=request.url, would_do="https://…")
        known = [each for each in await self._webhooks.endpoints(caller.account_id) if each.closed_at is None]
        if len(known) >= ENDPOINTS_MAX:
            raise Conflict(f"there are {ENDPOINTS_MAX} endpoints already; close one first", endpoints_max=ENDPOINTS_MAX)
        made = Endpoint(
            id=fresh_id("whk", self._entropy(16)),
            owner=caller.account_id,
            url=request.url,
            kinds=sorted(set(request.kinds)),
            secret=self._secret(),
            created_at=self._clock.now(),
        )
        await self._webhooks.add(made)
        return _view(made, shown=True)

    async def endpoints(self, caller: Caller) -> Page[EndpointView]:
        """The caller's endpoints by id, without their secrets."""
        return Page(items=[_view(each) for each in await self._webhooks.endpoints(caller.account_id)])

    async def rotate(self, endpoint_id: str, caller: Caller) -> EndpointView:
        """A new secret; the one before signs beside it for a day, so that nothing is missed."""
        endpoint, now = await self._open(endpoint_id, caller), self._clock.now()
        turned = msgspec.structs.replace(endpoint, secret=self._secret(), secret_before=endpoint.secret, secret_before_until=now + ROTATION)
        await self._webhooks.replace(turned)
        return _view(turned, shown=True)

    async def close(self, endpoint_id: str, caller: Caller) -> EndpointView:
        """Send nothing more there. Raises WrongState when it is closed."""
        closed = msgspec.structs.replace(await self._open(endpoint_id, caller), closed_at=self._clock.now())
        await self._webhooks.replace(closed)
        return _view(closed)

    async def messages(self, caller: Caller, *, cursor: str | None = None, limit: int = 50) -> Page[MessageView]:
        """What the caller was told, the oldest first. Raises BadInput for a foreign cursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= NUMBER_DIGITS_MAX):
            raise BadInput("the cursor is not one we gave", found=cursor, would_do="next_cursor of the page before")
        found = await self._webhooks.messages(caller.account_id, after=int(cursor or 0), limit=limit + 1)
        more = len(found) > limit
        return Page(items=[view for _, view in found[:limit]], next_cursor=str(found[limit - 1][0]) if more else None)

    async def latest(self, caller: Caller, *, limit: int) -> list[MessageView]:
        """What the caller was told last, the latest first."""
        return [view for _, view in await self._webhooks.messages(caller.account_id, after=0, limit=limit, newest_first=True)]

    async def replay(self, message_id: str, caller: Caller) -> MessageView:
        """Send a message again, under the same id, to every open endpoint that wants its kind. Raises NotFound."""
        require(caller, "leases:write")
        return await self._webhooks.replay(caller.account_id, message_id, at=self._clock.now())

    def _secret(self) -> str:
        return "whsec_" + base64.b64encode(self._entropy(SECRET_BYTES)).decode()

    async def _open(self, endpoint_id: str, caller: Caller) -> Endpoint:
        require(caller, "leases:write")
        endpoint = await self._webhooks.endpoint(endpoint_id, locked=True)
        if endpoint.owner != caller.account_id:
            raise NotFound(f"no endpoint has the id {endpoint_id}", endpoint_id=endpoint_id)
        if endpoint.closed_at is not None:
            raise WrongState("the endpoint is closed; register another", endpoint_id=endpoint_id)
        return endpoint


def _view(endpoint: Endpoint, *, shown: bool = False) -> EndpointView:
    return EndpointView(
        endpoint_id=endpoint.id,
        url=endpoint.url,
        kinds=endpoint.kinds,
        created_at=endpoint.created_at,
        closed_at=endpoint.closed_at,
        secret=endpoint.secret if shown else None,
    )
