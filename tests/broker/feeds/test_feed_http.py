"""The feed at its address: every clause of the conformance kit over HTTP and PostgreSQL, restarts between batches, both encodings."""

import asyncio
import urllib.request
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from broker.app import Market
from broker.clock import SimulatedClock
from broker.demo.fed_grid import feed_address
from broker.feeds.protocol.broker_clauses import BROKER_CLAUSES
from broker.feeds.protocol.sides import BrokerSide
from broker.feeds.protocol.stage import KEY, PROVIDER, START, TERMS, Sides, an_offer
from broker.store.repositories.feed import FeedRepository
from broker.store.rows import OfferRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed import speaker
from contracts.feed.damping import Damping
from contracts.feed.messages import VERSION, Price, Welcome, Withdraw
from contracts.feed.speaker import Speaker
from contracts.feed.table import FeedTerms
from contracts.feed.wire import decode_reply, encode, public_key_of, seal
from tests.broker.feeds.http_sides import API_KEY, HttpBroker, client_of, fed_market, forget
from tests.broker.small_market import pass_time

pytestmark = pytest.mark.anyio
PUBLIC = public_key_of(KEY)
LINES: dict[int, Market] = {}
PLAIN = {"site": "lyon-1", "country": "FR", "hardware": "H100-SXM"}


@pytest.mark.slow
async def test_every_clause_holds_over_http_with_a_restart_before_every_message(sessions: Sessions):
    """The kit's own broker is a session in memory; this one remembers nothing but what PostgreSQL holds."""
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)
    loop = asyncio.get_running_loop()
    async with client_of(market) as client:

        async def fresh() -> BrokerSide:
            market.clock = SimulatedClock(START)
            side = HttpBroker(market, client, provider=PROVIDER, terms=TERMS, forgetful=True)
            await forget(market, provider=PROVIDER, public_key=PUBLIC)
            return side

        sides = Sides(broker=lambda: asyncio.run_coroutine_threadsafe(fresh(), loop).result(60))
        for clause in BROKER_CLAUSES:
            await asyncio.to_thread(clause, sides)


def wires_of(spoken: speaker.Spoken, *, binary: bool = False) -> list[bytes]:
    return [encode(seal(unsigned, KEY), binary=binary) for unsigned in spoken.sent]


class Line:
    """A provider with its memory and a broker at its address; batches may be lost, doubled, shuffled and cut anywhere."""

    def __init__(self, side: HttpBroker) -> None:
        self.side = side
        self.speaker = Speaker(provider=PROVIDER, epoch=1)
        self.there: list[bytes] = []
        self.back: list[dict] = []

    @property
    def now(self) -> datetime:
        return self.side.market.clock.now()

    def say(self, spoken: speaker.Spoken) -> None:
        self.speaker = spoken.speaker
        self.there += wires_of(spoken)

    def hear(self, replies: list[dict]) -> None:
        for reply in replies:
            self.say(speaker.hear(self.speaker, decode_reply(msgspec.json.encode(reply)), now=self.now))

    async def settle(self) -> None:
        """Everything arrives, until nobody has anything to say."""
        for _ in range(60):
            pass_time(self.side.market, timedelta(seconds=6))
            self.say(speaker.tick(self.speaker, self.now))
            while self.there:
                batch, self.there = self.there, []
                self.hear(await self.side.post(batch))
            table = await self.table()
            if not self.speaker.log and table == self.wanted() and all(state == "live" for *_, state in await self.states()):
                return
        raise AssertionError(f"{await self.table()} is not {self.wanted()}")

    async def states(self) -> list[tuple[str, str]]:
        view = await self.side.market.feeds.view(PROVIDER)
        return [(offer.offer_id, offer.state) for offer in view.offers]

    async def table(self) -> dict[str, tuple[int, int, int]]:
        view = await self.side.market.feeds.view(PROVIDER)
        return {offer.offer_id: (offer.version, offer.quantity, offer.rate_micros) for offer in view.offers}

    def wanted(self) -> dict[str, tuple[int, int, int]]:
        return {name: (s.offer.version, s.offer.quantity, s.offer.rate_micros) for name, s in self.speaker.offers.items()}


