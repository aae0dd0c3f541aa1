"""The life of a lease: released, reclaimed, failed and gone on elsewhere, made longer; whose doing it was."""

from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import func, update
from sqlmodel import select

from broker.app import Market
from broker.clock import SimulatedClock
from broker.delivery import SimulatedGrid
from broker.failover import lose_silent, serve_between
from broker.services.leases import Failure, Reclaim
from broker.services.views import Caller, LeaseView
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.book import BookRepository
from broker.store.rows import CycleRow, FailoverRow, FeedSessionRow, PostingRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.leasing import RECLAIM_NOTICE
from contracts.terms.accounts import Provider
from contracts.terms.errors import NotFound, NotPermitted, WindowClosed, WrongState
from contracts.terms.orders import canonical_book
from contracts.terms.quotes import QuoteRequest
from contracts.terms.tables import BIDS, OFFERS
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, offer, open_small_market, request, small_book

pytestmark = pytest.mark.anyio
MONTH = month_of(START)
A, B = caller("acct_a"), caller("acct_b")
HOUR = timedelta(hours=1)
HALF_WAY = int(1.5 * USD)  # the price where eight of sixteen are sold: between the offer that is and the one that is not
GRID = Caller(account_id="provider:prv_a", account_name="A", scopes=frozenset({"leases:write"}), provider_id="prv_a")
OTHER = Caller(account_id="provider:prv_c", account_name="C", scopes=frozenset({"leases:write"}), provider_id="prv_c")
FAITHFUL = Reliability(seed=1, interrupted=0, failed=0)
LOST = Failure(reason="the rack lost power")


async def open_two_sites(sessions: Sessions, *, elsewhere: int, **facts: object) -> tuple[Market, SimulatedClock]:
    """The small market, and eight more of another provider in France at a rate of their own."""
    market, clock = await open_small_market(sessions)
    rows = [offer("ofr_c", elsewhere, provider="prv_c", site="fr-1", country="FR", **facts)]
    book = canonical_book(small_book().rules, {"offers": pl.DataFrame(rows, schema=OFFERS.schema), "bids": BIDS.empty()})
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_providers([Provider(id="prv_c", name="C", country="FR", kind="neocloud")])
        await BookRepository(work).add_supply(book, providers=["prv_a", "prv_c"], at=clock.now())
    return market, clock


async def leased(market: Market, **facts: object) -> LeaseView:
    """What A wins at the gate: four slots of eight unless said otherwise, at de-1."""
    async with market.services() as services:
        await services.orders.submit(request(**({"hours": 32.0} | facts)), A)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        return (await services.leases.leases(A)).items[0]


async def shown(market: Market, lease_id: str) -> LeaseView:
    async with market.services() as services:
        return await services.leases.lease(lease_id, A)


async def fail(market: Market, lease_id: str) -> None:
    async with market.services() as services:
        await services.leases.fail(lease_id, LOST, caller=GRID)


