"""Delivery, metering and the close of a month, on the small market."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import func, update
from sqlmodel import col, select

from broker.delivery import SimulatedGrid
from broker.failover import serve_first
from broker.services.usage_views import UsageReport
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.rows import InvoiceLineRow, PostingRow, UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.accounts import Provider
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability
from tests.broker.small_market import GATE, START, USD, account, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
A = caller("acct_a")
FAITHFUL = Reliability(seed=1, interrupted=0, failed=0)
BROKEN = Reliability(seed=1, interrupted=0, failed=1_000_000)
FLAKY = Reliability(seed=1, interrupted=1_000_000, failed=0)
MONTH = month_of(START)
PEOPLE = ("ada", "grace")
CLOSES_AT = MONTH.end + timedelta(hours=6)


async def delivered_market(sessions: Sessions, reliability: Reliability):
    """A bid of 16 hours at 1.00, cleared and delivered to the end."""
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        bid = await services.orders.submit(request(), A)
    await cycle_of(market).run(GATE)
    report = await SimulatedGrid(sessions, reliability).deliver(START + timedelta(hours=5))
    clock.advance(CLOSES_AT - clock.now())
    return market, bid.bid_id, report


async def test_a_month_closes_to_an_invoice_that_adds_up(sessions: Sessions):
    """16.00 of usage, 1 % of take is 0.16, 19 % tax on 16.16 is 3.0704: 19.2304 to 19.23; the provider is owed 16.00."""
    market, _, report = await delivered_market(sessions, FAITHFUL)
    assert (report.records, report.started, report.completed) == (2, 1, 1)
    closed = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert closed.record.holds
    async with market.services() as services:
        statement = await services.finance.statement(1, A)
        assert await services.finance.trial_balance() == {"USD": 0}
        balances = {name: amount for name, _, amount in await JournalRepository(services.session).balances()}
    assert [(line.kind, line.amount_micros, line.amount_cents) for line in statement.lines] == [
        ("take", 160_000, 16),
        ("usage", 16 * USD, 1600),
    ]
    assert (statement.subtotal_cents, statement.tax_cents, statement.payable_cents) == (1616, 307, 1923)
    assert balances == {
        "receivable": 19_230_000,
        "rounding": 400,
        "tax": -3_070_400,
        "fee_income": -160_000,
        "provider_payable": -16_000_000,
    }


async def test_closing_again_changes_nothing(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    first = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    again = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert again.record.hash == first.record.hash
    async with unit_of_work(sessions) as work:
        lines = (await work.scalars(select(func.count()).select_from(InvoiceLineRow))).one()
        postings = (await work.scalars(select(func.count()).select_from(PostingRow).where(col(PostingRow.account) == "receivable"))).one()
    assert (lines, postings) == (2, 1)


async def test_who_comes_later_is_in_no_earlier_close(sessions: Sessions):
    """Neither a buyer who signs up, nor a provider: a holder who offers a lease on is one, and sells as a party of its own."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    first = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id="prv_late", name="Late", country="DE", kind="neocloud", joined_at=CLOSES_AT)])
        buyer = msgspec.structs.replace(account("acct_late"), legal_name="Late Ltd", opened_at=CLOSES_AT)
        await accounts.add_accounts([buyer])
    again = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert (again.record.hash, again.files) == (first.record.hash, first.files)


async def test_settled_awards_no_longer_hold_credit(sessions: Sessions):
    market, bid_id, _ = await delivered_market(sessions, FAITHFUL)
    async with market.services() as services:
        assert (await services.orders.bid(bid_id, A)).hold_micros == 16 * USD
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        assert (await services.orders.bid(bid_id, A)).hold_micros == 0


