"""Projects on the real store: what is bought for which, who may, and budgets that hold for each of them."""

import asyncio
import random
from datetime import timedelta

import msgspec
import pytest

from broker.app import Market
from broker.services.budgets import BudgetRequest
from broker.services.projects import DEFAULT_NAME, ProjectMembers, ProjectRequest
from broker.services.views import Caller
from broker.services.webhooks import EndpointRequest
from broker.store.repositories.members import MemberRepository
from broker.store.repositories.people import PeopleRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.people import Membership, Person, scopes_of
from contracts.terms.errors import BadInput, BudgetExceeded, Conflict, MarketError, NotFound, NotPermitted, WrongState
from contracts.terms.quotes import QuoteRequest
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
OWNER = msgspec.structs.replace(caller("acct_a"), scopes=scopes_of("acct_a", "owner"))


async def people_of(sessions: Sessions, *names: str) -> list[Caller]:
    """Buyers of account A, one a name."""
    async with unit_of_work(sessions) as work:
        for name in names:
            await PeopleRepository(work).add(Person(id=f"prs_{name}", email=f"{name}@example.org", name=name, created_at=START))
            await MemberRepository(work).put(Membership(party="acct_a", person_id=f"prs_{name}", role="buyer", since=START))
    plain = msgspec.structs.replace(caller("acct_a"), scopes=scopes_of("acct_a", "buyer"))
    return [msgspec.structs.replace(plain, person_id=f"prs_{name}") for name in names]


async def made(market: Market, *names: str) -> list[str]:
    """Ids of new projects of account A."""
    async with market.services() as services:
        return [(await services.projects.add(ProjectRequest(name=name), OWNER)).project_id for name in names]


async def test_bid_quote_and_lease_belong_to_the_project_that_was_named(sessions: Sessions):
    """By name or id, whatever the capitals; by nothing to the default one. Renamed, it keeps what it bought."""
    market, clock = await open_small_market(sessions)
    (night,) = await made(market, "Night runs")
    async with market.services() as services:
        named = await services.orders.submit(request(project="night RUNS"), OWNER)
        plain = await services.orders.submit(request(limit_spot_micros=4 * USD), OWNER)
        await services.projects.rename("Night runs", ProjectRequest(name="Day runs"), caller=OWNER)
        quote = await services.quotes.hold(
            QuoteRequest(accelerators=1, hours=1, start=START, hardware=["H100-SXM"], project="day runs"), OWNER
        )
        of_quote = await services.quotes.accept(quote.quote_id, OWNER)
        longer = await services.quotes.extend(of_quote.lease_id, 1.0, caller=OWNER)
    assert (named.project_id, plain.project_id, quote.project_id, of_quote.project_id) == (night, "default", night, night)
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        leases = (await services.leases.leases(OWNER)).items
        views = await services.projects.projects(OWNER)
    bids = {named.bid_id: night, plain.bid_id: "default", of_quote.bid_id: night}
    assert {lease.bid_id: lease.project_id for lease in leases} == bids
    assert longer.project_id == night, "what makes a lease longer is for what it was for"
    assert [(view.project_id, view.name) for view in views] == [("default", DEFAULT_NAME), (night, "Day runs")]