def by_hour(lease: LeaseView) -> list[tuple[int, int, int]]:
    """(hour, accelerators, rate) of each slot."""
    return [((slot.start - START) // HOUR, slot.quantity, slot.rate_micros) for slot in lease.slots]


async def test_a_failed_lease_goes_on_elsewhere_first_under_its_id_at_no_more_than_its_rate(sessions: Sessions):
    """32 hours at 1.00 in Germany, lost in the second hour; the next gate is asked for all of France at 9.00 and A is served first."""
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    assert (lease.site, by_hour(lease)) == ("de-1", [(hour, 8, USD) for hour in range(4)])
    clock.advance(START + 1.5 * HOUR - clock.now())
    await fail(market, lease.lease_id)
    broken = await shown(market, lease.lease_id)
    assert (broken.state, broken.closed_by, broken.close_reason) == ("failed", "provider", "the rack lost power")
    async with market.services() as services:
        richest = request(width=8, hours=32.0, window_end=START + 8 * HOUR, limit_spot_micros=9 * USD, countries=["FR"])
        await services.orders.submit(richest, B)
    await cycle_of(market).run(GATE + 2 * HOUR)
    again = await shown(market, lease.lease_id)
    assert (again.lease_id, again.site, again.provider, again.state) == (lease.lease_id, "fr-1", "prv_c", "awarded")
    assert by_hour(again) == [(hour, 8, USD) for hour in range(4)], "nothing of it is lost, nothing costs more"
    assert (again.closed_by, len(again.parts)) == (None, 1)
    assert [(each.kind, each.rest, each.deadline) for each in again.interruptions] == [("failed", "placed", START + 1.5 * HOUR)]
    async with market.services() as services:
        assert [each.lease_id for each in (await services.leases.leases(A)).items] == [lease.lease_id], "its holder has one lease"
        bid = await services.orders.bid(lease.bid_id, A)
        won = [slot for each in (await services.leases.leases(B)).items for slot in each.slots]
    assert bid.status == "filled"
    assert min(slot.start for slot in won) == START + 4 * HOUR, "who came later has what is left"


async def test_the_leases_of_a_grid_that_fell_silent_go_on_elsewhere(sessions: Sessions):
    """Silent at 00:00: at 00:10 its leases have failed by the network, and go on in France; nine minutes are no failure yet."""
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    async with unit_of_work(sessions) as work:
        work.add(FeedSessionRow(provider_id="prv_a", revision=1, state=b"{}", silent_at=START, trust="verified"))
        work.add(FeedSessionRow(provider_id="prv_c", revision=1, state=b"{}", silent_at=START + HOUR, trust="verified"))
    clock.advance(START + timedelta(minutes=9) - clock.now())
    assert await lose_silent(sessions, now=clock.now(), listening_since=GATE) == []
    clock.advance(timedelta(minutes=1))
    assert await lose_silent(sessions, now=clock.now(), listening_since=START + timedelta(minutes=1)) == [], "nobody listened"
    assert await lose_silent(sessions, now=clock.now(), listening_since=GATE) == [lease.lease_id]
    lost = await shown(market, lease.lease_id)
    assert (lost.state, lost.closed_by) == ("failed", "network")
    assert len(await serve_between(sessions, market.timetable.over, now=clock.now())) == 1
    again = await shown(market, lease.lease_id)
    assert (again.site, by_hour(again)) == ("fr-1", [(hour, 8, USD) for hour in range(4)])
    assert await lose_silent(sessions, now=clock.now(), listening_since=GATE) == [], "once"


async def test_between_gates_a_failed_lease_need_not_wait(sessions: Sessions):
    """Served as soon as somebody looks, but never in slots that a cycle decides about; doing it again does nothing."""
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    clock.advance(START + HOUR / 2 - clock.now())
    await cycle_of(market)._load(GATE + HOUR)
    await fail(market, lease.lease_id)
    assert await serve_between(sessions, market.timetable.over, now=clock.now()) == []
    async with unit_of_work(sessions) as work:
        await work.execute(update(CycleRow).values(status="applied"))
    (goes_on,) = await serve_between(sessions, market.timetable.over, now=clock.now())
    assert (goes_on.continues, goes_on.site, (await shown(market, lease.lease_id)).state) == (lease.lease_id, "fr-1", "awarded")
    assert await serve_between(sessions, market.timetable.over, now=clock.now()) == []


@pytest.mark.parametrize(("elsewhere", "facts"), [(2 * USD, {}), (USD, {"quantity": 7}), (USD, {"trust": "community"})])
async def test_what_finds_no_place_within_its_rate_goes_back_to_its_bid(sessions: Sessions, elsewhere: int, facts: dict[str, object]):
    """Too dear, too few, or not allowed: the hours are wanted again at the gate, where the bid's own limit counts."""
    market, clock = await open_two_sites(sessions, elsewhere=elsewhere, **facts)
    lease = await leased(market, trust_min="verified", limit_spot_micros=int(1.5 * USD), window_end=START + 5 * HOUR)
    clock.advance(START + 1.5 * HOUR - clock.now())
    await fail(market, lease.lease_id)
    await cycle_of(market).run(GATE + 2 * HOUR)
    async with unit_of_work(sessions) as work:
        assert [row.state for row in await work.scalars(select(FailoverRow))] == ["returned"]
    assert (await shown(market, lease.lease_id)).state == "failed"
    async with market.services() as services:
        bid = await services.orders.bid(lease.bid_id, A)
        later = [each for each in await services.leases.of_bid(lease.bid_id, A) if each.lease_id != lease.lease_id]
    assert later or bid.status == "open"


async def test_the_better_tier_is_served_first(sessions: Sessions):
    """Two leases of four are lost, France has four: guaranteed before spot, whatever their ids."""
    market, clock = await open_two_sites(sessions, elsewhere=USD, quantity=5)
    async with market.services() as services:
        await services.orders.submit(request(width=4, hours=16.0, countries=["DE"]), A)
        firm = request(width=4, hours=16.0, limit_spot_micros=None, limit_guaranteed_micros=3 * USD)
        await services.orders.submit(firm, A)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        leases = {each.tier: each for each in (await services.leases.leases(A)).items}
    clock.advance(START + 1.5 * HOUR - clock.now())
    for lease in leases.values():
        await fail(market, lease.lease_id)
    await cycle_of(market).run(GATE + 2 * HOUR)
    states = {tier: (await shown(market, lease.lease_id)).site for tier, lease in leases.items()}
    assert states == {"guaranteed": "fr-1", "spot": "de-1"}


async def test_a_spot_lease_is_called_back_with_notice_and_its_holder_keeps_the_notice(sessions: Sessions):
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    clock.advance(START + HOUR / 2 - clock.now())
    async with market.services() as services:
        with pytest.raises(WindowClosed, match="30 minutes"):
            await services.leases.reclaim(lease.lease_id, Reclaim(deadline=clock.now() + RECLAIM_NOTICE / 2, reason="needed"), caller=GRID)
        view = await services.leases.reclaim(lease.lease_id, Reclaim(deadline=START + 2 * HOUR, reason="needed at home"), caller=GRID)
    assert (view.state, view.closed_by, by_hour(view)) == ("reclaimed", "provider", [(0, 8, USD), (1, 8, USD)])
    (notice,) = view.interruptions
    assert (notice.kind, notice.deadline, notice.rest, notice.reason) == ("reclaimed", START + 2 * HOUR, "waiting", "needed at home")
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=16.0, window_start=START + HOUR, window_end=START + 2 * HOUR), B)
    await cycle_of(market).run(GATE + HOUR)
    again = await shown(market, lease.lease_id)
    assert (again.site, by_hour(again)) == ("fr-1", [(hour, 8, USD) for hour in range(4)])
    async with market.services() as services:
        won = [each.site for each in (await services.leases.leases(B)).items]
    assert "de-1" in won, "what is called back is not sold before its deadline, the other offer there is"