async def test_usage_that_comes_late_is_billed_in_the_next_period(sessions: Sessions):
    """A correction halves one slot's record after the close: January keeps 16.00, February gives 4.00 back for January."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    async with unit_of_work(sessions) as work:
        wrong = (await work.scalars(select(UsageRow).order_by(col(UsageRow.start)))).first()
    async with market.services() as services:
        lease = (await services.leases.leases(A)).items[0]
        correction = UsageReport(
            usage_id=wrong.usage_id, rev=1, lease_id=lease.lease_id, start=wrong.start, end=wrong.end,
            accelerator_seconds=wrong.accelerator_seconds // 2,
        )  # fmt: skip
        assert (await services.usage.report([correction], A)).new == 1
    january = await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    assert (january.record.counts.usage_rows, january.record.counts.rows_later) == (2, 0), "what comes later is not looked at"
    february = month_of(MONTH.end)
    pass_time(market, february.end + timedelta(days=1) - market.clock.now())
    await market.close().run(february.start, closes_at=february.end + timedelta(hours=6), people=PEOPLE)
    async with market.services() as services:
        first, second = await services.finance.statements(A)
        assert await services.finance.trial_balance() == {"USD": 0}
    assert (await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)).record == january.record
    assert [line.amount_micros for line in first.lines if line.kind == "usage"] == [16 * USD]
    assert [(line.month, line.amount_micros) for line in second.lines if line.kind == "usage"] == [(1, -4 * USD)]


async def test_an_interrupted_slot_bills_what_was_delivered(sessions: Sessions):
    """Every slot loses its second half: 8 of 16 hours are billed, and paid out."""
    market, _, report = await delivered_market(sessions, FLAKY)
    assert report.records == 4
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        statement = await services.finance.statement(1, A)
        lease = (await services.leases.leases(A)).items[0]
    assert [line.amount_micros for line in statement.lines if line.kind == "usage"] == [8 * USD]
    assert (lease.delivered_seconds, lease.failed_seconds) == (8 * 3600, 8 * 3600)


async def test_a_failed_lease_gives_its_rest_back_to_the_bid(sessions: Sessions):
    """The first of two slots fails: the second, 8 hours, finds no other site and is wanted again while the window lasts."""
    market, bid_id, report = await delivered_market(sessions, BROKEN)
    assert report.failed == 1
    async with market.services() as services:
        lease = (await services.leases.leases(A)).items[0]
        assert (lease.state, len(lease.slots), lease.failed_seconds) == ("failed", 1, 8 * 3600)
    async with unit_of_work(sessions) as work:
        assert await serve_first(work, market.timetable.over, now=START + timedelta(hours=1), give_back=True) == []
    async with market.services() as services:
        assert (await services.orders.bid(bid_id, A)).status == "open"


async def test_delivering_again_reports_nothing_new(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    report = await SimulatedGrid(sessions, FAITHFUL).deliver(START + timedelta(hours=9))
    assert (report.records, report.started, report.completed) == (0, 0, 0)
    async with market.services() as services:
        assert (await services.leases.leases(A)).items[0].state == "completed"


async def test_a_known_usage_id_with_another_content_is_set_aside_and_settlement_names_it(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    async with unit_of_work(sessions) as work:
        row = (await work.scalars(select(UsageRow))).first()
    other = UsageReport(usage_id=row.usage_id, lease_id=row.lease_id, start=row.start, end=row.end, accelerator_seconds=1)
    async with market.services() as services:
        (refused,) = (await services.usage.report([other], A)).set_aside
        assert (refused.reason, refused.differs) == ("other_content", ["accelerator_seconds"])
    pass_time(market, timedelta(hours=1))
    january = await market.close().run(MONTH.start, closes_at=CLOSES_AT + timedelta(hours=1), people=PEOPLE)
    assert january.settlement.conflicts.rows() == [(row.usage_id, 0, ["accelerator_seconds"])]
    assert january.record.counts.conflicts == 1
    assert january.settlement.lines.filter(kind="usage")["amount_micros"].to_list() == [16 * USD], "the first copy counts"


async def test_releasing_a_lease_offers_the_rest_again(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(hours=32.0), A)
    await cycle_of(market).run(GATE)
    clock.advance(START + timedelta(minutes=90) - clock.now())
    async with market.services() as services:
        lease = (await services.leases.leases(A)).items[0]
        released = await services.leases.release(lease.lease_id, A)
    assert (released.state, [slot.quantity for slot in released.slots]) == ("released", [8, 8])
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=32.0), caller("acct_b"))
    report = await cycle_of(market).run(START + timedelta(minutes=105))
    assert (report.certificate.holds, report.awards) == (True, 4), "both slots that are left sell both offers whole"


async def test_the_database_refuses_to_rewrite_usage(sessions: Sessions):
    await delivered_market(sessions, FAITHFUL)
    with pytest.raises(Exception, match="usage_records"):
        async with unit_of_work(sessions) as work:
            await work.execute(update(UsageRow).values(accelerator_seconds=0))
