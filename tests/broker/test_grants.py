"""Grant tranches in the live ledger: given by two people, used and expired at the close, corrected by the next one."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from broker.app import Market
from broker.services.usage_views import UsageReport
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.events import GrantTranche
from contracts.terms.time import month_of
from tests.broker.small_market import caller, pass_time
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market
from tests.broker.test_controls import ADA, GRACE

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")
FEBRUARY = month_of(MONTH.end)


async def give(market: Market, key: str, micro_pf_days: int, *, until, account_id: str = "acct_a", approved: bool = True) -> None:
    """Computing from January on."""
    tranche = GrantTranche(
        key=key, account_id=account_id, pledged_by="prv_a", micro_pf_days=micro_pf_days, valid_from=MONTH.start, valid_until=until,
        reason=key,
    )  # fmt: skip
    async with market.services() as services:
        proposed = await services.corrections.propose(tranche, ADA)
        if approved:
            await services.corrections.approve(proposed.entry_id, GRACE)


async def standing(market: Market) -> list[tuple[int, int, int, int]]:
    """Given, used, expired and left of each of acct_a's tranches, the smallest first."""
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds
        assert set((await services.finance.trial_balance()).values()) == {0}
        found = await services.corrections.tranches(A)
        assert await services.corrections.tranches(ADA) == found
        assert await services.corrections.tranches(B) == []
    return sorted((each.given, each.used, each.expired, each.left) for each in found)


async def granted_market(sessions: Sessions) -> Market:
    """16 hours of 989 TFLOP/s are 0.659333 PF-days; half a PF-day given for January, one for both months."""
    market: Market = (await delivered_market(sessions, FAITHFUL))[0]
    await give(market, "small", 500_000, until=MONTH.end)
    await give(market, "large", 1_000_000, until=FEBRUARY.end)
    await give(market, "only proposed", 9_000_000, until=FEBRUARY.end, approved=False)
    return market


async def close_both(market: Market) -> None:
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    pass_time(market, FEBRUARY.end + timedelta(days=1) - market.clock.now())
    await market.close().run(FEBRUARY.start, closes_at=FEBRUARY.end + timedelta(hours=6), people=PEOPLE)


async def test_a_tranche_is_used_then_expires(sessions: Sessions):
    market = await granted_market(sessions)
    assert await standing(market) == [(500_000, 0, 0, 500_000), (1_000_000, 0, 0, 1_000_000)]
    for _ in range(2):
        await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
        assert await standing(market) == [(500_000, 500_000, 0, 0), (1_000_000, 159_333, 0, 840_667)]
    await close_both(market)
    assert await standing(market) == [(500_000, 500_000, 0, 0), (1_000_000, 159_333, 840_667, 0)]
    async with market.services() as services:
        assert await services.finance.trial_balance() == {"PFD": 0, "USD": 0}


async def test_a_late_correction_gives_back_and_lets_expire(sessions: Sessions):
    """Four hours fewer, known after January's close: 0.494500 in all, of the small tranche; the rest of it was January's and is gone."""
    market = await granted_market(sessions)
    async with unit_of_work(sessions) as work:
        first = 'SELECT usage_id, lease_id, start, "end", accelerator_seconds FROM usage_records ORDER BY start LIMIT 1'
        usage_id, lease_id, start, end, seconds = (await work.execute(text(first))).one()
    report = UsageReport(usage_id=usage_id, lease_id=lease_id, start=start, end=end, accelerator_seconds=seconds // 2, rev=1)
    async with market.services() as services:
        assert (await services.usage.report([report], A)).new == 1
    await close_both(market)
    assert await standing(market) == [(500_000, 494_500, 5_500, 0), (1_000_000, 0, 1_000_000, 0)]


@pytest.mark.parametrize("account_id", ["acct_b", "nobody"])
async def test_who_uses_nothing_lets_it_all_expire(sessions: Sessions, account_id):
    market: Market = (await delivered_market(sessions, FAITHFUL))[0]
    await give(market, "idle", 3, until=MONTH.end, account_id=account_id)
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        (found,) = await services.corrections.tranches(ADA)
    assert (found.used, found.expired, found.left) == (0, 3, 0)


async def test_months_without_tranches_post_nothing_about_them(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        assert await services.finance.trial_balance() == {"USD": 0}
