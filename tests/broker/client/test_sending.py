"""However a call is sent, it happens once, and what comes back is what the broker said."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from broker.application import application
from broker.client import AsyncGridfare, Gridfare, Unintelligible, Unreachable, calls
from broker.client.call import Call
from broker.client.clients import RETRY_AFTER_MAX, Line
from broker.services.views import Page
from contracts.terms.errors import BadInput, KeyReused, NotSignedIn, TooBusy, WrongState
from contracts.terms.quotes import QuoteRequest
from tests.fake_market import KEY, FakeMarket

URL = "http://testserver"
WISH = QuoteRequest(accelerators=4, hours=1.0, hardware=["H100-SXM"])
AT_ONCE = (0.0, 0.0, 0.0)


class Lossy(httpx.BaseTransport):
    """A line to a broker on which a request or its answer may get lost, or somebody between answers 503."""

    def __init__(self, broker: TestClient[Litestar], fates: Iterator[str]) -> None:
        self._broker = broker
        self._fates = fates
        self.arrived = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fate = next(self._fates, "fine")
        if fate == "request lost":
            raise httpx.ConnectError("nobody there")
        if fate == "between":
            return httpx.Response(503, text="<html>later</html>")
        self.arrived += 1
        answer = self._broker.request(request.method, str(request.url), headers=request.headers, content=request.read())
        if fate == "answer lost":
            raise httpx.ReadTimeout("too slow")
        return httpx.Response(answer.status_code, headers={"content-type": "application/json"}, content=answer.content)


@pytest.fixture(scope="module")
def broker() -> Iterator[TestClient[Litestar]]:
    with TestClient(application(FakeMarket().services)) as client:
        yield client


def over(broker: TestClient[Litestar], *fates: str) -> tuple[Gridfare, Lossy]:
    """A client whose first requests meet these fates."""
    line = Lossy(broker, iter(fates))
    return Gridfare(URL, key=KEY, http=httpx.Client(transport=line), pauses=AT_ONCE), line


def orders(broker: TestClient[Litestar]) -> set[str]:
    return {quote.quote_id for quote in over(broker)[0].every(calls.list_quotes(limit=200))}


@given(fates=st.lists(st.sampled_from(["fine", "request lost", "answer lost", "between"]), max_size=6))
def test_however_the_line_is_an_order_is_entered_once(broker, fates):
    """At most once, whatever is lost; and exactly once when the client says so."""
    before = orders(broker)
    market, line = over(broker, *fates)
    tried = fates[: len(AT_ONCE) + 1]
    fine = len(tried) <= len(AT_ONCE) or "fine" in tried
    try:
        said = market.send(calls.request_quote(WISH))
    except (Unreachable, Unintelligible):
        assert not fine
        assert len(orders(broker) - before) == (1 if line.arrived else 0)
    else:
        assert fine
        assert orders(broker) - before == {said.quote_id}


def test_the_same_act_named_again_is_not_done_again(broker):
    """A program that was killed asks again under the name it gave the act, and is told what became of it."""
    lost, _ = over(broker, *["answer lost"] * 4)
    before = orders(broker)
    with pytest.raises(Unreachable):
        lost.send(calls.request_quote(WISH), once="tonight's run")
    said = over(broker)[0].send(calls.request_quote(WISH), once="tonight's run")
    assert orders(broker) - before == {said.quote_id}
    with pytest.raises(KeyReused):
        over(broker)[0].send(calls.request_quote(msgspec.structs.replace(WISH, accelerators=5)), once="tonight's run")


def test_two_acts_without_a_name_are_two(broker):
    market, _ = over(broker)
    first, second = (market.send(calls.request_quote(WISH)) for _ in range(2))
    assert first.quote_id != second.quote_id


def test_a_refusal_is_raised_as_the_broker_raised_it_and_not_sent_again(broker):
    market, line = over(broker)
    quote = market.send(calls.request_quote(WISH))
    market.send(calls.accept_quote(quote.quote_id))
    sent = line.arrived
    with pytest.raises(WrongState) as refused:
        market.send(calls.accept_quote(quote.quote_id))
    assert (line.arrived, refused.value.facts["quote_id"]) == (sent + 1, quote.quote_id)
    with pytest.raises(NotSignedIn):
        Gridfare(URL, http=httpx.Client(transport=Lossy(broker, iter(())))).send(calls.list_leases())


def test_an_address_of_an_odd_thing_stays_one_segment(broker):
    """An id with a slash asks for that id, not for another address."""
    assert calls.get_lease("../bids").target == "/v1/leases/..%2Fbids"
    assert calls.get_lease("a/b?c#d").target == "/v1/leases/a%2Fb%3Fc%23d"


def pages(*sizes: int) -> Callable[[httpx.Request], httpx.Response]:
    """A list in pages of these sizes."""
    starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("cursor", "0"))
        items = list(range(starts[number], starts[number + 1]))
        return httpx.Response(
            200, content=msgspec.json.encode(Page(items=items, next_cursor=str(number + 1) if number + 1 < len(sizes) else None))
        )

    return answer


NUMBERS = Call(operation="Numbers", method="GET", path="/numbers", answer=Page[int], query=(("limit", "3"), ("cursor", "0")))


@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_every_page_is_read_in_order_by_either_client(sizes):
    """An empty page in the middle is not the end."""
    expected = list(range(sum(sizes)))
    with Gridfare(URL, http=httpx.Client(transport=httpx.MockTransport(pages(*sizes)))) as market:
        assert list(market.every(NUMBERS)) == expected

    async def all_of_them() -> list[int]:
        async with AsyncGridfare(URL, http=httpx.AsyncClient(transport=httpx.MockTransport(pages(*sizes)))) as market:
            return [number async for number in market.every(NUMBERS)]

    assert asyncio.run(all_of_them()) == expected


def test_either_client_tries_again_and_gives_up_alike():
    seen: list[str] = []

    def away(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        raise httpx.ConnectError("nobody there")

    async def ask() -> None:
        async with AsyncGridfare(URL, http=httpx.AsyncClient(transport=httpx.MockTransport(away)), pauses=AT_ONCE) as market:
            await market.send(calls.accept_quote("quo_1"))

    with pytest.raises(Unreachable, match="no broker answers at http://testserver"):
        Gridfare(URL, http=httpx.Client(transport=httpx.MockTransport(away)), pauses=AT_ONCE).send(calls.accept_quote("quo_1"))
    with pytest.raises(Unreachable, match="nobody there"):
        asyncio.run(ask())
    assert [len(set(seen[:4])), len(set(seen[4:])), len(seen)] == [1, 1, 8], "one key an act, kept for all its tries"


def test_a_busy_broker_is_asked_again_when_it_said():
    line = Line(url=URL, pauses=(0.5, 1.0))
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    assert line.pause(0, busy) == 7.0
    assert line.pause(0, httpx.Response(429, headers={"Retry-After": "86400"})) == RETRY_AFTER_MAX
    assert line.pause(1, httpx.Response(429)) == 1.0
    assert line.pause(2, busy) is None
    assert [line.pause(0, httpx.Response(status)) for status in (200, 400, 409, 500)] == [None] * 4
    told = httpx.Response(429, content=b'{"type":"/problems/too_busy","detail":"later","retry_after":7}')
    with pytest.raises(TooBusy):
        line.answer(NUMBERS, told)


@pytest.mark.parametrize("content", [b"", b"<html>Welcome</html>", b'{"items": 3}', b"\xff"])
def test_what_answers_and_is_no_broker_is_said_to_be_none(content):
    market = Gridfare(URL, http=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=content))))
    with pytest.raises(Unintelligible, match="no broker of this version"):
        market.send(NUMBERS)


@pytest.mark.parametrize("url", ["", "ftp://broker", "broker:8000", "http://", "https://"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url):
    with pytest.raises(BadInput, match="reached over HTTP"):
        Gridfare(url)


@pytest.mark.parametrize("key", ["", " gf_a", "gf_a\n", "gf\0a", "clé"])
def test_a_key_that_is_none_is_refused_without_being_shown(key):
    with pytest.raises(BadInput) as refused:
        Gridfare(URL, key=key)
    assert "gf_a" not in str(refused.value)
