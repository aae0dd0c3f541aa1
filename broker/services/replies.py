"""Answering a repeated request with its first answer.

A caller who does not know whether a POST arrived sends it again with the same `Idempotency-Key`: the same
request gives the same answer and happens once, another request under that key is refused. The answer is kept
in the transaction of the act itself, so either both are there or neither.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from broker.clock import Clock
from contracts.terms.errors import KeyReused

T = TypeVar("T")


class RequestKey(msgspec.Struct, frozen=True, kw_only=True):
    """One caller's key for one request; `digest` is SHA-256 over method, path and body."""

    account_id: str
    key: str
    digest: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered, and to which request."""

    digest: bytes
    body: bytes


class Replies(Protocol):
    """Where answers are kept."""

    async def reserve(self, request: RequestKey, at: datetime) -> Reply | None:
        """Take the key for this transaction; the reply that is there already, or None when the key was free.

        Waits for a transaction that holds the same key, so that two requests at once act once.
        """
        ...

    async def keep(self, request: RequestKey, body: bytes) -> None:
        """Keep the answer under the reserved key."""
        ...


class ReplyService:
    """Does an act once a key."""

    def __init__(self, replies: Replies, clock: Clock) -> None:
        self._replies = replies
        self._clock = clock

    async def once(self, act: Callable[[], Awaitable[T]], answer: type[T], *, request: RequestKey | None) -> T:
        """The answer of `act`, or the one it gave the first time. Without a key it simply acts. Raises KeyReused.

        A refusal is not kept: nothing happened, and the same key may be tried again.
        """
        if request is None:
            return await act()
        known = await self._replies.reserve(request, self._clock.now())
        if known is None:
            given = await act()
            await self._replies.keep(request, msgspec.json.encode(given))
            return given
        if known.digest != request.digest:
            raise KeyReused("this Idempotency-Key came before with another request; use a fresh key", idempotency_key=request.key)
        return msgspec.json.decode(known.body, type=answer)
