"""API keys and what came in under them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.keys import Asked, KeyView, NewKey
from broker.store.rows import ApiKeyRow, RequestRow
from contracts.terms.ids import derived_id


class KeyRepository:
    """Keys by digest, requests by number."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_key(self, key: NewKey) -> None:
        """Keep a new key of a buyer's by its digest, once."""
        values = {"id": derived_id("key", key.digest.hex()), **msgspec.structs.asdict(key)}
        await self._session.execute(insert(ApiKeyRow).values(values).on_conflict_do_nothing())

    async def keys(self, account_id: str) -> list[KeyView]:
        """A buyer's keys, the latest first, revoked ones too."""
        statement = select(ApiKeyRow).where(col(ApiKeyRow.account_id) == account_id)
        rows = await self._session.scalars(statement.order_by(col(ApiKeyRow.created_at).desc(), col(ApiKeyRow.id)))
        return [
            KeyView(
                key_id=row.id,
                name=row.name,
                scopes=sorted(row.scopes),
                made_by=row.made_by,
                created_at=row.created_at,
                used_at=row.used_at,
                revoked_at=row.revoked_at,
            )
            for row in rows
        ]

    async def revoke_key(self, account_id: str, key_id: str, *, at: datetime) -> bool:
        """End a key; False when the account has no such key in force."""
        statement = (
            update(ApiKeyRow)
            .where(col(ApiKeyRow.id) == key_id, col(ApiKeyRow.account_id) == account_id, col(ApiKeyRow.revoked_at).is_(None))
            .values(revoked_at=at)
            .returning(col(ApiKeyRow.id))
        )
        return (await self._session.execute(statement)).first() is not None

    async def note_requests(self, asked: Sequence[Asked]) -> None:
        """Keep what came in, and when each key was last used."""
        await self._session.execute(insert(RequestRow), [msgspec.structs.asdict(each) for each in asked])
        latest: dict[str, datetime] = {}
        for each in asked:
            if each.key_id is not None:
                latest[each.key_id] = max(each.at, latest.get(each.key_id, each.at))
        for key_id, at in sorted(latest.items()):
            later = func.greatest(func.coalesce(col(ApiKeyRow.used_at), at), at)
            await self._session.execute(update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id).values(used_at=later))

    async def requests(self, party: str, *, limit: int) -> list[Asked]:
        """What came in for a party, the latest first."""
        statement = select(RequestRow).where(col(RequestRow.party) == party).order_by(col(RequestRow.number).desc()).limit(limit)
        return [Asked(**{name: getattr(row, name) for name in Asked.__struct_fields__}) for row in await self._session.scalars(statement)]

    async def forget_requests(self, *, before: datetime) -> None:
        """Drop what came in long ago."""
        await self._session.execute(delete(RequestRow).where(col(RequestRow.at) < before))
