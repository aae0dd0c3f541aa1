"""How soon what was acknowledged is found, in a broker of its own: `python -m tests.benchmarks.freshness [OFFERS] [RATE] [SECONDS]`.

A broker serves a book of OFFERS by HTTP. Providers change RATE offers a second, in sealed batches; readers search with six demands,
facets and a sort, fifty times a second; and after each acknowledgement somebody looks for one of the offers it changed, again and again,
until it is found as it was announced. In the middle all of the book is read anew and swapped in. Times here are the clock's, since waiting
is what is measured: nothing else may run beside it. The last line is JSON.
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from broker.app import Market, open_market
from broker.clock import SystemClock
from broker.cycle import Timetable
from broker.feeds.desk import FeedDesk
from broker.feeds.keeping import keep_feeds
from broker.services.accounts import key_digest
from broker.serving import any_port, serve
from broker.store.embedded import EmbeddedServer
from broker.store.migrate import upgrade
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import unit_of_work
from broker.world.catalogue import hardware_classes
from contracts.feed import speaker
from contracts.feed.damping import Damping
from contracts.feed.messages import Announce, Message, Price, Unsigned
from contracts.feed.sealed import packed
from contracts.feed.speaker import Said, Speaker
from contracts.feed.table import FeedTerms
from contracts.feed.wire import public_key_of
from contracts.terms.accounts import Provider

HOST = "127.0.0.1"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
# Rates change all the time here, and that is no reason to keep an offer out.
TERMS = FeedTerms(updates_per_minute=10**6, updates_burst=10**6, damping=Damping(price=0))
FEEDS, BATCH, SEARCHES_A_SECOND = 10, 500, 50
CLASSES = ("H100-SXM", "H200", "A100-80", "L40S", "MI300X")
COUNTRIES = ("DE", "FR", "NL", "FI", "US", "CN", "JP", "GB")
SEARCH = (
    "hardware=H100-SXM,A100-80&countries=DE,FR,FI&certifications=soc2&memory_gb_min=40&quantity=4&rate_max_micros=9000000&tier=standard"
)


async def serving(dsn: str, port: int) -> None:
    """A broker, until it is stopped; its readers get a book read anew every few seconds."""
    hardware = list(hardware_classes().values())
    async with open_market(dsn, clock=SystemClock(), timetable=Timetable(), hardware=hardware) as market:
        market.feeds = FeedDesk(market.sessions, clock=market.clock, hardware=hardware, terms=TERMS)
        await register(market)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_feeds(market.feeds, say=lambda _: None))
            tasks.create_task(serve(market, host=HOST, port=port))


async def register(market: Market) -> None:
    """Providers with keys, whose feeds are open."""
    async with unit_of_work(market.sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id=f"prv_{n}", name=f"P {n}", country="DE", kind="neocloud") for n in range(FEEDS)])
        for n in range(FEEDS):
            await accounts.add_provider_key(f"prv_{n}", key_digest(f"gf_{n}"), scopes=["feed:write"], at=market.clock.now())
    for n in range(FEEDS):
        await market.feeds.register(f"prv_{n}", public_key_of(KEY))


def an_offer(feed: int, number: int) -> Announce:
    """One offer of many; the first of each feed stands at a site of its own, where it is looked for."""
    attributes = {
        "site": f"probe-{feed}" if number == 0 else f"site-{number % 500}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "hardware": CLASSES[number % len(CLASSES)],
        "memory_gb": 40.0,
        "certifications": ["soc2"],
        "watts": 700.0,
    }
    rate = 1_500_000 + number * 7_919 % 2_000_000
    name = f"ofr_{feed}_{number}"
    return Announce(offer_id=name, version=1, quantity=8, rate_micros=rate, ttl_seconds=86_400, attributes=attributes)


class Feed:
    """One provider's client: numbers, seals, posts."""

    def __init__(self, client: httpx.AsyncClient, number: int, offers: int) -> None:
        self._client, self.number, self._offers = client, number, offers
        self._seq, self._turn = 0, itertools.count()

    async def open(self) -> None:
        """The whole table, as a snapshot."""
        now = datetime.now(UTC)
        said = {offer.offer_id: Said(offer=offer, at=now) for offer in (an_offer(self.number, n) for n in range(self._offers))}
        spoken = speaker.started(Speaker(provider=f"prv_{self.number}", epoch=1, offers=said), now)
        self._seq = spoken.speaker.seq
        for wire in packed(spoken.sent, KEY):
            await self._post(wire)

    async def change(self) -> tuple[str, int, float]:
        """The next rates of some offers, the probe among them: where it is found, its rate, and when that was acknowledged."""
        turn = next(self._turn)
        places = [0, *(1 + (turn * BATCH + n) % (self._offers - 1) for n in range(BATCH - 1))]
        version, rate = turn + 2, 2_000_000 + turn
        messages: list[Message] = [
            Price(offer_id=f"ofr_{self.number}_{n}", version=version, rate_micros=rate) for n in dict.fromkeys(places)
        ]
        said = [Unsigned(provider=f"prv_{self.number}", epoch=1, seq=self._seq + n, message=each) for n, each in enumerate(messages, 1)]
        self._seq += len(said)
        (wire,) = packed(said, KEY)
        await self._post(wire)
        return f"probe-{self.number}", rate, time.perf_counter()

    async def _post(self, wire: bytes) -> None:
        headers = {"Authorization": f"Bearer gf_{self.number}", "Content-Type": "application/json"}
        answer = await self._client.post("/v1/feed", content=b"[" + wire + b"]", headers=headers)
        while answer.status_code == httpx.codes.TOO_MANY_REQUESTS:  # the broker is busy, and takes it a little later
            await asyncio.sleep(0.05)
            answer = await self._client.post("/v1/feed", content=b"[" + wire + b"]", headers=headers)
        answer.raise_for_status()
        codes = [reply.get("code") for reply in answer.json()["replies"]]
        assert not any(codes), codes


