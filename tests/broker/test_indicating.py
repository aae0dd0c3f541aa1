"""Indicative prices: what the gate then clears at, told only while nobody's bid can be read from them."""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.app import Market
from broker.indicating import Indicator, keep_indicating
from broker.services.indication import BUYERS_MIN, Indication, Indications, may_be_told
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from tests.broker.small_market import GATE, USD, account, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
BUYERS = [f"acct_{name}" for name in "cdefgh"]


async def a_market(sessions: Sessions) -> tuple[Market, Indicator]:
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account(name) for name in BUYERS])
    return market, Indicator(market, ThreadPoolExecutor(1))


async def bid(market: Market, buyer: str, **facts: object) -> str:
    async with market.services() as services:
        return (await services.orders.submit(request(width=4, hours=16.0, **facts), caller(buyer))).bid_id


async def shown(market: Market) -> Indication:
    async with market.services() as services:
        return services.market.indication()


async def test_what_is_shown_is_what_the_gate_then_clears_at(sessions: Sessions):
    """Four buyers of 4 at up to 3.00 want all 16: the offer at 2.00 is the marginal one, or any rate up to 3.00."""
    market, indicator = await a_market(sessions)
    for buyer in BUYERS[:4]:
        await bid(market, buyer)
    indication = await indicator.work_out()
    assert indication is not None
    assert await shown(market) == indication
    assert (indication.gate_at, indication.worked_out_at) == (GATE, market.clock.now())
    pass_time(market, timedelta(hours=1))
    assert await shown(market) == Indication(currency="USD"), "the gate has closed"
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        cleared = (await services.market.now()).prices
    traded = [(price.hardware, price.tier, price.rate_micros) for price in cleared if price.traded]
    assert [(price.hardware, price.tier, price.rate_micros) for price in indication.prices] == traded
    assert traded


async def test_one_buyers_bid_moves_nothing_and_three_buyers_bids_do(sessions: Sessions):
    market, indicator = await a_market(sessions)
    for buyer in BUYERS[:3]:
        await bid(market, buyer, limit_spot_micros=1_500_000)
    first = await indicator.work_out()
    assert first is not None
    assert await indicator.work_out() is not None, "nobody's orders have changed"
    before = await shown(market)
    for buyer in BUYERS[3:5]:
        await bid(market, buyer, limit_spot_micros=9 * USD)
        await bid(market, buyer, limit_spot_micros=8 * USD)
        assert await indicator.work_out() is None
        assert await shown(market) == before
    await bid(market, BUYERS[5], limit_spot_micros=9 * USD)
    after = await indicator.work_out()
    assert after is not None
    assert after.prices != before.prices


async def test_a_bid_that_is_taken_back_counts_as_one_that_is_entered(sessions: Sessions):
    market, indicator = await a_market(sessions)
    bids = {buyer: await bid(market, buyer) for buyer in BUYERS[:5]}
    assert await indicator.work_out() is not None
    for count, buyer in enumerate(BUYERS[:3], start=1):
        async with market.services() as services:
            await services.orders.withdraw(bids[buyer], caller(buyer))
        told = await indicator.work_out()
        assert (told is not None) == (count >= BUYERS_MIN)


async def test_a_class_fewer_than_three_buyers_win_has_no_indicative_price(sessions: Sessions):
    """Three buyers bid, one too little: only two would win any."""
    market, indicator = await a_market(sessions)
    for buyer, limit in zip(BUYERS, (3 * USD, 3 * USD, USD // 2), strict=False):
        await bid(market, buyer, limit_spot_micros=limit)
    indication = await indicator.work_out()
    assert indication is not None
    assert indication.prices == []


async def test_near_the_gate_the_process_that_clears_is_left_alone(sessions: Sessions):
    market, indicator = await a_market(sessions)
    pass_time(market, timedelta(minutes=59, seconds=30))
    assert await indicator.work_out() is None


async def test_whatever_goes_wrong_is_told_and_the_market_goes_on(sessions: Sessions):
    market, _ = await a_market(sessions)
    for buyer in BUYERS[:3]:
        await bid(market, buyer)

    class Broken(Executor):
        def submit(self, fn, /, *args, **kwargs):
            raise RuntimeError("the process that clears is gone")

    said: list[str] = []
    enough = asyncio.Event()

    def say(words: str) -> None:
        said.append(words)
        if len(said) == 2:
            enough.set()

    keeping = asyncio.create_task(keep_indicating(market, Broken(), say=say, every=0.0))
    await asyncio.wait_for(enough.wait(), 60)
    keeping.cancel()
    assert all("no indicative prices: the process that clears is gone" in words for words in said)


def test_an_indication_is_of_its_gate_and_gone_with_it():
    shelf = Indications("USD")
    shelf.put(Indication(currency="USD", gate_at=GATE, worked_out_at=GATE - timedelta(minutes=5)))
    assert shelf.at(GATE - timedelta(seconds=1)).gate_at == GATE
    assert shelf.at(GATE) == Indication(currency="USD")


@given(st.lists(st.sampled_from(BUYERS)))
def test_it_takes_nobody_or_three_different_buyers(moved):
    assert may_be_told(moved) == (len(set(moved)) not in (1, 2))