NAMES = ("ofr_x", "ofr_y", "ofr_z")
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["announce", "price", "withdraw", "send", "send", "lose", "double", "shuffle", "restart"]), st.integers(0, 5)
    ),
    max_size=14,
)
# Nothing ends by itself and nothing is damped: what differs, differs because something went astray.
CALM = FeedTerms(restart_seconds_max=1_000_000, updates_per_minute=60_000, updates_burst=10_000, damping=Damping(suppress=10**9))


@given(acts=ACTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_to_batches_the_market_ends_with_the_providers_table(sessions: Sessions, acts):
    """And so do the market's own offers, whose current versions are the table."""
    market = LINES.get(id(sessions)) or LINES.setdefault(id(sessions), await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC))
    await forget(market, provider=PROVIDER, public_key=PUBLIC)
    async with client_of(market) as client:
        line = Line(HttpBroker(market, client, provider=PROVIDER, terms=CALM))
        line.say(speaker.started(line.speaker, line.now))
        for number, (act, place) in enumerate(acts, start=1):
            name = NAMES[place % len(NAMES)]
            known = name in line.speaker.offers
            if act == "announce":
                offer = an_offer(name, version=number, quantity=place, rate_micros=2_000_000 + number, ttl_seconds=86_400, attributes=PLAIN)
                line.say(speaker.say(line.speaker, offer, now=line.now))
            elif act == "price" and known:
                line.say(speaker.say(line.speaker, Price(offer_id=name, version=number, rate_micros=2_000_000 + number), now=line.now))
            elif act == "withdraw" and known:
                line.say(speaker.say(line.speaker, Withdraw(offer_id=name), now=line.now))
            elif act == "restart":
                line.side.restart()
            elif act == "double":
                line.there += line.there[: place + 1]
            elif act == "shuffle":
                line.there = line.there[place:] + line.there[:place]
            elif act in ("send", "lose"):
                batch, line.there = line.there[: place + 1], line.there[place + 1 :]
                replies = await line.side.post(batch) if act == "send" or place % 2 else []
                line.hear(replies if act == "send" else [])
        await line.settle()
        async with unit_of_work(sessions) as work:
            rows = list(
                await work.scalars(select(OfferRow).where(col(OfferRow.provider) == PROVIDER, col(OfferRow.superseded_at).is_(None)))
            )
    assert {row.id: (row.quantity, row.rate_micros) for row in rows} == {name: facts[1:] for name, facts in line.wanted().items()}


async def test_a_broker_that_dies_inside_a_batch_has_taken_nothing_of_it(sessions: Sessions, monkeypatch):
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)
    async with client_of(market) as client:
        line = Line(HttpBroker(market, client, provider=PROVIDER, terms=CALM))
        line.say(speaker.say(speaker.started(line.speaker, line.now).speaker, an_offer("ofr_x", attributes=PLAIN), now=line.now))
        batch = wires_of(speaker.Spoken(line.speaker, line.speaker.log))

        async def dies(*_: object, **__: object) -> None:
            raise RuntimeError("the power is out")

        with monkeypatch.context() as patched:
            patched.setattr(FeedRepository, "write", dies)
            with pytest.raises(RuntimeError):
                await market.feeds.take(PROVIDER, batch)
        line.side.restart()
        assert (await market.feeds.view(PROVIDER)).seq == 0
        replies = await line.side.post(batch)
        assert [reply["type"] for reply in replies] == ["welcome", "resync", "ack"]
        assert await line.states() == [("ofr_x", "live")]


