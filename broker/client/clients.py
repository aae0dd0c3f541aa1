"""Sending calls: `Gridfare` waits for each, `AsyncGridfare` lets others run meanwhile. What they do is decided in one place.

A call that got no answer is sent again, a POST under the same `Idempotency-Key`, so that it happens once however
often it is sent. What was refused is raised as the error the broker raised, and not sent again.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from broker.client.call import Call
from broker.client.events import Event, read_events
from broker.client.refusals import Unintelligible, Unreachable, read_problem
from broker.services.views import Page
from contracts.terms.errors import BadInput

T = TypeVar("T")
PAUSES = (0.2, 1.0, 3.0)
TIMEOUT_SECONDS = 30.0
# The broker says every quarter of a minute that it is still there.
SILENCE_SECONDS = 45.0
AGAIN_SECONDS = 2.0
HEARD_KEPT = 10_000
EVENTS = "/v1/events"
BUSY = 429
AWAY = (502, 503, 504)
RETRY_AFTER_MAX = 60.0
Outcome = httpx.Response | httpx.RequestError


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What both clients know: where the broker is, whose key is shown, how long to pause before each further try."""

    url: str
    key: str | None = None
    pauses: tuple[float, ...] = PAUSES

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not httpx.URL(self.url).host:
            raise BadInput("a broker is reached over HTTP", found=self.url, would_do="http://127.0.0.1:8000")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip() == self.key != ""):
            raise BadInput("the key is not one: keys are plain characters without spaces around them", would_do="gf_…")

    def request(self, call: Call[T], once: str | None) -> httpx.Request:
        """The call as it travels; sent twice it is the same bytes under the same key."""
        headers = self._signed("application/json")
        if call.method == "POST":
            headers["Idempotency-Key"] = once or secrets.token_urlsafe(24)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return httpx.Request(call.method, self.address(call.target), params=call.query, headers=headers, content=call.content)

    def listening(self, after: str | None) -> dict[str, str]:
        """The headers of somebody who listens, from a position on."""
        return self._signed("text/event-stream") | ({} if after is None else {"Last-Event-ID": after})

    def address(self, path: str) -> str:
        """Where the broker has a path."""
        return self.url.rstrip("/") + path

    def _signed(self, accept: str) -> dict[str, str]:
        return {"Accept": accept} | ({} if self.key is None else {"Authorization": f"Bearer {self.key}"})

    def pause(self, tries: int, outcome: Outcome) -> float | None:
        """Seconds to wait before the next try, after so many; None to be content with the outcome."""
        if tries >= len(self.pauses):
            return None
        if isinstance(outcome, httpx.RequestError) or outcome.status_code in AWAY:
            return self.pauses[tries]
        if outcome.status_code == BUSY:
            asked = outcome.headers.get("Retry-After", "")
            return min(float(asked), RETRY_AFTER_MAX) if asked.isdigit() else self.pauses[tries]
        return None

    def answer(self, call: Call[T], outcome: Outcome) -> T:
        """What was asked for. Raises what the broker refused with, Unreachable, and Unintelligible."""
        if isinstance(outcome, httpx.RequestError):
            why = str(outcome) or type(outcome).__name__
            raise Unreachable(f"no broker answers at {self.url} ({why}); the address of one would do", url=self.url) from outcome
        if not outcome.is_success:
            raise read_problem(outcome.content, status=outcome.status_code)
        if call.answer is bytes:
            return outcome.content  # type: ignore[return-value]
        try:
            return msgspec.json.decode(outcome.content, type=call.answer)
        except msgspec.DecodeError as fault:
            told = f"what answers at {self.url} is no broker of this version: {call.operation} gave something else ({fault})"
            raise Unintelligible(told, url=self.url) from fault


class Gridfare:
    """A broker at an address, as a buyer with a key uses it; calls wait for their answers.

    with Gridfare("http://127.0.0.1:8000", key="gf_…") as market:
        quote = market.send(calls.request_quote(wish))
        lease = market.send(calls.accept_quote(quote.quote_id))
    """

    def __init__(self, url: str, *, key: str | None = None, http: httpx.Client | None = None, pauses: tuple[float, ...] = PAUSES) -> None:
        self._line = Line(url=url, key=key, pauses=pauses)
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)

    def send(self, call: Call[T], *, once: str | None = None) -> T:
        """The answer of a call. `once` names the act: the same name does it once, even from another process.

        Raises MarketError, as the broker did; Unreachable when nobody answered; Unintelligible.
        """
        request = self._line.request(call, once)
        for tries in itertools.count():
            outcome = self._try(request)
            pause = self._line.pause(tries, outcome)
            if pause is None:
                break
            time.sleep(pause)
        return self._line.answer(call, outcome)

    def every(self, call: Call[Page[T]]) -> Iterator[T]:
        """Everything a list has, page after page, asked for as it is needed."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.send(call.after(cursor) if cursor else call)
            yield from page.items
            cursor = page.next_cursor

    def listen(self, *, after: str | None = None) -> Iterator[Event]:
        """What happens to the caller, as it happens: from now on, or from where it stood `after` an event, each once.

        It goes on for ever: a line that breaks is taken up again where it broke. Raises MarketError where it is refused.
        """
        heard: dict[str, None] = {}
        while True:
            try:
                for event in self._stream(after):
                    if event.position not in heard:
                        heard[event.position], after = None, event.position
                        yield event
            except httpx.RequestError:
                pass
            # What may be said again is of the last hour; the oldest that are kept are long past it.
            heard = dict(itertools.islice(heard.items(), max(0, len(heard) - HEARD_KEPT), None))
            time.sleep(AGAIN_SECONDS)

    def _stream(self, after: str | None) -> Iterator[Event]:
        """One line, until it breaks."""
        headers = self._line.listening(after)
        with self._http.stream("GET", self._line.address(EVENTS), headers=headers, timeout=SILENCE_SECONDS) as answer:
            if not answer.is_success and answer.status_code not in AWAY:
                raise read_problem(answer.read(), status=answer.status_code)
            yield from read_events(answer.iter_lines())

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _try(self, request: httpx.Request) -> Outcome:
        try:
            return self._http.send(request)
        except httpx.RequestError as fault:
            return fault


class AsyncGridfare:
    """The same broker, called from an event loop."""

    def __init__(
        self, url: str, *, key: str | None = None, http: httpx.AsyncClient | None = None, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._line = Line(url=url, key=key, pauses=pauses)
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_SECONDS)

    async def send(self, call: Call[T], *, once: str | None = None) -> T:
        """The answer of a call; raises as `Gridfare.send` does."""
        request = self._line.request(call, once)
        for tries in itertools.count():
            outcome = await self._try(request)
            pause = self._line.pause(tries, outcome)
            if pause is None:
                break
            await asyncio.sleep(pause)
        return self._line.answer(call, outcome)

    async def every(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Everything a list has, page after page, asked for as it is needed."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.send(call.after(cursor) if cursor else call)
            for item in page.items:
                yield item
            cursor = page.next_cursor

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _try(self, request: httpx.Request) -> Outcome:
        try:
            return await self._http.send(request)
        except httpx.RequestError as fault:
            return fault
