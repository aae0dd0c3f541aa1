"""What a buyer's finance team sees, and whether the books balance."""

from typing import Protocol

from broker.services.views import Caller, StatementView
from contracts.terms.errors import NotFound


class Statements(Protocol):
    """Finalised statements."""

    async def statements(self, *, account_id: str | None = None, period: int | None = None) -> list[StatementView]:
        """Statements by account and period, each with its lines in order."""
        ...


class Balances(Protocol):
    """What the posted journal adds up to."""

    async def trial_balance(self) -> dict[str, int]:
        """Sum of all posted postings by currency, micros: zero, or the books are broken."""
        ...


class FinanceService:
    """Statements and the trial balance."""

    def __init__(self, statements: Statements, balances: Balances) -> None:
        self._statements = statements
        self._balances = balances

    async def statements(self, caller: Caller) -> list[StatementView]:
        """The caller's statements by period."""
        return await self._statements.statements(account_id=caller.account_id)

    async def statement(self, period: int, caller: Caller) -> StatementView:
        """The caller's statement of one period. Raises NotFound."""
        found = await self._statements.statements(account_id=caller.account_id, period=period)
        if not found:
            raise NotFound(f"there is no statement for period {period}; it is written when the month is closed", period=period)
        return found[0]

    async def trial_balance(self) -> dict[str, int]:
        """Sum of all posted postings by currency, micros."""
        return await self._balances.trial_balance()
