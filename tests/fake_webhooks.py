"""Endpoints kept in a dictionary; nobody is told anything."""

from datetime import datetime

from broker.services.webhooks import Endpoint, MessageView
from contracts.terms.errors import NotFound


class FakeWebhooks:
    """No messages, and the endpoints it was given."""

    def __init__(self) -> None:
        self.kept: dict[str, Endpoint] = {}

    async def add(self, endpoint: Endpoint) -> None:
        self.kept[endpoint.id] = endpoint

    async def endpoint(self, endpoint_id: str, *, locked: bool = False) -> Endpoint:
        if endpoint_id not in self.kept:
            raise NotFound(f"no endpoint has the id {endpoint_id}", endpoint_id=endpoint_id)
        return self.kept[endpoint_id]

    async def endpoints(self, owner: str) -> list[Endpoint]:
        return [each for each in self.kept.values() if each.owner == owner]

    async def replace(self, endpoint: Endpoint) -> None:
        self.kept[endpoint.id] = endpoint

    async def messages(self, owner: str, *, after: int, limit: int, newest_first: bool = False) -> list[tuple[int, MessageView]]:
        return []

    async def replay(self, owner: str, message_id: str, *, at: datetime) -> MessageView:
        raise NotFound(f"no message has the id {message_id}", message_id=message_id)
