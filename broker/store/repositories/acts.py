"""Acts by subject: appended in order, never changed."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.rows import ActRow
from contracts.acts import Act
from contracts.terms.errors import StaleToken


class ActRepository:
    """Who did what, when."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def history(self, kind: str, subject: str) -> list[Act]:
        """The acts about one subject, by sequence."""
        statement = select(ActRow).where(col(ActRow.kind) == kind, col(ActRow.subject) == subject)
        return [_act(row) for row in await self._session.scalars(statement.order_by(col(ActRow.sequence)))]

    async def histories(self, kind: str) -> dict[str, list[Act]]:
        """Every subject of a kind with its acts by sequence, subjects by name."""
        statement = select(ActRow).where(col(ActRow.kind) == kind).order_by(col(ActRow.subject), col(ActRow.sequence))
        found: dict[str, list[Act]] = {}
        for row in await self._session.scalars(statement):
            found.setdefault(row.subject, []).append(_act(row))
        return found

    async def append(self, act: Act) -> Act:
        """Write the next act about its subject. Raises StaleToken where another run has written one of that number."""
        row = {name: getattr(act, name) for name in act.__struct_fields__} | {"facts": act.facts or {}}
        written = await self._session.scalars(insert(ActRow).values(row).on_conflict_do_nothing().returning(col(ActRow.sequence)))
        if written.first() is None:
            raise StaleToken(
                f"{act.kind} {act.subject} has moved on since it was read; look again", subject=act.subject, sequence=act.sequence
            )
        return act


def _act(row: ActRow) -> Act:
    return Act(**{name: getattr(row, name) for name in Act.__struct_fields__})
