"""A reclaim told over the feed calls the lease back, once, by the rules of the call over HTTP; a refusal is kept and told."""

from datetime import timedelta

import msgspec
import pytest
from sqlmodel import col, select

from broker.feeds.reclaiming import REFUSED
from broker.services.views import LeaseView
from broker.store.rows import FailoverRow, FeedEventRow, LeaseEventRow, WebhookMessageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed import speaker
from contracts.feed.messages import Reclaim
from tests.broker.feeds.test_feed_market import FED, Fed, an_announcement
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, pass_time, request
from tests.broker.test_webhooks import register

pytestmark = pytest.mark.anyio
A = caller("acct_a")
HOUR = timedelta(hours=1)


async def fed_lease(sessions: Sessions, **facts: object) -> tuple[Fed, LeaseView]:
    """Two hours of eight that a feed sold to A at the gate; it is half past midnight of the first."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    await fed.until_gate(alive=True)
    async with fed.market.services() as services:
        await services.orders.submit(request(window_end=START + 2 * HOUR, **facts), A)
    await cycle_of(fed.market).run(GATE)
    pass_time(fed.market, START + HOUR / 4 - fed.market.clock.now())
    await fed.sent(speaker.reconnected(fed.memory, fed.market.clock.now()))
    async with fed.market.services() as services:
        (lease,) = (await services.leases.leases(A)).items
    assert lease.provider == FED
    return fed, lease


async def refusals(sessions: Sessions) -> list[tuple[str, str]]:
    """Lease and code of each refusal that was kept, in order."""
    async with unit_of_work(sessions) as work:
        rows = await work.scalars(select(FeedEventRow).where(col(FeedEventRow.kind) == REFUSED).order_by(col(FeedEventRow.id)))
        found = [msgspec.json.decode(row.facts) for row in rows]
    return [(each["lease_id"], each["code"]) for each in found]


async def test_a_reclaim_over_the_feed_calls_the_lease_back_and_its_holder_is_told(sessions: Sessions):
    """From the second hour on it is wanted back; the first stays the holder's, the second is owed elsewhere."""
    fed, lease = await fed_lease(sessions)
    fed.market.inside = True
    await register(fed.market, A, "http://127.0.0.1:9/")
    await fed.say(Reclaim(lease_id=lease.lease_id, deadline=START + HOUR, reason="maintenance of the hall"))
    async with fed.market.services() as services:
        after = await services.leases.lease(lease.lease_id, A)
    assert (after.state, after.closed_by, after.close_reason) == ("reclaimed", "provider", "maintenance of the hall")
    assert [(slot.start, slot.quantity) for slot in after.slots] == [(START, 8)]
    async with unit_of_work(sessions) as work:
        assert [row.state for row in await work.scalars(select(FailoverRow))] == ["waiting"]
        assert "lease.reclaimed" in [row.kind for row in await work.scalars(select(WebhookMessageRow))]
    assert await refusals(sessions) == []


async def test_a_reclaim_told_twice_is_one_fact(sessions: Sessions):
    fed, lease = await fed_lease(sessions)
    for reason in ("first", "again"):
        await fed.say(Reclaim(lease_id=lease.lease_id, deadline=START + HOUR, reason=reason))
    async with unit_of_work(sessions) as work:
        moves = await work.scalars(select(LeaseEventRow).where(col(LeaseEventRow.state) == "reclaimed"))
        assert [row.reason for row in moves] == ["first"]
    assert await refusals(sessions) == []


@pytest.mark.parametrize(
    ("facts", "notice", "code"),
    [
        ({"limit_spot_micros": None, "limit_standard_micros": 3 * USD}, HOUR, "not_permitted"),
        ({}, timedelta(minutes=29), "window_closed"),
    ],
)
async def test_what_may_not_be_called_back_stays_and_the_refusal_is_kept_and_told(sessions: Sessions, facts, notice, code):
    """A standard lease, and less than thirty minutes' notice: the message is taken, the lease stays."""
    fed, lease = await fed_lease(sessions, **facts)
    heard: list[str] = []
    fed.market.feeds.listeners.tell = lambda _provider, told: heard.extend(each.event for each in told)
    await fed.say(Reclaim(lease_id=lease.lease_id, deadline=fed.market.clock.now() + notice, reason=""))
    async with fed.market.services() as services:
        assert (await services.leases.lease(lease.lease_id, A)).state == "awarded"
    assert await refusals(sessions) == [(lease.lease_id, code)]
    assert REFUSED in heard


async def test_another_providers_lease_is_one_that_does_not_exist(sessions: Sessions):
    """A rival's lease and one nobody has are refused alike; what came with them in the batch counts."""
    fed = await Fed.opened(sessions)
    await fed.until_gate(alive=True)
    async with fed.market.services() as services:
        await services.orders.submit(request(), A)
    await cycle_of(fed.market).run(GATE)
    async with fed.market.services() as services:
        (rivals,) = (await services.leases.leases(A)).items
    await fed.say(Reclaim(lease_id=rivals.lease_id, deadline=START + 2 * HOUR))
    await fed.say(Reclaim(lease_id="lse_nobody", deadline=START + 2 * HOUR))
    assert await refusals(sessions) == [(rivals.lease_id, "not_found"), ("lse_nobody", "not_found")]
