"""Who is calling: bearer API keys, and the key that makes a POST safe to repeat.

Every path under `/v1` needs a key unless it is listed here as public, so a new route is closed until
somebody opens it.
"""

import hashlib
import time
from typing import Annotated

from litestar import Request
from litestar.middleware import ASGIMiddleware
from litestar.params import HeaderParameter
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from broker.app import OpenServices
from broker.services.replies import RequestKey
from broker.services.views import Caller
from contracts.terms.errors import NotSignedIn

PRIVATE_PREFIX = "/v1/"
UNANSWERED = 500
PUBLIC_PREFIXES = ("/v1/offers", "/v1/search", "/v1/market/", "/v1/prices/", "/v1/webhooks/")
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Makes the request safe to repeat: the same key and body give the first answer and happen once.",
    ),
]


class KeyRequired(ASGIMiddleware):
    """Signs the caller in before a private route runs, and notes what was asked and answered. Raises NotSignedIn."""

    def __init__(self, open_services: OpenServices) -> None:
        self._open_services = open_services

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let public paths through; on the others put the caller in the scope, or refuse."""
        path = scope["path"]
        if not path.startswith(PRIVATE_PREFIX) or path.startswith(PUBLIC_PREFIXES):
            await next_app(scope, receive, send)
            return
        began, status = time.perf_counter(), UNANSWERED
        key = _bearer(dict(scope["headers"]).get(b"authorization", b""))
        async with self._open_services() as services:
            scope["auth"] = caller = await services.accounts.authenticate(key)
            note = services.keys.note

        async def said(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await next_app(scope, receive, said)
        finally:
            micros = round((time.perf_counter() - began) * 1e6)
            note(caller, key, asked=f"{scope.get('method', '')} {path}", status=status, micros=micros)


def provide_caller(request: Request[object, Caller, object]) -> Caller:  # type: ignore[type-var]
    """Whose key the request was signed with."""
    return request.auth


async def provide_request_key(
    request: Request[object, Caller, object],  # type: ignore[type-var]
    idempotency_key: IdempotencyKey = None,
) -> RequestKey | None:
    """The caller's key for this request and a digest of what it asks; None when no key was sent."""
    if idempotency_key is None:
        return None
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).digest()
    return RequestKey(account_id=request.auth.account_id, key=idempotency_key, digest=digest)


def _bearer(header: bytes) -> str:
    scheme, _, key = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise NotSignedIn("this needs an API key; send `Authorization: Bearer <key>`")
    return key.strip()
