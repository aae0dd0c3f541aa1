"""The feed over HTTP: batches up, events down."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from broker.api.orders import KEY, Cursor
from broker.api.usage import JSON, MSGPACK, UnknownForm
from broker.app import Services
from broker.feeds.desk import FeedDesk
from broker.services.accounts import require
from broker.services.feed_views import FeedAnswer, FeedKey, FeedOffer, FeedView, Release
from broker.services.replies import RequestKey
from broker.services.views import Caller
from contracts.terms.errors import BadInput, NotPermitted

MESSAGES_MAX = 1_000
BATCH_BYTES_MAX = 8_000_000
SCOPE = "feed:write"
OPERATOR = "operator"
COMMENT_SECONDS = 15.0
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="how many offers at most")]
READERS = {
    JSON: msgspec.json.Decoder(list[msgspec.Raw]).decode,
    MSGPACK: msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
}


class FeedController(Controller):
    """Announcements of a provider. The protocol itself is a page of the manual."""

    path = "/v1/feed"
    tags = ("feed",)
    security = KEY

    @post("/", operation_id="SendFeed", summary="Send announcements", status_code=200, request_max_body_size=BATCH_BYTES_MAX)
    async def send(
        self,
        request: Request[Any, Any, Any],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Response[FeedAnswer]:
        """Send envelopes in order, as a JSON or MessagePack array; the answer has the same form, and what it acknowledges is kept.

        Numbers make a batch safe to send again, whole or in part, with or without an `Idempotency-Key`.
        """
        provider_id, form = provider_of(caller), request.content_type[0]
        with services.backlog.turn():
            wires = read_wires(await request.body(), form=form)

            async def taken() -> FeedAnswer:
                return FeedAnswer(replies=await services.feeds.take(provider_id, wires, binary=form == MSGPACK))

            answer = await services.replies.once(taken, FeedAnswer, request=request_key)
        # Encoded here: the framework knows MessagePack by another name.
        body = msgspec.msgpack.encode(answer) if form == MSGPACK else msgspec.json.encode(answer)
        return Response(body, media_type=form)  # type: ignore[arg-type]

    @get("/", operation_id="GetFeed", summary="Your feed as we have it")
    async def view(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, cursor: Cursor = None, limit: Limit = 100
    ) -> FeedView:
        """The last number taken, whether the table is in step, and each offer with its state, the reason and its age."""
        return await services.feeds.view(provider_of(caller), after=cursor, limit=limit)

    @post("/key", operation_id="RegisterFeedKey", summary="Open a feed")
    async def register(
        self,
        data: JSONBody[FeedKey],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> FeedKey:
        """Say with which key your feed is signed, once; afterwards keys are replaced by `rotate` in the feed itself."""
        provider_id = provider_of(caller)
        return await services.replies.once(lambda: services.feeds.register(provider_id, data.public_key), FeedKey, request=request_key)

    @get("/events", operation_id="StreamFeed", summary="What we say of your feed", sync_to_thread=False)
    def events(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> ServerSentEvent:
        """A stream of replies and changes of state as they happen: the event's name is the type of its data.

        It tells nothing that the answers and the view do not say; a stream that breaks is simply opened again.
        """
        return ServerSentEvent(_stream(services.feeds, provider_of(caller)))


class QuarantineController(Controller):
    """What is done about an offer that is not believed; the list is the operator's."""

    path = "/v1/operator/quarantine"
    tags = ("operator",)
    security = KEY

    @post("/release", operation_id="ReleaseOffer", summary="Believe an offer after all", status_code=200)
    async def release(
        self,
        data: JSONBody[Release],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> FeedOffer:
        """Take an offer out of quarantine, with the reason it was shown with and why it is believed; its next version is judged anew.

        What is not on the market at all, since it cannot be read or its id is another provider's, cannot be released.
        """
        require(caller, OPERATOR)
        return await services.replies.once(lambda: services.feeds.release(data, by=caller.account_name), FeedOffer, request=request_key)


def provider_of(caller: Caller) -> str:
    """The provider whose key this is. Raises NotPermitted for anybody else, and without the scope."""
    if caller.provider_id is None:
        raise NotPermitted("only a provider's key speaks for its feed", scope=SCOPE)
    require(caller, SCOPE)
    return caller.provider_id


def read_wires(body: bytes, *, form: str) -> list[bytes]:
    """The messages of a batch, still encoded. Raises UnknownForm, and BadInput for no array or too many messages."""
    if form not in READERS:
        raise UnknownForm(f"a feed comes as {', '.join(READERS)}; was {form or 'nothing'}")
    try:
        wires = READERS[form](body)
    except RecursionError as fault:
        raise BadInput("the batch is nested too deep to be read") from fault
    if len(wires) > MESSAGES_MAX:
        raise BadInput("too many messages for one batch", found=len(wires), would_do=f"{MESSAGES_MAX} at a time")
    return [bytes(wire) for wire in wires]


async def _stream(feeds: FeedDesk, provider_id: str) -> AsyncIterator[ServerSentEventMessage]:
    async for told in feeds.listeners.listen(provider_id, patience=COMMENT_SECONDS):
        if told is None:
            yield ServerSentEventMessage(comment="still here")
        else:
            yield ServerSentEventMessage(event=told.event, data=told.data.decode())
