"""A broker that answers over HTTP, in front of a real PostgreSQL, and the program of a buyer that speaks to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from broker.app import Market
from broker.demo.fed_grid import feed_address
from broker.services.accounts import key_digest
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from tests.broker.small_market import open_small_market
from tests.broker.terminal import Ended, run

KEY, OTHER_KEY = "gf_a", "gf_b"
SCOPES = ["bids:write", "leases:write", "read"]
Program = Callable[..., Awaitable[Ended]]


class Served(NamedTuple):
    """A market and its address."""

    market: Market
    url: str


@pytest.fixture
async def served(sessions: Sessions) -> AsyncIterator[Served]:
    """The small market, served, with a key for each of its two buyers."""
    market, clock = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_key("acct_a", key_digest(KEY), scopes=SCOPES, at=clock.now())
        await accounts.add_key("acct_b", key_digest(OTHER_KEY), scopes=SCOPES, at=clock.now())
    async with feed_address(market) as url:
        yield Served(market, url)


@pytest.fixture
def gridfare(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Program:  # fmt: skip
    """`gridfare` as the first buyer runs it, with a home of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GRIDFARE_URL", served.url)
    monkeypatch.setenv("GRIDFARE_KEY", KEY)
    for name in ("GRIDFARE_PROFILE", "GRIDFARE_BROKERS"):
        monkeypatch.delenv(name, raising=False)

    async def program(*words: object) -> Ended:
        return await asyncio.to_thread(run, capsys, *words)

    return program
