"""Webhooks, from the transaction that something happens in to a receiver on this machine that checks every signature."""

import base64
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from broker.app import Market
from broker.clock import SystemClock
from broker.services.leases import Failure
from broker.services.views import Caller
from broker.services.webhooks import EndpointRequest, EndpointView
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.webhooks import WebhookRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from broker.telling import HOLD, WebhookSender, signed_headers
from contracts.terms.errors import BadInput, Conflict, NotFound, WrongState
from contracts.webhooks import KINDS, WAITS, after_try
from tests.broker.small_market import GATE, START, caller, cycle_of, open_small_market, request

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")
GRID = Caller(account_id="provider:prv_a", account_name="A", scopes=frozenset({"leases:write"}), provider_id="prv_a")


class Receiver:
    """A party's server: keeps what comes, answers what it is told to."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.came: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.came.append((dict(self.headers.items()), body))
                self.send_response(outer.answers.pop(0) if outer.answers else 204)
                self.send_header("location", outer.url)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        """Ids of what came, in order."""
        return [headers["webhook-id"] for headers, _ in self.came]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


class LateClock:
    """The machine's clock and some time on top: signatures are checked by the machine's."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self):
        return SystemClock().now() + self.ahead


async def open_market(sessions: Sessions) -> Market:
    market, _ = await open_small_market(sessions)
    market.inside = True
    return market


async def register(market: Market, who: Caller, url: str, *kinds: str) -> EndpointView:
    async with market.services() as services:
        return await services.webhooks.add(EndpointRequest(url=url, kinds=list(kinds)), who)


async def win(market: Market) -> str:
    """A lease of A's on prv_a's grid."""
    async with market.services() as services:
        await services.orders.submit(request(), A)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        return (await services.leases.leases(A)).items[0].lease_id


async def send(market: Market, clock: LateClock | None = None, *, inside: bool = True) -> int:
    async with httpx.AsyncClient() as client:
        # The clock of signatures is the machine's; the small market's days are in the future, so everything in it is long due.
        return await WebhookSender(market.sessions, clock=clock or LateClock(), client=client, inside=inside).send_due()


async def due_now(sessions: Sessions) -> None:
    """Let what waits be due by the machine's clock: the small market lives in 2027."""
    async with unit_of_work(sessions) as work:
        await (await work.connection()).exec_driver_sql("UPDATE webhook_deliveries SET next_at = '2020-01-01Z' WHERE state = 'waiting'")


async def test_holder_and_provider_are_told_in_messages_they_can_verify(sessions: Sessions, receiver: Receiver):
    market = await open_market(sessions)
    buyer, grid = await register(market, A, receiver.url), await register(market, GRID, receiver.url)
    await register(market, B, receiver.url)
    lease_id = await win(market)
    async with market.services() as services:
        await services.leases.fail(lease_id, Failure(reason="the rack lost power"), caller=GRID)
    await due_now(sessions)
    assert await send(market) == 4
    told = []
    for headers, body in receiver.came:
        for party, endpoint in (("buyer", buyer), ("grid", grid)):
            try:
                told.append((party, Webhook(str(endpoint.secret)).verify(body, headers)))
            except WebhookVerificationError:
                continue
    assert sorted((party, message["type"]) for party, message in told) == [
        ("buyer", "lease.awarded"), ("buyer", "lease.failed"), ("grid", "lease.awarded"), ("grid", "lease.failed"),
    ]  # fmt: skip
    failed = next(message for party, message in told if (party, message["type"]) == ("buyer", "lease.failed"))
    assert {name: failed["data"][name] for name in ("lease_id", "reason", "closed_by")} == {
        "lease_id": lease_id,
        "reason": "the rack lost power",
        "closed_by": "provider",
    }
    assert await send(market) == 0, "told once is told"


async def test_a_changed_body_or_another_secret_is_not_verified(sessions: Sessions, receiver: Receiver):
    market = await open_market(sessions)
    endpoint = await register(market, A, receiver.url)
    await win(market)
    await due_now(sessions)
    await send(market)
    ((headers, body),) = receiver.came
    with pytest.raises(WebhookVerificationError):
        Webhook(str(endpoint.secret)).verify(body.replace(b"awarded", b"revoked"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 24).decode()).verify(body, headers)


async def test_what_did_not_happen_is_not_told(sessions: Sessions, receiver: Receiver):
    """The outbox is part of the transaction: rolled back with it."""
    market = await open_market(sessions)
    await register(market, A, receiver.url)
    lease_id = await win(market)

    async def fail_and_fall() -> None:
        async with unit_of_work(sessions) as work:
            await LeaseRepository(work).move(lease_id, "failed", at=START, reason="never was")
            raise RuntimeError("the process fell over")

    with pytest.raises(RuntimeError):
        await fail_and_fall()
    async with market.services() as services:
        assert [message.kind for message in (await services.webhooks.messages(A)).items] == ["lease.awarded"]


