"""One grid of the demo that is not entered but announces itself: a provider's client, over HTTP, in the words of the feed.

It has its own key and its own memory. After each leap of the market's clock it shows a sign of life; the broker, which has taken
it for silent meanwhile, compares tables and asks for what it needs. A client that was killed begins a greater epoch.
"""

import asyncio
import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import polars as pl
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from granian.constants import Interfaces
from granian.server.embed import Server

from broker.agent.line import FeedLine
from broker.app import Market
from broker.application import application
from broker.client import AsyncGridfare
from broker.clock import SystemClock
from broker.services.accounts import key_digest
from broker.serving import any_port
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import unit_of_work
from contracts.feed import speaker
from contracts.feed.attributes import OfferAttributes
from contracts.feed.messages import Announce
from contracts.feed.speaker import Said, Speaker, SpeakerTerms, Spoken
from contracts.feed.wire import public_key_of

HOST = "127.0.0.1"
GRID = "prv_datacrunch"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"gridfare demo {GRID}".encode()).digest())
API_KEY = f"gf_demo_{hashlib.sha256(GRID.encode()).hexdigest()[:24]}"
DAY_SECONDS = 86_400
TRIES = 50
PAUSE_SECONDS = 0.1
TERMS = SpeakerTerms(hold_seconds=600, restart_seconds=3_600)


class FedGrid:
    """The client: what the grid offers, how it says so, and what it remembers of having said it."""

    def __init__(self, market: Market, offers: pl.DataFrame, *, address: str) -> None:
        self._market = market
        self._address = address
        self._offers = offers.filter(pl.col("provider") == GRID).sort("offer_id")
        self._speaker: Speaker | None = None

    async def open(self) -> int:
        """Be registered, with keys and trust; announce everything, unless an earlier run of the demo has; how many offers that is."""
        now = self._market.clock.now()
        async with unit_of_work(self._market.sessions) as work:
            await AccountRepository(work).add_provider_key(GRID, key_digest(API_KEY), scopes=["feed:write"], at=now)
        await self._market.feeds.register(GRID, public_key_of(KEY), trust=str(self._offers["trust"][0]))
        if (await self._market.feeds.view(GRID)).epoch == 0:
            await self.beat()
        return self._offers.height

    async def beat(self) -> None:
        """Whatever is due now: the whole table in the beginning, a sign of life afterwards; and what the broker asks for."""
        now = self._market.clock.now()
        spoken = self._beginning() if self._speaker is None else speaker.tick(self._speaker, now)
        async with AsyncGridfare(self._address, key=API_KEY) as line:
            self._speaker = await FeedLine(line, KEY, say=_never).exchange(spoken, now=now)
        await self._market.feeds.pass_time()

    def _beginning(self) -> Spoken:
        now = self._market.clock.now()
        epoch = int(SystemClock().now().timestamp() * 1_000_000)
        offers = {row["offer_id"]: Said(offer=_announced(row), at=now) for row in self._offers.iter_rows(named=True)}
        return speaker.started(Speaker(provider=GRID, epoch=epoch, terms=TERMS, offers=offers), now)


def _never(refused: str) -> None:
    """The shipped world's offers are plausible: what the broker refuses is a bug."""
    raise AssertionError(refused)


def _announced(row: Mapping[str, object]) -> Announce:
    """An offer of the shipped world in the feed's words."""
    names = OfferAttributes.__struct_fields__
    facts = {"offer_id": row["offer_id"], "quantity": row["quantity"], "rate_micros": row["rate_micros"]}
    return msgspec.convert({**facts, "version": 1, "ttl_seconds": DAY_SECONDS, "attributes": {name: row[name] for name in names}}, Announce)


@asynccontextmanager
async def feed_address(market: Market) -> AsyncIterator[str]:
    """Serve the market's API to its grids at an address of its own, for as long as the block runs."""
    port = any_port(HOST)
    server = Server(application(market.services), address=HOST, port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    address = f"http://{HOST}:{port}"
    try:
        await asyncio.to_thread(_answers, address)
        yield address
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await serving


def _answers(address: str) -> None:
    """Wait until somebody listens there. Raises URLError when nobody does after five seconds."""
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(f"{address}/healthz"):
                return
        except urllib.error.URLError:
            if attempt == TRIES - 1:
                raise
            threading.Event().wait(PAUSE_SECONDS)