async def test_only_spot_is_called_back_and_only_by_who_delivers_it(sessions: Sessions):
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, limit_spot_micros=None, limit_standard_micros=3 * USD, countries=["DE"])
    wish = Reclaim(deadline=clock.now() + 2 * HOUR, reason="needed")
    async with market.services() as services:
        with pytest.raises(NotPermitted, match="only a failure"):
            await services.leases.reclaim(lease.lease_id, wish, caller=GRID)
        with pytest.raises(NotFound):
            await services.leases.reclaim(lease.lease_id, wish, caller=OTHER)
        with pytest.raises(NotPermitted, match="provider"):
            await services.leases.fail(lease.lease_id, LOST, caller=A)


async def test_a_released_lease_ends_by_its_owner_and_keeps_the_slot_under_way(sessions: Sessions):
    market, clock = await open_two_sites(sessions, elsewhere=9 * USD)
    lease = await leased(market, countries=["DE"])
    clock.advance(START + HOUR / 2 - clock.now())
    async with market.services() as services:
        view = await services.leases.release(lease.lease_id, A)
    assert (view.state, view.closed_by, by_hour(view)) == ("released", "owner", [(0, 8, HALF_WAY)])
    async with market.services() as services:
        with pytest.raises(WrongState):
            await services.leases.release(lease.lease_id, A)