async def test_what_is_not_taken_is_sent_again_later_under_the_same_id(sessions: Sessions, receiver: Receiver):
    """500, then a redirect nobody follows, then taken: three tries after the waits of the schedule, one id."""
    market, clock = await open_market(sessions), LateClock()
    await register(market, A, receiver.url)
    await win(market)
    await due_now(sessions)
    receiver.answers = [500, 302]
    assert [await send(market, clock), await send(market, clock)] == [1, 0]
    clock.ahead += WAITS[0]
    assert [await send(market, clock), await send(market, clock)] == [1, 0]
    clock.ahead += WAITS[1]
    assert await send(market, clock) == 1
    assert len(receiver.came) == 3
    assert len(set(receiver.ids())) == 1
    async with market.services() as services:
        ((delivery,),) = [message.deliveries for message in (await services.webhooks.messages(A)).items]
    assert (delivery.state, delivery.attempts, delivery.answered) == ("delivered", 3, 204)


async def test_a_sender_that_dies_leaves_it_to_the_next(sessions: Sessions, receiver: Receiver):
    """Claimed and never settled: due again when the claim is over, and not before."""
    market, clock = await open_market(sessions), LateClock()
    await register(market, A, receiver.url)
    await win(market)
    await due_now(sessions)
    async with unit_of_work(sessions) as work:
        assert len(await WebhookRepository(work).claim(clock.now(), limit=10, hold=HOLD)) == 1
    assert await send(market, clock) == 0
    clock.ahead += HOLD
    assert await send(market, clock) == 1


async def test_what_nobody_takes_is_given_up_and_may_be_replayed(sessions: Sessions, receiver: Receiver):
    market, clock = await open_market(sessions), LateClock()
    await register(market, A, receiver.url)
    await win(market)
    await due_now(sessions)
    receiver.answers = [503] * (len(WAITS) + 1)
    for wait in (*WAITS, timedelta(days=9)):
        assert await send(market, clock) == 1
        clock.ahead += wait
    assert await send(market, clock) == 0
    async with market.services() as services:
        (message,) = (await services.webhooks.messages(A)).items
        assert message.deliveries[0].state == "given_up"
        with pytest.raises(NotFound):
            await services.webhooks.replay(message.message_id, B)
        await services.webhooks.replay(message.message_id, A)
    await due_now(sessions)
    assert await send(market) == 1
    assert set(receiver.ids()) == {message.message_id}
    assert json.loads(message.body)["type"] == "lease.awarded"


async def test_both_secrets_sign_while_a_rotation_lasts(sessions: Sessions, receiver: Receiver):
    market = await open_market(sessions)
    first = await register(market, A, receiver.url)
    async with market.services() as services:
        second = await services.webhooks.rotate(first.endpoint_id, A)
        assert second.secret != first.secret
        assert [each.secret for each in (await services.webhooks.endpoints(A)).items] == [None], "shown when made, never again"
    await win(market)
    await due_now(sessions)
    await send(market)
    ((headers, body),) = receiver.came
    for endpoint in (first, second):
        assert Webhook(str(endpoint.secret)).verify(body, headers)["type"] == "lease.awarded"
    async with unit_of_work(sessions) as work:
        kept = await WebhookRepository(work).endpoint(first.endpoint_id)
    assert kept.secret_before_until is not None
    later = signed_headers(kept, "msg_1", body=b"{}", at=kept.secret_before_until)
    assert len(later["webhook-signature"].split(" ")) == 1, "after a day only the new one"


async def test_gone_closes_the_endpoint_and_kinds_choose(sessions: Sessions, receiver: Receiver):
    market = await open_market(sessions)
    await register(market, A, receiver.url, "lease.awarded")
    lease_id = await win(market)
    async with market.services() as services:
        await services.leases.release(lease_id, A)
    await due_now(sessions)
    receiver.answers = [410]
    assert await send(market) == 1, "the release is not wanted there"
    async with market.services() as services:
        (endpoint,) = (await services.webhooks.endpoints(A)).items
        assert endpoint.closed_at is not None
        with pytest.raises(WrongState):
            await services.webhooks.rotate(endpoint.endpoint_id, A)
        with pytest.raises(NotFound):
            await services.webhooks.close(endpoint.endpoint_id, B)


async def test_nobody_has_us_call_our_own_machines(sessions: Sessions, receiver: Receiver):
    """An address of this machine is not called, though somebody got it registered; and a plain one is not even registered."""
    market = await open_market(sessions)
    await register(market, A, receiver.url)
    await win(market)
    await due_now(sessions)
    assert await send(market, inside=False) == 1
    assert receiver.came == []
    market.inside = False
    with pytest.raises(BadInput, match="TLS"):
        await register(market, A, "http://example.org/told")


@pytest.mark.parametrize("url", ["ftp://example.org", "https://", "https://me:secret@example.org/", "https://example.org/a b", "x" * 3000])
def test_an_address_must_be_one(url: str):
    with pytest.raises(ValueError, match="url"):
        EndpointRequest(url=url)


async def test_endpoints_are_few(sessions: Sessions, receiver: Receiver):
    market = await open_market(sessions)
    for _ in range(10):
        await register(market, A, receiver.url)
    with pytest.raises(Conflict):
        await register(market, A, receiver.url)


def test_tries_come_ever_later_and_end():
    now = START
    waits = [after_try(attempts, None, now=now) for attempts in range(1, len(WAITS) + 2)]
    assert [state for state, _ in waits] == ["waiting"] * len(WAITS) + ["given_up"]
    assert [at - now for _, at in waits[:-1]] == sorted(WAITS)
    assert after_try(1, 200, now=now)[0] == "delivered"
    assert after_try(1, 410, now=now)[0] == "given_up"
    assert {kind.split(".")[0] for kind in KINDS} == {"budget", "lease"}
