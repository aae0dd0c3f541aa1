"""Leases sold on and given up: who pays whom, what reaches the provider, and that nothing is sold or delivered twice."""

from datetime import timedelta

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from broker.app import Market
from broker.clock import SimulatedClock
from broker.cycle import clear_book
from broker.delivery import SimulatedGrid
from broker.services.leases import Failure, Reclaim
from broker.services.views import Caller, LeaseView
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.rows import CycleRow, FeedSessionRow, LeaseSlotRow, OfferRow, PlanRow, UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.resale import ResaleRequest
from contracts.terms.errors import NotFound, NotPermitted, QuoteMoved, WindowClosed, WrongState
from contracts.terms.quotes import QuoteRequest
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability
from tests.broker.small_market import GATE, START, USD, account, caller, cycle_of, open_small_market, request
from tests.broker.test_lease_life import GRID, by_hour, leased

pytestmark = pytest.mark.anyio
A, B, C = caller("acct_a"), caller("acct_b"), caller("acct_c")
HOUR = timedelta(hours=1)
MONTH = month_of(START)
CLOSES_AT = MONTH.end + 6 * HOUR
PEOPLE = ("ada", "grace")
FAITHFUL = Reliability(seed=1, interrupted=0, failed=0)
RESOLD = "ofr_a~1"
BETWEEN = 1_550_000  # half way from what A asks to what the other offer asks


async def held(sessions: Sessions, **facts: object) -> tuple[Market, SimulatedClock, LeaseView]:
    """A has eight for four hours at 1.00, and nothing has begun."""
    market, clock = await open_small_market(sessions)
    lease = await leased(market, **({"limit_spot_micros": USD} | facts))
    assert by_hour(lease) == [(hour, 8, USD) for hour in range(4)]
    return market, clock, lease


async def resell(market: Market, lease: LeaseView, who: Caller = A, **facts: object) -> LeaseView:
    """Six of them from the third hour on, at 1.10 or more, unless said otherwise."""
    plain = {"rate_micros": 1_100_000, "accelerators": 6, "start": START + 2 * HOUR}
    async with market.services() as services:
        return await services.leases.resell(lease.lease_id, ResaleRequest(**(plain | facts)), caller=who)


async def buy_at_gate(market: Market, who: Caller = B, *, gate=GATE + HOUR, **facts: object) -> LeaseView:
    """Six for two hours from the third on, at up to 3.00."""
    wish = {"width": 6, "hours": 12.0, "window_start": START + 2 * HOUR, "window_end": START + 4 * HOUR} | facts
    async with market.services() as services:
        await services.orders.submit(request(**wish), who)
    report = await cycle_of(market).run(gate)
    assert report.certificate.holds
    async with market.services() as services:
        return (await services.leases.leases(who)).items[-1]


async def shown(market: Market, lease_id: str, who: Caller = A) -> LeaseView:
    async with market.services() as services:
        return await services.leases.lease(lease_id, who)


async def close(market: Market, clock: SimulatedClock) -> dict[tuple[str, str], int]:
    """Everything is delivered and the month closed; what is left on accounts kept for parties, debit positive."""
    await SimulatedGrid(market.sessions, FAITHFUL).deliver(START + 12 * HOUR)
    clock.advance(CLOSES_AT - clock.now())
    closed = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    again = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert (closed.record.holds, closed.record.counts.seconds_above_lease, again.record.hash) == (True, 0, closed.record.hash)
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds
        assert await services.finance.trial_balance() == {"USD": 0}
    async with unit_of_work(market.sessions) as work:
        journal = JournalRepository(work)
        found: dict[tuple[str, str], int] = {}
        for name in ("provider_payable", "prepaid"):
            found |= {(name, party): micros for (_, party), micros in (await journal.by_party(name)).items()}
    return found


async def billed(market: Market, who: Caller) -> int:
    """The usage line of a statement, micros."""
    async with market.services() as services:
        statement = await services.finance.statement(1, who)
    return sum(line.amount_micros for line in statement.lines if line.kind == "usage")


