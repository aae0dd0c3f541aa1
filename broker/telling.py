"""Sending what is in the outbox: claim, send, write down; never a network call inside a transaction.

A message that is sent and not written down (the process died between) is sent again under the same id: at least once, and
whoever keeps the ids sees each once. Redirects are not followed, and answers not read.
"""

import asyncio
import ipaddress
import socket
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import msgspec
from standardwebhooks import Webhook

from broker.clock import Clock
from broker.services.webhooks import Endpoint
from broker.store.repositories.webhooks import Due, WebhookRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.webhooks import GONE, after_try

BATCH = 50
TIMEOUT_SECONDS = 10.0
HOLD = timedelta(seconds=60)


class Tried(msgspec.Struct, frozen=True):
    """What came of one try: the status of the answer (None without one), and what to say of it."""

    answered: int | None
    finding: str


class WebhookSender:
    """Sends what is due. `inside` allows addresses of this machine and its networks, which nobody outside may have us call."""

    def __init__(self, sessions: Sessions, *, clock: Clock, client: httpx.AsyncClient, inside: bool = False) -> None:
        self._sessions = sessions
        self._clock = clock
        self._client = client
        self._inside = inside

    async def send_due(self) -> int:
        """Try everything that is due, in batches; returns how many were tried."""
        tried = 0
        while True:
            async with unit_of_work(self._sessions) as work:
                due = await WebhookRepository(work).claim(self._clock.now(), limit=BATCH, hold=HOLD)
            await asyncio.gather(*(self._send(each) for each in due))
            tried += len(due)
            if len(due) < BATCH:
                return tried

    async def _send(self, due: Due) -> None:
        tried = await self._try(due)
        now = self._clock.now()
        state, next_at = after_try(due.attempts, tried.answered, now=now)
        async with unit_of_work(self._sessions) as work:
            webhooks = WebhookRepository(work)
            await webhooks.settle(due, state, next_at=next_at, answered=tried.answered, finding=tried.finding)
            if tried.answered == GONE:
                await webhooks.replace(msgspec.structs.replace(due.endpoint, closed_at=now))

    async def _try(self, due: Due) -> Tried:
        if not self._inside and not await _is_public(due.endpoint.url):
            return Tried(None, "the address is not a public one")
        headers = signed_headers(due.endpoint, due.message_id, body=due.body, at=self._clock.now())
        try:
            async with self._client.stream(
                "POST", due.endpoint.url, content=due.body, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False
            ) as answer:
                return Tried(answer.status_code, f"answered {answer.status_code}")
        except httpx.HTTPError as error:
            return Tried(None, f"no answer: {type(error).__name__}")


def signed_headers(endpoint: Endpoint, message_id: str, *, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks; while a rotation lasts a signature of either secret, the new one first."""
    secrets = [endpoint.secret]
    if endpoint.secret_before is not None and endpoint.secret_before_until is not None and at < endpoint.secret_before_until:
        secrets.append(endpoint.secret_before)
    signatures = [Webhook(secret).sign(msg_id=message_id, timestamp=at, data=body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


async def _is_public(url: str) -> bool:
    """Whether every address a URL's host has is one of the public internet."""
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address[0]).is_global for *_, address in found)
