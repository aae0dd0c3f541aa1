"""How soon what was acknowledged is found, in a broker of its own: `python -m tests.benchmarks.freshness [OFFERS] [RATE] [SECONDS]`.

A market of OFFERS is served by its two doors, a process each, on a PostgreSQL that flushes what it commits. At the feed's door ten
providers change RATE offers a second, in sealed batches. At the market's door readers search with six demands, facets and a sort, fifty
times a second, begun at a steady pace however long each takes; and a watcher looks every twentieth of a second for one offer of each
provider, until it is found as it was last acknowledged. In the middle all of the book is read anew and swapped in.

This program is the providers, readers and watcher at once, in one loop. What it sends is packed and signed before the clock starts, so
that it waits for answers and does little else; how late its own loop is stands beside the figures, and is in them. So is the watcher's
pace: what is found was there up to a twentieth of a second earlier. Times are the clock's, since waiting is what is measured: nothing
else may run beside it. Cores are processor seconds a second. The last line is JSON.
"""

import asyncio
import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from broker.app import Market, open_market
from broker.clock import SystemClock
from broker.cycle import Timetable
from broker.doors import Door
from broker.feeds.desk import FeedDesk
from broker.feeds.keeping import keep_feeds
from broker.services.accounts import key_digest
from broker.serving import any_port, serve, settle_memory
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
WARMING_SECONDS, WATCHED_EVERY, LATENESS_EVERY = 3.0, 0.05, 0.01
PROBED = "B200"
CLASSES = ("H100-SXM", "H200", "A100-80", "L40S", "MI300X")
COUNTRIES = ("DE", "FR", "NL", "FI", "US", "CN", "JP", "GB")
SEARCH = (
    "hardware=H100-SXM&hardware=A100-80&countries=DE&countries=FR&countries=FI&certifications=soc2"
    "&memory_gb_min=40&quantity=4&rate_max_micros=9000000&tier=standard"
)


async def serving(dsn: str, door: Door, port: int) -> None:
    """One door of the broker, until it is stopped."""
    hardware = list(hardware_classes().values())
    async with open_market(dsn, clock=SystemClock(), timetable=Timetable(), hardware=hardware) as market:
        market.feeds = FeedDesk(market.sessions, clock=market.clock, hardware=hardware, terms=TERMS)
        async with asyncio.TaskGroup() as tasks:
            if door == "feed":
                await register(market)
                tasks.create_task(keep_feeds(market.feeds, say=lambda _: None))
            tasks.create_task(serve(market, host=HOST, port=port, only=door))


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
    """One offer of many; the first of each feed stands at a site of its own, and is of the class that is looked for."""
    attributes = {
        "site": f"probe-{feed}" if number == 0 else f"site-{number % 500}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "hardware": PROBED if number == 0 else CLASSES[number % len(CLASSES)],
        "memory_gb": 40.0,
        "certifications": ["soc2"],
        "watts": 700.0,
    }
    rate = 1_500_000 + number * 7_919 % 2_000_000
    name = f"ofr_{feed}_{number}"
    return Announce(offer_id=name, version=1, quantity=8, rate_micros=rate, ttl_seconds=86_400, attributes=attributes)


class Batch(msgspec.Struct, frozen=True):
    """What is sent at a time: the body, how many offers it changes, and the rate its probe has then."""

    body: bytes
    offers: int
    rate: int = 0


