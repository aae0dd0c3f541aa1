"""API keys: what a program shows instead of a person, with no more than its maker may do; and what came in under them.

A key is shown once, when it is made; the store keeps its digest. What came in is noted in memory and written a batch at a time,
so that noting costs a request nothing; a broker that is killed loses the last few seconds of it, and nothing else.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.accounts import key_digest, require
from broker.services.views import Caller
from contracts.people import PEOPLE_ONLY, PROVIDER_PARTY, clean_name
from contracts.terms.errors import BadInput, Conflict, NotFound, NotPermitted
from contracts.terms.ids import derived_id

KEYS_MAX = 50
KEY_BYTES = 20
KEPT_FOR = timedelta(days=7)
PENDING_MAX = 20_000
PATH_LETTERS = 200


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key: what it is called, what it may do, who made it, when it was last used, and when revoked."""

    key_id: str
    name: str
    scopes: list[str]
    made_by: str
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: whose, by what digest, what it may do; a key that came with a party has neither name nor maker."""

    account_id: str
    digest: bytes
    scopes: list[str]
    created_at: datetime
    name: str = ""
    made_by: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request: under whose key, when, what, how it was answered, in how many microseconds."""

    party: str
    key_id: str | None
    at: datetime
    method: str
    path: str
    status: int
    micros: int


class Keys(Protocol):
    """Where keys and requests are kept."""

    async def add_key(self, key: NewKey) -> None:
        """Keep a new key of a buyer's by its digest."""
        ...

    async def keys(self, account_id: str) -> list[KeyView]:
        """A buyer's keys, the latest first, revoked ones too."""
        ...

    async def revoke_key(self, account_id: str, key_id: str, *, at: datetime) -> bool:
        """End a key; False when the account has no such key in force."""
        ...

    async def note_requests(self, asked: Sequence[Asked]) -> None:
        """Keep what came in, and when each key was last used."""
        ...

    async def requests(self, party: str, *, limit: int) -> list[Asked]:
        """What came in for a party, the latest first."""
        ...

    async def forget_requests(self, *, before: datetime) -> None:
        """Drop what came in long ago."""
        ...


class RequestLog:
    """What came in and is not written yet; the oldest is dropped when more comes in than is written."""

    def __init__(self) -> None:
        self._pending: deque[Asked] = deque(maxlen=PENDING_MAX)

    def note(self, asked: Asked) -> None:
        """Remember one request."""
        self._pending.append(asked)

    def taken(self) -> list[Asked]:
        """Everything that waits to be written, and forget it."""
        return [self._pending.popleft() for _ in range(len(self._pending))]


class KeyService:
    """What people do about keys, and see of them."""

    def __init__(self, keys: Keys, log: RequestLog, *, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._log = log
        self._clock = clock
        self._entropy = entropy

    async def keys(self, caller: Caller) -> list[KeyView]:
        """The caller's organisation's keys, the latest first. A request shows as a use some seconds later."""
        await self.write_down()
        return await self._keys.keys(caller.account_id)

    async def make(self, name: str, scopes: Sequence[str], *, caller: Caller, made_by: str) -> str:
        """A new key, shown once. Raises NotPermitted for scopes its maker lacks, BadInput, Conflict for one too many."""
        require(caller, "keys")
        if caller.account_id.startswith(PROVIDER_PARTY):
            raise NotPermitted("keys of a provider are made with the provider's sites; ask whoever runs the market")
        wanted = sorted(set(scopes))
        if not wanted:
            raise BadInput("a key that may do nothing is of no use", column="scopes", would_do="read")
        if beyond := [scope for scope in wanted if scope not in caller.scopes or scope in PEOPLE_ONLY]:
            raise NotPermitted(f"a key may do no more than its maker: {', '.join(beyond)}", scope=beyond[0])
        if sum(each.revoked_at is None for each in await self._keys.keys(caller.account_id)) >= KEYS_MAX:
            raise Conflict(f"there are {KEYS_MAX} keys already; revoke one first", keys_max=KEYS_MAX)
        key = f"gf_{self._entropy(KEY_BYTES).hex()}"
        await self._keys.add_key(
            NewKey(
                account_id=caller.account_id,
                digest=key_digest(key),
                scopes=wanted,
                created_at=self._clock.now(),
                name=clean_name(name, of="name"),
                made_by=made_by,
            )
        )
        return key

    async def revoke(self, key_id: str, caller: Caller) -> None:
        """End a key at once. Raises NotFound when the organisation has no such key in force."""
        require(caller, "keys")
        if not await self._keys.revoke_key(caller.account_id, key_id, at=self._clock.now()):
            raise NotFound(f"no key in force has the id {key_id}", key_id=key_id)

    def note(self, caller: Caller, key: str, *, asked: str, status: int, micros: int) -> None:
        """Remember a request: `asked` is its method and path."""
        method, _, path = asked.partition(" ")
        noted = Asked(
            party=caller.account_id,
            key_id=key_id_of(key),
            at=self._clock.now(),
            method=method,
            path=path[:PATH_LETTERS],
            status=status,
            micros=micros,
        )
        self._log.note(noted)

    async def requests(self, caller: Caller, *, limit: int) -> list[Asked]:
        """What came in for the caller, the latest first; a week of it is kept."""
        await self.write_down()
        return await self._keys.requests(caller.account_id, limit=limit)

    async def write_down(self) -> None:
        """Write what waits, and drop what is a week old."""
        if waiting := self._log.taken():
            await self._keys.note_requests(waiting)
            await self._keys.forget_requests(before=self._clock.now() - KEPT_FOR)


def key_id_of(key: str) -> str:
    """The id a key has by what it is."""
    return derived_id("key", key_digest(key).hex())
