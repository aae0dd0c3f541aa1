"""How fast announcements come in, and how fast the book answers: `python -m tests.benchmarks.feed [BATCHES] [ROWS] [OFFERS]`.

Every batch of announcements is taken whole, sealed as a provider would seal it, beside COPY of the same rows of both tables into bare
ones of the same columns, keys and indexes; and after it the same offers at other rates. Then a book of OFFERS is read from the store,
swapped in and searched with six demands, facets and a sort. Of batches the CPU time of this process and of its connection's backend
counts; of searches the CPU time of each. The last line is JSON.
"""

import asyncio
import io
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from sqlalchemy import text

from broker.app import Market
from broker.clock import FixedClock
from broker.cycle import Timetable
from broker.feeds.desk import FeedDesk
from broker.services.search_views import SearchQuery
from broker.serving import settle_memory
from broker.store.copying import driver
from broker.store.embedded import EmbeddedServer
from broker.store.engine import open_engine
from broker.store.migrate import upgrade
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, open_sessions, unit_of_work
from broker.world.catalogue import hardware_classes
from contracts.feed import speaker
from contracts.feed.batches import take
from contracts.feed.messages import Announce, Message, Price, Unsigned
from contracts.feed.sealed import packed
from contracts.feed.speaker import Speaker
from contracts.feed.table import FeedTerms
from contracts.feed.wire import encode, public_key_of, seal
from contracts.terms.accounts import Provider
from contracts.terms.time import utc
from tests.benchmarks.ingest import backend, spent

NOW = utc("2027-01-04T00:00:00Z")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TERMS = FeedTerms(updates_per_minute=10**6, updates_burst=10**6)
CLASSES = ("H100-SXM", "H200", "A100-80", "L40S", "MI300X")
COUNTRIES = ("DE", "FR", "NL", "FI", "US", "CN", "JP", "GB")
SEARCHES = 200
QUERY = SearchQuery(
    hardware=["H100-SXM", "A100-80"],
    countries=["DE", "FR", "FI"],
    certifications=["soc2"],
    memory_gb_min=40.0,
    quantity=4,
    rate_max_micros=9_000_000,
    tier="standard",
)
MANY = """INSERT INTO offers SELECT 'many_' || n, 1, 'prv_0', 'site-' || n % 500, (CAST(:countries AS text[]))[1 + n % :places], NULL,
    'DE', 'DE', 'verified', (CAST(:classes AS text[]))[1 + n % :kinds], 'US', 80, 8 + n % 64, 8, 1500000 + n * 7919 % 2000000, true, 99.9,
    NULL, NULL, NULL, 700, 1.2, false, ARRAY['soc2'], ARRAY[]::text[], ARRAY[]::text[], CAST(:now AS timestamptz), NULL
    FROM generate_series(1, :offers) AS n"""


def an_offer(number: int, draw: random.Random) -> Announce:
    """One offer of many: a few classes and countries, rates between 1.50 and 3.50."""
    attributes = {
        "site": f"site-{number % 500}",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "hardware": CLASSES[number % len(CLASSES)],
        "memory_gb": 40.0,
        "certifications": ["soc2"] if number % 3 else ["soc2", "iso27001"],
        "watts": 700.0,
        "pue": 1.2,
    }
    rate = 1_500_000 + draw.randrange(2_000_000)
    return Announce(
        offer_id=f"ofr_{number}", version=1, quantity=8 + number % 64, rate_micros=rate, ttl_seconds=86_400, attributes=attributes
    )


async def open_feeds(market: Market, providers: int) -> None:
    """Providers whose feeds are open and in step, each with an empty table; and bare tables to copy into."""
    names = [f"prv_{number}" for number in range(providers)]
    async with unit_of_work(market.sessions) as work:
        await AccountRepository(work).add_providers([Provider(id=name, name=name, country="DE", kind="neocloud") for name in names])
        for table in ("feed_offers", "offers"):
            await work.execute(text(f"CREATE TABLE {table}_bare (LIKE {table} INCLUDING ALL)"))
    for name in names:
        await market.feeds.register(name, public_key_of(KEY))
        said = speaker.started(Speaker(provider=name, epoch=1), NOW)
        await market.feeds.take(name, [encode(seal(each, KEY)) for each in said.sent])


async def rows_of(sessions: Sessions, provider: str) -> dict[str, bytes]:
    """What the store wrote for a provider, as COPY sends it, by table."""
    found: dict[str, bytes] = {}
    async with unit_of_work(sessions) as work:
        connection = await driver(work)
        for table, column in (("feed_offers", "provider_id"), ("offers", "provider")):
            out = io.BytesIO()
            await connection.copy_from_query(f"SELECT * FROM {table} WHERE {column} = '{provider}'", output=out, format="csv")
            found[table] = out.getvalue()
    return found


