"""A real Chromium on a served portal; where there is none the tests say so and are skipped."""

import asyncio
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar
from playwright.sync_api import Browser, Page, sync_playwright

from broker.serving import any_port
from tests.fake_market import FakeMarket
from tests.web.desk import busy_market
from tests.web.finance_desk import with_finance
from web.asgi import site

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str | None:
    """Where Chromium is: CHROMIUM in the environment, else on the path."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(made: Callable[[], Awaitable[Litestar]]) -> Iterator[str]:
    """The address of a site, made and served as it will be on a loop of its own."""
    port = any_port("127.0.0.1")
    ready, started = threading.Event(), []

    async def serve() -> None:
        server = Server(await made(), address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_level=LogLevels.warning)
        stopped = asyncio.Event()
        started.append((asyncio.get_running_loop(), stopped))
        running = asyncio.create_task(server.serve())
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            break
        ready.set()
        await stopped.wait()
        server.stop()
        await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20), "the portal did not start"
    yield f"http://127.0.0.1:{port}"
    loop, stopped = started[0]
    loop.call_soon_threadsafe(stopped.set)
    thread.join(10)


@pytest.fixture(scope="module")
def portal(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a portal on the shipped world; asked for as `new`, of one where nothing has happened yet."""
    new = getattr(request, "param", None) == "new"

    async def made() -> Litestar:
        return site(await with_finance(FakeMarket(cycles=0) if new else busy_market(), empty=new))

    with served(made) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once. It ends with its module: Playwright keeps a loop running that async tests would trip over."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium here: install it (apt-get install chromium) or name it in CHROMIUM to run the browser tests")
    if not (ROOT / "web/static/vendor/vega.js").exists():
        pytest.skip("the portal's third-party files are not installed: run `make setup`")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, portal: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page that fails its test on a console error, a script error or a request that leaves the portal.

    `refusal` of its settings is the status of a page that is to be refused: a browser calls that an error as well.
    """
    options = dict(getattr(request, "param", {}))
    refusal = options.pop("refusal", None)
    context = browser.new_context(base_url=portal, **{"viewport": {"width": 1280, "height": 900}, **options})
    opened = context.new_page()
    faults: list[str] = []
    opened.on(
        "console",
        lambda message: (
            faults.append(f"console {message.type}: {message.text}")
            if message.type in ("error", "warning") and f"status of {refusal}" not in message.text
            else None
        ),
    )
    opened.on("pageerror", lambda error: faults.append(f"script: {error}"))
    opened.on("request", lambda sent: None if sent.url.startswith((portal, "data:")) else faults.append(f"left the portal: {sent.url}"))
    yield opened
    context.close()
    assert faults == []
