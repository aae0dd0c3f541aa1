"""Endpoints, the outbox, and how sending it goes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.webhooks import DeliveryView, Endpoint, MessageView
from broker.store.rows import WebhookDeliveryRow, WebhookEndpointRow, WebhookMessageRow
from contracts.terms.errors import NotFound
from contracts.webhooks import DeliveryState, Message, wanted


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One message to be sent to one endpoint now; `attempts` counts this one."""

    endpoint: Endpoint
    number: int
    message_id: str
    body: bytes
    attempts: int


class WebhookRepository:
    """Endpoints by id, messages by number."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, endpoint: Endpoint) -> None:
        """Keep a new endpoint."""
        self._session.add(WebhookEndpointRow(**{name: getattr(endpoint, name) for name in WebhookEndpointRow.model_fields}))
        await self._session.flush()

    async def endpoint(self, endpoint_id: str, *, locked: bool = False) -> Endpoint:
        """One endpoint. Raises NotFound."""
        row = await self._session.get(WebhookEndpointRow, endpoint_id, with_for_update=locked, populate_existing=locked)
        if row is None:
            raise NotFound(f"no endpoint has the id {endpoint_id}", endpoint_id=endpoint_id)
        return _endpoint(row)

    async def endpoints(self, owner: str) -> list[Endpoint]:
        """An owner's endpoints by id, closed ones too."""
        statement = select(WebhookEndpointRow).where(col(WebhookEndpointRow.owner) == owner).order_by(col(WebhookEndpointRow.id))
        return [_endpoint(row) for row in await self._session.scalars(statement)]

    async def replace(self, endpoint: Endpoint) -> None:
        """Write what may change of an endpoint: its secrets and its end."""
        changed = {name: getattr(endpoint, name) for name in ("secret", "secret_before", "secret_before_until", "closed_at")}
        await self._session.execute(update(WebhookEndpointRow).where(col(WebhookEndpointRow.id) == endpoint.id).values(changed))

    async def owners(self) -> set[str]:
        """Who has an open endpoint: nobody else is written to."""
        return set(await self._session.scalars(select(col(WebhookEndpointRow.owner)).where(col(WebhookEndpointRow.closed_at).is_(None))))

    async def tell(self, messages: Sequence[Message]) -> int:
        """Write messages to the outbox, each once by its id, for every open endpoint of its owner that wants it; how many were new."""
        new = 0
        for message in messages:
            row = {name: getattr(message, name) for name in message.__struct_fields__}
            statement = insert(WebhookMessageRow).values(row).on_conflict_do_nothing(index_elements=["id"])
            number = (await self._session.scalars(statement.returning(col(WebhookMessageRow.number)))).first()
            if number is not None:
                new += 1
                await self._send(number, owner=message.owner, kind=message.kind, at=message.at)
        return new

    async def messages(self, owner: str, *, after: int, limit: int, newest_first: bool = False) -> list[tuple[int, MessageView]]:
        """What an owner was told, after a number, in order or the other way round."""
        number = col(WebhookMessageRow.number)
        told = select(WebhookMessageRow).where(col(WebhookMessageRow.owner) == owner, number > after)
        statement = told.order_by(number.desc() if newest_first else number)
        rows = list(await self._session.scalars(statement.limit(limit)))
        numbers = [row.number for row in rows]
        sent = select(WebhookDeliveryRow).where(col(WebhookDeliveryRow.message_number).in_(numbers))
        by_number: dict[int, list[DeliveryView]] = {}
        for row in await self._session.scalars(sent.order_by(col(WebhookDeliveryRow.endpoint_id))):
            facts = {name: getattr(row, name) for name in DeliveryView.__struct_fields__}
            by_number.setdefault(row.message_number, []).append(DeliveryView(**facts))
        return [
            (
                row.number,
                MessageView(message_id=row.id, kind=row.kind, at=row.at, body=row.body.decode(), deliveries=by_number.get(row.number, [])),
            )
            for row in rows
        ]

    async def replay(self, owner: str, message_id: str, *, at: datetime) -> MessageView:
        """Have a message sent again to every open endpoint of its owner that wants it. Raises NotFound."""
        statement = select(WebhookMessageRow).where(col(WebhookMessageRow.id) == message_id, col(WebhookMessageRow.owner) == owner)
        row = (await self._session.scalars(statement)).first()
        if row is None:
            raise NotFound(f"no message has the id {message_id}", message_id=message_id)
        await self._send(row.number, owner=owner, kind=row.kind, at=at)
        return (await self.messages(owner, after=row.number - 1, limit=1))[0][1]

    async def _send(self, number: int, *, owner: str, kind: str, at: datetime) -> None:
        fresh = {"message_number": number, "state": "waiting", "attempts": 0, "next_at": at, "answered": None, "finding": ""}
        again = {name: value for name, value in fresh.items() if name != "message_number"}
        for endpoint in await self.endpoints(owner):
            if endpoint.closed_at is None and wanted(endpoint.kinds, kind):
                statement = insert(WebhookDeliveryRow).values(endpoint_id=endpoint.id, **fresh)
                key = ["endpoint_id", "message_number"]
                await self._session.execute(statement.on_conflict_do_update(index_elements=key, set_=again))

    async def claim(self, now: datetime, *, limit: int, hold: timedelta) -> list[Due]:
        """Take what is due, oldest first: until `hold` has passed nobody else takes it, and then it is due again if nothing was said."""
        statement = (
            select(WebhookDeliveryRow, WebhookEndpointRow, WebhookMessageRow)
            .join(WebhookEndpointRow, col(WebhookEndpointRow.id) == col(WebhookDeliveryRow.endpoint_id))
            .join(WebhookMessageRow, col(WebhookMessageRow.number) == col(WebhookDeliveryRow.message_number))
            .where(
                col(WebhookDeliveryRow.state) == "waiting",
                col(WebhookDeliveryRow.next_at) <= now,
                col(WebhookEndpointRow.closed_at).is_(None),
            )
            .order_by(col(WebhookDeliveryRow.next_at), col(WebhookDeliveryRow.message_number), col(WebhookDeliveryRow.endpoint_id))
            .limit(limit)
            .with_for_update(of=WebhookDeliveryRow, skip_locked=True)
        )
        due = []
        for delivery, endpoint, message in (await self._session.execute(statement)).all():
            delivery.attempts, delivery.next_at = delivery.attempts + 1, now + hold
            due.append(
                Due(
                    endpoint=_endpoint(endpoint),
                    number=message.number,
                    message_id=message.id,
                    body=message.body,
                    attempts=delivery.attempts,
                )
            )
        await self._session.flush()
        return due

    async def settle(self, due: Due, state: DeliveryState, *, next_at: datetime, answered: int | None, finding: str) -> None:
        """Write how a try went."""
        which = (col(WebhookDeliveryRow.endpoint_id) == due.endpoint.id, col(WebhookDeliveryRow.message_number) == due.number)
        told = {"state": state, "next_at": next_at, "answered": answered, "finding": finding}
        await self._session.execute(update(WebhookDeliveryRow).where(*which).values(told))

    async def waiting(self) -> int:
        """How many deliveries wait."""
        statement = select(func.count()).select_from(WebhookDeliveryRow).where(col(WebhookDeliveryRow.state) == "waiting")
        return int((await self._session.scalars(statement)).one())


def _endpoint(row: WebhookEndpointRow) -> Endpoint:
    return Endpoint(**{name: getattr(row, name) for name in Endpoint.__struct_fields__})
