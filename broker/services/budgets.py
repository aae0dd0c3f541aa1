"""Ceilings on what an account, or one of its projects, may agree to in a month: nothing past one is bid, quoted or taken, whatever
the credit allows.

What counts is what the account could come to at its rates: slots of this month's leases, delivered or ahead, what its open bids
hold, and the order at hand. So a budget is never overrun by what it allowed. From the shares on that a budget names, its account
is warned: on its page, and by webhook.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Accounts
from broker.services.projects import SCOPE, Projects, named, with_default
from broker.services.views import Caller
from contracts.terms.accounts import Account, Project
from contracts.terms.errors import BudgetExceeded
from contracts.terms.money import half_up, micros_text
from contracts.terms.time import Period, month_of
from contracts.webhooks import BudgetNotice, Message, budget_message

ALERT_PERCENTS = (80,)
ALERTS_MAX = 5
LIMIT_MAX = 10**18


class BudgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A month's ceiling in micros of the account's currency, null for none, and from which shares of it on to warn, per cent.

    project   whose ceiling, by id or name; absent: the whole account's
    """

    limit_micros: int | None
    alert_percents: tuple[int, ...] = ALERT_PERCENTS
    project: str | None = None

    def __post_init__(self) -> None:
        if self.limit_micros is not None and not 0 <= self.limit_micros <= LIMIT_MAX:
            raise ValueError(f"limit_micros must be from 0 to {LIMIT_MAX}, or null; was {self.limit_micros}")
        if len(self.alert_percents) > ALERTS_MAX or not all(1 <= each <= 100 for each in self.alert_percents):
            raise ValueError(f"alert_percents must be at most {ALERTS_MAX}, each from 1 to 100, were {list(self.alert_percents)}")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A ceiling as the store keeps it, and who set it when; `project_id` is None for the whole account's."""

    account_id: str
    project_id: str | None
    limit_micros: int
    alert_percents: list[int]
    set_by: str
    set_at: datetime


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """How a month stands against its ceiling; `left_micros` and `used_percent` are null where there is none.

    project_id     whose it is; null for the whole account's
    agreed_micros  slots of the month's leases at their rates
    held_micros    worst cases of open bids
    warns          whether what is agreed and held has reached a share that was to be warned of
    """

    currency: str
    month_start: datetime
    month_end: datetime
    limit_micros: int | None
    alert_percents: list[int]
    agreed_micros: int
    held_micros: int
    left_micros: int | None
    used_percent: int | None
    warns: bool
    project_id: str | None = None
    project: str | None = None
    set_by: str = ""
    set_at: datetime | None = None


class Budgets(Protocol):
    """Where ceilings are kept, and what counts against them."""

    async def budgets(self, account_id: str) -> list[Budget]:
        """An account's ceilings: its own, and those of its projects."""
        ...

    async def put(self, budget: Budget) -> None:
        """Set a ceiling in place of the one before."""
        ...

    async def drop(self, account_id: str, project_id: str | None) -> None:
        """Take a ceiling away."""
        ...

    async def agreed(self, account_id: str, span: Period, *, now: datetime) -> dict[str, int]:
        """What slots of leases that begin in a span come to, micros by project: those of leases in force, and those that are over."""
        ...

    async def held(self, account_id: str) -> dict[str, int]:
        """What open bids hold, micros by project."""
        ...

    async def tell(self, messages: Sequence[Message]) -> None:
        """Tell the account, each message once."""
        ...


class Standing(msgspec.Struct, frozen=True):
    """What counts in a month, micros by project."""

    month: Period
    agreed: Mapping[str, int]
    held: Mapping[str, int]

    def of(self, project_id: str | None) -> tuple[int, int]:
        """Agreed and held: of a project, or of all together."""
        if project_id is None:
            return sum(self.agreed.values()), sum(self.held.values())
        return self.agreed.get(project_id, 0), self.held.get(project_id, 0)


