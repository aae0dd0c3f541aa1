"""Answers kept under idempotency keys."""

from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from broker.services.replies import Reply, RequestKey
from broker.store.rows import IdempotencyRow

ANSWERED = 200


class ReplyRepository:
    """One row a caller and key."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def reserve(self, request: RequestKey, at: datetime) -> Reply | None:
        """Take the key for this transaction; the reply that is there already, or None when the key was free.

        The insert waits for any open transaction with the same key: PostgreSQL must know whether it commits.
        """
        fresh = {
            "account_id": request.account_id,
            "idempotency_key": request.key,
            "request_digest": request.digest,
            "status": ANSWERED,
            "body": b"",
            "created_at": at,
        }
        statement = insert(IdempotencyRow).values(fresh).on_conflict_do_nothing().returning(col(IdempotencyRow.idempotency_key))
        if (await self._session.execute(statement)).first() is not None:
            return None
        found = select(col(IdempotencyRow.request_digest), col(IdempotencyRow.body)).where(_key(request))
        digest, body = (await self._session.execute(found)).one()
        return Reply(digest=digest, body=body)

    async def keep(self, request: RequestKey, body: bytes) -> None:
        """Keep the answer under the reserved key."""
        await self._session.execute(update(IdempotencyRow).where(_key(request)).values(body=body))


def _key(request: RequestKey) -> ColumnElement[bool]:
    return (col(IdempotencyRow.account_id) == request.account_id) & (col(IdempotencyRow.idempotency_key) == request.key)