async def test_what_is_archived_buys_nothing_more_until_it_is_restored(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    (night,) = await made(market, "night")
    async with market.services() as services:
        assert (await services.projects.archive("night", OWNER)).archived_at == market.clock.now()
        with pytest.raises(WrongState, match="archived"):
            await services.orders.submit(request(project="night"), OWNER)
        with pytest.raises(WrongState, match="archived"):
            await services.quotes.hold(QuoteRequest(accelerators=1, hours=1, hardware=["H100-SXM"], project=night), OWNER)
        with pytest.raises(WrongState):
            await services.projects.archive(night, OWNER)
        assert (await services.projects.restore(night, OWNER)).may_buy
        await services.orders.submit(request(project="night"), OWNER)
        with pytest.raises(WrongState):
            await services.projects.restore(night, OWNER)


async def test_a_project_with_members_is_theirs_and_the_owners(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    (night,) = await made(market, "night")
    ada, grace = await people_of(sessions, "ada", "grace")
    async with market.services() as services:
        assert (await services.projects.project(night, grace)).may_buy, "until it has members it is everybody's"
        view = await services.projects.set_members(night, ProjectMembers(people=["prs_ada"]), caller=OWNER)
        assert view.members == ["prs_ada"]
        for buyer in (ada, OWNER):
            await services.orders.submit(request(project="night"), buyer)
        for stranger in (grace, caller("acct_a")):
            assert not (await services.projects.project(night, stranger)).may_buy
            with pytest.raises(NotPermitted, match="ask an owner"):
                await services.orders.submit(request(project="night"), stranger)
        await services.orders.submit(request(), grace)
        with pytest.raises(BadInput):
            await services.projects.set_members(night, ProjectMembers(people=["prs_nobody"]), caller=OWNER)
    async with unit_of_work(sessions) as work:
        await MemberRepository(work).remove("acct_a", "prs_ada")
    async with market.services() as services:
        assert (await services.projects.project(night, OWNER)).members == [], "who leaves the account leaves its projects"
        assert not (await services.projects.project(night, grace)).may_buy, "and does not throw them open"
        assert (await services.projects.set_members(night, ProjectMembers(people=None), caller=OWNER)).members is None


async def test_projects_are_their_accounts_own_and_have_names_of_their_own(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    (night,) = await made(market, "night")
    other = msgspec.structs.replace(OWNER, account_id="acct_b")
    async with market.services() as services:
        for name in ("Night", "DEFAULT", night):
            with pytest.raises(Conflict):
                await services.projects.add(ProjectRequest(name=name), OWNER)
        for name in ("", " ", "n" * 81, "a\0b"):
            with pytest.raises(BadInput):
                await services.projects.add(ProjectRequest(name=name), OWNER)
        with pytest.raises(WrongState):
            await services.projects.archive("default", OWNER)
        for act in (services.projects.project(night, other), services.projects.archive(night, other)):
            with pytest.raises(NotFound, match=r"there are: Default$"):
                await act
        with pytest.raises(NotFound, match=r"there are: Default, night$"):
            await services.orders.submit(request(project="x\0"), OWNER)
        with pytest.raises(NotPermitted):
            await services.projects.add(ProjectRequest(name="day"), caller("acct_a"))
        assert (await services.projects.add(ProjectRequest(name="night"), other)).name == "night"


async def test_the_budget_of_a_project_ends_what_is_bought_for_it_and_nothing_else(sessions: Sessions):
    """A bid of 48.00 at worst; 60.00 for the night: a second one would pass it, for the day it does not."""
    market, clock = await open_small_market(sessions)
    await made(market, "night", "day")
    async with market.services() as services:
        await services.budgets.put(BudgetRequest(limit_micros=60 * USD, project="night"), OWNER)
        assert (await services.orders.submit(request(project="night"), OWNER)).hold_micros == 48 * USD
        with pytest.raises(BudgetExceeded, match=r"budget of the project night has 12\.00 left") as refusal:
            await services.orders.submit(request(project="night"), OWNER)
        wish = QuoteRequest(accelerators=8, hours=2, start=START, hardware=["H100-SXM"], project="night")
        with pytest.raises(BudgetExceeded):
            await services.quotes.hold(wish, OWNER)
        await services.orders.submit(request(project="day"), OWNER)
        await services.orders.submit(request(limit_spot_micros=1), OWNER)
    assert (refusal.value.facts["available_micros"], refusal.value.facts["budget_micros"]) == (12 * USD, 60 * USD)
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        night, day, whole = [await services.budgets.budget(OWNER, name) for name in ("night", "day", None)]
        kept = await services.budgets.budgets(OWNER)
    assert (night.agreed_micros, night.held_micros, day.limit_micros) == (24 * USD, 0, None), "16 hours at 1.50, midway between the offers"
    assert whole.agreed_micros == night.agreed_micros + day.agreed_micros, "what the projects agreed to is what the account did"
    assert [each.project for each in kept] == ["night"]


async def test_many_bids_at_once_pass_neither_their_projects_budget_nor_the_accounts(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    names = ["night", "day"]
    await made(market, *names)
    limits = {"night": 70 * USD, "day": 90 * USD, None: 130 * USD}
    async with market.services() as services:
        for project, limit in limits.items():
            await services.budgets.put(BudgetRequest(limit_micros=limit, project=project), OWNER)

    async def bid(width: int, project: str) -> bool:
        try:
            async with market.services() as services:
                await services.orders.submit(request(width=width, hours=float(width), project=project), OWNER)
        except MarketError:
            return False
        return True

    chance = random.Random(5)
    entered = await asyncio.gather(*(bid(chance.randint(1, 8), chance.choice(names)) for _ in range(40)))
    assert {True, False} <= set(entered)
    async with market.services() as services:
        views = {project: await services.budgets.budget(OWNER, project) for project in limits}
    for project, view in views.items():
        assert 0 <= (view.left_micros or 0) < limits[project], project
    assert views[None].held_micros == views["night"].held_micros + views["day"].held_micros
    assert (views[None].left_micros or 0) < 24 * USD, "the account's was the one that ended it"


async def test_shares_that_were_reached_are_told_once_until_the_budget_is_set_anew(sessions: Sessions):
    """48.00 of 100.00 tells of 40 %, 96.00 of 90 % too; raised to 120.00 and bid again, both once more."""
    market, _ = await open_small_market(sessions)
    market.inside = True
    (night,) = await made(market, "night")
    hears = msgspec.structs.replace(OWNER, scopes=OWNER.scopes | {"leases:write"})
    budget = BudgetRequest(limit_micros=100 * USD, alert_percents=(90, 40), project="night")

    async def told() -> list[tuple[int, int, str | None]]:
        async with market.services() as services:
            found = [msgspec.json.decode(each.body) for each in (await services.webhooks.messages(hears)).items]
        assert {each["type"] for each in found} <= {"budget.reached"}
        return [(each["data"]["percent"], each["data"]["used_percent"], each["data"]["project_id"]) for each in found]

    async with market.services() as services:
        await services.webhooks.add(EndpointRequest(url="http://127.0.0.1:9/told", kinds=["budget.reached"]), hears)
        await services.budgets.put(budget, OWNER)
        await services.orders.submit(request(), OWNER)
    assert await told() == []
    for _ in range(2):
        async with market.services() as services:
            await services.orders.submit(request(project="night"), OWNER)
    assert await told() == [(40, 48, night), (90, 96, night)]
    pass_time(market, timedelta(minutes=1))
    async with market.services() as services:
        await services.budgets.put(msgspec.structs.replace(budget, limit_micros=150 * USD), OWNER)
        await services.orders.submit(request(project="night"), OWNER)
    assert (await told())[2:] == [(40, 96, night), (90, 96, night)]
