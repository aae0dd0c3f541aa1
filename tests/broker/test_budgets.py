"""A month's ceiling on the real store: what counts against it, what it refuses, and that it is never overrun by what it allowed."""

import asyncio
import random
from datetime import timedelta

import msgspec
import pytest

from broker.services.budgets import BudgetRequest
from broker.store.unit_of_work import Sessions
from contracts.terms.errors import BudgetExceeded, CreditExceeded, MarketError, NotPermitted
from contracts.terms.time import month_of
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
A = caller("acct_a")
OWNER = msgspec.structs.replace(A, scopes=A.scopes | {"budget:write"})


async def test_what_counts_is_what_is_agreed_what_is_held_and_the_order_at_hand(sessions: Sessions):
    """A bid holds its worst case; once cleared, only what it was awarded counts, at 1.00 an hour."""
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        view = await services.budgets.put(BudgetRequest(limit_micros=50 * USD), OWNER)
        assert (view.left_micros, view.used_percent, view.warns) == (50 * USD, 0, False)
        first = await services.orders.submit(request(), A)
    worst = first.hold_micros
    async with market.services() as services:
        view = await services.budgets.budget(A)
        assert (view.held_micros, view.agreed_micros) == (worst, 0)
        await services.budgets.put(BudgetRequest(limit_micros=2 * worst - 1), OWNER)
        with pytest.raises(BudgetExceeded, match="have an owner raise the budget") as refusal:
            await services.orders.submit(request(), A)
    assert refusal.value.facts["available_micros"] == worst - 1
    assert isinstance(refusal.value, CreditExceeded)
    assert month_of(START) == month_of(clock.now()), "the figures below are of one month"
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        view = await services.budgets.budget(A)
        assert (view.held_micros, view.agreed_micros) == (0, first.request.hours * USD)
        await services.orders.submit(request(window_end=START + timedelta(hours=6)), A)


async def test_a_budget_warns_is_taken_away_and_is_not_everybodys_to_set(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        with pytest.raises(NotPermitted):
            await services.budgets.put(BudgetRequest(limit_micros=1), A)
        held = (await services.orders.submit(request(), A)).hold_micros
        view = await services.budgets.put(BudgetRequest(limit_micros=held * 2, alert_percents=(50,)), OWNER)
        assert (view.used_percent, view.warns) == (50, True)
        assert not (await services.budgets.put(BudgetRequest(limit_micros=held * 2, alert_percents=(51,)), OWNER)).warns
        assert (await services.budgets.put(BudgetRequest(limit_micros=0), OWNER)).used_percent == 100
        with pytest.raises(BudgetExceeded):
            await services.orders.submit(request(), A)
        assert (await services.budgets.put(BudgetRequest(limit_micros=None), OWNER)).left_micros is None
        await services.orders.submit(request(), A)


async def test_many_bids_at_once_never_hold_more_than_the_budget(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.budgets.put(BudgetRequest(limit_micros=100 * USD), OWNER)

    async def bid(width: int) -> bool:
        try:
            async with market.services() as services:
                await services.orders.submit(request(width=width), A)
        except MarketError:
            return False
        return True

    chance = random.Random(3)
    entered = await asyncio.gather(*(bid(chance.randint(1, 8)) for _ in range(30)))
    assert True in entered
    assert False in entered
    async with market.services() as services:
        view = await services.budgets.budget(A)
    assert 0 <= (view.left_micros or 0) < 100 * USD


@pytest.mark.parametrize("facts", [{"limit_micros": -1}, {"limit_micros": 10**18 + 1}, {"limit_micros": 1, "alert_percents": (0,)}])
async def test_what_is_no_ceiling_is_refused(facts):
    with pytest.raises(ValueError, match="must be"):
        BudgetRequest(**facts)
