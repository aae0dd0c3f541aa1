"""How tests are shared out, and a real PostgreSQL for those that ask for one; tests that do not ask never start it.

A file is run by one worker, so that what its tests share is made once. One server a worker, without fsync, in a directory
of its own. The schema is made once, in a template; a test that commits gets a database copied from it, the others share
one and are rolled back.
"""

import asyncio
import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from xdist.scheduler import LoadFileScheduling

from broker.serving import settle_memory
from broker.store.embedded import DATABASE, EmbeddedServer
from broker.store.engine import open_engine
from broker.store.migrate import upgrade
from broker.store.unit_of_work import Sessions, WorkSession, open_sessions

# A busy machine is not a fault: no example is timed. What everyone runs tries the same examples each time, so that a
# red test is somebody's change; the long run (`make test-all`) tries new ones.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None)
settings.load_profile("house")

TEMPLATE = "template_of_tests"
OWN = "own_of_a_test"
ENOUGH_BYTES = 3 * 2**30

# Begun first, so that none of them is what all the other workers wait for at the end.
LONGEST = (
    "tests/broker/agent/test_on_ray.py",
    "tests/broker/test_demo.py",
    "tests/broker/client/test_page.py",
    "tests/browser/",
)
# The demo is run once for both.
TOGETHER = {"tests/broker/client/test_page.py": "tests/broker/test_demo.py"}


class FileByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed
    """A file to a worker; files that share what is made once for a worker, to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileByFile:
    """Share tests out by file, in the order below. Groups marked on tests are of no use: with the locked pytest they do nothing."""
    config.option.loadscopereorder = False
    return FileByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first; all else stays in the order of its files."""
    items.sort(key=lambda item: next((place for place, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST)))


def pytest_collection_finish() -> None:
    """Thousands of tests and what they import are there to the end: looked through at every collection of garbage, they
    took a third of the time of tests that build a site."""
    settle_memory()
    # Not before the very end, since pytest collects five times over when it closes: then what extensions hold is given back, and
    # none of them says that it leaks.
    atexit.register(gc.unfreeze)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, which asyncpg needs."""
    return "asyncio"


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory that the server's account may pass through, which pytest's own, private to us, is not."""
    path = Path(tempfile.mkdtemp(prefix="gridfare-tests-", dir=_quick_place()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def database_server(scratch: Path) -> Iterator[str]:
    """The address of a migrated database that tests share and leave as they found it."""
    with EmbeddedServer(scratch / "postgres", durable=False) as server:
        _aside(upgrade(server.dsn))
        _aside(_administer(server.dsn, f"CREATE DATABASE {TEMPLATE} TEMPLATE {DATABASE}"))
        yield server.dsn


@pytest.fixture
def database(database_server: str) -> Iterator[str]:
    """The address of a fresh, migrated database of the test's own: it may commit. It is one address for all of them."""
    _aside(_administer(database_server, f"CREATE DATABASE {OWN} TEMPLATE {TEMPLATE}"))
    yield database_server.replace(f"/{DATABASE}?", f"/{OWN}?")
    _aside(_administer(database_server, f"DROP DATABASE {OWN} WITH (FORCE)"))


@pytest.fixture
def empty_database(database_server: str) -> Iterator[str]:
    """The address of a database nobody has migrated."""
    _aside(_administer(database_server, "CREATE DATABASE empty_of_tests TEMPLATE template0"))
    yield database_server.replace(f"/{DATABASE}?", "/empty_of_tests?")
    _aside(_administer(database_server, "DROP DATABASE empty_of_tests WITH (FORCE)"))


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[Sessions]:
    """Sessions on a database of the test's own, for `unit_of_work`."""
    engine = _engine(database)
    yield open_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def session(database_server: str) -> AsyncIterator[WorkSession]:
    """A session whose work is rolled back: for repositories. Nothing is committed, so deferred checks do not run."""
    engine = _engine(database_server)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        async with async_sessionmaker(connection, class_=WorkSession, expire_on_commit=False)() as work:
            yield work
        await transaction.rollback()
    await engine.dispose()


@cache
def _engine(dsn: str) -> AsyncEngine:
    """One engine an address: its connections end with each test, the statements it has compiled stay for the next."""
    return open_engine(dsn)


def _quick_place() -> str:
    """Memory, where there is enough of it and programs may run there; a dozen small clusters take the disk its time."""
    if not Path("/dev/shm").is_dir():
        return "/tmp"
    memory = os.statvfs("/dev/shm")
    return "/dev/shm" if memory.f_bavail * memory.f_frsize > ENOUGH_BYTES and not memory.f_flag & os.ST_NOEXEC else "/tmp"


def _aside(work: Coroutine[None, None, None]) -> None:
    """Run something on a loop and a thread of its own: where a browser is driven, this thread has a loop already."""
    with ThreadPoolExecutor(1) as aside:
        aside.submit(asyncio.run, work).result()


async def _administer(dsn: str, statement: str) -> None:
    """Run one statement from the maintenance database, outside any transaction."""
    connection = await asyncpg.connect(dsn.replace(f"/{DATABASE}?", "/postgres?"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
