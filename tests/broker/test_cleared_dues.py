"""Premiums reach those who stood by, and uplift those whom prices would make lose, as deliveries become known."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from broker.app import Market
from broker.delivery import SimulatedGrid
from broker.services.usage_views import UsageReport
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.resale import ResaleRequest
from contracts.terms.accounts import Provider
from contracts.terms.quotes import QuoteRequest
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request
from tests.broker.test_closing import BROKEN, CLOSES_AT, FAITHFUL, MONTH, PEOPLE

pytestmark = pytest.mark.anyio
A = caller("acct_a")
Moves = list[tuple[str, str, int]]


async def two_grids(sessions: Sessions, reliability: Reliability) -> Market:
    """What two grids sold, delivered as reliably as said, and the month ready to close."""
    market = await sold(sessions)
    await deliver(market, reliability)
    return market


async def sold(sessions: Sessions) -> Market:
    """One pool of two grids, 8 each at 1.00 and 2.00; guaranteed leaves 20 % of 16, 4, free, so that 12 of 16 wanted are sold for an hour.

    The second grid sells 4 and stands by with 4; both share the premium by halves.
    """
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_providers([Provider(id="prv_b", name="B", country="DE", kind="neocloud")])
        await work.execute(text("UPDATE offers SET provider = 'prv_b' WHERE id = 'ofr_b'"))
    wish = {"width": 16, "hours": 16.0, "window_end": START + timedelta(hours=1)}
    async with market.services() as services:
        await services.orders.submit(request(**wish, limit_guaranteed_micros=9 * USD, limit_spot_micros=None), A)
    await cycle_of(market).run(GATE)
    return market


async def deliver(market: Market, reliability: Reliability) -> None:
    """Time up to the close, and what became of every lease."""
    await SimulatedGrid(market.sessions, reliability).deliver(START + timedelta(hours=5))
    pass_time(market, CLOSES_AT - market.clock.now())


async def moved(sessions: Sessions, kind: str) -> list[Moves]:
    """The postings of each entry of a kind, in order of time."""
    async with unit_of_work(sessions) as work:
        entries = await JournalRepository(work).entries(kind=kind)
    return [[(each.account, each.party, each.amount_micros) for each in entry.postings] for entry in entries]


async def close(market: Market) -> None:
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)


async def facts(sessions: Sessions, question: str) -> list[tuple[object, ...]]:
    async with unit_of_work(sessions) as work:
        return [tuple(row) for row in await work.execute(text(question))]


async def payable(sessions: Sessions) -> dict[str, int]:
    async with unit_of_work(sessions) as work:
        return {party: -micros for (_, party), micros in (await JournalRepository(work).by_party("provider_payable")).items()}


async def correct(market: Market, sessions: Sessions, *, seconds: int, failed: int = 0) -> None:
    """Another revision of what the first grid delivered, arriving now, and what of it failed."""
    (found,) = await facts(
        sessions,
        'SELECT u.usage_id, u.lease_id, u.start, u."end" FROM usage_records u JOIN leases l ON l.id = u.lease_id'
        " WHERE l.provider_id = 'prv_a'",
    )
    usage_id, lease_id, start, end = found
    same = {"lease_id": lease_id, "start": start, "end": end}
    reports = [UsageReport(usage_id=usage_id, accelerator_seconds=seconds, rev=1, **same)]
    if failed:
        reports.append(UsageReport(usage_id=f"{usage_id}f", accelerator_seconds=failed, status="provider_failed", **same))
    async with market.services() as services:
        assert (await services.usage.report(reports, A)).new == len(reports)


async def close_february(market: Market) -> None:
    february = month_of(MONTH.end)
    pass_time(market, february.end + timedelta(days=1) - market.clock.now())
    await market.close().run(february.start, closes_at=february.end + timedelta(hours=6), people=PEOPLE)


async def test_providers_are_owed_what_the_clearing_says_they_receive(sessions: Sessions):
    """12 sold at 9.00, 2.00 of it spot: 84.00 of premium, 42.00 for each. A sold 8 and was charged 56.00 for, B 4 and 28.00: 14.00 move."""
    market = await two_grids(sessions, FAITHFUL)
    received = "SELECT o.provider, r.received_micros FROM receipts r JOIN offers o ON o.id = r.offer_id ORDER BY o.provider"
    assert await facts(sessions, received) == [("prv_a", 58 * USD), ("prv_b", 50 * USD)]
    for _ in range(2):
        await close(market)
        assert await moved(sessions, "premium_share") == [
            [("provider_payable", "prv_a", 14 * USD), ("provider_payable", "prv_b", -14 * USD)]
        ]
    assert await payable(sessions) == dict(await facts(sessions, received))
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds


async def test_premiums_follow_what_was_sold_on_and_given_up(sessions: Sessions):
    """Five of the first grid's eight are B's now, the second grid's four stand by for nobody: the clearing's shares are what they were."""
    market = await sold(sessions)
    async with market.services() as services:
        first, second = sorted((await services.leases.leases(A)).items, key=lambda lease: -lease.slots[0].quantity)
        await services.leases.resell(first.lease_id, ResaleRequest(rate_micros=USD), caller=A)
        await services.leases.release(second.lease_id, A)
    async with market.services() as services:
        quote = await services.quotes.hold(QuoteRequest(accelerators=5, hours=1.0, start=START, offer_id="ofr_a~1"), caller("acct_b"))
        await services.quotes.accept(quote.quote_id, caller("acct_b"))
    await deliver(market, FAITHFUL)
    await close(market)
    assert await moved(sessions, "premium_share") == [[("provider_payable", "prv_a", 14 * USD), ("provider_payable", "prv_b", -14 * USD)]]
    assert await payable(sessions) == {"prv_a": 58 * USD, "prv_b": 50 * USD}
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds


async def test_what_is_not_delivered_earns_no_premium(sessions: Sessions):
    await close(await two_grids(sessions, BROKEN))
    assert await moved(sessions, "premium_share") == []


async def test_units_that_failed_give_their_premium_back(sessions: Sessions):
    """Four of A's 8 failed: of its 42.00 it keeps 21.00 beside B's 42.00, a third of the 56.00 delivered, and had 28.00 of them."""
    market = await two_grids(sessions, FAITHFUL)
    await close(market)
    await correct(market, sessions, seconds=4 * 3600, failed=4 * 3600)
    await close_february(market)
    first, second = await moved(sessions, "premium_share")
    both = {party: before + after for (_, party, before), (_, _, after) in zip(first, second, strict=True)}
    assert both == {"prv_a": 9_333_333, "prv_b": -9_333_333}
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds


async def test_a_late_correction_moves_the_difference_in_the_period_that_learns_of_it(sessions: Sessions):
    """A delivered 4 of its 8: 28.00 and B's 28.00 are 56.00, 28.00 for each, so nothing should have moved: the 14.00 come back."""
    market = await two_grids(sessions, FAITHFUL)
    await correct(market, sessions, seconds=4 * 3600)
    await close(market)
    await close_february(market)
    first, second = await moved(sessions, "premium_share")
    assert first == [("provider_payable", "prv_a", 14 * USD), ("provider_payable", "prv_b", -14 * USD)]
    assert second == [(account, party, -micros) for account, party, micros in first]


