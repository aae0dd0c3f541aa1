"""Grant tranches in the live ledger: given by two people, used and expired at the close, corrected by the next one."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from broker.app import Market
from broker.clock import SimulatedClock
from broker.delivery import SimulatedGrid
from broker.services.usage_views import UsageReport
from broker.store.rows import PlanRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.events import GrantTranche
from contracts.terms.errors import GrantExceeded
from contracts.terms.quotes import QuoteRequest
from contracts.terms.time import month_of
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request
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


async def project_market(sessions: Sessions, micro_pf_days: int) -> tuple[Market, SimulatedClock]:
    """An hour before the gate: both accounts are on a grant, and acct_a has a tranche for January."""
    market, clock = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        terms = {"kind": "grant", "unit_price_micros": USD, "grant_units": 10**12}
        await work.execute(update(PlanRow).values(terms=terms))
    if micro_pf_days:
        await give(market, "january", micro_pf_days, until=MONTH.end)
    return market, clock


async def kept(sessions: Sessions) -> dict[str, int]:
    """What is pending of tranches, by kind of hold."""
    async with unit_of_work(sessions) as work:
        found = await work.execute(
            text(
                "SELECT e.kind, sum(p.amount_micros) FROM journal_entries e JOIN postings p ON p.entry_id = e.id"
                " WHERE e.state = 'pending' AND p.account = 'tranche' AND p.currency = 'PFD' GROUP BY e.kind"
            )
        )
        return {kind: int(micros) for kind, micros in found}


async def test_a_bid_beyond_the_tranche_is_refused_before_the_gate_with_the_reason(sessions: Sessions):
    """16 hours of an H100 are 659,333.3 millionths of a PF-day: 659,334 will do, and then nothing more is left."""
    market, _ = await project_market(sessions, 659_334)
    async with market.services() as services:
        bid = await services.orders.submit(request(), A)
    assert await kept(sessions) == {"grant_bid_hold": 659_334}
    with pytest.raises(GrantExceeded, match=r"0\.041 PF-days, the project's tranches have 0\.000 left"):
        async with market.services() as services:
            await services.orders.submit(request(hours=1.0, width=1), A)
    async with market.services() as services:
        wish = QuoteRequest(accelerators=1, hours=1.0, start=START, hardware=["H100-SXM"])
        with pytest.raises(GrantExceeded):
            await services.quotes.hold(wish, A)
    async with market.services() as services:
        await services.orders.withdraw(bid.bid_id, A)
    assert await kept(sessions) == {}
    with pytest.raises(GrantExceeded):
        async with market.services() as services:
            await services.orders.submit(request(hours=16.1), A)
    with pytest.raises(GrantExceeded):
        async with market.services() as services:
            await services.orders.submit(request(hours=1.0, window_end=FEBRUARY.start + timedelta(hours=1)), A)


async def test_an_award_keeps_what_it_takes_and_the_close_posts_what_was_used(sessions: Sessions):
    """24 hours wanted, 16 won in the two slots there are: 0.659334 kept of them and 0.329667 of the rest; all of it let go at the close."""
    market, clock = await project_market(sessions, 1_000_000)
    async with market.services() as services:
        await services.orders.submit(request(hours=24.0, limit_spot_micros=USD, window_end=START + timedelta(hours=2)), A)
    await cycle_of(market).run(GATE)
    assert await kept(sessions) == {"grant_award_hold": 659_334, "grant_bid_hold": 329_667}
    await SimulatedGrid(sessions, FAITHFUL).deliver(START + timedelta(hours=5))
    await cycle_of(market).run(GATE + timedelta(hours=6))
    assert await kept(sessions) == {"grant_award_hold": 659_334}, "its window has passed"
    clock.advance(CLOSES_AT - clock.now())
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert await kept(sessions) == {}
    assert await standing(market) == [(1_000_000, 659_333, 340_667, 0)]


async def test_a_quote_that_is_taken_keeps_what_it_takes(sessions: Sessions):
    market, clock = await project_market(sessions, 50_000)
    clock.advance(START - timedelta(minutes=10) - clock.now())
    async with market.services() as services:
        wish = QuoteRequest(accelerators=1, hours=1.0, start=START, hardware=["H100-SXM"])
        quote = await services.quotes.hold(wish, A)
    assert await kept(sessions) == {}
    async with market.services() as services:
        await services.quotes.accept(quote.quote_id, A)
    assert await kept(sessions) == {"grant_award_hold": 41_209}
    async with market.services() as services:
        with pytest.raises(GrantExceeded):
            await services.quotes.hold(wish, A)


async def test_a_grant_without_tranches_and_other_plans_keep_nothing(sessions: Sessions):
    market, _ = await project_market(sessions, 0)
    await give(market, "somebody else's", 1, until=MONTH.end, account_id="acct_b")
    async with market.services() as services:
        await services.orders.submit(request(), A)
    async with unit_of_work(sessions) as work:
        await work.execute(update(PlanRow).values(terms={"kind": "metered_cleared"}))
    async with market.services() as services:
        await services.orders.submit(request(hours=1.0), B)
    await cycle_of(market).run(GATE)
    assert await kept(sessions) == {}