@pytest.mark.parametrize("binary", [False, True])
async def test_batches_come_in_two_encodings_and_are_answered_alike(sessions: Sessions, binary):
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)
    async with client_of(market) as client:
        side = HttpBroker(market, client, provider=PROVIDER, terms=CALM)
        said = speaker.say(
            speaker.started(Speaker(provider=PROVIDER, epoch=1), market.clock.now()).speaker, an_offer(attributes=PLAIN), now=START
        )
        replies = await side.post(wires_of(speaker.Spoken(said.speaker, said.speaker.log), binary=binary), binary=binary)
        assert [reply["type"] for reply in replies] == ["welcome", "resync", "ack"]
        assert replies[-1]["seq"] == said.speaker.seq
        again = await side.post(wires_of(speaker.Spoken(said.speaker, said.speaker.log), binary=binary), binary=binary)
        assert again == [{"type": "ack", "epoch": 1, "seq": said.speaker.seq}]


async def test_who_may_send_and_what(sessions: Sessions):
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)
    signed = {"Authorization": f"Bearer {API_KEY}"}
    async with client_of(market) as client:
        assert (await client.post("/v1/feed", json=[])).status_code == 401
        strange = await client.post("/v1/feed", content=b"a,b", headers=signed | {"Content-Type": "text/csv"})
        assert (strange.status_code, strange.json()["type"]) == (415, "/problems/unknown_form")
        many = await client.post("/v1/feed", json=[1] * 1001, headers=signed)
        assert (many.status_code, many.json()["found"]) == (400, 1001)
        nonsense = await client.post("/v1/feed", json=[1], headers=signed)
        assert [reply["code"] for reply in nonsense.json()["replies"]] == ["unreadable"]
        same = await client.post("/v1/feed/key", json={"public_key": PUBLIC}, headers=signed)
        other = await client.post("/v1/feed/key", json={"public_key": "00" * 32}, headers=signed)
        assert (same.status_code, other.status_code) == (201, 409)
        seen = await client.get("/v1/feed", headers=signed)
        assert (seen.json()["seq"], seen.json()["offers"]) == (0, [])


async def test_a_listener_hears_replies_and_changes_of_state(sessions: Sessions):
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)
    heard: list[str] = []

    async def listen() -> None:
        async for told in market.feeds.listeners.listen(PROVIDER, patience=5):
            heard.append(told.event if told else "")
            if heard[-1] == "offer_changed":
                return

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    said = speaker.say(speaker.started(Speaker(provider=PROVIDER, epoch=1), START).speaker, an_offer(attributes=PLAIN), now=START)
    await market.feeds.take(PROVIDER, wires_of(speaker.Spoken(said.speaker, said.speaker.log)))
    await asyncio.wait_for(listening, 10)
    assert heard == ["welcome", "resync", "ack", "offer_changed"]


async def test_the_stream_is_made_of_server_sent_events(sessions: Sessions):
    """A real connection: the client hears what is acknowledged after it began to listen."""
    market = await fed_market(sessions, provider=PROVIDER, public_key=PUBLIC)

    def heard(address: str) -> tuple[str, list[str]]:
        asked = urllib.request.Request(f"{address}/v1/feed/events", headers={"Authorization": f"Bearer {API_KEY}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            lines = [answer.readline().decode().strip() for _ in range(2)]
            return answer.headers["content-type"], lines

    async with feed_address(market) as address:
        hearing = asyncio.create_task(asyncio.to_thread(heard, address))
        for _ in range(500):
            if market.feeds.listeners.count(PROVIDER):
                break
            await asyncio.sleep(0.02)
        await market.feeds.take(PROVIDER, wires_of(speaker.started(Speaker(provider=PROVIDER, epoch=1), START)))
        form, lines = await asyncio.wait_for(hearing, 30)
    assert form.startswith("text/event-stream")
    assert lines[0] == "event: welcome"
    assert decode_reply(lines[1].removeprefix("data: ").encode()) == Welcome(
        epoch=1, seq=1, version=VERSION, hold_seconds=60, restart_seconds=600, ttl_seconds_max=86_400, offers_max=10_000
    )
