"""Usage and idempotent answers in memory."""

from datetime import datetime

from broker.services.accounts import require
from broker.services.replies import Reply, RequestKey
from broker.services.usage_views import AsideRecord, UsageReceipt
from broker.services.views import Caller, Page


class FakeUsage:
    """Keeps nothing; every record is new."""

    async def report(self, reports: list, caller: Caller) -> UsageReceipt:
        require(caller, "usage:write")
        return UsageReceipt(received=len(reports), new=len(reports))

    async def set_aside(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[AsideRecord]:
        return Page(items=[])


class FakeReplies:
    """Answers kept in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Reply] = {}

    async def reserve(self, request: RequestKey, at: datetime) -> Reply | None:
        return self._kept.get((request.account_id, request.key))

    async def keep(self, request: RequestKey, body: bytes) -> None:
        self._kept[request.account_id, request.key] = Reply(digest=request.digest, body=body)
