"""A site served by granian on a loop of its own, as a market serves it: for tests that bring their own market."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import asyncpg
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar

from broker.app import Market
from broker.serving import any_port
from broker.store.embedded import DATABASE
from broker.store.engine import open_engine
from broker.store.unit_of_work import Sessions, open_sessions
from tests.conftest import TEMPLATE
from web.asgi import site

NUMBERS = itertools.count(1)
MakeMarket = Callable[[], AbstractAsyncContextManager[Market]]


@asynccontextmanager
async def own_sessions(server: str) -> AsyncIterator[Sessions]:
    """Sessions on a fresh, migrated database of a test server, on the loop they are opened on."""
    name = f"served_{next(NUMBERS)}"
    dsn = server.replace(f"/{DATABASE}?", f"/{name}?")
    await _administer(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    engine = open_engine(dsn)
    try:
        yield open_sessions(engine)
    finally:
        await engine.dispose()
        await _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server.replace(f"/{DATABASE}?", "/postgres?"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def served(make: MakeMarket) -> Iterator[str]:
    """The address of a market's site, while the block runs; what keeps it from starting is raised here."""
    port = any_port("127.0.0.1")
    ready, ended = threading.Event(), threading.Event()
    stops: list[asyncio.Event] = []
    faults: list[Exception] = []

    async def serve() -> None:
        async with make() as market:
            stops.append(asyncio.Event())
            await _answer(site(market), port, stop=stops[0], ready=ready.set)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except Exception as fault:  # noqa: BLE001 (told to the test)
            faults.append(fault)
            ready.set()
        finally:
            ended.set()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60), "the portal did not start"
    if faults:
        raise faults[0]
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(stops[0].set)
    assert ended.wait(10), "the portal did not stop"


async def _answer(app: Litestar, port: int, *, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_level=LogLevels.warning)
    running = asyncio.create_task(server.serve())
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        break
    ready()
    await stop.wait()
    server.stop()
    await running
