"""An account's spend on the real store: what was delivered, what lies ahead, the pace, and the plans there are."""

from datetime import timedelta

import msgspec
import pytest

from broker.delivery import SimulatedGrid
from broker.services.projects import ProjectRequest
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.errors import NotFound
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market

pytestmark = pytest.mark.anyio
A, HOUR = caller("acct_a"), timedelta(hours=1)


async def test_a_month_under_way_is_spent_agreed_and_drawn_out(sessions: Sessions):
    """16 hours at 1.00 over two slots; an hour in, 8 are delivered: 8.08 with 1 % take, and 8.00 lie ahead."""
    market, clock = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        flat = {"name": "Flat", "kind": "flat_rate", "fee_micros": 5 * USD, "fair_use_units": 10**12}
        await AccountRepository(work).add_plans({"flat": flat})
    async with market.services() as services:
        await services.orders.submit(request(), A)
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    now = START + HOUR
    await SimulatedGrid(sessions, FAITHFUL).deliver(now)
    pass_time(market, now - GATE)
    async with market.services() as services:
        found = await services.spending.spend(A)
    assert (found.spent_micros, found.ahead_micros) == (8_080_000, 8 * USD)
    passed = (now - MONTH.start) / (MONTH.end - MONTH.start)
    assert found.forecast_micros == pytest.approx(8_080_000 / passed, abs=500)
    assert [(part.kind, part.seconds, part.micros) for part in found.parts] == [("take", 0, 80_000), ("usage", 8 * 3600, 8 * USD)]
    assert next((plan.plan_id, plan.own, plan.total_micros) for plan in found.plans) == ("flat", False, 5 * USD)
    assert found.plans[0].saves_micros == found.forecast_micros - 5 * USD


async def test_in_its_first_days_a_month_has_no_pace(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    pass_time(market, MONTH.end + timedelta(days=1) - clock.now())
    async with market.services() as services:
        assert (await services.spending.spend(A)).forecast_micros is None
    pass_time(market, timedelta(days=1))
    async with market.services() as services:
        assert (await services.spending.spend(A)).forecast_micros == 0


async def test_a_closed_month_is_what_it_was_invoiced(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        found = await services.spending.spend(A)
        invoiced = (await services.finance.statement(1, A)).subtotal_micros
        quiet = await services.spending.spend(caller("acct_b"))
        with pytest.raises(NotFound):
            await services.spending.spend(caller("acct_nobody"))
    assert [(month.micros, month.closed) for month in found.months] == [(invoiced, True), (0, False)]
    assert (found.spent_micros, found.ahead_micros, found.forecast_micros) == (0, 0, None)
    assert [month.micros for month in quiet.months] == [0, 0], "nobody pays for another's leases"


async def test_projects_add_up_to_the_account_to_the_micro_and_leases_to_their_project(sessions: Sessions):
    """Two projects and what is bought for none, halfway through their leases."""
    market, clock = await open_small_market(sessions)
    owner = msgspec.structs.replace(A, scopes=A.scopes | {"budget:write"})
    async with market.services() as services:
        for name in ("night", "day", "quiet"):
            await services.projects.add(ProjectRequest(name=name), owner)
        await services.projects.archive("quiet", owner)
        bids = {
            project: await services.orders.submit(request(project=project, width=3, hours=hours), owner)
            for project, hours in (("night", 6.0), ("day", 9.0), (None, 5.0))
        }
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    await SimulatedGrid(sessions, FAITHFUL).deliver(START + 2 * HOUR)
    pass_time(market, START + 2 * HOUR - GATE)
    async with market.services() as services:
        found = await services.spending.spend(A)
        each = {part.name: await services.spending.project(part.name, A) for part in found.projects}
        with pytest.raises(NotFound):
            await services.spending.project("night", A, period=9)
        with pytest.raises(NotFound):
            await services.spending.project("night", caller("acct_b"))
        leases = {lease.bid_id: lease.lease_id for lease in (await services.leases.leases(A)).items}
    assert [part.name for part in found.projects] == ["Default", "day", "night", "quiet"]
    for figure in ("spent_micros", "ahead_micros", "forecast_micros"):
        parts = [getattr(part, figure) for part in found.projects]
        assert sum(parts) == getattr(found, figure), figure
        assert sum(map(bool, parts)) >= 2, figure
        assert parts[3] == 0, "what bought nothing has spent nothing"
    assert [sum(months) for months in zip(*(part.months for part in found.projects), strict=True)] == [m.micros for m in found.months]
    for part in found.projects:
        view = each[part.name]
        assert view.micros == part.spent_micros == sum(lease.micros for lease in view.leases)
        assert part.seconds == sum(lease.seconds for lease in view.leases)
    assert [lease.lease_id for lease in each["night"].leases] == [leases[bids["night"].bid_id]]
