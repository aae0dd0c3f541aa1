"""A market of two processes on one store: each answers what belongs to it, and what came in at one is found at the other."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import CoroutineType
from typing import get_args

import httpx
import pytest
from litestar.routes import HTTPRoute

from broker.app import Market
from broker.application import application
from broker.clock import SystemClock
from broker.commands.serve import tasks_at
from broker.cycle import Timetable
from broker.doors import EITHER, Door, OneDoor, door_of
from broker.feeds.protocol.stage import KEY
from broker.store.repositories.keys import KeyRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from broker.worker import keep_listening
from contracts.feed import speaker
from contracts.feed.messages import Announce
from contracts.feed.speaker import Speaker
from contracts.feed.wire import encode, public_key_of, seal
from tests.broker.feeds.http_sides import API_KEY, fed_market
from tests.broker.terminal import run
from tests.fake_market import FakeMarket

FED = "prv_fed"
PLAIN = {"site": "fr-1", "country": "FR", "hardware": "H100-SXM"}


def client_at(only: Door, app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=OneDoor(app, only)), base_url=f"http://{only}")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_every_address_is_answered_at_one_door_and_refused_at_the_other():
    """421 is what HTTP says of the right request at the wrong address; what a monitor asks is answered at both."""
    api = application(FakeMarket().services)
    paths = sorted(route.path for route in api.routes if isinstance(route, HTTPRoute))
    assert {door_of(path) for path in paths} == set(get_args(Door))
    for only in get_args(Door):
        async with client_at(only, api) as client:
            for path in paths:
                answer = await client.options(path)
                belongs = path in EITHER or door_of(path) == only
                assert (answer.status_code != 421) == belongs, f"{path} at the {only} door"
                if not belongs:
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert answer.json()["type"] == "/problems/other_door"
                    assert answer.json()["door"] == door_of(path)


def test_what_only_begins_alike_is_no_part_of_the_feed():
    assert [door_of(path) for path in ("/v1/feed", "/v1/feed/key", "/v1/feeds", "/v1", "/")] == [
        "feed",
        "feed",
        "market",
        "market",
        "market",
    ]


@pytest.mark.anyio
async def test_what_is_announced_at_one_door_is_found_at_the_other(sessions: Sessions):
    """Two markets on one store, as two processes have them: nothing in memory is shared."""
    feeding = await fed_market(sessions, provider=FED, public_key=public_key_of(KEY))
    selling = Market(sessions, clock=feeding.clock, timetable=feeding.timetable, hardware=feeding.hardware)
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    async with client_at("feed", application(feeding.services)) as feed, client_at("market", application(selling.services)) as market:

        async def offered() -> set[str]:
            found = (await market.get("/v1/search", params={"countries": "FR"})).json()
            return {each["offer"]["offer_id"] for each in found["offers"]}

        async def say(spoken: speaker.Spoken) -> Speaker:
            body = b"[" + b",".join(encode(seal(each, KEY)) for each in spoken.sent) + b"]"
            answer = await feed.post("/v1/feed", content=body, headers=headers)
            assert [reply.get("code") for reply in answer.json()["replies"] if reply["type"] == "nack"] == []
            return spoken.speaker

        memory = await say(speaker.started(Speaker(provider=FED, epoch=1), feeding.clock.now()))
        assert await offered() == set()
        offer = Announce(offer_id="ofr_fed", version=1, quantity=8, rate_micros=500_000, ttl_seconds=3_600, attributes=PLAIN)
        await say(speaker.say(memory, offer, now=feeding.clock.now()))
        assert await offered() == {"ofr_fed"}


@pytest.mark.anyio
async def test_what_came_in_at_the_feeds_door_is_written_down_there(sessions: Sessions):
    feeding = await fed_market(sessions, provider=FED, public_key=public_key_of(KEY))
    async with client_at("feed", application(feeding.services)) as feed:
        await feed.get("/v1/feed", headers={"Authorization": f"Bearer {API_KEY}"})
    task = asyncio.create_task(keep_listening(feeding, say=str, every=0.0))
    noted: list[object] = []
    async with asyncio.timeout(10):
        while not noted:
            await asyncio.sleep(0)
            async with unit_of_work(sessions) as work:
                noted = [each.path for each in await KeyRepository(work).requests(f"provider:{FED}", limit=2)]
    task.cancel()
    assert noted == ["/v1/feed"]


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (None, {"keep_gates", "keep_promises", "keep_indicating", "keep_feeds", "keep_listening"}),
        ("market", {"keep_gates", "keep_promises", "keep_indicating"}),
        ("feed", {"keep_feeds", "keep_listening"}),
    ],
)
def test_gates_are_cleared_and_silence_is_noticed_in_one_process_each(only, kept):
    market = Market(None, clock=SystemClock(), timetable=Timetable(), hardware=[])  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as worker:
        tasks = tasks_at(only, market, worker=worker, say=str)
    assert {task.__qualname__ for task in tasks if isinstance(task, CoroutineType)} == kept
    for task in tasks:
        task.close()


def test_a_door_there_is_not_is_refused_by_name(capsys):
    ended = run(capsys, "serve", "--only", "both")
    assert (ended.code, "'both' is not one of 'feed'" in ended.err) == (2, True)
