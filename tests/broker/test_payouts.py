"""Paying providers: by two people, once, with what is kept back, carried forward and blocked."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from broker.payouts import PayoutDesk
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.payout_runs import PayoutPolicy
from contracts.terms.errors import Conflict, NotPermitted, NotSupported, ProcessorFailed, WrongState
from tests.broker.dying import die_everywhere
from tests.broker.paid_market import agrees, balances, close, paid_market, provider, show_papers
from tests.broker.small_market import USD, open_small_market, pass_time

pytestmark = pytest.mark.anyio
FAULTS = ("lost", "answer_lost", "busy", "in_use", "broken", "broken_after")


async def collected(sessions: Sessions, **facts):
    """A month closed and paid by its buyer: 19.23 less 0.54 of the processor's."""
    market, fake = await paid_market(sessions, **facts)
    await close(market)
    await market.collection().collect(1)
    return market, fake


async def test_a_run_is_proposed_by_one_and_approved_by_another(sessions: Sessions):
    market, fake = await collected(sessions)
    desk = market.payouts()
    run = await desk.propose("USD", actor="ada")
    assert [(line.provider_id, line.cents, line.standing) for line in run.lines] == [("prv_a", 1_600, "ready")]
    with pytest.raises(WrongState, match="possible: approved"):
        await desk.pay("USD", 1, actor="ada")
    with pytest.raises(NotPermitted):
        await desk.approve("USD", 1, actor="ada")
    await desk.approve("USD", 1, actor="grace")
    assert (await desk.pay("USD", 1, actor="ada")).waiting == ("prv_a",), "no papers yet"
    show_papers(fake)
    run = await desk.pay("USD", 1, actor="ada")
    assert (run.state, run.paid) == ("ended", ("prv_a",))
    assert [each["amount"] for each in fake.account.all("transfer")] == [1_600]
    assert (await balances(market)).get("provider_payable") is None
    assert await agrees(market)


async def test_a_run_paid_again_pays_nothing(sessions: Sessions):
    market, fake = await collected(sessions)
    desk = market.payouts()
    await desk.propose("USD", actor="ada")
    for _ in range(2):
        await desk.approve("USD", 1, actor="grace")
    for _ in range(4):
        await desk.pay("USD", 1, actor="ada")
        show_papers(fake)
    assert len(fake.account.all("transfer")) == 1
    assert (await desk.propose("USD", actor="ada")).lines == ()


async def test_one_run_at_a_time(sessions: Sessions):
    market, _ = await collected(sessions)
    desk = market.payouts()
    await desk.propose("USD", actor="ada")
    with pytest.raises(WrongState, match="run 1 of USD is proposed; end it first"):
        await desk.propose("USD", actor="grace")
    await desk.reject("USD", 1, actor="grace")
    assert (await desk.propose("USD", actor="ada")).number == 2


async def test_what_the_ledger_no_longer_owes_is_not_approved(sessions: Sessions):
    """Between proposal and approval an SLA credit takes 4.00 from the provider."""
    market, _ = await collected(sessions)
    await market.payouts().propose("USD", actor="ada")
    async with unit_of_work(sessions) as work:
        await work.execute(text("INSERT INTO journal_entries VALUES ('ent_x', 'sla_credit', 'posted', now(), '', '', 2)"))
        await work.execute(
            text(
                "INSERT INTO postings VALUES ('ent_x', 0, 'provider_payable', 'prv_a', 'USD', 4000000), "
                "('ent_x', 1, 'sla_credits', 'acct_a', 'USD', -4000000)"
            )
        )
    with pytest.raises(Conflict, match="less is owed to prv_a"):
        await market.payouts().approve("USD", 1, actor="grace")
    await market.payouts().reject("USD", 1, actor="grace")
    assert (await market.payouts().propose("USD", actor="ada")).lines[0].cents == 1_200


async def test_part_is_kept_back_and_paid_when_its_time_has_come(sessions: Sessions):
    """25 % of 16.00 for ten days: 12.00 now, 4.00 then."""
    market, fake = await collected(sessions, policy=PayoutPolicy(delay_days=0, reserve_bps=2_500, reserve_days=10))
    desk = market.payouts()
    await _paid(desk, fake, number=1)
    assert (await balances(market))["provider_pending"] == -4 * USD
    pass_time(market, timedelta(days=9))
    assert (await desk.propose("USD", actor="ada")).lines[0].standing == "carried"
    await desk.reject("USD", 2, actor="grace")
    pass_time(market, timedelta(days=2))
    await _paid(desk, fake, number=3)
    assert sorted(each["amount"] for each in fake.account.all("transfer")) == [400, 1_200]
    assert "provider_pending" not in await balances(market)
    assert await agrees(market)


