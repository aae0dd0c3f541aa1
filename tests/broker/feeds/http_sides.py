"""The two sides of a feed over HTTP: our broker behind its address, on a real database; a provider that posts batches.

The kit's sides are plain functions, the broker is not: a side runs in a thread and hands its requests to the loop of the test.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec
from sqlalchemy import text
from sqlmodel import col, select

from broker.app import Market
from broker.application import application
from broker.feeds.desk import FeedDesk
from broker.services.accounts import key_digest
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import FeedEventRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed.messages import Nack
from contracts.feed.session import may_book, shown_table
from contracts.feed.table import FeedTerms, ShownOffer
from contracts.terms.accounts import Provider
from tests.broker.small_market import open_small_market, pass_time

API_KEY = "gf_feed_of_tests"
T = TypeVar("T")


class HttpBroker:
    """A market's feed address. With `forgetful` the broker is started anew before every batch."""

    def __init__(self, market: Market, client: httpx.AsyncClient, *, provider: str, terms: FeedTerms, forgetful: bool = False) -> None:
        self.market, self.provider, self.terms, self.forgetful = market, provider, terms, forgetful
        self._client, self._loop = client, asyncio.get_running_loop()
        self.restart()

    def restart(self) -> None:
        """Another process on the same database: nothing in memory."""
        self.market.feeds = FeedDesk(self.market.sessions, clock=self.market.clock, hardware=self.market.hardware, terms=self.terms)

    async def post(self, wires: Sequence[bytes], *, binary: bool = False) -> list[dict[str, Any]]:
        """A batch of messages as they are; the replies."""
        if self.forgetful:
            self.restart()
        form = "application/msgpack" if binary else "application/json"
        body = msgspec.msgpack.encode([msgspec.Raw(wire) for wire in wires]) if binary else b"[" + b",".join(wires) + b"]"
        body = body if any(wires) else b""
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": form}
        answer = await self._client.post("/v1/feed", content=body, headers=headers)
        if answer.status_code == 400:
            return [msgspec.to_builtins(Nack(epoch=0, seq=0, code="unreadable", consumed=False))]
        assert answer.status_code == 200, answer.text
        found: dict[str, list[dict[str, Any]]] = msgspec.msgpack.decode(answer.content) if binary else answer.json()
        return found["replies"]

    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        """One message, a batch of its own."""
        self._until(now)
        return [msgspec.json.encode(reply) for reply in self._wait(self.post([wire]))]

    def wait(self, now: datetime) -> None:
        """It is now later."""
        self._until(now)
        self._wait(self.market.feeds.pass_time())

    def table(self, now: datetime) -> dict[str, ShownOffer]:
        """What is shown."""
        kept = self._wait(self.market.feeds.kept(self.provider))
        return {row.offer_id: row for row in shown_table(kept.session, now)}

    def may_book(self, offer_id: str, *, version: int, now: datetime) -> bool:
        """Compare and set."""
        return may_book(self._wait(self.market.feeds.kept(self.provider)).session, offer_id, version=version, now=now)

    def reclaimed(self) -> set[str]:
        """Leases taken back, from what was kept of it."""

        async def told() -> set[str]:
            async with unit_of_work(self.market.sessions) as work:
                rows = await work.scalars(select(FeedEventRow).where(col(FeedEventRow.kind) == "lease_reclaimed"))
                return {msgspec.json.decode(row.facts)["lease_id"] for row in rows}

        return self._wait(told())

    def _until(self, now: datetime) -> None:
        pass_time(self.market, now - self.market.clock.now())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


async def fed_market(sessions: Sessions, *, provider: str, public_key: str) -> Market:
    """The small market with one more provider, whose feed is open."""
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id=provider, name="Fed", country="FR", kind="neocloud")])
        await accounts.add_provider_key(provider, key_digest(API_KEY), scopes=["feed:write"], at=market.clock.now())
    await market.feeds.register(provider, public_key)
    return market


async def forget(market: Market, *, provider: str, public_key: str) -> None:
    """Everything that was ever said in a feed."""
    async with unit_of_work(market.sessions) as work:
        await work.execute(text("TRUNCATE feed_sessions, feed_offers, feed_changes, feed_events"))
        await work.execute(text("DELETE FROM offers WHERE provider = :provider"), {"provider": provider})
    await market.feeds.register(provider, public_key)


def client_of(market: Market) -> httpx.AsyncClient:
    """A client of the market's API in this process."""
    transport = httpx.ASGITransport(app=application(market.services))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://broker")
