"""Books of applied cycles beside their results."""

from sqlmodel import col, select

from broker.services.explanations import ClearedBook
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
        if cycle_id is None:
            return None
        cycles = CycleRepository(self._session)
        cycle, data = await cycles.cycle(cycle_id), await cycles.book(cycle_id)
        if data is None:
            return None
        return ClearedBook(cycle_number=cycle.number, book=decode_book(data), clearing=await cycles.clearing(cycle))
