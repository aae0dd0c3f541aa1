"""What tells a reader of the market that there is something new, and the parts that are read anew when there is."""

from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage, Template

from broker.app import Services
from broker.services.market_views import MarketNow
from broker.services.market_watch import MarketWatch
from contracts.terms.hardware import REFERENCE_CLASS
from web.pages import market_words

Hardware = Annotated[str | None, QueryParameter(max_length=100)]

COMMENT_SECONDS = 15.0
MESSAGES_SHOWN = 4
COME_AGAIN_MS = 2_000


@get("/market/events", include_in_schema=False, sync_to_thread=False)
def market_events(services: NamedDependency[Services]) -> ServerSentEvent:
    """A stream of marks, an event each: whoever shows another mark reads that part of the page anew. It may break off at any time."""
    return ServerSentEvent(told_of(services.watch))


@get("/market/gate", include_in_schema=False)
async def next_gate(services: NamedDependency[Services]) -> Template:
    """The phase, and how long until the next gate, in market time."""
    return Template("_gate.html", context={"gate": await services.market.gate()}, headers={"Cache-Control": "no-cache"})


@get("/market/next", include_in_schema=False)
async def next_prices(services: NamedDependency[Services], *, hardware: Hardware = REFERENCE_CLASS) -> Template:
    """What the next gate would clear at if it closed now."""
    context = next_part(services, await services.market.now(), hardware=hardware or REFERENCE_CLASS)
    return Template("_next.html", context=context, headers={"Cache-Control": "no-cache"})


@get("/market/latest", include_in_schema=False)
async def latest_messages(services: NamedDependency[Services]) -> Template:
    """The latest messages."""
    return Template("_messages.html", context=await messages_part(services), headers={"Cache-Control": "no-cache"})


def next_part(services: Services, now: MarketNow, *, hardware: str | None) -> dict[str, object]:
    """What the part about the next gate shows."""
    indication = services.market.indication()
    shown = market_words.next_prices(indication, now.prices, hardware=hardware) if hardware else []
    finding = market_words.next_finding(indication, shown, hardware=hardware or "")
    return {"chosen": hardware, "indication": indication, "next": shown, "next_finding": finding}


async def messages_part(services: Services) -> dict[str, object]:
    """What the part with the messages shows."""
    messages = await services.figures.messages()
    return {
        "pulse": await services.market.pulse(),
        "messages": [(each, market_words.message_words(each)) for each in messages[:MESSAGES_SHOWN]],
        "messages_count": len(messages),
    }


async def told_of(watch: MarketWatch) -> AsyncGenerator[ServerSentEventMessage, None]:
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