async def prepaid_spent(market: Market, who: Caller) -> int:
    """What a prepaid balance has paid of the statement, micros."""
    async with unit_of_work(market.sessions) as work:
        entries = await JournalRepository(work).entries(kind="prepaid_spend", party=who.account_id)
    return sum(posting.amount_micros for entry in entries for posting in entry.postings if posting.account == "prepaid")


async def hours_delivered(sessions: Sessions) -> int:
    async with unit_of_work(sessions) as work:
        return int((await work.scalars(select(func.sum(UsageRow.accelerator_seconds)))).one()) // 3600


async def test_what_is_resold_at_a_gate_is_paid_by_its_buyer_and_its_provider_is_paid_as_before(sessions: Sessions):
    """A pays 32.00 for 32 hours as it would have, B 18.60 for the twelve of them it bought, and 18.60 pay part of A's statement."""
    market, clock, lease = await held(sessions)
    offered = await resell(market, lease)
    assert [(each.resale_id, each.state, len(each.offered)) for each in offered.resales] == [(RESOLD, "open", 2)]
    bought = await buy_at_gate(market)
    assert (bought.provider, bought.site, by_hour(bought)) == ("prv_a", "de-1", [(2, 6, BETWEEN), (3, 6, BETWEEN)])
    mine = await shown(market, lease.lease_id)
    assert by_hour(mine) == [(0, 8, USD), (1, 8, USD), (2, 2, USD), (3, 2, USD)]
    (resale,) = mine.resales
    assert [(slot.quantity, slot.rate_micros, slot.own_rate_micros) for slot in resale.sold] == [(6, BETWEEN, USD)] * 2
    balances = await close(market, clock)
    assert await hours_delivered(sessions) == 32, "delivered once"
    assert (await billed(market, A), await billed(market, B)) == (32 * USD, 12 * BETWEEN)
    assert balances == {("provider_payable", "prv_a"): -32 * USD}, "paid as before; what A fetched is spent"
    assert await prepaid_spent(market, A) == 12 * BETWEEN


async def test_what_is_resold_can_be_had_at_once_as_a_quote(sessions: Sessions):
    """1.10 and two per cent: 1.122 an hour. The offer shows what is left, and is gone with the last of it."""
    market, clock, lease = await held(sessions)
    await resell(market, lease, end=START + 3 * HOUR)
    for accelerators, left in ((4, 2), (2, None)):
        wish = QuoteRequest(accelerators=accelerators, hours=1.0, start=START + 2 * HOUR, hardware=["H100-SXM"])
        async with market.services() as services:
            quote = await services.quotes.hold(wish, B)
            assert (quote.offer_id, quote.rate_micros) == (RESOLD, 1_122_000)
        async with market.services() as services:
            await services.quotes.accept(quote.quote_id, B)
        async with unit_of_work(sessions) as work:
            current = await work.scalars(select(OfferRow.quantity).where(col(OfferRow.id) == RESOLD, col(OfferRow.superseded_at).is_(None)))
            assert current.one_or_none() == left
    balances = await close(market, clock)
    assert await billed(market, B) == 6 * 1_122_000
    assert await prepaid_spent(market, A) == 6_730_000, "a statement is paid in whole cents"
    assert balances == {("provider_payable", "prv_a"): -32 * USD, ("prepaid", "acct_a"): -2_000}


async def test_what_nobody_buys_stays_its_holders(sessions: Sessions):
    market, clock, lease = await held(sessions)
    await resell(market, lease, rate_micros=5 * USD)
    bought = await buy_at_gate(market)
    assert (bought.slots[0].rate_micros >= 2 * USD, by_hour(await shown(market, lease.lease_id))) == (True, by_hour(lease))
    await close(market, clock)
    assert await billed(market, A) == 32 * USD


