"""A ceiling on what an account may agree to in a month: nothing past it is bid, quoted or taken, whatever its credit allows.

What counts is what the account could come to at its rates: slots of this month's leases, delivered or ahead, what its open bids
hold, and the order at hand. So a budget is never overrun by what it allowed.
"""

from datetime import datetime
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Accounts
from broker.services.views import Caller
from contracts.terms.accounts import Account
from contracts.terms.errors import BudgetExceeded
from contracts.terms.money import half_up, micros_text
from contracts.terms.time import Period, month_of

SCOPE = "budget:write"
ALERT_PERCENT = 80
LIMIT_MAX = 10**18


class BudgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A month's ceiling in micros of the account's currency, null for none, and from how many per cent of it on to warn."""

    limit_micros: int | None
    alert_percent: int = ALERT_PERCENT

    def __post_init__(self) -> None:
        if self.limit_micros is not None and not 0 <= self.limit_micros <= LIMIT_MAX:
            raise ValueError(f"limit_micros must be from 0 to {LIMIT_MAX}, or null; was {self.limit_micros}")
        if not 1 <= self.alert_percent <= 100:
            raise ValueError(f"alert_percent must be from 1 to 100, was {self.alert_percent}")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A ceiling as the store keeps it, and who set it when."""

    account_id: str
    limit_micros: int
    alert_percent: int
    set_by: str
    set_at: datetime


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """How a month stands against its ceiling; `left_micros` and `used_percent` are null where there is none.

    agreed_micros  slots of the month's leases at their rates
    held_micros    worst cases of open bids
    warns          whether what is agreed and held has reached the share that was to be warned of
    """

    currency: str
    month_start: datetime
    month_end: datetime
    limit_micros: int | None
    alert_percent: int
    agreed_micros: int
    held_micros: int
    left_micros: int | None
    used_percent: int | None
    warns: bool
    set_by: str = ""
    set_at: datetime | None = None


class Budgets(Protocol):
    """Where ceilings are kept, and what counts against them."""

    async def budget(self, account_id: str) -> Budget | None:
        """An account's ceiling."""
        ...

    async def put(self, budget: Budget) -> None:
        """Set a ceiling in place of the one before."""
        ...

    async def drop(self, account_id: str) -> None:
        """Take a ceiling away."""
        ...

    async def agreed(self, account_id: str, span: Period, *, now: datetime) -> int:
        """What slots of leases that begin in a span come to, micros: those of leases in force, and those that are over."""
        ...

    async def held(self, account_id: str) -> int:
        """What open bids hold, micros."""
        ...


class BudgetService:
    """What an account does about its ceiling, and what the ceiling does about orders."""

    def __init__(self, budgets: Budgets, accounts: Accounts, *, clock: Clock) -> None:
        self._budgets = budgets
        self._accounts = accounts
        self._clock = clock

    async def budget(self, caller: Caller) -> BudgetView:
        """How the month stands. Raises NotFound for who has no account."""
        return await self._view(await self._accounts.account(caller.account_id))

    async def put(self, request: BudgetRequest, caller: Caller) -> BudgetView:
        """Set the ceiling, or take it away. What is agreed already stays. Raises NotPermitted, NotFound."""
        require(caller, SCOPE)
        account = await self._accounts.lock(caller.account_id)
        if request.limit_micros is None:
            await self._budgets.drop(account.id)
        else:
            await self._budgets.put(
                Budget(
                    account_id=account.id,
                    limit_micros=request.limit_micros,
                    alert_percent=request.alert_percent,
                    set_by=caller.person_id or "a key",
                    set_at=self._clock.now(),
                )
            )
        return await self._view(account)

    async def check(self, account: Account, amount_micros: int) -> None:
        """Raises BudgetExceeded when an order could take a month past its ceiling; the account is locked by whoever asks."""
        known = await self._budgets.budget(account.id)
        if known is None:
            return
        view = await self._view(account, known=known)
        left = max(0, view.left_micros or 0)
        if amount_micros > left:
            raise BudgetExceeded(
                f"the order could come to {micros_text(amount_micros, places=2)} {account.currency}, this month's budget has "
                f"{micros_text(left, places=2)} left; lower hours or limit, withdraw another bid, or have an owner raise the budget",
                worst_case_micros=amount_micros,
                available_micros=left,
                budget_micros=known.limit_micros,
                currency=account.currency,
            )

    async def _view(self, account: Account, *, known: Budget | None = None) -> BudgetView:
        known = known or await self._budgets.budget(account.id)
        now = self._clock.now()
        month = month_of(now)
        agreed, held = await self._budgets.agreed(account.id, month, now=now), await self._budgets.held(account.id)
        limit = known.limit_micros if known else None
        used = half_up(100 * (agreed + held), limit) if limit else (100 if limit == 0 else None)
        alert = known.alert_percent if known else ALERT_PERCENT
        return BudgetView(
            currency=account.currency,
            month_start=month.start,
            month_end=month.end,
            limit_micros=limit,
            alert_percent=alert,
            agreed_micros=agreed,
            held_micros=held,
            left_micros=None if limit is None else limit - agreed - held,
            used_percent=used,
            warns=used is not None and used >= alert,
            set_by=known.set_by if known else "",
            set_at=known.set_at if known else None,
        )
