"""Listening live on a real PostgreSQL: everybody hears of their own, once, and goes on where they stood."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from broker.app import Market
from broker.feeds.listeners import Told
from broker.listening import Happenings, Look
from broker.services.leases import Failure
from broker.services.views import Caller
from broker.store.repositories.happenings import HappeningReader
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.happenings import OVERLAP, moment_of, position
from contracts.terms.errors import BadInput
from contracts.webhooks import Message
from tests.broker.small_market import GATE, START, cycle_of, open_small_market, pass_time
from tests.broker.test_quotes import accept, ask

pytestmark = pytest.mark.anyio
GRID = Caller(account_id="provider:prv_a", account_name="A", scopes=frozenset({"leases:write"}), provider_id="prv_a")
Stream = AsyncGenerator[Told | None, None]


class Hand:
    """Looks that come when they are told to, and are counted."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._next, self._idle = asyncio.Event(), asyncio.Event()
        self.looks = 0
        self.happenings = Happenings(self.look, clock=market.clock, tick=self._tick)

    async def look(self, since, owners) -> list[Message]:
        self.looks += 1
        async with unit_of_work(self._market.sessions) as work:
            return await HappeningReader(work).since(since, owners, now=self._market.clock.now())

    async def _tick(self) -> None:
        self._idle.set()
        await self._next.wait()
        self._next.clear()

    async def begin(self, *owners: str, after: str | None = None) -> list[Stream]:
        """Streams that are known to listen."""
        moment = moment_of(after) if after is not None else None
        streams = [self.happenings.listen(owner, after=moment, patience=0.01) for owner in owners]
        if after is None:
            assert [await anext(stream) for stream in streams] == [None] * len(owners)
            await self._idle.wait()
        return streams

    async def heard(self, stream: Stream, *, looking: bool = True) -> list[tuple[str, dict]]:
        """What a stream says after the next look: kinds and facts, positions among them."""
        if looking:
            self._idle.clear()
            self._next.set()
            await self._idle.wait()
        found = []
        while (told := await anext(stream)) is not None:
            found.append((told.event, json.loads(told.data)["data"] | {"position": told.position}))
        return found


async def test_a_party_hears_of_its_own_and_of_every_cycle_once(sessions: Sessions):
    """A takes a quote, which fails; lets another one pass; a gate clears. The provider hears of the lease, B of the gate alone."""
    market, _ = await open_small_market(sessions)
    hand = Hand(market)
    a, b, grid = await hand.begin("acct_a", "acct_b", GRID.account_id)
    lease = await accept(market, await ask(market, accelerators=2))
    assert [(kind, facts["lease_id"]) for kind, facts in await hand.heard(a)] == [("lease.awarded", lease.lease_id)]
    assert [kind for kind, _ in await hand.heard(grid, looking=False)] == ["lease.awarded"]
    async with market.services() as services:
        await services.leases.fail(lease.lease_id, Failure(closed_by="network", reason="the line is cut"), caller=GRID)
    quote = await ask(market, accelerators=1)
    pass_time(market, timedelta(minutes=6))
    ((failed, facts), (expired, gone)) = await hand.heard(a)
    assert (failed, facts["closed_by"], facts["reason"]) == ("lease.failed", "network", "the line is cut")
    assert (expired, gone["quote_id"]) == ("quote.expired", quote.quote_id)
    pass_time(market, GATE - market.clock.now())
    await cycle_of(market).run(GATE)
    assert [(kind, facts["number"]) for kind, facts in await hand.heard(b)] == [("cycle.applied", 1)]
    assert {kind for kind, _ in await hand.heard(a)} == {"cycle.applied", "lease.awarded"}, "what failed is served at the gate"
    assert await hand.heard(a) == [], "nothing is said twice"


async def test_who_comes_back_hears_what_it_missed_and_its_own_other_streams_lose_nothing(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    hand = Hand(market)
    (gone, stays) = await hand.begin("acct_a", "acct_a")
    await accept(market, await ask(market, accelerators=2))
    ((_, facts),) = await hand.heard(gone)
    await gone.aclose()
    pass_time(market, 2 * OVERLAP)
    await accept(market, await ask(market, accelerators=1, start=START + 3 * OVERLAP, hours=1.0))
    (back,) = await hand.begin("acct_a", after=str(facts["position"]))
    again = await hand.heard(back, looking=False)
    assert [(kind, facts["accelerators"]) for kind, facts in again] == [("lease.awarded", 2), ("lease.awarded", 1)]
    assert [facts["accelerators"] for _, facts in await hand.heard(stays, looking=False)] == [2, 1], "once each"
    assert await hand.heard(back) == []


async def test_twenty_listeners_are_one_look_and_nobody_listening_is_none(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    hand = Hand(market)
    streams = await hand.begin(*["acct_a"] * 10, *["acct_b"] * 10)
    begun = hand.looks
    await accept(market, await ask(market))
    assert len(await hand.heard(streams[0])) == 1
    assert hand.looks == begun + 1
    for stream in streams[1:10]:
        assert len(await hand.heard(stream, looking=False)) == 1
    for stream in streams:
        await stream.aclose()
    assert hand.happenings.count("acct_a") == 0
    hand._next.set()
    await asyncio.sleep(0.05)
    assert hand.looks == begun + 1


async def test_who_comes_while_the_last_one_leaves_still_hears(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    hand, answered = Hand(market), asyncio.Event()
    (gone,) = await hand.begin("acct_b")

    async def slowly(since, owners) -> list[Message]:
        await answered.wait()
        return await hand.look(since, owners)

    hand.happenings._look = slowly
    stream = hand.happenings.listen("acct_a", patience=0.01)
    coming = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await gone.aclose()
    answered.set()
    assert await coming is None
    await accept(market, await ask(market))
    assert [kind for kind, _ in await asyncio.wait_for(hand.heard(stream), 30)] == ["lease.awarded"]


async def test_streams_end_when_the_store_cannot_be_asked_and_when_the_market_closes(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    hand = Hand(market)
    (stream,) = await hand.begin("acct_a")

    async def nobody(since, owners) -> list[Message]:
        raise OSError("nobody there")

    works: Look = hand.happenings._look
    hand.happenings._look = nobody
    hand._next.set()
    assert [told async for told in stream if told is not None] == []
    hand.happenings._look = works
    (stream,) = await hand.begin("acct_a")
    hand.happenings.close()
    assert [told async for told in stream if told is not None] == []
    assert [told async for told in hand.happenings.listen("acct_a", patience=1)] == []


@pytest.mark.parametrize("strange", ["", "msg_1", "1", "-msg_1", "9" * 18 + "-msg_1", "1e3-msg_1"])
def test_a_position_nobody_was_given_is_refused(strange: str):
    with pytest.raises(BadInput):
        moment_of(strange)


def test_a_position_says_its_moment():
    message = Message(id="msg_1", owner="a", kind="lease.awarded", at=START, body=b"{}")
    assert moment_of(position(message)) == START