async def test_a_resale_is_not_sold_twice(sessions: Sessions):
    """Two gates and a quote are after the same six: six are sold."""
    market, _, lease = await held(sessions)
    await resell(market, lease)
    await buy_at_gate(market, width=4, hours=4.0, window_end=START + 3 * HOUR)
    async with market.services() as services:
        wish = QuoteRequest(accelerators=2, hours=1.0, start=START + 2 * HOUR, offer_id=RESOLD)
        quote = await services.quotes.hold(wish, B)
        with pytest.raises(NotFound, match="free"):
            await services.quotes.hold(wish, B)
    async with market.services() as services:
        await services.quotes.accept(quote.quote_id, B)
    await buy_at_gate(market, gate=GATE + 2 * HOUR, width=16, hours=32.0)
    async with unit_of_work(sessions) as work:
        taken = select(LeaseSlotRow.slot_start, func.sum(LeaseSlotRow.quantity)).group_by(col(LeaseSlotRow.slot_start))
        assert max(int(quantity) for _, quantity in await work.execute(taken)) == 16, "two offers of eight are sixteen"


async def test_an_offer_is_taken_back_but_not_from_under_a_clearing(sessions: Sessions):
    market, _, lease = await held(sessions)
    await resell(market, lease)
    await cycle_of(market)._load(GATE + HOUR)
    async with market.services() as services:
        with pytest.raises(WindowClosed, match="clearing"):
            await services.leases.withdraw_resale(lease.lease_id, A)
    async with unit_of_work(sessions) as work:
        (await work.scalars(select(CycleRow).where(col(CycleRow.status) == "clearing"))).one().status = "applied"
    async with market.services() as services:
        quote = await services.quotes.hold(QuoteRequest(accelerators=1, hours=1.0, start=START + 2 * HOUR, offer_id=RESOLD), B)
        back = await services.leases.withdraw_resale(lease.lease_id, A)
        assert [(each.state, each.offered) for each in back.resales] == [("withdrawn", [])]
    async with market.services() as services:
        with pytest.raises(QuoteMoved, match="withdrawn"):
            await services.quotes.accept(quote.quote_id, B)
        with pytest.raises(NotFound, match="taken back"):
            await services.leases.withdraw_resale(lease.lease_id, A)
    assert (await resell(market, lease)).resales[-1].resale_id == "ofr_a~2", "and offered again"


async def test_nothing_is_sold_of_a_provider_that_fell_silent(sessions: Sessions):
    market, _, lease = await held(sessions)
    await resell(market, lease)
    wish = QuoteRequest(accelerators=1, hours=1.0, start=START + 2 * HOUR, offer_id=RESOLD)
    async with unit_of_work(sessions) as work:
        work.add(FeedSessionRow(provider_id="prv_a", revision=1, state=b"{}", silent_at=market.clock.now(), trust="verified"))
    async with market.services() as services:
        with pytest.raises(NotFound, match="free"):
            await services.quotes.hold(wish, B)


async def test_an_offer_ends_with_the_last_of_its_slots(sessions: Sessions):
    """Nobody bought; at the next gate after its last slot has begun it is over, and no offer is left to be seen."""
    market, clock, lease = await held(sessions)
    await resell(market, lease, end=START + 3 * HOUR)
    clock.advance(START + 2.5 * HOUR - clock.now())
    await cycle_of(market).run(GATE + 3 * HOUR)
    assert [each.state for each in (await shown(market, lease.lease_id)).resales] == ["ended"]
    async with unit_of_work(sessions) as work:
        assert (await work.scalars(select(OfferRow.id).where(col(OfferRow.superseded_at).is_(None)).order_by(col(OfferRow.id)))).all() == [
            "ofr_a",
            "ofr_b",
        ]


@pytest.mark.parametrize("kind", ["grant", "flat_rate", "committed", "metered_tiers"])
async def test_what_is_not_paid_by_its_rate_is_not_resold(sessions: Sessions, kind: str):
    market, _, lease = await held(sessions)
    async with unit_of_work(sessions) as work:
        (await work.scalars(select(PlanRow))).one().terms = {"kind": kind}
    with pytest.raises(NotPermitted, match=kind):
        await resell(market, lease)


