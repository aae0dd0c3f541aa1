"""A server that ends does not wait for those who listen: their streams end with it."""

import asyncio
from contextlib import suppress

import httpx
import pytest

from broker.serving import any_port, serve
from tests.fake_market import FakeMarket

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1"
LONG = 20.0


class Streaming(FakeMarket):
    """A market as the server knows it: with what it streams at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.watch, self.happenings = self.desk.watch, self.desk.happenings


async def test_streams_end_with_the_server():
    port, market, heard = any_port(HOST), Streaming(), asyncio.Event()
    serving = asyncio.create_task(serve(market, host=HOST, port=port))

    async def listen() -> list[str]:
        lines = []
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=LONG) as client:
            while True:
                with suppress(httpx.ConnectError):
                    await client.get("/healthz")
                    break
                await asyncio.sleep(0.05)
            async with client.stream("GET", "/market/events") as answer:
                async for line in answer.aiter_lines():
                    lines.append(line)
                    heard.set()
        return lines

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(heard.wait(), LONG)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, LONG)
    assert "event: cycle" in await asyncio.wait_for(listening, LONG)
    assert market.watch.listeners == 0
