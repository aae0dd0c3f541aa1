"""What the portal costs a reader: server time beside the statements behind a page, weight, first paint, clicks.

A page is measured against its bare queries: the statements it sends, with their parameters, sent again by the bare driver in one
transaction, by as many at once over as many connections. Between the two stand the services' own answers, without a page.

python -m tests.benchmarks.portal [USERS] [ROUNDS] prints one JSON object. The market is the demo's after its first gate, on an
embedded PostgreSQL.
"""

import asyncio
import gzip
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import msgspec
import numpy as np
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from sqlalchemy import Engine, event

from broker.app import Services
from broker.demo.run import demo_market
from broker.demo.stages import DemoMarket
from broker.services.market import PriceFilter
from broker.services.price_history import HistoryQuery
from broker.services.search_views import SearchQuery
from broker.serving import any_port, serve
from broker.store.embedded import EmbeddedServer
from broker.store.engine import POOL_SIZE, plain_dsn
from broker.store.migrate import upgrade
from contracts.terms.errors import NotFound
from tests.browser.conftest import ARGUMENTS, chromium_path
from web.asgi import site
from web.pages.alternatives import SLOTS_LOOKED_AT

HOST = "127.0.0.1"
CLASS = "H100-SXM"
# Chromium's own name for it: 1.6 Mbit/s down, 0.75 up, 150 ms a round trip.
FAST_3G = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
PAINTED = """() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
  .observe({type: "largest-contentful-paint", buffered: true}))"""
Told = dict[str, float]
Sent = tuple[str, tuple[object, ...]]


async def market_questions(services: Services) -> None:
    """What the market page asks, without the page."""
    market = services.market
    now = await market.now()
    busiest = max((price for price in now.prices if price.hardware == CLASS and price.traded), key=lambda each: each.sold_hours)
    await market.regions(CLASS, busiest.tier)
    await market.gate()
    await market.curve(CLASS)
    await market.regions(CLASS)
    await market.slots(CLASS)
    await market.loads(CLASS)
    await market.moves(CLASS, busiest.tier)
    await services.prices.history(HistoryQuery(hardware=CLASS))


async def find_questions(services: Services) -> None:
    """What the search page asks, without the page: the search, the greener one beside it and the hours that come at the best place."""
    found = await services.search.search(SearchQuery())
    carbon = found.offers[0].carbon_g if found.offers else None
    if carbon is not None:
        await services.search.search(SearchQuery(carbon_g_max=carbon / 2, limit=1))
    try:
        best = found.offers[0].offer
        await services.market.prices(PriceFilter(hardware=best.hardware, site=best.site, tier="spot", limit=SLOTS_LOOKED_AT))
    except NotFound:
        return


async def at_once(users: int, rounds: int, act: Callable[[], Awaitable[object]]) -> float:
    """Seconds within which 95 of 100 acts end, of so many users who each act again as soon as they are answered."""
    took: list[float] = []

    async def user() -> None:
        for _ in range(rounds):
            began = time.perf_counter()
            await act()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(user() for _ in range(users)))
    return float(np.quantile(took, 0.95))


@contextmanager
def recorded() -> Iterator[list[Sent]]:
    """The statements sent to any database while the block runs, with their parameters."""
    sent: list[Sent] = []

    def keep(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_rest: object) -> None:
        sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", keep)


async def send(pool: asyncpg.Pool, statements: Sequence[Sent]) -> None:
    """These statements one after the other, in one transaction; what they find is fetched and dropped."""
    async with pool.acquire() as connection, connection.transaction():
        for statement, parameters in statements:
            await connection.fetch(statement, *parameters)


