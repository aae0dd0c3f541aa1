"""What the store says of a cycle is what the clearing said, and its messages name nobody who bought."""

from datetime import timedelta

import msgspec
import pytest

from broker.services.leases import Failure
from broker.services.views import Caller
from broker.store.repositories.market_figures import MarketFiguresRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed.messages import Maint, Withdraw
from tests.broker.feeds.test_feed_market import Fed, an_announcement
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, open_small_market, pass_time, request

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


async def test_prices_taken_apart_add_up_in_the_store_too(sessions: Sessions):
    """8 at up to 3.00 beside 8 offered at 1.00 and 8 at 2.00: the price is between, what is beyond 1.00 is scarcity."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(hours=16.0), caller("acct_a"))
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        (split,) = await services.figures.split("H100-SXM")
        (price,) = [price for price in (await services.market.now()).prices if price.traded]
        (carbon,) = await services.figures.carbon("H100-SXM")
        assert await services.figures.split("H100-SXM") is await services.figures.split("H100-SXM"), "worked out once a cycle"
    assert (split.tier, split.sold, split.rate_micros) == ("spot", 16, price.rate_micros)
    assert (split.power_micros, split.machine_micros, split.headroom_micros) == (0, USD, 0)
    assert split.scarcity_micros == price.rate_micros - USD
    assert (carbon.country, carbon.grams, carbon.hours_unknown) == ("DE", None, 16.0), "nobody knows the zone of its power"


async def test_messages_tell_what_cannot_be_bought_and_nobody_who_did(sessions: Sessions):
    fed = await Fed.opened(sessions)
    market = fed.market
    for message in (
        an_announcement("ofr_gone"),
        an_announcement("ofr_dear", rate_micros=9_000 * USD),
        Maint(start=START + HOUR, end=START + 3 * HOUR),
        Withdraw(offer_id="ofr_gone"),
    ):
        await fed.say(message)
    async with market.services() as services:
        await services.orders.submit(request(hours=16.0), caller("acct_a"))
    await fed.until_gate(alive=True)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        (lease,) = (await services.leases.leases(caller("acct_a"))).items
        holder = Caller(account_id="x", account_name="x", scopes=frozenset({"leases:write"}), provider_id=lease.provider)
        await services.leases.fail(lease.lease_id, Failure(reason="the rack of acct_a lost power"), caller=holder)
        found = await services.figures.messages()
    told = {each.kind: each for each in found}
    assert set(told) == {"maintenance", "outage", "withdrawn", "quarantined"}
    assert (told["maintenance"].at, told["maintenance"].until) == (START + HOUR, START + 3 * HOUR)
    assert (told["withdrawn"].accelerators, told["quarantined"].hardware) == (an_announcement().quantity, "H100-SXM")
    assert told["outage"].site == lease.site
    assert b"acct_a" not in msgspec.json.encode(found)
    assert lease.lease_id.encode() not in msgspec.json.encode(found)
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)


async def test_a_day_later_only_what_still_holds_is_told(sessions: Sessions):
    """A withdrawal is over, a window has passed; that a feed has been silent ever since is not."""
    fed = await Fed.opened(sessions)
    for message in (an_announcement("ofr_gone"), Maint(start=START, end=START + HOUR), Withdraw(offer_id="ofr_gone")):
        await fed.say(message)
    pass_time(fed.market, timedelta(days=2))
    await fed.market.feeds.pass_time()
    async with fed.market.services() as services:
        assert [each.kind for each in await services.figures.messages()] == ["silent"]


async def test_what_a_cycle_awarded_is_the_clearing_without_its_buyers(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    for buyer in ("acct_a", "acct_b"):
        async with market.services() as services:
            await services.orders.submit(request(width=4, hours=8.0), caller(buyer))
    await cycle_of(market).run(GATE)
    async with unit_of_work(sessions) as work:
        (cycle,) = await market.on(work).market._market.cycles(limit=1)
        repository = MarketFiguresRepository(work)
        awarded, prices = await repository.awarded(cycle), await repository.pool_prices(cycle, "H100-SXM")
    assert awarded.columns == ["offer_id", "tier", "rate_micros", "quantity", "slot"]
    assert (awarded["quantity"].sum(), awarded["offer_id"].n_unique()) == (16, 1)
    assert set(awarded["slot"]) <= set(prices["slot"]) == {0, 1, 2, 3}