class Feed:
    """One provider: everything it will say, packed beforehand in order."""

    def __init__(self, number: int, offers: int, *, batches: int) -> None:
        self.number = number
        self.turn = asyncio.Lock()
        now = datetime.now(UTC)
        said = {offer.offer_id: Said(offer=offer, at=now) for offer in (an_offer(number, n) for n in range(offers))}
        spoken = speaker.started(Speaker(provider=f"prv_{number}", epoch=1, offers=said), now)
        self.table = [Batch(b"[" + wire + b"]", 0) for wire in packed(spoken.sent, KEY)]
        self._seq = spoken.speaker.seq
        self.changes = iter([self._change(turn, offers) for turn in range(batches)])

    def _change(self, turn: int, offers: int) -> Batch:
        """The next rates of some offers, the probe among them."""
        places = dict.fromkeys([0, *(1 + (turn * BATCH + n) % (offers - 1) for n in range(BATCH - 1))])
        rate = 2_000_000 + turn
        messages: list[Message] = [Price(offer_id=f"ofr_{self.number}_{n}", version=turn + 2, rate_micros=rate) for n in places]
        said = [Unsigned(provider=f"prv_{self.number}", epoch=1, seq=self._seq + n, message=each) for n, each in enumerate(messages, 1)]
        self._seq += len(said)
        (wire,) = packed(said, KEY)
        return Batch(b"[" + wire + b"]", len(said), rate)


class Measured(msgspec.Struct):
    """What was seen, in seconds: acknowledged to found, sent to acknowledged, each search, how late this loop was; and counts."""

    fresh: list[float] = []
    taken: list[float] = []
    searches: list[float] = []
    late: list[float] = []
    failed: int = 0
    changed: int = 0
    awaited: dict[str, list[tuple[int, float]]] = {}


class Client:
    """Providers at one door, readers and a watcher at the other."""

    def __init__(self, feed: httpx.AsyncClient, market: httpx.AsyncClient) -> None:
        self._feed, self._market = feed, market
        self.seen = Measured()

    async def post(self, feed: Feed, batch: Batch) -> None:
        """Send a batch, and expect from its acknowledgement on that it is found."""
        headers = {"Authorization": f"Bearer gf_{feed.number}", "Content-Type": "application/json"}
        began = time.perf_counter()
        answer = await self._feed.post("/v1/feed", content=batch.body, headers=headers)
        while answer.status_code == httpx.codes.TOO_MANY_REQUESTS:  # the broker is busy, and takes it a little later
            await asyncio.sleep(0.05)
            answer = await self._feed.post("/v1/feed", content=batch.body, headers=headers)
        at = time.perf_counter()
        answer.raise_for_status()
        codes = [reply.get("code") for reply in answer.json()["replies"]]
        assert not any(codes), codes
        if batch.offers:
            self.seen.taken.append(at - began)
            self.seen.changed += batch.offers
            self.seen.awaited.setdefault(f"probe-{feed.number}", []).append((batch.rate, at))

    async def search(self) -> None:
        """What a reader asks."""
        began = time.perf_counter()
        answer = await self._market.get(f"/v1/search?{SEARCH}")
        self.seen.searches.append(time.perf_counter() - began)
        self.seen.failed += answer.status_code != 200 or b'"found":0,' in answer.content

    async def watch(self, stop: asyncio.Event) -> None:
        """Look for every probe again and again, until it is told to stop and nothing is awaited any more."""
        while not stop.is_set() or any(self.seen.awaited.values()):
            await asyncio.sleep(WATCHED_EVERY)
            answer = await self._market.get(f"/v1/search?hardware={PROBED}")
            answer.raise_for_status()
            now = time.perf_counter()
            for each in answer.json()["offers"]:
                site, rate = each["offer"]["site"], each["offer"]["rate_micros"]
                awaited = self.seen.awaited.get(site, [])
                self.seen.fresh += [now - at for wanted, at in awaited if wanted <= rate]
                self.seen.awaited[site] = [(wanted, at) for wanted, at in awaited if wanted > rate]

    async def keep_time(self, stop: asyncio.Event) -> None:
        """Note how late this loop comes back."""
        while not stop.is_set():
            began = time.perf_counter()
            await asyncio.sleep(LATENESS_EVERY)
            self.seen.late.append(time.perf_counter() - began - LATENESS_EVERY)


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


