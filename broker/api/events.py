"""What happens to the caller, as it happens."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from broker.api.orders import KEY
from broker.app import Services
from broker.listening import Happenings
from broker.services.views import Caller
from contracts.happenings import moment_of

COMMENT_SECONDS = 15.0
COME_AGAIN_MS = 2_000
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=100,
        description="The id of the last event that was heard: what happened since is told first. Browsers send it by themselves.",
    ),
]


class EventController(Controller):
    """A stream of the caller's own."""

    path = "/v1/events"
    tags = ("webhooks",)
    security = KEY

    @get("/", operation_id="StreamEvents", summary="Listen to what happens", media_type="text/event-stream", sync_to_thread=False)
    def events(
        self, services: NamedDependency[Services], *, caller: NamedDependency[Caller], last_event_id: LastEventId = None
    ) -> ServerSentEvent:
        """Moves of your leases, quotes of yours that ended untaken, and cycles that were applied, as server-sent events.

        An event is named by its kind and has the body a webhook of that kind has. It may break off at any time; with `Last-Event-ID`
        it goes on, and may say again what happened in the hour before, under the same ids.
        """
        after = moment_of(last_event_id) if last_event_id is not None else None
        return ServerSentEvent(_stream(services.happenings, caller.account_id, after=after))


async def _stream(happenings: Happenings, owner: str, *, after: datetime | None) -> AsyncIterator[ServerSentEventMessage]:
    yield ServerSentEventMessage(comment="listening", data=None, retry=COME_AGAIN_MS)
    async for told in happenings.listen(owner, after=after, patience=COMMENT_SECONDS):
        if told is None:
            yield ServerSentEventMessage(comment="still here", data=None)
        else:
            yield ServerSentEventMessage(event=told.event, data=told.data.decode(), id=told.position)
