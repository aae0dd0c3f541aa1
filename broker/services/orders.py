"""Entering, watching and withdrawing bids; what they hold of an account's credit."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Accounts, BidOutcome, Bids, Journal
from broker.services.projects import Wish
from broker.services.views import BidView, Caller, CreditView, Page
from contracts.holds import Hold
from contracts.terms.accounts import DEFAULT_PROJECT, Account
from contracts.terms.bids import Bid, BidRequest
from contracts.terms.errors import CreditExceeded, NotFound, WindowClosed, WrongState
from contracts.terms.ids import fresh_id
from contracts.terms.money import micros_text


class Grants(Protocol):
    """What orders of projects keep of their tranches; nothing for everybody else."""

    async def hold_bid(self, bid: Bid, *, event: str, at: datetime) -> None:
        """Keep the worst case of a bid. Raises GrantExceeded."""
        ...

    async def check(self, bid: Bid) -> None:
        """Whether the tranches have the worst case of a bid. Raises GrantExceeded."""
        ...

    async def let_go(self, bid_ids: Iterable[str]) -> None:
        """Void what open bids keep."""
        ...


class Budgets(Protocol):
    """The most an account, and each of its projects, may agree to in a month."""

    async def check(self, account: Account, amount_micros: int, *, project_id: str) -> None:
        """Raises BudgetExceeded."""
        ...

    async def warn(self, account: Account, *, project_id: str) -> None:
        """Tell of the shares that were reached."""
        ...


class Projects(Protocol):
    """What orders are for."""

    async def bought_for(self, wish: Wish, caller: Caller) -> Wish:
        """The wish with its project by id. Raises NotFound, WrongState, NotPermitted."""
        ...


class Holds(msgspec.Struct, frozen=True):
    """Where orders hold what they may take: money in the journal, computing of grants; what an account has set itself, and its projects."""

    journal: Journal
    grants: Grants
    budgets: Budgets
    projects: Projects


class OrderService:
    """What a buyer may do with bids."""

    def __init__(self, accounts: Accounts, bids: Bids, *, holds: Holds, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._accounts = accounts
        self._bids = bids
        self._journal = holds.journal
        self._grants = holds.grants
        self._budgets = holds.budgets
        self._projects = holds.projects
        self._clock = clock
        self._entropy = entropy

    async def submit(self, request: BidRequest, caller: Caller) -> BidView:
        """Enter a bid for the next gate and hold its worst case.

        Raises WindowClosed, CreditExceeded or BudgetExceeded, and what `bought_for` does.
        """
        require(caller, "bids:write")
        request = await self.bought_for(request, caller)
        bid = Bid(
            id=fresh_id("bid", self._entropy(16)),
            account_id=caller.account_id,
            entered_at=self._clock.now(),
            request=request,
            hours_left=request.hours,
        )
        await self.enter(bid)
        return await self.bid(bid.id, caller)

    async def enter(self, bid: Bid) -> None:
        """Enter a bid as it is.

        Raises WindowClosed when its window has passed, CreditExceeded when its account may not owe so much, GrantExceeded when its
        project's tranches have not so much.
        """
        now = self._clock.now()
        if bid.request.window_end <= now:
            raise WindowClosed("the bid's window has passed", window_end=bid.request.window_end.isoformat(), now=now.isoformat())
        account = await self._accounts.lock(bid.account_id)
        hold = worst_case(bid, event="entered")
        await self._check_credit(account, hold.amount_micros, bid=bid)
        await self._bids.add(bid)
        await self._journal.add_many(hold.entries(account, now))
        await self._grants.hold_bid(bid, event="entered", at=now)
        await self._budgets.warn(account, project_id=_project(bid))

    async def take(self, bid: Bid, *, event: str, cost_micros: int) -> None:
        """Keep a bid that is filled as it comes, and hold what it costs. Raises CreditExceeded, GrantExceeded."""
        account = await self._accounts.lock(bid.account_id)
        await self._check_credit(account, cost_micros, bid=bid)
        await self._bids.add(bid)
        hold = Hold(kind="award_hold", bid_id=bid.id, event=event, amount_micros=cost_micros)
        await self._journal.add_many(hold.entries(account, self._clock.now()))
        await self._grants.hold_bid(_whole(bid), event=event, at=self._clock.now())

    async def afford(self, bid: Bid, amount_micros: int) -> None:
        """Lock a bid's account until the transaction ends. Raises CreditExceeded, GrantExceeded when it may not have so much more."""
        await self._check_credit(await self._accounts.lock(bid.account_id), amount_micros, bid=bid)
        await self._grants.check(_whole(bid))

    async def bought_for(self, wish: Wish, caller: Caller) -> Wish:
        """A wish with its project by id. Raises NotFound, WrongState for an archived one, NotPermitted for who may not buy for it."""
        return await self._projects.bought_for(wish, caller)

    async def leased(self, bid: Bid) -> None:
        """Say that a bid that was taken is a lease now: what its account has agreed to counts it."""
        account = await self._accounts.account(bid.account_id)
        await self._budgets.warn(account, project_id=_project(bid))

    async def withdraw(self, bid_id: str, caller: Caller) -> BidView:
        """Take a bid out of the book; what it was awarded stays awarded. Raises NotFound or WrongState."""
        require(caller, "bids:write")
        bid = await self._own(bid_id, caller, locked=True)
        if bid.status != "open":
            raise WrongState(f"the bid is {bid.status}; only an open bid can be withdrawn", bid_id=bid_id, state=bid.status)
        await self._bids.replace(msgspec.structs.replace(bid, status="withdrawn"))
        await self._journal.void([entry.id for entry in await self._journal.pending("bid_hold", [bid_id])])
        await self._grants.let_go([bid_id])
        return await self.bid(bid_id, caller)

    async def bid(self, bid_id: str, caller: Caller) -> BidView:
        """One of the caller's bids. Raises NotFound."""
        return (await self._views([await self._own(bid_id, caller)]))[0]

    async def bids(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[BidView]:
        """The caller's bids by id, or those entered last first. Raises NotFound for a cursor that is no bid."""
        found = await self._bids.of_account(caller.account_id, after=cursor, limit=limit + 1, newest_first=newest_first)
        views = await self._views(found[:limit])
        return Page(items=views, next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def credit(self, caller: Caller) -> CreditView:
        """What the caller's account may still promise."""
        return await self._credit(await self._accounts.account(caller.account_id))

    async def _own(self, bid_id: str, caller: Caller, *, locked: bool = False) -> Bid:
        bid = await self._bids.bid(bid_id, locked=locked)
        if bid.account_id != caller.account_id:
            # Another account's bid is answered like one that does not exist: the book is secret.
            raise NotFound(f"no bid has the id {bid_id}", bid_id=bid_id)
        return bid

    async def _check_credit(self, account: Account, amount_micros: int, *, bid: Bid) -> None:
        await self._budgets.check(account, amount_micros, project_id=_project(bid))
        free = (await self._credit(account)).free_micros
        if amount_micros > free:
            raise CreditExceeded(
                f"the worst case is {micros_text(amount_micros, places=2)} {account.currency}, "
                f"the account has {micros_text(max(0, free), places=2)} left; lower hours or limit, or withdraw another bid",
                worst_case_micros=amount_micros,
                available_micros=max(0, free),
                currency=account.currency,
            )

    async def _credit(self, account: Account) -> CreditView:
        owed, held = await self._journal.owed_micros(account.id), await self._journal.held_micros(account.id)
        free = account.credit_limit_micros - owed - held
        return CreditView(
            currency=account.currency, limit_micros=account.credit_limit_micros, owed_micros=owed, held_micros=held, free_micros=free
        )

    async def _views(self, bids: list[Bid]) -> list[BidView]:
        ids = [bid.id for bid in bids]
        outcomes, held = await self._bids.outcomes(ids), await self._journal.held_by_subject(ids)
        accounts = {bid.account_id: await self._accounts.account(bid.account_id) for bid in bids}
        return [
            BidView(
                bid_id=bid.id,
                account_id=bid.account_id,
                entered_at=bid.entered_at,
                status=bid.status,
                hours_awarded=outcomes[bid.id].hours if bid.id in outcomes else 0.0,
                paid_micros=outcomes[bid.id].paid_micros if bid.id in outcomes else 0,
                hold_micros=held.get(bid.id, 0),
                currency=accounts[bid.account_id].currency,
                reason=_reason(bid, outcomes.get(bid.id)),
                request=bid.request,
                project_id=_project(bid),
            )
            for bid in bids
        ]


def _reason(bid: Bid, outcome: BidOutcome | None) -> str:
    if outcome is not None:
        return outcome.reason
    return "waits for the next gate" if bid.status == "open" else "taken as a quote" if bid.status == "filled" else bid.status


def _project(bid: Bid) -> str:
    return bid.request.project or DEFAULT_PROJECT


def _whole(bid: Bid) -> Bid:
    """A bid that is filled as it comes, with all its hours: what it takes is the whole of it."""
    return msgspec.structs.replace(bid, hours_left=bid.request.hours)


def worst_case(bid: Bid, *, event: str) -> Hold:
    """The hold that keeps what is left of a bid from being spent twice."""
    return Hold(kind="bid_hold", bid_id=bid.id, event=event, amount_micros=bid.request.worst_case_micros(bid.hours_left))