async def test_a_new_provider_waits_and_an_affiliate_is_looked_at(sessions: Sessions):
    market, _ = await collected(sessions, policy=PayoutPolicy(delay_days=30))
    desk, now = market.payouts(), market.clock.now()
    await provider(sessions, joined_at=now - timedelta(days=29))
    assert "less than 30 days" in (await desk.propose("USD", actor="ada")).lines[0].reason
    await desk.reject("USD", 1, actor="grace")
    await provider(sessions, joined_at=now - timedelta(days=30), parent="Acme")
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE accounts SET parent = 'Acme' WHERE id = 'acct_a'"))
    assert "same parent as acct_a" in (await desk.propose("USD", actor="ada")).lines[0].reason
    await desk.reject("USD", 2, actor="grace")
    await desk.clear("acct_a", "prv_a", actor="grace", note="an arm's-length price, seen")
    assert (await desk.propose("USD", actor="ada")).lines[0].standing == "ready"


async def test_without_a_processor_nothing_is_paid(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    with pytest.raises(NotSupported, match="STRIPE_API_KEY"):
        await market.payouts().pay("USD", 1, actor="ada")
    with pytest.raises(NotSupported, match="STRIPE_API_KEY"):
        await market.collection().collect(1)


async def test_a_payout_run_that_dies_anywhere_pays_once(sessions: Sessions):
    """At every statement and commit of every step; between the transfer and its entry too."""
    market, fake = await collected(sessions, policy=PayoutPolicy(delay_days=0, reserve_bps=1_000))
    desk = market.payouts()
    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("proposed", lambda: _proposed(desk)),
        ("approved", lambda: desk.approve("USD", 1, actor="grace")),
        ("approved", lambda: desk.pay("USD", 1, actor="ada")),
        ("ended", lambda: desk.pay("USD", 1, actor="ada")),
    ]
    deaths = 0
    for name, step in steps:

        async def nothing_twice(number: int) -> None:
            assert len(fake.account.all("transfer")) <= 1, f"died at moment {number}"
            assert len(await desk.runs()) <= 1

        deaths += await die_everywhere(sessions, step, after=nothing_twice)
        assert (await desk.run("USD", 1)).state == name
        show_papers(fake)
    assert deaths > 30
    assert [each["amount"] for each in fake.account.all("transfer")] == [1_440]
    assert (await balances(market))["provider_pending"] == -1_600_000
    assert "provider_payable" not in await balances(market)
    assert await agrees(market)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_processor_does_the_books_agree_in_the_end(sessions: Sessions, seed):
    """Collection and payout while one request in three is lost, refused or broken before or after its effect."""
    chance = random.Random(seed)
    plan = [chance.choice(FAULTS) if chance.random() < 1 / 3 else None for _ in range(400)]
    market, fake = await paid_market(sessions, faults=plan)
    await close(market)
    await _until_done(lambda: market.collection().collect(1))
    desk = market.payouts()
    await desk.propose("USD", actor="ada")
    await desk.approve("USD", 1, actor="grace")
    while (await desk.run("USD", 1)).state != "ended":
        await _until_done(lambda: desk.pay("USD", 1, actor="ada"))
        show_papers(fake)
    await _until_done(lambda: market.collection().collect(1))
    assert [each["amount"] for each in fake.account.all("transfer")] == [1_600]
    assert [each["amount"] for each in fake.account.all("charge")] == [1_923]
    fake.faults = iter(())
    assert await agrees(market)


async def _proposed(desk: PayoutDesk) -> None:
    if not await desk.runs():
        await desk.propose("USD", actor="ada")


async def _paid(desk: PayoutDesk, fake, *, number: int) -> None:
    run = await desk.propose("USD", actor="ada")
    assert run.number == number
    await desk.approve("USD", number, actor="grace")
    await desk.pay("USD", number, actor="ada")
    show_papers(fake)
    await desk.pay("USD", number, actor="ada")


async def _until_done(act: Callable[[], Awaitable[object]]) -> None:
    for _ in range(30):
        try:
            await act()
        except ProcessorFailed:
            continue
        return
    raise AssertionError("it never ends")