async def server_times(demo: DemoMarket, dsn: str, *, users: int, rounds: int) -> Told:
    """For each page the p95 of its answers over those of its bare queries and of its questions, each asked by as many at once."""
    told: Told = {}
    pool = await asyncpg.create_pool(plain_dsn(dsn), min_size=2 * POOL_SIZE, max_size=2 * POOL_SIZE)
    doors = asyncio.Semaphore(2 * POOL_SIZE)
    transport = httpx.ASGITransport(app=site(demo.market))
    async with httpx.AsyncClient(transport=transport, base_url="http://market") as client:
        for name, address, questions in (("market", "/", market_questions), ("find", "/find", find_questions)):

            async def page(address: str = address) -> None:
                (await client.get(address, headers={"Accept-Encoding": "identity"})).raise_for_status()

            async def ask(questions: Callable[[Services], Awaitable[None]] = questions) -> None:
                # The store's pool gives up on who waits half a minute; here whoever waits is measured.
                async with doors, demo.market.services() as services:
                    await questions(services)

            # Of a page nobody has asked for yet: what is remembered between readers counts for the page, not for its queries.
            with recorded() as sent:
                await page()

            async def bare(statements: Sequence[Sent] = tuple(sent)) -> None:
                await send(pool, statements)

            await ask()
            await bare()
            paged, asked, queried = [await at_once(users, rounds, act) for act in (page, ask, bare)]
            told |= {f"{name}_p95": paged, f"{name}_questions_p95": asked, f"{name}_queries_p95": queried}
            told |= {f"{name}_over_questions": paged / asked, f"{name}_over_queries": paged / queried, f"{name}_queries": float(len(sent))}
    await pool.close()
    return told


def seen(browser: Browser, portal: str) -> Told:
    """What a browser fetches of a first visit, packed, and when it has painted the most, cold and on a slow line."""
    told: Told = {}
    for name, address in (("market", "/"), ("find", "/find")):
        context = browser.new_context(base_url=portal, viewport={"width": 390, "height": 844})
        page = context.new_page()
        sizes: dict[str, int] = {}
        page.on("requestfinished", lambda sent, sizes=sizes: sizes.update({sent.url: packed(sent.response().body(), sent.url)}))
        page.goto(address, wait_until="networkidle")
        # The chart library is the largest and the last.
        page.wait_for_function("[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('svg'))")
        page.wait_for_load_state("networkidle")
        told |= {f"{name}_bytes": float(sum(sizes.values())), f"{name}_requests": float(len(sizes))}
        context.close()
        context = browser.new_context(base_url=portal, viewport={"width": 390, "height": 844})
        page = context.new_page()
        line = context.new_cdp_session(page)
        line.send("Network.enable")
        line.send("Network.emulateNetworkConditions", FAST_3G)
        page.goto(address, wait_until="load")
        told[f"{name}_paint"] = float(page.evaluate(PAINTED)) / 1000
        context.close()
    return told


def packed(body: bytes, address: str) -> int:
    """Bytes of an answer as it travels: fonts are packed already."""
    return len(body) if address.endswith(".woff2") else len(gzip.compress(body, 9))


async def main(users: int, rounds: int) -> Told:
    """Every figure: seconds, bytes, counts."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres", durable=False) as server:
        await upgrade(server.dsn)
        async with demo_market(server.dsn) as demo:
            await demo.enter_world()
            for gate in demo.gates(demo.clock.now() + 2 * demo.timetable.gate_interval)[:2]:
                await demo.run_gate(gate)
            told = await server_times(demo, server.dsn, users=users, rounds=rounds)
            port = any_port(HOST)
            serving = asyncio.create_task(serve(demo.market, host=HOST, port=port))
            told |= await asyncio.to_thread(_in_a_browser, f"http://{HOST}:{port}")
            serving.cancel()
    return {"cpu_seconds": time.process_time()} | told


def _in_a_browser(portal: str) -> Told:
    for _ in range(100):
        try:
            httpx.get(f"{portal}/healthz")
        except httpx.ConnectError:
            threading.Event().wait(0.1)
        else:
            break
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        try:
            return seen(browser, portal)
        finally:
            browser.close()


if __name__ == "__main__":
    words = (*sys.argv[1:], *("100", "3")[len(sys.argv) - 1 :])
    Console(width=1000).print(msgspec.json.encode(asyncio.run(main(int(words[0]), int(words[1])))).decode(), highlight=False)