async def test_what_may_not_be_resold_is_refused_with_the_reason(sessions: Sessions):
    market, clock, lease = await held(sessions)
    with pytest.raises(NotFound):
        await resell(market, lease, B)
    with pytest.raises(WrongState, match="named"):
        await resell(market, lease, start=START + 4 * HOUR)
    await resell(market, lease)
    with pytest.raises(WrongState, match="already"):
        await resell(market, lease)
    clock.advance(START + 3.5 * HOUR - clock.now())
    async with market.services() as services:
        await services.leases.release(lease.lease_id, A)
    with pytest.raises(WrongState, match="released"):
        await resell(market, lease)


async def test_a_bid_that_may_not_use_the_lease_does_not_buy_it_from_its_holder(sessions: Sessions):
    """The offer is in Germany; B asks for France: the demands of the new holder count as ever."""
    market, _, lease = await held(sessions)
    await resell(market, lease)
    async with market.services() as services:
        await services.orders.submit(request(countries=["FR"], width=1, hours=1.0), B)
    await cycle_of(market).run(GATE + HOUR)
    async with market.services() as services:
        assert (await services.leases.leases(B)).items == []


async def test_who_bought_from_a_holder_may_not_be_called_back_where_the_holder_might_not(sessions: Sessions):
    """A holds standard, B bought it as spot: the provider has promised A that nothing but a failure ends it."""
    market, clock, lease = await held(sessions, limit_spot_micros=None, limit_standard_micros=USD)
    await resell(market, lease)
    bought = await buy_at_gate(market)
    assert bought.tier == "spot"
    async with market.services() as services:
        with pytest.raises(NotPermitted, match="only a failure"):
            await services.leases.reclaim(bought.lease_id, Reclaim(deadline=clock.now() + 3 * HOUR, reason="wanted"), caller=GRID)


async def test_a_seller_whose_lease_failed_meanwhile_leaves_its_buyer_to_be_served_elsewhere(sessions: Sessions):
    """A's lease fails after the clearing has read its book: B's has failed from the start, and what it owes is served like any other's."""
    market, _, lease = await held(sessions)
    await resell(market, lease)
    async with market.services() as services:
        wish = request(width=6, hours=12.0, window_start=START + 2 * HOUR, window_end=START + 4 * HOUR, limit_spot_micros=int(1.9 * USD))
        await services.orders.submit(wish, B)
    cycle = cycle_of(market)
    step = await cycle._load(GATE + HOUR)
    assert isinstance(step, tuple)
    loaded, book = step
    async with market.services() as services:
        await services.leases.fail(lease.lease_id, Failure(reason="the rack lost power"), caller=GRID)
    clearing, certificate = clear_book(book)
    await cycle._apply(loaded, clearing, certificate=certificate)
    async with market.services() as services:
        (bought,) = (await services.leases.leases(B)).items
    assert (bought.state, bought.closed_by, bought.close_reason) == ("failed", "provider", "its seller has it no more")
    await cycle_of(market).run(GATE + 2 * HOUR)
    async with market.services() as services:
        served = [each for each in (await services.leases.leases(B)).items if each.state == "awarded"]
    assert sum(slot.quantity for each in served for slot in each.slots) == 12


async def test_a_buyer_sells_on_and_each_is_paid_its_own(sessions: Sessions):
    """A 1.00 → B 1.55 → C: what C pays is B's, what B pays is A's, what A pays is the provider's."""
    market, clock, lease = await held(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account("acct_c")])
    await resell(market, lease)
    bought = await buy_at_gate(market)
    await resell(market, bought, B, rate_micros=1_700_000, accelerators=5)
    again = await buy_at_gate(market, C, gate=GATE + 2 * HOUR, width=5, hours=10.0)
    rate = again.slots[0].rate_micros
    assert by_hour(again) == [(2, 5, rate), (3, 5, rate)]
    assert by_hour(await shown(market, bought.lease_id, B)) == [(2, 1, BETWEEN), (3, 1, BETWEEN)]
    balances = await close(market, clock)
    assert await hours_delivered(sessions) == 32
    assert [await billed(market, who) for who in (A, B, C)] == [32 * USD, 12 * BETWEEN, 10 * rate]
    assert await prepaid_spent(market, A) == 12 * BETWEEN
    assert await prepaid_spent(market, B) == 10 * rate
    assert balances == {("provider_payable", "prv_a"): -32 * USD}