async def copy_rows(sessions: Sessions, rows: dict[str, bytes]) -> None:
    """Raw COPY of those rows."""
    async with unit_of_work(sessions) as work:
        connection = await driver(work)
        for table, data in rows.items():
            await connection.copy_to_table(f"{table}_bare", source=io.BytesIO(data), format="csv")


async def announce(market: Market, batches: int, *, rows: int) -> dict[str, float]:
    """CPU seconds of all batches but the first: raw COPY, the protocol alone, everything, and everything of a change of every rate."""
    draw, pid = random.Random(7), await backend(market.sessions)
    found = {"copy": 0.0, "protocol": 0.0, "durable": 0.0, "moved": 0.0}
    for batch in range(batches + 1):
        provider = f"prv_{batch}"
        session = (await market.feeds.kept(provider)).session
        offers = [an_offer(batch * rows + n, draw) for n in range(rows)]
        said = sealed(provider, offers, first=session.seq + 1)
        moved = sealed(
            provider, [Price(offer_id=o.offer_id, version=2, rate_micros=2_500_000) for o in offers], first=session.seq + 1 + rows
        )
        started = spent(pid)
        take(session, said, now=NOW)
        stepped = spent(pid)
        replies = await market.feeds.take(provider, said)
        taken = spent(pid)
        assert [type(reply).__name__ for reply in replies] == ["Ack"], replies[:2]
        data = await rows_of(market.sessions, provider)
        before = spent(pid)
        await copy_rows(market.sessions, data)
        copied = spent(pid)
        replies = await market.feeds.take(provider, moved)
        told = {"copy": copied - before, "protocol": stepped - started, "durable": taken - stepped, "moved": spent(pid) - copied}
        assert [type(reply).__name__ for reply in replies] == ["Ack"], replies[:2]
        if batch:
            found = {name: found[name] + told[name] for name in found}
    return found


def sealed(provider: str, messages: Sequence[Message], *, first: int) -> list[bytes]:
    """Messages in a row from a number on, under as few signatures as may be."""
    said = [Unsigned(provider=provider, epoch=1, seq=seq, message=message) for seq, message in enumerate(messages, first)]
    return packed(said, KEY)


async def search(market: Market, offers: int) -> dict[str, float]:
    """Seconds, CPU, to read and swap in a book; and of a search of it, the slowest of a hundred."""
    asked: dict[str, Any] = {"countries": list(COUNTRIES), "classes": list(CLASSES), "places": len(COUNTRIES), "kinds": len(CLASSES)}
    async with unit_of_work(market.sessions) as work:
        await work.execute(text(MANY), asked | {"now": NOW, "offers": offers})
    pid = await backend(market.sessions)
    started = spent(pid)
    view = await market.book.refresh()
    swapped = spent(pid) - started
    times = []
    async with market.services() as services:
        for _ in range(SEARCHES):
            before = time.process_time()
            found = await services.search.search(QUERY)
            times.append(time.process_time() - before)
    assert found.considered == len(view)
    return {"swap": swapped, "search_p50": float(np.median(times)), "search_p99": float(np.quantile(times, 0.99)), "found": found.found}


async def main(batches: int, rows: int, *, offers: int) -> dict[str, float]:
    """Every figure: CPU seconds a way, and ratios to raw COPY (above 1 is faster)."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres", durable=False) as server:
        await upgrade(server.dsn)
        engine = open_engine(server.dsn, pool_size=1)
        hardware = list(hardware_classes().values())
        market = Market(open_sessions(engine), clock=FixedClock(NOW), timetable=Timetable(), hardware=hardware)
        market.feeds = FeedDesk(market.sessions, clock=market.clock, hardware=hardware, terms=TERMS)
        await open_feeds(market, batches + 1)
        settle_memory()  # as a broker that serves does
        told = await announce(market, batches, rows=rows)
        stored = max(told["durable"] - told["protocol"], 1e-9)
        ratios = {
            "durable_copy": told["copy"] / told["durable"],
            "store_copy": told["copy"] / stored,
            "offers_a_second": batches * rows / told["durable"],
            "rates_a_second": batches * rows / told["moved"],
        }
        found = {**told, **ratios, **await search(market, offers)}
        await engine.dispose()
    return found


if __name__ == "__main__":
    words = (*sys.argv[1:], *("10", "1000", "100000")[len(sys.argv) - 1 :])
    figures = asyncio.run(main(int(words[0]), int(words[1]), offers=int(words[2])))
    Console(width=1000).print(msgspec.json.encode({"cpu_seconds": figures["durable"], **figures}).decode(), highlight=False)
