"""The steps of a close: in order, by two people, once, whatever dies."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from broker.app import Market
from broker.closing import PeriodClose
from broker.delivery import SimulatedGrid
from broker.services.usage_views import UsageReport
from broker.store.repositories.acts import ActRepository
from broker.store.rows import UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.close import record_hash
from contracts.review import Bounds
from contracts.terms.errors import BadInput, Conflict, NotFound, NotPermitted, StaleToken, WrongState
from contracts.terms.time import month_of
from tests.broker.dying import die_everywhere
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, delivered_market

pytestmark = pytest.mark.anyio
HOURS = 3600
FACTS = ("closes", "invoices", "invoice_lines", "payouts", "acts", "journal_entries", "postings")


async def counts(sessions: Sessions) -> dict[str, int]:
    async with unit_of_work(sessions) as work:
        return {name: int((await work.execute(text(f"SELECT count(*) FROM {name}"))).scalar_one()) for name in FACTS}


async def january(sessions: Sessions) -> tuple[Market, PeriodClose]:
    """A month of 16.00 USD delivered to acct_a, an hour after it may be closed."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    pass_time(market, timedelta(hours=1))
    return market, market.close()


async def correct(market: Market, *, seconds: int, rev: int) -> None:
    """Another revision of the first record, arriving now."""
    async with market.services() as services:
        lease = (await services.leases.leases(caller("acct_a"))).items[0]
        report = UsageReport(
            usage_id=(await _first_usage(services.session)), lease_id=lease.lease_id, start=START, end=START + timedelta(hours=1),
            accelerator_seconds=seconds, rev=rev,
        )  # fmt: skip
        assert (await services.usage.report([report], caller("acct_a"))).new == 1


async def _first_usage(work) -> str:
    return str((await work.execute(text("SELECT min(usage_id) FROM usage_records WHERE start = :start"), {"start": START})).scalar_one())


async def test_a_month_passes_every_step(sessions: Sessions):
    _, close = await january(sessions)
    assert [(each.period, each.state) for each in await close.periods()] == [(1, "open"), (2, "open")]
    assert (await close.freeze(1, actor="ada", closes_at=CLOSES_AT)).closes_at == CLOSES_AT
    rated = await close.rate(1, actor="ada")
    assert (rated.state, rated.rated.outliers) == ("rated", ())
    assert await counts(sessions) == await counts(sessions) | {"invoices": 0, "closes": 0}, "rating bills nothing"
    assert (await close.review(1, actor="grace")).state == "reviewed"
    report = await close.finalise(1, actor="grace")
    assert report.record == rated.rated.record
    standing = await close.exported(1, {"invoices.csv": b"x"}, actor="ada")
    assert [each.act for each in standing.history] == ["frozen", "rated", "reviewed", "finalised", "exported"]


async def test_the_steps_come_in_order(sessions: Sessions):
    _, close = await january(sessions)
    for step in (close.rate(1, actor="ada"), close.review(1, actor="grace"), close.finalise(1, actor="grace")):
        with pytest.raises(WrongState, match="is open; freeze it first"):
            await step
    await close.freeze(1, actor="ada")
    for step in (close.review(1, actor="grace"), close.finalise(1, actor="grace")):
        with pytest.raises(WrongState, match="possible: rated"):
            await step
    with pytest.raises(WrongState, match="period 1 is frozen; periods close in order"):
        await close.freeze(2, actor="ada")
    with pytest.raises(NotFound, match="periods 1 to 2 have begun"):
        await close.freeze(3, actor="ada")


async def test_who_rated_neither_reviews_nor_finalises(sessions: Sessions):
    _, close = await january(sessions)
    await close.freeze(1, actor="ada")
    await close.rate(1, actor="ada")
    with pytest.raises(NotPermitted):
        await close.review(1, actor="ada")
    await close.review(1, actor="grace")
    with pytest.raises(NotPermitted):
        await close.finalise(1, actor="ada")
    assert (await counts(sessions))["closes"] == 0


async def test_a_month_is_not_frozen_before_it_ends_or_before_it_is_now(sessions: Sessions):
    market, close = await january(sessions)
    for moment in (MONTH.end - timedelta(seconds=1), market.clock.now() + timedelta(seconds=1)):
        with pytest.raises(BadInput, match="closes after its month"):
            await close.freeze(1, actor="ada", closes_at=moment)


