"""A market in two processes: one takes announcements, the other does everything else, on one store.

A process has one interpreter lock. Where thousands of offers change a second, whoever searches would wait for signatures to be checked
and rows to be packed; at a door of its own they wait for nobody but the store. Nothing is shared but that: a feed's session is its row,
and the live book reads what the store says.
"""

from typing import Literal

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from broker.api.problems import MEDIA_TYPE, problem, problem_body
from contracts.terms.errors import MarketError

Door = Literal["feed", "market"]
FEED_PATH = "/v1/feed"
# What a monitor asks is answered at either door.
EITHER = ("/healthz", "/readyz", "/metrics")
BELONGS = {"feed": "announcements are taken at the feed's door", "market": "only announcements are taken at this door"}


class OtherDoor(MarketError):
    """The market answers this, but not this process of it. `door` is the `--only` of the one that does."""

    code = "other_door"
    status = 421


def door_of(path: str) -> Door:
    """Which door a path belongs to."""
    return "feed" if path == FEED_PATH or path.startswith(f"{FEED_PATH}/") else "market"


class OneDoor:
    """A site that answers what belongs to one door and says of the rest where it belongs, before anything of it is read."""

    def __init__(self, site: ASGIApp, only: Door) -> None:
        self._site = site
        self._only = only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it with `OtherDoor` as problem+json."""
        path = scope.get("path", "")
        if scope["type"] == ScopeType.HTTP and path not in EITHER and (door := door_of(path)) != self._only:
            refusal = OtherDoor(f"{BELONGS[door]}; ask whoever runs this market for the other address", door=door)
            body = msgspec.json.encode(problem_body(problem(refusal)))
            headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await self._site(scope, receive, send)