async def measure(client: Client, feeds: list[Feed], *, rate: int, seconds: float) -> Measured:
    """Change, search and watch, all at once; what was seen of this alone."""
    client.seen = seen = Measured()
    turns, stop = itertools.cycle(feeds), asyncio.Event()

    async def change() -> None:
        feed = next(turns)
        async with feed.turn:
            await client.post(feed, next(feed.changes))

    until = time.perf_counter() + seconds
    beside = [asyncio.ensure_future(each) for each in (client.watch(stop), client.keep_time(stop))]
    await asyncio.gather(every(BATCH / rate, until, change), every(1 / SEARCHES_A_SECOND, until, client.search))
    stop.set()
    await asyncio.gather(*beside)
    return seen


async def main(offers: int, rate: int, *, seconds: float) -> dict[str, float]:
    """Every figure, in seconds but for counts and cores."""
    batches = math.ceil((seconds + WARMING_SECONDS) * rate / BATCH / FEEDS) + 1
    feeds = [Feed(n, offers // FEEDS, batches=batches) for n in range(FEEDS)]
    settle_memory()  # or the collector goes through all of them in the middle, and everything measured waits for that
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres") as server:
        await upgrade(server.dsn)
        async with doors(server.dsn) as (feed_door, market_door):
            client = Client(feed_door.client, market_door.client)
            for feed in feeds:
                for batch in feed.table:
                    await client.post(feed, batch)
            await client.search()  # the first of all compiles what every search runs
            await measure(client, feeds, rate=rate, seconds=min(seconds, WARMING_SECONDS))
            watched = {"feed": feed_door.pid, "market": market_door.pid, "store": server.pid or 0}
            before = {name: processor_seconds(pid) for name, pid in watched.items()}
            began = time.perf_counter()
            seen = await measure(client, feeds, rate=rate, seconds=seconds)
            lasted = time.perf_counter() - began
            cores = {f"{name}_cores": (processor_seconds(pid) - before[name]) / lasted for name, pid in watched.items()}
    return {
        "cpu_seconds": time.process_time(),
        **quantiles("fresh", seen.fresh),
        **quantiles("search", seen.searches),
        **quantiles("taken", seen.taken),
        **quantiles("late", seen.late),
        "failed": float(seen.failed),
        "changed_a_second": seen.changed / seconds,
        "searches_a_second": len(seen.searches) / seconds,
        **cores,
    }


def quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    """The middle and the slowest hundredth."""
    return {f"{name}_p50": float(np.median(seconds)), f"{name}_p99": float(np.quantile(seconds, 0.99))}


def processor_seconds(pid: int) -> float:
    """Seconds of processor a process has spent, with those of its children, gone or there."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    spent = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return spent + sum(processor_seconds(int(child)) for child in children)


class Opened(NamedTuple):
    """A door that answers: its process, and a client of it."""

    pid: int
    client: httpx.AsyncClient


@asynccontextmanager
async def doors(dsn: str) -> AsyncIterator[tuple[Opened, Opened]]:
    """Both doors of a broker, answering; they are closed at the end."""
    async with AsyncExitStack() as stack:
        feed, market = [await stack.enter_async_context(opened(dsn, door)) for door in ("feed", "market")]
        yield feed, market


@asynccontextmanager
async def opened(dsn: str, door: str) -> AsyncIterator[Opened]:
    """One door in a process of its own. Raises httpx.ConnectError when it does not answer within a minute."""
    port = any_port(HOST)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.benchmarks.freshness", "serve", dsn, door, str(port))
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60, limits=httpx.Limits(max_connections=200)) as client:
            await answering(client)
            yield Opened(process.pid, client)
    finally:
        process.terminate()
        await process.wait()


async def answering(client: httpx.AsyncClient) -> None:
    """Wait until a door answers. Raises httpx.ConnectError when it does not within a minute."""
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
        asyncio.run(serving(sys.argv[2], "feed" if sys.argv[3] == "feed" else "market", int(sys.argv[4])))
    else:
        words = (*sys.argv[1:], *("100000", "5000", "20")[len(sys.argv) - 1 :])
        figures: dict[str, Any] = asyncio.run(main(int(words[0]), int(words[1]), seconds=float(words[2])))
        Console(width=1000).print(msgspec.json.encode(figures).decode(), highlight=False)
