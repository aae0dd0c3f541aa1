"""Books of applied cycles beside their results."""

from sqlmodel import col, select

from broker.services.explanations import ClearedBook
from broker.services.providers import Gate
from broker.store.books import decode_book
from broker.store.repositories.cycles import CycleRepository
from broker.store.rows import CycleRow, OutcomeRow
from broker.store.unit_of_work import WorkSession


class ClearedBookRepository:
    """What cycles saw and decided, read back as they were cleared."""

    def __init__(self, session: WorkSession) -> None:
        self._session = session

    async def last_with(self, bid_id: str) -> ClearedBook | None:
        """The last applied cycle that had a bid in its book; None when none had, or its book was not kept."""
        statement = (
            select(CycleRow.id)
            .join(OutcomeRow, col(OutcomeRow.cycle_id) == col(CycleRow.id))
            .where(col(OutcomeRow.bid_id) == bid_id, col(CycleRow.status) == "applied")
            .order_by(col(CycleRow.number).desc())
            .limit(1)
        )
        cycle_id = (await self._session.scalars(statement)).first()
        return await self._cleared(cycle_id) if cycle_id is not None else None

    async def gates(self, count: int) -> list[Gate]:
        """The last applied cycles whose books were kept, the latest first."""
        kept = select(CycleRow.number, CycleRow.gate_at).where(col(CycleRow.status) == "applied", col(CycleRow.book).is_not(None))
        rows = await self._session.execute(kept.order_by(col(CycleRow.number).desc()).limit(count))
        return [Gate(number, at) for number, at in rows]

    async def at(self, number: int) -> ClearedBook | None:
        """One applied cycle by number; None for any other, and where the book was not kept."""
        statement = select(CycleRow.id).where(col(CycleRow.number) == number, col(CycleRow.status) == "applied")
        cycle_id = (await self._session.scalars(statement)).first()
        return await self._cleared(cycle_id) if cycle_id is not None else None

    async def _cleared(self, cycle_id: str) -> ClearedBook | None:
        cycles = CycleRepository(self._session)
        cycle, data = await cycles.cycle(cycle_id), await cycles.book(cycle_id)
        if data is None:
            return None
        return ClearedBook(cycle_number=cycle.number, gate_at=cycle.gate_at, book=decode_book(data), clearing=await cycles.clearing(cycle))