async def test_a_lease_is_made_longer_by_a_quote(sessions: Sessions):
    """Two hours more on the same offer from its end on: 1.02 an accelerator-hour, and still one lease."""
    market, clock = await open_two_sites(sessions, elsewhere=9 * USD)
    lease = await leased(market, hours=16.0, countries=["DE"], window_end=START + 2 * HOUR)
    clock.advance(START + HOUR / 4 - clock.now())
    async with market.services() as services:
        quote = await services.quotes.extend(lease.lease_id, 2.0, caller=A)
    assert (quote.offer_id, quote.starts_at, quote.worst_case_micros) == ("ofr_a", lease.ends_at, 16 * 1_020_000)
    async with market.services() as services:
        longer = await services.quotes.accept(quote.quote_id, A)
    assert (longer.lease_id, longer.ends_at) == (lease.lease_id, START + 4 * HOUR)
    assert by_hour(longer) == [(0, 8, HALF_WAY), (1, 8, HALF_WAY), (2, 8, 1_020_000), (3, 8, 1_020_000)]
    async with market.services() as services:
        released = await services.leases.release(lease.lease_id, A)
        with pytest.raises(WrongState):
            await services.quotes.extend(lease.lease_id, 1.0, caller=A)
    assert by_hour(released) == [(0, 8, HALF_WAY)], "released as one, too"


async def test_a_lease_that_went_on_is_billed_once_and_each_provider_paid_for_its_own(sessions: Sessions):
    """One hour in Germany, one lost under way, two in France at 1.00: 24.00 billed, 8.00 and 16.00 owed.

    And four for an hour as a quote: billed at its rate, and what it held of the credit is let go.
    """
    market, clock = await open_two_sites(sessions, elsewhere=USD)
    lease = await leased(market, countries=["DE", "FR"])
    async with market.services() as services:
        wish = QuoteRequest(accelerators=4, hours=1.0, start=START, hardware=["H100-SXM"], offer_id="ofr_b")
        quote = await services.quotes.hold(wish, B)
    async with market.services() as services:
        await services.quotes.accept(quote.quote_id, B)
    clock.advance(START + 1.5 * HOUR - clock.now())
    grid = SimulatedGrid(sessions, FAITHFUL)
    await grid.deliver(clock.now())
    await fail(market, lease.lease_id)
    await cycle_of(market).run(GATE + 2 * HOUR)
    await grid.deliver(START + 5 * HOUR)
    closes_at = MONTH.end + 6 * HOUR
    clock.advance(closes_at - clock.now())
    closed = await market.close().run(MONTH.start, closes_at=closes_at, people=("ada", "grace"))
    assert closed.record.holds
    async with market.services() as services:
        used = {
            who.account_id: sum(line.amount_micros for line in (await services.finance.statement(1, who)).lines if line.kind == "usage")
            for who in (A, B)
        }
        again = await services.leases.lease(lease.lease_id, A)
        credit = await services.orders.credit(B)
    assert used == {"acct_a": 24 * USD, "acct_b": 4 * quote.rate_micros}
    assert (again.state, again.delivered_seconds) == ("completed", 24 * 3600)
    assert credit.held_micros == 0, "what a quote held is let go when its month is settled"
    async with unit_of_work(sessions) as work:
        owed = select(PostingRow.party, func.sum(PostingRow.amount_micros)).where(PostingRow.account == "provider_payable")
        paid = {party: -int(amount) for party, amount in await work.execute(owed.group_by(PostingRow.party))}
    assert paid == {"prv_a": 8 * USD + 4 * quote.rate_micros, "prv_c": 16 * USD}
