"""Getting at a lease: for its holder only, for its life only, wherever it runs; its provider alone says how far it is."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func
from sqlmodel import select

from broker.api.examples import ANSWERS, EXAMPLES
from broker.app import Market
from broker.failover import serve_between
from broker.services.access_views import AccessView, Deliveries, Delivery, Progress
from broker.services.accounts import key_digest
from broker.services.leases import Failure, Reclaim
from broker.services.usage_views import UsageReport
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import AccessRow
from broker.store.unit_of_work import Sessions, unit_of_work
from broker.worker import keep_promises
from contracts.terms.errors import NotFound, NotPermitted, WrongState
from tests.broker.feeds.http_sides import client_of
from tests.broker.small_market import START, USD, caller, request
from tests.broker.test_lease_life import leased, open_two_sites

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")
SCOPES = frozenset({"leases:write", "usage:write"})
GRID = Caller(account_id="provider:prv_a", account_name="A", scopes=SCOPES, provider_id="prv_a")
OTHER = Caller(account_id="provider:prv_c", account_name="C", scopes=SCOPES, provider_id="prv_c")
HOUR = timedelta(hours=1)
OPEN = Progress(state="active", endpoint="https://a.example/door")


async def tell(market: Market, lease_id: str, progress: Progress, *, by: Caller = GRID) -> Delivery:
    async with market.services() as services:
        return await services.access.tell(lease_id, progress, caller=by)


async def access(market: Market, lease_id: str, *, by: Caller = A) -> AccessView:
    async with market.services() as services:
        return await services.access.access(lease_id, by)


async def deliveries(market: Market, *, by: Caller = GRID) -> Deliveries:
    async with market.services() as services:
        return await services.access.deliveries(by)


async def opened(sessions: Sessions, **facts: object):
    """A lease of four hours that has begun and is open."""
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"], **facts)
    clock.advance(START - clock.now())
    return market, clock, lease, await tell(market, lease.lease_id, OPEN)


async def test_the_holder_is_given_a_door_and_a_token_and_the_provider_its_digest_alone(sessions: Sessions):
    market, _, lease, told = await opened(sessions)
    given = await access(market, lease.lease_id)
    assert (given.endpoint, given.protocol, given.valid_until) == ("https://a.example/door", "jobs", START + 4 * HOUR)
    assert told.token_digest == hashlib.sha256(given.token.encode()).hexdigest()
    assert given.token not in str(await deliveries(market))
    assert await access(market, lease.lease_id) == given, "shown again, the same"
    moved = Progress(state="active", endpoint="https://a.example/elsewhere")
    assert (await tell(market, lease.lease_id, moved)).token_digest == told.token_digest
    again = await access(market, lease.lease_id)
    assert (again.endpoint, again.token) == ("https://a.example/elsewhere", given.token)


async def test_nobody_else_is_let_in(sessions: Sessions):
    market, _, lease, _ = await opened(sessions)
    reader = Caller(account_id="acct_a", account_name="A", scopes=frozenset({"read"}))
    with pytest.raises(NotFound):
        await access(market, lease.lease_id, by=B)
    with pytest.raises(NotPermitted):
        await access(market, lease.lease_id, by=reader)
    with pytest.raises(NotFound):
        await tell(market, lease.lease_id, OPEN, by=OTHER)
    with pytest.raises(NotPermitted):
        await tell(market, lease.lease_id, OPEN, by=A)
    with pytest.raises(NotPermitted):
        await deliveries(market, by=A)
    assert (await deliveries(market, by=OTHER)).items == []


async def test_there_is_no_access_before_the_start_nor_after_the_end(sessions: Sessions):
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE"])
    with pytest.raises(WrongState, match="not opened this lease yet"):
        await access(market, lease.lease_id)
    with pytest.raises(WrongState, match="from its start on"):
        await tell(market, lease.lease_id, OPEN)
    assert (await tell(market, lease.lease_id, Progress(state="provisioning"))).state == "provisioning"
    clock.advance(START - clock.now())
    with pytest.raises(WrongState, match="at its end"):
        await tell(market, lease.lease_id, Progress(state="completed"))
    await tell(market, lease.lease_id, OPEN)
    await tell(market, lease.lease_id, OPEN)
    clock.advance(4 * HOUR - timedelta(seconds=1))
    assert (await access(market, lease.lease_id)).valid_until > clock.now()
    clock.advance(timedelta(seconds=1))
    with pytest.raises(WrongState, match="over"):
        await access(market, lease.lease_id)
    assert (await tell(market, lease.lease_id, Progress(state="completed"))).token_digest is None


async def test_a_token_is_erased_when_its_lease_is_over(sessions: Sessions):
    market, clock, lease, _ = await opened(sessions)

    async def kept() -> int:
        async with market.services() as services:
            await services.access.forget_over()
        async with unit_of_work(sessions) as work:
            return (await work.scalars(select(func.count()).select_from(AccessRow))).one()

    assert await kept() == 1
    clock.advance(HOUR / 2)
    async with market.services() as services:
        await services.leases.release(lease.lease_id, A)
    assert (await access(market, lease.lease_id)).valid_until == START + HOUR, "the slot under way is still its holder's"
    assert await kept() == 1
    clock.advance(HOUR / 2)
    assert await kept() == 0


async def test_a_lease_called_back_is_open_up_to_its_deadline(sessions: Sessions):
    market, _, lease, _ = await opened(sessions)
    async with market.services() as services:
        await services.leases.reclaim(lease.lease_id, Reclaim(deadline=START + 2 * HOUR, reason="maintenance"), caller=GRID)
    assert (await access(market, lease.lease_id)).valid_until == START + 2 * HOUR
    (owed,) = (await deliveries(market)).items
    assert (owed.state, len(owed.slots), owed.token_digest is None) == ("reclaimed", 2, False)


async def test_after_a_failure_the_door_is_shut_and_opens_where_the_lease_goes_on(sessions: Sessions):
    market, clock, lease, _ = await opened(sessions)
    before = await access(market, lease.lease_id)
    clock.advance(HOUR / 2)
    async with market.services() as services:
        await services.leases.fail(lease.lease_id, Failure(reason="power"), caller=GRID)
    with pytest.raises(WrongState):
        await access(market, lease.lease_id)
    assert (await deliveries(market)).items == [], "nothing to deliver any more"
    from_france = Progress(state="active", endpoint="https://c.example/door")
    await market_serves(market)
    (part,) = (await deliveries(market, by=OTHER)).items
    clock.advance(HOUR / 2)
    await tell(market, part.lease_id, from_france, by=OTHER)
    after = await access(market, lease.lease_id)
    assert (after.endpoint, after.lease_id) == ("https://c.example/door", lease.lease_id)
    assert after.token != before.token
    assert await access(market, part.lease_id) == after, "by either id"
    (owed,) = (await deliveries(market)).items
    assert (owed.state, owed.token_digest, len(owed.slots)) == ("failed", None, 1), "its first hour is owed a meter's word"


async def market_serves(market: Market) -> None:
    """What is owed elsewhere is placed at once."""
    assert len(await serve_between(market.sessions, market.timetable.over, now=market.clock.now())) == 1


async def test_over_http_the_provider_opens_and_the_holder_enters_as_documented(sessions: Sessions):
    """What the API's description shows is sent as it stands, but for the lease's id; whoever waits long enough is let in no more."""
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_provider_key("prv_a", key_digest("gf_grid"), scopes=["leases:write"], at=clock.now())
        await accounts.add_key("acct_a", key_digest("gf_buyer"), scopes=["leases:write"], at=clock.now())
    grid, buyer = ({"Authorization": f"Bearer {key}"} for key in ("gf_grid", "gf_buyer"))
    clock.advance(START - clock.now())
    async with client_of(market) as client:
        (owed,) = (await client.get("/v1/deliveries", headers=grid)).json()["items"]
        assert (owed["lease_id"], owed["token_digest"]) == (lease.lease_id, None)
        progress = f"/v1/deliveries/{lease.lease_id}/progress"
        opened = await client.post(progress, json=EXAMPLES["TellProgress"]["open"]["value"], headers=grid)
        assert (opened.status_code, opened.json()["state"]) == (200, "active")
        given = await client.get(f"/v1/leases/{lease.lease_id}/access", headers=buyer)
        assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
        assert set(given.json()) == set(ANSWERS["GetLeaseAccess"]["jobs"]["value"])
        assert [(await client.get(address, headers=buyer)).status_code for address in ("/v1/deliveries", "/v1/leases/x/access")] == [
            403,
            404,
        ]
        assert (await client.post(progress, json={"state": "active"}, headers=grid)).status_code == 400, "where?"
        clock.advance(4 * HOUR)
        over = await client.post(progress, json=EXAMPLES["TellProgress"]["over"]["value"], headers=grid)
        assert (over.status_code, over.json()["state"]) == (200, "completed")
        assert (await client.get(f"/v1/leases/{lease.lease_id}/access", headers=buyer)).status_code == 409


async def test_a_running_market_forgets_tokens_by_itself(sessions: Sessions):
    market, clock, _, _ = await opened(sessions)
    clock.advance(4 * HOUR)
    keeping = asyncio.create_task(keep_promises(market, say=pytest.fail))
    try:
        for _ in range(100):
            async with unit_of_work(sessions) as work:
                if not (await work.scalars(select(func.count()).select_from(AccessRow))).one():
                    return
            await asyncio.sleep(0.1)
        pytest.fail("the token is still there")
    finally:
        keeping.cancel()


async def test_deliveries_come_in_pages(sessions: Sessions):
    """Two bids of four are two leases; a page holds one."""
    market, _ = await open_two_sites(sessions, elsewhere=USD)
    async with market.services() as services:
        await services.orders.submit(request(width=4, hours=4.0, countries=["DE"]), A)
    await leased(market, width=4, hours=4.0, countries=["DE"])
    async with market.services() as services:
        first = await services.access.deliveries(GRID, limit=1)
        second = await services.access.deliveries(GRID, cursor=first.next_cursor, limit=1)
    ids = [each.lease_id for each in (*first.items, *second.items)]
    assert (len(set(ids)), ids == sorted(ids), second.next_cursor) == (2, True, None)


async def test_what_is_metered_is_owed_no_more(sessions: Sessions):
    market, clock, lease, _ = await opened(sessions)
    clock.advance(4 * HOUR)
    (owed,) = (await deliveries(market)).items
    assert (owed.metered_until, owed.state) == (None, "active")
    reports = [
        UsageReport(
            usage_id=f"u{hour}",
            lease_id=lease.lease_id,
            start=START + hour * HOUR,
            end=START + (hour + 1) * HOUR,
            accelerator_seconds=8 * 3600,
        )
        for hour in range(4)
    ]
    async with market.services() as services:
        assert (await services.usage.report(reports, GRID)).new == 4
    assert (await deliveries(market)).items[0].metered_until == START + 4 * HOUR
    await tell(market, lease.lease_id, Progress(state="completed"))
    assert (await deliveries(market)).items == []
