"""Listening from afar: the form of a stream, and a buyer's program that hears what happens to it, each thing once."""

import asyncio
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client import Gridfare
from broker.client import clients as sending
from broker.client.events import Event, read_events
from contracts.terms.errors import NotSignedIn
from tests.broker.client.conftest import Program, Served
from tests.broker.small_market import pass_time
from tests.broker.terminal import Ended
from tests.broker.test_quotes import accept, ask

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1)
EVENTS = st.builds(Event, position=WORDS.map(str.strip), kind=WORDS.map(str.strip), body=WORDS.map(lambda words: "{" + words + "}"))


def written(event: Event) -> str:
    return f": a comment\ndata: \n\nid: {event.position}\nevent: {event.kind}\ndata: {event.body}\n\n"


@given(st.lists(EVENTS, max_size=4), st.integers(0, 30))
def test_a_stream_is_read_as_it_was_written_and_what_is_cut_short_is_no_event(events: list[Event], cut: int):
    lines = "".join(map(written, events)).split("\n")
    assert list(read_events(lines)) == events
    whole = list(read_events(lines[: len(lines) - 1 - cut]))
    assert whole == events[: len(whole)]


def test_a_line_that_breaks_is_taken_up_where_it_broke_and_nothing_is_said_twice(monkeypatch: pytest.MonkeyPatch):
    """Three lines: the first breaks off inside the second event, the second repeats the first one, nobody answers the third."""
    monkeypatch.setattr(sending, "AGAIN_SECONDS", 0)
    one, two, three = (Event(position=f"{n}-msg", kind="cycle.applied", body="{}") for n in (1, 2, 3))
    streams = iter([written(one) + "id: 2-msg\ndata: {", written(one) + written(two), None, written(three)])
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        stream = next(streams)
        return httpx.Response(503) if stream is None else httpx.Response(200, text=stream)

    client = Gridfare("http://broker", key="gf_a", http=httpx.Client(transport=httpx.MockTransport(answer)))
    heard = client.listen(after="0-msg")
    assert [next(heard) for _ in range(3)] == [one, two, three]
    assert asked == ["0-msg", "1-msg", "2-msg", "2-msg"]


@pytest.mark.anyio
async def test_a_buyer_hears_of_its_lease_and_goes_on_where_it_stood(gridfare: Program, served: Served):
    market = served.market
    listening: asyncio.Task[Ended] = asyncio.ensure_future(gridfare("events", "--count", 1, "--json"))  # type: ignore[arg-type]
    while not (market.happenings.count("acct_a") or listening.done()):  # noqa: ASYNC110 (nobody says when a stream is open)
        await asyncio.sleep(0.02)
    lease = await accept(market, await ask(market))
    told = await asyncio.wait_for(listening, 30)
    assert told.code == 0, told.err
    first = json.loads(told.out)
    assert (told.code, first["type"], first["data"]["lease_id"]) == (0, "lease.awarded", lease.lease_id)
    quote = await ask(market, accelerators=1)
    pass_time(market, quote.expires_at - market.clock.now())
    again = await gridfare("events", "--count", 2, "--after", first["position"])
    awarded, expired = again.out.splitlines()
    assert "awarded (8 H100-SXM at de-1): taken as a quote" in awarded
    assert f"quote {quote.quote_id} has ended: 1 H100-SXM are free again" in expired
    refused = await gridfare("events", "--after", "yesterday")
    assert (refused.code, "the id of the last event that was heard would do" in refused.err) == (2, True)


@pytest.mark.anyio
async def test_a_stranger_hears_nothing(served: Served):
    with Gridfare(served.url) as stranger, pytest.raises(NotSignedIn):
        await asyncio.to_thread(next, stranger.listen())