async def found(client: httpx.AsyncClient, site: str, rate: int) -> bool:
    """Whether a search shows the probe as it was announced, or as it was announced since."""
    answer = await client.get(f"/v1/search?text={site}")
    answer.raise_for_status()
    return bool(answer.json()["offers"][0]["offer"]["rate_micros"] >= rate)


class Measured(msgspec.Struct):
    """What was seen: seconds from acknowledged to found, seconds of each search, searches that failed, offers changed."""

    fresh: list[float] = []
    searches: list[float] = []
    failed: int = 0
    changed: int = 0


async def every(seconds: float, until: float, act: Callable[[], Awaitable[None]]) -> None:
    """Begin an act at a steady pace, however long each takes, and wait for all of them."""
    began, running = time.perf_counter(), set()
    for turn in itertools.count():
        await asyncio.sleep(max(0.0, began + turn * seconds - time.perf_counter()))
        if time.perf_counter() >= until:
            break
        task = asyncio.ensure_future(act())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def measure(client: httpx.AsyncClient, feeds: list[Feed], *, rate: int, seconds: float) -> Measured:
    """Change, search and look, all at once."""
    seen, turns = Measured(), itertools.cycle(feeds)
    locks = {feed.number: asyncio.Lock() for feed in feeds}

    async def change() -> None:
        feed = next(turns)
        async with locks[feed.number]:
            site, asked, at = await feed.change()
        seen.changed += BATCH
        while not await found(client, site, asked):  # noqa: ASYNC110  # another process, which nobody can be told of
            await asyncio.sleep(0.02)
        seen.fresh.append(time.perf_counter() - at)

    async def search() -> None:
        began = time.perf_counter()
        answer = await client.get(f"/v1/search?{SEARCH}")
        seen.searches.append(time.perf_counter() - began)
        seen.failed += answer.status_code != 200

    until = time.perf_counter() + seconds
    await asyncio.gather(every(BATCH / rate, until, change), every(1 / SEARCHES_A_SECOND, until, search))
    return seen


async def main(offers: int, rate: int, *, seconds: float) -> dict[str, float]:
    """Every figure, in seconds but for counts."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres", durable=False) as server:
        await upgrade(server.dsn)
        port = any_port(HOST)
        command = (sys.executable, "-m", "tests.benchmarks.freshness", "serve", server.dsn, str(port))
        broker = await asyncio.create_subprocess_exec(*command)
        limits = httpx.Limits(max_connections=200)
        try:
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60, limits=limits) as client:
                await answering(client)
                feeds = [Feed(client, n, offers // FEEDS) for n in range(FEEDS)]
                for feed in feeds:
                    await feed.open()
                await measure(client, feeds, rate=rate, seconds=min(seconds, 3.0))
                seen = await measure(client, feeds, rate=rate, seconds=seconds)
        finally:
            broker.terminate()
            await broker.wait()
    return {
        "cpu_seconds": time.process_time(),
        "fresh_p50": float(np.median(seen.fresh)),
        "fresh_p99": float(np.quantile(seen.fresh, 0.99)),
        "search_p50": float(np.median(seen.searches)),
        "search_p99": float(np.quantile(seen.searches, 0.99)),
        "failed": float(seen.failed),
        "changed_a_second": seen.changed / seconds,
        "searches_a_second": len(seen.searches) / seconds,
    }


async def answering(client: httpx.AsyncClient) -> None:
    """Wait until the broker answers. Raises httpx.ConnectError when it does not within a minute."""
    for attempt in range(600):
        try:
            await client.get("/healthz")
        except httpx.ConnectError:
            if attempt == 599:
                raise
            await asyncio.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serving(sys.argv[2], int(sys.argv[3])))
    else:
        words = (*sys.argv[1:], *("100000", "5000", "20")[len(sys.argv) - 1 :])
        figures: dict[str, Any] = asyncio.run(main(int(words[0]), int(words[1]), seconds=float(words[2])))
        Console(width=1000).print(msgspec.json.encode(figures).decode(), highlight=False)
