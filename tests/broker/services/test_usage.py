"""Usage as it comes: again, late, corrected, contradicting itself, impossible; nothing counts twice and nothing is lost."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import select

from broker.api.problems import problem, problem_body
from broker.services.accounts import key_digest
from broker.services.backlog import Backlog
from broker.services.usage_views import UsageReport
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.acts import ActRepository
from broker.store.rows import LeaseRow, UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.acts import PERIOD, By
from contracts.terms.accounts import Provider
from contracts.terms.errors import BadInput, NotPermitted, PeriodFrozen, TooBusy
from tests.broker.small_market import GATE, START, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
METER = Caller(account_id="provider:prv_a", account_name="A", scopes=frozenset({"usage:write"}), provider_id="prv_a")
OTHER = Caller(account_id="provider:prv_b", account_name="B", scopes=frozenset({"usage:write"}), provider_id="prv_b")


async def leased_market(sessions: Sessions, *, hours: int = 5):
    """A bid of 16 hours on 8 accelerators: a lease of two slots, and some hours past the first slot of the grid."""
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), caller("acct_a"))
    await cycle_of(market).run(GATE)
    clock.advance(START + hours * HOUR - clock.now())
    async with unit_of_work(sessions) as work:
        lease = (await work.scalars(select(LeaseRow))).one()
    return market, lease


def report(lease: LeaseRow, usage_id: str, *, hour: int = 0, seconds: int = 8 * 3600, **facts) -> UsageReport:
    """One hour of the lease, all of it unless said."""
    start = lease.starts_at + hour * HOUR
    plain = {"usage_id": usage_id, "lease_id": lease.id, "start": start, "end": start + HOUR, "accelerator_seconds": seconds}
    return UsageReport(**(plain | facts))


async def kept(sessions: Sessions) -> set[tuple[str, int, int]]:
    async with unit_of_work(sessions) as work:
        return {(row.usage_id, row.rev, row.accelerator_seconds) for row in await work.scalars(select(UsageRow))}


async def sent(market, reports, by: Caller = METER):
    async with market.services() as services:
        return await services.usage.report(reports, by)


async def test_the_same_batch_again_is_no_news(sessions: Sessions):
    market, lease = await leased_market(sessions)
    both = [report(lease, "a"), report(lease, "b", hour=1)]
    first, second = await sent(market, both), await sent(market, both)
    assert (first.received, first.new, first.known, first.set_aside) == (2, 2, 0, [])
    assert (second.received, second.new, second.known, second.set_aside) == (2, 0, 2, [])
    assert await kept(sessions) == {("a", 0, 28_800), ("b", 0, 28_800)}


async def test_any_split_and_order_of_a_batch_leaves_the_same_records(sessions: Sessions):
    market, lease = await leased_market(sessions)
    draw = random.Random(7)
    reports = [report(lease, f"u{n}", hour=n % 2, seconds=1000 + n, rev=n % 3) for n in range(12)]
    shuffled = [each for each in reports for _ in range(draw.randint(1, 3))]
    draw.shuffle(shuffled)
    receipts = [await sent(market, shuffled[n : n + 5]) for n in range(0, len(shuffled), 5)]
    assert await kept(sessions) == {(each.usage_id, each.rev, each.accelerator_seconds) for each in reports}
    assert sum(receipt.new for receipt in receipts) == 12
    assert sum(receipt.new + receipt.known for receipt in receipts) == len(shuffled)


async def test_another_content_is_told_by_row_and_kept_aside(sessions: Sessions):
    market, lease = await leased_market(sessions)
    await sent(market, [report(lease, "a", seconds=10)])
    receipt = await sent(market, [report(lease, "b", hour=1), report(lease, "a", seconds=11, status="preempted")])
    (refused,) = receipt.set_aside
    assert (receipt.new, refused.row, refused.usage_id) == (1, 1, "a")
    assert refused.differs == ["accelerator_seconds", "status"]
    assert "higher rev" in refused.detail
    async with market.services() as services:
        (aside,) = (await services.usage.set_aside(METER, cursor=None, limit=10)).items
        assert (await services.usage.set_aside(OTHER, cursor=None, limit=10)).items == []
    assert (aside.accelerator_seconds, aside.reason, aside.received_at) == (11, "other_content", market.clock.now())
    assert await kept(sessions) == {("a", 0, 10), ("b", 0, 28_800)}


async def test_of_copies_in_one_batch_the_least_content_counts(sessions: Sessions):
    market, lease = await leased_market(sessions)
    receipt = await sent(market, [report(lease, "a", seconds=n) for n in (30, 10, 20, 10)])
    assert (receipt.new, receipt.known, [each.row for each in receipt.set_aside]) == (1, 1, [0, 2])
    assert await kept(sessions) == {("a", 0, 10)}


async def test_a_corrected_record_stands_beside_the_first(sessions: Sessions):
    """A higher rev may come first, and say less or nothing."""
    market, lease = await leased_market(sessions)
    receipts = [await sent(market, [report(lease, "a", rev=rev, seconds=seconds)]) for rev, seconds in ((1, 5), (0, 28_800), (7, 0))]
    assert [receipt.new for receipt in receipts] == [1, 1, 1]
    async with market.services() as services:
        assert (await services.leases.leases(caller("acct_a"))).items[0].delivered_seconds == 0


async def test_what_cannot_be_true_is_kept_aside_with_its_reason(sessions: Sessions):
    market, lease = await leased_market(sessions)
    wrong = {
        "unknown_lease": report(lease, "1", lease_id="lse_nobody"),
        "ends_before_start": report(lease, "2", end=lease.starts_at - HOUR),
        "no_length": report(lease, "3", end=lease.starts_at),
        "not_over": report(lease, "4", hour=9),
        "outside_lease": report(lease, "5", start=lease.starts_at - HOUR),
        "above_lease": report(lease, "6", seconds=8 * 3600 + 1),
        "above_lease_together": report(lease, "8", seconds=1),
    }
    receipt = await sent(market, [*wrong.values(), report(lease, "7")])
    assert [(each.row, each.reason) for each in receipt.set_aside] == list(enumerate(wrong))
    assert await kept(sessions) == {("7", 0, 28_800)}
    again = await sent(market, list(wrong.values()))
    assert [each.reason for each in again.set_aside] == list(wrong)
    async with market.services() as services:
        page = await services.usage.set_aside(METER, cursor=None, limit=4)
        rest = await services.usage.set_aside(METER, cursor=page.next_cursor, limit=4)
    assert [each.reason for each in (*page.items, *rest.items)] == list(wrong), "each once"
    assert rest.next_cursor is None


async def test_a_report_set_aside_may_come_true(sessions: Sessions):
    """Before its hour is over it is the future; afterwards it is delivered."""
    market, lease = await leased_market(sessions, hours=0)
    early = await sent(market, [report(lease, "a")])
    pass_time(market, lease.starts_at + HOUR - START)
    late = await sent(market, [report(lease, "a")])
    assert ([each.reason for each in early.set_aside], late.new) == (["not_over"], 1)


async def test_a_provider_reports_on_its_own_leases_only(sessions: Sessions):
    market, lease = await leased_market(sessions)
    assert [each.reason for each in (await sent(market, [report(lease, "a")], OTHER)).set_aside] == ["unknown_lease"]
    with pytest.raises(NotPermitted):
        await sent(market, [report(lease, "a")], Caller(account_id="x", account_name="x", scopes=frozenset({"read"})))
    assert await kept(sessions) == set()


async def test_a_providers_key_signs_it_in(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id="prv_b", name="B", country="DE", kind="neocloud")])
        await accounts.add_provider_key("prv_b", key_digest("secret"), scopes=["usage:write"], at=market.clock.now())
    async with market.services() as services:
        assert await services.accounts.authenticate("secret") == OTHER


async def test_the_database_refuses_a_record_of_no_lease(sessions: Sessions):
    with pytest.raises(Exception, match="not known"):
        async with unit_of_work(sessions) as work:
            await work.execute(text("INSERT INTO usage_records VALUES ('u', 0, 'lse_nobody', now(), now(), 0, 'delivered', now())"))


@pytest.mark.parametrize("year", [1, 1969, 2970, 9999])
async def test_a_moment_no_market_has_seen_is_refused(sessions: Sessions, year):
    market, lease = await leased_market(sessions)
    with pytest.raises(BadInput, match="1970"):
        await sent(market, [report(lease, "a", start=START.replace(year=year, day=2))])


def test_more_batches_than_there_is_room_for_are_told_to_wait():
    backlog = Backlog(batches_max=1)
    with backlog.turn():
        with pytest.raises(TooBusy) as refused, backlog.turn():
            pass
        assert refused.value.facts["retry_after"] == 1
    with backlog.turn():
        pass


@pytest.mark.parametrize(("seconds", "aside"), [(60, []), (9 * 3600, ["above_lease"])])
async def test_a_batch_that_a_freeze_overtook_is_refused_by_name(sessions: Sessions, seconds, aside):
    """Stamped at 05:00 and merged after a freeze of 05:01: a 409 that says both, nothing kept; sent again at 05:01 it is welcome."""
    market, lease = await leased_market(sessions)
    frozen = market.clock.now() + timedelta(minutes=1)
    async with unit_of_work(sessions) as work:
        await ActRepository(work).append(PERIOD.next("1", [], act="frozen", by=By("ada", frozen), facts={"closes_at": frozen}))
    batch = [report(lease, "use_1", seconds=seconds)]
    with pytest.raises(PeriodFrozen, match="is frozen") as refused:
        await sent(market, batch)
    facts = {"usage_id": "use_1", "found": "2027-01-04T05:00:00Z", "frozen_until": "2027-01-04T05:01:00Z"}
    told = problem_body(problem(refused.value))
    assert (told["status"], told["type"]) == (409, "/problems/period_frozen")
    assert facts.items() <= told.items()
    assert "the same batch again" in str(told["would_do"])
    assert await kept(sessions) == set()
    pass_time(market, timedelta(minutes=1))
    receipt = await sent(market, batch)
    assert (receipt.received, [each.reason for each in receipt.set_aside]) == (1, aside)