async def test_a_month_in_which_nothing_is_learnt_moves_nothing(sessions: Sessions):
    market = await two_grids(sessions, FAITHFUL)
    await close(market)
    await close_february(market)
    assert len(await moved(sessions, "premium_share")) == 1


async def test_the_uplift_fund_makes_winners_whole(sessions: Sessions):
    """3.00 for the bid and 2.00 for the second grid, as a clearing beside blocks would say: all delivered, so all is due."""
    market = await two_grids(sessions, FAITHFUL)
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE outcomes SET uplift_micros = 3000000"))
        await work.execute(text("UPDATE receipts SET uplift_micros = 2000000 WHERE offer_id = 'ofr_b'"))
    await close(market)
    assert await moved(sessions, "uplift") == [
        [("uplift_fund", "", 5 * USD), ("prepaid", "acct_a", -3 * USD), ("provider_payable", "prv_b", -2 * USD)]
    ]
    async with market.services() as services:
        assert await services.receivables.prepaid(A) == {"USD": 3 * USD}
        assert (await services.reconciliation.reconcile()).holds


async def test_uplift_follows_what_was_delivered(sessions: Sessions):
    """Of 12 accelerator-hours the second month knows 8 only: 2.00 of the bid's 3.00."""
    market = await two_grids(sessions, FAITHFUL)
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE outcomes SET uplift_micros = 3000000"))
    await correct(market, sessions, seconds=4 * 3600)
    await close(market)
    await close_february(market)
    assert await moved(sessions, "uplift") == [
        [("uplift_fund", "", 3 * USD), ("prepaid", "acct_a", -3 * USD)],
        [("uplift_fund", "", -1 * USD), ("prepaid", "acct_a", 1 * USD)],
    ]
