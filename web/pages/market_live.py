"""What tells a reader of the market that there is something new, and the parts that are read anew when there is."""

from collections.abc import AsyncIterator

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage, Template

from broker.app import Services
from broker.services.market_watch import MarketWatch

COMMENT_SECONDS = 15.0
COME_AGAIN_MS = 2_000


@get("/market/events", include_in_schema=False, sync_to_thread=False)
def market_events(services: NamedDependency[Services]) -> ServerSentEvent:
    """A stream of marks, an event each: whoever shows another mark reads that part of the page anew. It may break off at any time."""
    return ServerSentEvent(_told(services.watch))


@get("/market/gate", include_in_schema=False)
async def next_gate(services: NamedDependency[Services]) -> Template:
    """The phase, and how long until the next gate, in market time."""
    return Template("_gate.html", context={"gate": await services.market.gate()}, headers={"Cache-Control": "no-cache"})


async def _told(watch: MarketWatch) -> AsyncIterator[ServerSentEventMessage]:
    """First all marks, then those that changed; a comment now and then shows that the line is open."""
    said: dict[str, str] = {}
    async for pulse in watch.listen(patience=COMMENT_SECONDS):
        if pulse is None:
            yield ServerSentEventMessage(comment="still here")
            continue
        marks = msgspec.structs.asdict(pulse)
        for name in [name for name in marks if marks[name] != said.get(name)]:
            yield ServerSentEventMessage(event=name, data=marks[name], retry=COME_AGAIN_MS)
        said = marks
