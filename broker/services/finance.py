"""What a buyer's finance team sees, and whether the books balance."""

from typing import Protocol

from broker.services.accounts import require
from broker.services.views import Caller, StatementView
from contracts.statements import PayoutAdvice
from contracts.terms.errors import NotFound


class Statements(Protocol):
    """Finalised statements."""

    async def statements(self, *, account_id: str | None = None, period: int | None = None) -> list[StatementView]:
        """Statements by account and period, each with its lines in order."""
        ...

    async def advices(self, period: int) -> list[PayoutAdvice]:
        """What providers are owed for a closed period, by provider and currency."""
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

    async def issued(self, period: int, caller: Caller) -> list[StatementView]:
        """Every account's statement of a period, by account; none before it is finalised."""
        require(caller, "finance:read")
        return await self._statements.statements(period=period)

    async def issued_to(self, account_id: str, period: int, *, caller: Caller) -> StatementView:
        """One account's statement of a period. Raises NotFound."""
        require(caller, "finance:read")
        found = await self._statements.statements(account_id=account_id, period=period)
        if not found:
            raise NotFound(f"account {account_id} has no statement for period {period}", account_id=account_id, period=period)
        return found[0]

    async def advices(self, period: int, caller: Caller) -> list[PayoutAdvice]:
        """What every provider is owed for a period, by provider and currency; none before it is finalised."""
        require(caller, "finance:read")
        return await self._statements.advices(period)

    async def trial_balance(self) -> dict[str, int]:
        """Sum of all posted postings by currency, micros."""
        return await self._balances.trial_balance()