async def test_a_released_lease_is_paid_for_what_nobody_buys(sessions: Sessions):
    """Given up in the second of four hours: two are used, two stand by for whoever comes, and nobody does; 32.00 for all."""
    market, clock, lease = await held(sessions)
    clock.advance(START + 1.5 * HOUR - clock.now())
    async with market.services() as services:
        view = await services.leases.release(lease.lease_id, A)
    assert (view.state, view.closed_by, by_hour(view)) == ("released", "owner", [(0, 8, USD), (1, 8, USD)])
    assert [(each.state, each.released, len(each.offered)) for each in view.resales] == [("open", True, 2)]
    assert await close(market, clock) == {("provider_payable", "prv_a"): -32 * USD}
    assert (await billed(market, A), await prepaid_spent(market, A)) == (32 * USD, 0)


async def test_what_a_released_lease_fetches_counts_against_what_its_holder_owes(sessions: Sessions):
    """A gives up four hours of eight at 1.50; B pays 1.10 for two of them: 48.00 owed, 17.60 fetched, and the provider has its 48.00."""
    market, clock = await open_small_market(sessions)
    lease = await leased(market)
    async with market.services() as services:
        view = await services.leases.release(lease.lease_id, A)
    assert [(slot.quantity, slot.rate_micros) for slot in view.resales[0].offered] == [(8, USD)] * 4, "at what its provider asks"
    bought = await buy_at_gate(market, width=8, hours=16.0, limit_spot_micros=int(1.2 * USD))
    assert by_hour(bought) == [(2, 8, int(1.1 * USD)), (3, 8, int(1.1 * USD))]
    async with market.services() as services:
        with pytest.raises(NotFound, match="taken back"):
            await services.leases.withdraw_resale(lease.lease_id, A)
    balances = await close(market, clock)
    assert (await billed(market, A), await prepaid_spent(market, A)) == (48 * USD, int(17.6 * USD))
    assert await billed(market, B) == int(17.6 * USD)
    assert balances == {("provider_payable", "prv_a"): -48 * USD}
    assert await hours_delivered(sessions) == 32


async def test_a_buyer_that_gives_up_still_pays_its_seller(sessions: Sessions):
    """B releases the twelve hours it bought of A, and nobody comes: B owes A its 18.60, A its provider 32.00, as if they had been used."""
    market, clock, lease = await held(sessions)
    await resell(market, lease)
    bought = await buy_at_gate(market)
    async with market.services() as services:
        released = await services.leases.release(bought.lease_id, B)
    assert [(each.released, sum(slot.quantity for slot in each.offered)) for each in released.resales] == [(True, 12)]
    balances = await close(market, clock)
    assert (await billed(market, A), await billed(market, B)) == (32 * USD, 12 * BETWEEN)
    assert await prepaid_spent(market, A) == 12 * BETWEEN
    assert balances == {("provider_payable", "prv_a"): -32 * USD}
    assert await hours_delivered(sessions) == 32


async def test_a_plan_that_pays_by_no_rate_gives_back_and_owes_nothing(sessions: Sessions):
    market, clock, lease = await held(sessions)
    async with unit_of_work(sessions) as work:
        (await work.scalars(select(PlanRow))).one().terms = {"kind": "grant", "unit_price_micros": 0, "grant_units": 10**12}
    clock.advance(START + 1.5 * HOUR - clock.now())
    async with market.services() as services:
        view = await services.leases.release(lease.lease_id, A)
    assert (by_hour(view), view.resales) == ([(0, 8, USD), (1, 8, USD)], [])
    await SimulatedGrid(sessions, FAITHFUL).deliver(START + 12 * HOUR)
    assert await hours_delivered(sessions) == 16