async def test_a_month_under_way_is_not_frozen(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    with pytest.raises(WrongState, match="not over before 2027-02-01T00:00:00Z"):
        await market.close().freeze(1, actor="ada")


async def test_a_step_taken_again_is_done_already(sessions: Sessions):
    """By the same person: nothing is written. By another: it is too late, or a new act of its own."""
    _, close = await january(sessions)
    steps: list[Callable[[str], Awaitable[object]]] = [
        lambda who: close.freeze(1, actor=who),
        lambda who: close.rate(1, actor=who),
        lambda who: close.review(1, actor=who),
        lambda who: close.finalise(1, actor=who),
        lambda who: close.exported(1, {"a": b"b"}, actor=who),
    ]
    for step, who in zip(steps, ("ada", "ada", "grace", "grace", "grace"), strict=True):
        await step(who)
        before = await counts(sessions)
        await step(who)
        assert await counts(sessions) == before
    with pytest.raises(WrongState):
        await close.freeze(1, actor="grace")


async def test_what_was_not_rated_is_not_finalised(sessions: Sessions):
    """A plan is changed between rating and finalising: what two people looked at is not what would be written."""
    _, close = await january(sessions)
    await close.freeze(1, actor="ada")
    await close.rate(1, actor="ada")
    await close.review(1, actor="grace")
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE accounts SET take_bps = 200 WHERE id = 'acct_a'"))
    with pytest.raises(Conflict, match="rate it again"):
        await close.finalise(1, actor="grace")
    await close.rate(1, actor="ada")
    await close.review(1, actor="grace")
    report = await close.finalise(1, actor="grace")
    assert report.settlement.invoices["take_micros"].to_list() == [320_000]


async def test_usage_that_comes_after_freezing_waits(sessions: Sessions):
    """A correction to half the first hour, after the close: January bills 16.00, February gives 4.00 back for it, chained to January."""
    market, close = await january(sessions)
    await close.freeze(1, actor="ada")
    pass_time(market, timedelta(hours=1))
    await correct(market, seconds=4 * HOURS, rev=1)
    await close.rate(1, actor="ada")
    (waits,) = (await close.period(1)).rated.outliers
    assert (waits.rule, waits.found) == ("unbilled usage", 1)
    await close.review(1, actor="grace", note="the meter was mended, February corrects it")
    first = await close.finalise(1, actor="grace")
    february = month_of(MONTH.end)
    pass_time(market, february.end + timedelta(hours=6) - market.clock.now())
    second = await close.run(february.start, closes_at=market.clock.now(), people=("grace", "ada"))
    lines = second.settlement.lines.filter(kind="usage").select("period", "month", "amount_micros").rows()
    assert lines == [(1, 1, 16 * USD), (2, 1, -4 * USD)]
    assert (first.record.previous, second.record.previous) == (None, first.record.hash)
    assert record_hash(second.record) == second.record.hash
    assert [line.difference for line in second.record.reconciliations] == [0] * len(second.record.reconciliations)
    assert "earlier periods are unchanged, rows" in {line.name for line in second.record.reconciliations}


async def test_a_preview_shows_what_moved_since_the_last(sessions: Sessions):
    """16.00 and 1 % and 19 % tax: 19.23. Then half an hour of 8 accelerators is taken back: 12.00, so 14.42, which is 4.81 less."""
    market, close = await january(sessions)
    market_before = await counts(sessions)
    first = await close.preview(1, actor="ada")
    assert [(each.bill.account_id, each.bill.payable_cents, each.before_cents, each.change_cents) for each in first.changes] == [
        ("acct_a", 1923, None, 1923)
    ]
    await correct(market, seconds=4 * HOURS, rev=1)
    pass_time(market, timedelta(hours=1))
    second = await close.preview(1, actor="grace")
    (change,) = second.changes
    assert (change.bill.payable_cents, change.before_cents, change.change_cents) == (1442, 1923, -481)
    assert await counts(sessions) == market_before | {"acts": 2}, "a preview decides nothing"
    assert (await close.period(1)).state == "open"


async def test_an_account_that_has_nothing_any_more_is_shown_with_what_it_lost(sessions: Sessions):
    market, close = await january(sessions)
    await close.preview(1, actor="ada")
    async with market.services() as services:
        ids = (await services.session.execute(text('SELECT usage_id, lease_id, start, "end" FROM usage_records'))).all()
        gone = [
            UsageReport(usage_id=id, lease_id=lease, start=start, end=end, accelerator_seconds=0, rev=1) for id, lease, start, end in ids
        ]
        await services.usage.report(gone, caller("acct_a"))
    pass_time(market, timedelta(hours=1))
    (change,) = (await close.preview(1, actor="ada")).changes
    assert (change.bill.account_id, change.bill.payable_cents, change.change_cents) == ("acct_a", 0, -1923)


async def test_outliers_need_a_note(sessions: Sessions):
    """An invoice given below cost (the flat fee is 1.00, the hours cost 16.00), and hours that nobody metered."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.session.execute(
            text('UPDATE plans SET terms = \'{"kind": "flat_rate", "fee_micros": 1000000, "overage": "throttle"}\'')
        )
        await services.orders.submit(request(), caller("acct_a"))
    async with market.services() as services:
        await services.orders.submit(request(limit_spot_micros=4 * USD), caller("acct_b"))
    await cycle_of(market).run(GATE)
    await SimulatedGrid(sessions, FAITHFUL).deliver(START + timedelta(hours=5))
    pass_time(market, CLOSES_AT - market.clock.now())
    close = market.close()
    await close.freeze(1, actor="ada")
    rated = await close.rate(1, actor="ada")
    found = {(each.rule, each.subject): (each.found, each.limit) for each in rated.rated.outliers}
    assert found.keys() == {("negative margin", "acct_a"), ("negative margin", "acct_b")}
    assert all(short < 0 for short, _ in found.values())
    with pytest.raises(BadInput, match="needs a note"):
        await close.review(1, actor="grace", note="  ")
    returned = await close.review(1, actor="grace", note="the flat fee is wrong", accept=False)
    assert returned.state == "returned"
    with pytest.raises(WrongState):
        await close.finalise(1, actor="grace")
    await close.rate(1, actor="ada")
    assert (await close.review(1, actor="grace", note="agreed with sales")).state == "reviewed"


async def test_hours_that_nobody_metered_are_flagged(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), caller("acct_a"))
    await cycle_of(market).run(GATE)
    pass_time(market, CLOSES_AT - market.clock.now())
    close = market.close()
    await close.freeze(1, actor="ada")
    (silent,) = (await close.rate(1, actor="ada")).rated.outliers
    assert (silent.rule, silent.subject[:4]) == ("silent lease", "lse_")
    patient = PeriodClose(sessions, market.hardware, clock=market.clock, bounds=Bounds(silent_days=30))
    assert not (await patient.rate(1, actor="grace")).rated.outliers


async def test_of_two_closes_at_once_one_is_refused(sessions: Sessions):
    """Both have read the same history: the second to write finds the number taken."""
    _, close = await january(sessions)
    await close.freeze(1, actor="ada")
    async with unit_of_work(sessions) as work:
        history = await ActRepository(work).history("period", "1")
    await close.rate(1, actor="ada")
    again = msgspec.structs.replace(history[0], sequence=2, act="rated", actor="grace")
    with pytest.raises(StaleToken, match="moved on"):
        async with unit_of_work(sessions) as work:
            await ActRepository(work).append(again)


async def test_a_close_that_dies_anywhere_has_one_effect(sessions: Sessions):
    """At every statement and every commit of every step: nothing is there, or all of it, and the next run ends as one that never died."""
    market, close = await january(sessions)
    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("frozen", lambda: close.freeze(1, actor="ada", closes_at=CLOSES_AT)),
        ("rated", lambda: close.rate(1, actor="ada")),
        ("reviewed", lambda: close.review(1, actor="grace")),
        ("finalised", lambda: close.finalise(1, actor="grace")),
        ("exported", lambda: close.exported(1, {"a": b"b"}, actor="grace")),
    ]
    deaths = 0
    for name, step in steps:
        before = await counts(sessions)

        async def all_or_nothing(number: int, before: dict[str, int] = before, name: str = name) -> None:
            now, standing = await counts(sessions), await close.period(1)
            if standing.state != name:
                assert now == before, f"{name} died at moment {number} and left something"

        deaths += await die_everywhere(sessions, step, after=all_or_nothing)
        assert (await close.period(1)).state == name
    assert deaths > 40
    assert await counts(sessions) == await counts(sessions) | {"closes": 1, "invoices": 1, "invoice_lines": 2, "payouts": 1, "acts": 5}
    async with market.services() as services:
        assert await services.finance.trial_balance() == {"USD": 0}
    report = await close.finalise(1, actor="grace")
    assert report.record.hash == (await close.period(1)).rated.record.hash


async def test_what_is_frozen_is_what_was_there_even_if_it_was_on_its_way(sessions: Sessions):
    """A record stamped before the close but written after it is refused by the database, not lost in a closed month."""
    _, close = await january(sessions)
    await close.freeze(1, actor="ada", closes_at=CLOSES_AT)
    async with unit_of_work(sessions) as work:
        row = (await work.get(UsageRow, (await _first_usage(work), 0))).model_dump()
    with pytest.raises(Exception, match="is frozen"):
        async with unit_of_work(sessions) as work:
            work.add(UsageRow(**row | {"rev": 1, "received_at": CLOSES_AT - timedelta(seconds=1)}))