class BudgetService:
    """What an account does about its ceilings, and what the ceilings do about orders."""

    def __init__(self, budgets: Budgets, accounts: Accounts, *, projects: Projects, clock: Clock) -> None:
        self._budgets = budgets
        self._accounts = accounts
        self._projects = projects
        self._clock = clock

    async def budget(self, caller: Caller, project: str | None = None) -> BudgetView:
        """How the month stands, of the account or of a project by id or name. Raises NotFound, also for who has no account."""
        account = await self._accounts.account(caller.account_id)
        kept = await self._project(account, project) if project is not None else None
        return await self._view(account, kept)

    async def budgets(self, caller: Caller) -> list[BudgetView]:
        """How the month stands of every project that has a ceiling, by name."""
        account = await self._accounts.account(caller.account_id)
        known = {each.project_id: each for each in await self._budgets.budgets(account.id)}
        standing = await self._standing(account.id)
        projects = with_default(account.id, await self._projects.of_account(account.id))
        return [_view(account, known[each.id], project=each, standing=standing) for each in projects if each.id in known]

    async def put(self, request: BudgetRequest, caller: Caller) -> BudgetView:
        """Set a ceiling, or take it away. What is agreed already stays. Raises NotPermitted, NotFound."""
        require(caller, SCOPE)
        account = await self._accounts.lock(caller.account_id)
        project = await self._project(account, request.project) if request.project is not None else None
        if request.limit_micros is None:
            await self._budgets.drop(account.id, project.id if project else None)
        else:
            await self._budgets.put(
                Budget(
                    account_id=account.id,
                    project_id=project.id if project else None,
                    limit_micros=request.limit_micros,
                    alert_percents=sorted(set(request.alert_percents)),
                    set_by=caller.person_id or "a key",
                    set_at=self._clock.now(),
                )
            )
        return await self._view(account, project)

    async def check(self, account: Account, amount_micros: int, *, project_id: str) -> None:
        """Raises BudgetExceeded when an order could take a month past a ceiling; the account is locked by whoever asks."""
        for view in await self._over(account, project_id):
            left = max(0, view.left_micros or 0)
            if amount_micros > left:
                whose = f"this month's budget of the project {view.project}" if view.project else "this month's budget"
                raise BudgetExceeded(
                    f"the order could come to {micros_text(amount_micros, places=2)} {account.currency}, {whose} has "
                    f"{micros_text(left, places=2)} left; lower hours or limit, withdraw another bid, or have an owner raise the budget",
                    worst_case_micros=amount_micros,
                    available_micros=left,
                    budget_micros=view.limit_micros,
                    currency=account.currency,
                    project_id=view.project_id,
                )

    async def warn(self, account: Account, *, project_id: str) -> None:
        """Tell of the shares that the ceilings over a project have reached, each once a month."""
        now = self._clock.now()
        messages = []
        for view in await self._over(account, project_id):
            facts = {name: getattr(view, name) for name in BudgetNotice.__struct_fields__ if name != "percent"}
            reached = [each for each in view.alert_percents if each <= (view.used_percent or 0)]
            messages += [
                budget_message(account.id, BudgetNotice(percent=each, **facts), set_at=view.set_at or now, at=now) for each in reached
            ]
        if messages:
            await self._budgets.tell(messages)

    async def _over(self, account: Account, project_id: str) -> list[BudgetView]:
        """The ceilings that an order for a project is under: the account's own first, then the project's."""
        known = [each for each in await self._budgets.budgets(account.id) if each.project_id in (None, project_id)]
        if not known:
            return []
        standing = await self._standing(account.id)
        projects = with_default(account.id, await self._projects.of_account(account.id)) if known[-1].project_id else []
        by_id = {each.id: each for each in projects}
        return [_view(account, each, project=by_id[each.project_id] if each.project_id else None, standing=standing) for each in known]

    async def _project(self, account: Account, project: str) -> Project:
        return named(project, with_default(account.id, await self._projects.of_account(account.id)))

    async def _view(self, account: Account, project: Project | None) -> BudgetView:
        wanted = project.id if project else None
        known = next((each for each in await self._budgets.budgets(account.id) if each.project_id == wanted), None)
        return _view(account, known, project=project, standing=await self._standing(account.id))

    async def _standing(self, account_id: str) -> Standing:
        now = self._clock.now()
        month = month_of(now)
        return Standing(month, await self._budgets.agreed(account_id, month, now=now), await self._budgets.held(account_id))


def _view(account: Account, known: Budget | None, *, project: Project | None, standing: Standing) -> BudgetView:
    """A ceiling, or that there is none, against what counts under it."""
    agreed, held = standing.of(project.id if project else None)
    limit = known.limit_micros if known else None
    used = half_up(100 * (agreed + held), limit) if limit else (100 if limit == 0 else None)
    alerts = known.alert_percents if known else list(ALERT_PERCENTS)
    return BudgetView(
        currency=account.currency,
        month_start=standing.month.start,
        month_end=standing.month.end,
        limit_micros=limit,
        alert_percents=alerts,
        agreed_micros=agreed,
        held_micros=held,
        left_micros=None if limit is None else limit - agreed - held,
        used_percent=used,
        warns=used is not None and bool(alerts) and used >= min(alerts),
        project_id=project.id if project else None,
        project=project.name if project else None,
        set_by=known.set_by if known else "",
        set_at=known.set_at if known else None,
    )
