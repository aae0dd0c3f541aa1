"""A provider killed in the middle of a lease, from its last sign of life to the statement: nothing is lost, nothing billed twice."""

from datetime import timedelta

import pytest
from sqlmodel import col, func, select

from broker.delivery import SimulatedGrid
from broker.failover import lose_silent, serve_between
from broker.services.search_views import SearchQuery
from broker.services.views import LeaseView
from broker.store.rows import PostingRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability
from tests.broker.feeds.test_feed_market import FED, Fed, an_announcement
from tests.broker.small_market import GATE, START, USD, caller, pass_time
from tests.broker.test_quotes import accept, ask

pytestmark = pytest.mark.anyio
A = caller("acct_a")
HOUR = timedelta(hours=1)
MONTH = month_of(START)
FAITHFUL = Reliability(seed=1, interrupted=0, failed=0)


async def lease_of(fed: Fed, lease_id: str) -> LeaseView:
    async with fed.market.services() as services:
        lease: LeaseView = await services.leases.lease(lease_id, A)
    return lease


async def found(fed: Fed) -> dict[str, str]:
    """What a search shows of the fed offer, whatever its state."""
    async with fed.market.services() as services:
        answer = await services.search.search(SearchQuery(text="fr-1", states=["live", "stale"]))
    return {each.offer.offer_id: each.state for each in answer.offers}


async def lost_and_placed(fed: Fed, lease_id: str) -> LeaseView:
    """What is done every few seconds: the lease of the silent grid fails, and goes on elsewhere."""
    market, now = fed.market, fed.market.clock.now()
    assert await lose_silent(market.sessions, now=now, listening_since=GATE) == [lease_id]
    lost = await lease_of(fed, lease_id)
    assert (lost.state, lost.closed_by) == ("failed", "network")
    (goes_on,) = await serve_between(market.sessions, market.timetable.over, now=now)
    assert (goes_on.continues, goes_on.site) == (lease_id, "de-1")
    assert await lose_silent(market.sessions, now=now, listening_since=GATE) == []
    return await lease_of(fed, lease_id)


async def test_a_provider_killed_mid_lease_is_stale_in_its_hold_time_and_its_lease_goes_on_and_is_billed_once(sessions: Sessions):
    """Eight for three hours at 1.02, of a grid that dies in the second: one hour there, one lost, one in Germany at 1.00; 16.16 in all."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement(rate_micros=USD))
    market, grid = fed.market, SimulatedGrid(sessions, FAITHFUL)
    lease = await accept(market, await ask(market, offer_id="ofr_fed", hardware=[], hours=3.0))
    pass_time(market, START + 1.5 * HOUR - market.clock.now())
    await fed.sent_sign_of_life()
    await grid.deliver(market.clock.now())
    assert (await lease_of(fed, lease.lease_id)).delivered_seconds == 8 * 3600
    # Killed here: nothing is heard of it any more.
    pass_time(market, timedelta(seconds=60))
    await market.feeds.pass_time()
    assert (await fed.shown())["ofr_fed"][0] == "stale"
    assert await found(fed) == {"ofr_fed": "stale"}
    pass_time(market, timedelta(minutes=10))
    again = await lost_and_placed(fed, lease.lease_id)
    assert [(slot.start, slot.quantity) for slot in again.slots] == [(START + slot * HOUR, 8) for slot in range(3)]
    await grid.deliver(START + 5 * HOUR)
    closes_at = MONTH.end + 6 * HOUR
    pass_time(market, closes_at - market.clock.now())
    assert (await market.close().run(MONTH.start, closes_at=closes_at, people=("ada", "grace"))).record.holds
    async with market.services() as services:
        lines = (await services.finance.statement(1, A)).lines
    assert sum(line.amount_micros for line in lines if line.kind == "usage") == 16_160_000
    async with unit_of_work(sessions) as work:
        owed = select(PostingRow.party, func.sum(PostingRow.amount_micros)).where(col(PostingRow.account) == "provider_payable")
        paid = {party: -int(amount) for party, amount in await work.execute(owed.group_by(col(PostingRow.party)))}
    assert paid == {FED: 8 * 1_020_000, "prv_a": 8 * USD}
