"""A buyer of the demo who cannot wait for a gate: asks for a firm rate over HTTP, takes it, and is told of the lease by webhook.

Everything goes the way a buyer's own program goes: the typed client with the buyer's key, an address that listens, a signature
that is checked. Acts are named, so that a demo which was killed and starts again neither quotes nor buys twice.
"""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import msgspec
from standardwebhooks import Webhook

from broker.app import Market
from broker.client import AsyncGridfare, calls
from broker.demo.parties import keys
from broker.services.quotes import QuoteView
from broker.services.views import LeaseView
from broker.services.webhooks import EndpointRequest, EndpointView
from broker.telling import WebhookSender
from contracts.terms.ids import derived_id
from contracts.terms.quotes import QuoteRequest

HOST = "127.0.0.1"
BUYER = "acct_meridian"
WISH = QuoteRequest(accelerators=8, hours=4, tier="spot", hardware=["H100-SXM"])
ACT = "the demo's quote"


class Told(msgspec.Struct, frozen=True):
    """One message as it came in."""

    body: bytes
    headers: dict[str, str]


class QuoteReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was quoted, what it became, and whether its holder was told in words that nobody else can have signed."""

    quote: QuoteView
    lease: LeaseView
    kind: str
    signed: bool

    @property
    def words(self) -> list[str]:
        """A phrase for each thing that happened."""
        told = f"webhook {self.kind} delivered, signature good" if self.signed else "THE WEBHOOK DID NOT COME AS IT SHOULD"
        return [self.quote.worst_case, f"taken: a lease at {self.lease.site}", told]


class Listener:
    """An address of the buyer's own that keeps what it is told, while the block runs."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.append(Told(body, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}/told"

    def __enter__(self) -> "Listener":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


async def take_a_quote(market: Market, address: str) -> QuoteReport:
    """Ask, take, and be told; again, it is the same lease, told again under the same id."""
    async with AsyncGridfare(address, key=keys()[BUYER]) as broker, httpx.AsyncClient() as http:
        with Listener() as listener:
            endpoint = await _listen(broker, listener)
            quote = await broker.send(calls.request_quote(WISH), once=f"{ACT}: ask")
            lease = await broker.send(calls.accept_quote(quote.quote_id), once=f"{ACT}: take")
            sender = WebhookSender(market.sessions, clock=market.clock, client=http, inside=True)
            await sender.send_due()
            if not listener.told:
                await broker.send(calls.replay_webhook_message(derived_id("msg", lease.lease_id, 0, BUYER)))
                await sender.send_due()
            await broker.send(calls.close_webhook_endpoint(endpoint.endpoint_id))
            told = listener.told[0]
    return QuoteReport(quote=quote, lease=lease, kind="lease.awarded", signed=is_signed(told, str(endpoint.secret)))


async def _listen(broker: AsyncGridfare, listener: Listener) -> EndpointView:
    """A fresh endpoint; those an earlier run was killed with are closed, since nobody listens there any more."""
    async for old in broker.every(calls.list_webhook_endpoints()):
        if old.closed_at is None and old.url.startswith(f"http://{HOST}:"):
            await broker.send(calls.close_webhook_endpoint(old.endpoint_id))
    return await broker.send(calls.add_webhook_endpoint(EndpointRequest(url=listener.url, kinds=["lease.awarded"])))


def is_signed(told: Told, secret: str) -> bool:
    """Whether a message carries the signature of who knows the secret.

    The demo's clock is not the day's, which a library would refuse; a buyer calls `Webhook(secret).verify(body, headers)`.
    """
    moment = datetime.fromtimestamp(int(told.headers["webhook-timestamp"]), tz=UTC)
    expected = Webhook(secret).sign(msg_id=told.headers["webhook-id"], timestamp=moment, data=told.body.decode())
    return expected in told.headers["webhook-signature"].split(" ")
