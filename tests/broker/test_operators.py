"""The operator's questions on the real store: a cycle checked and cleared again, who stands how, what broke, the rules."""

import msgspec
import pytest
from sqlalchemy import text

from broker.app import Market
from broker.services.views import Caller
from broker.store.repositories.feed import FeedRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed.session import KeyAdded, LeaseReclaimed, ProtocolError
from contracts.terms.errors import NotFound, NotPermitted
from tests.broker.small_market import GATE, START, caller, cycle_of, open_small_market, pass_time, request
from tests.broker.test_closing import BROKEN, delivered_market

pytestmark = pytest.mark.anyio
HEDY = Caller(account_id="staff:hedy", account_name="Hedy", scopes=frozenset({"operator"}))


async def cleared_market(sessions: Sessions) -> Market:
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), caller("acct_a"))
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    return market


async def test_a_cycle_is_verified_and_cleared_again(sessions: Sessions):
    market = await cleared_market(sessions)
    async with market.services() as services:
        for way, named in (("verify", "bound"), ("replay", "awards")):
            found = await services.operators.check(1, way, caller=HEDY)  # type: ignore[arg-type]
            assert (found.holds, found.cycle_number) == (True, 1)
            assert named in {check.name for check in found.checks}
            assert 0 < found.cpu_seconds < 60


async def test_a_stored_result_somebody_has_changed_is_found_by_both_ways(sessions: Sessions):
    """One micro more in one price: verifying says so, and clearing again says which table."""
    market = await cleared_market(sessions)
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE prices SET rate_micros = rate_micros + 1 WHERE sold > 0"))
    async with market.services() as services:
        verified = await services.operators.check(1, "verify", caller=HEDY)
        replayed = await services.operators.check(1, "replay", caller=HEDY)
    assert not verified.holds
    assert [check.name for check in replayed.checks if not check.holds] == ["prices"]


async def test_the_desk_is_the_operators(sessions: Sessions):
    market = await cleared_market(sessions)
    async with market.services() as services:
        desk = services.operators
        for stranger in (caller("acct_a"), Caller(account_id="staff:ada", account_name="Ada", scopes=frozenset({"finance:read"}))):
            for asked in (desk.overview, desk.providers, desk.quarantined, desk.incidents, desk.rules):
                with pytest.raises(NotPermitted):
                    await asked(stranger)
            with pytest.raises(NotPermitted):
                await desk.check(1, "verify", caller=stranger)
        with pytest.raises(NotFound):
            await desk.check(2, "verify", caller=HEDY)


async def test_rules_and_phases_are_those_of_the_last_cycle(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        with pytest.raises(NotFound):
            await services.operators.rules(HEDY)
    market = await cleared_market(sessions)
    async with market.services() as services:
        found = await services.operators.rules(HEDY)
    assert (found.slots, found.slot_seconds, found.headroom_standard_bps, found.headroom_guaranteed_bps) == (4, 3600, 500, 2000)
    assert [(each.open_to, each.offers, each.accelerators) for each in found.phases] == [([], 2, 16)]
    assert [each.tier for each in found.shed] == ["spot", "standard", "guaranteed"]


async def test_what_broke_is_told_and_who_it_was(sessions: Sessions):
    """Every hour fails: the lease that was delivered to its end has missed all of it."""
    market, _, _ = await delivered_market(sessions, BROKEN)
    async with market.services() as services:
        (provider,) = await services.operators.providers(HEDY)
        assert (provider.offers, provider.accelerators, provider.sites, provider.feed) == (2, 16, 1, "none")
        assert provider.delivered_bps == 0
        assert await services.operators.quarantined(HEDY) == []
        broken = await services.operators.incidents(HEDY)
    assert [(each.kind, each.party) for each in broken] == [("lease failed", "prv_a")]


async def test_a_feeds_own_words_are_told(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        feeds = FeedRepository(work)
        told = (
            ("lease_reclaimed", LeaseReclaimed(lease_id="lse_1", deadline=START, reason="power is short")),
            ("protocol_error", ProtocolError(code="contradiction", detail="two messages of one number")),
            ("key_added", KeyAdded(key="00")),
        )
        for number, (kind, effect) in enumerate(told):
            await feeds.add_event("prv_a", kind, facts=msgspec.json.encode(effect), digest=bytes([number]), at=START)
    async with market.services() as services:
        found = await services.operators.incidents(HEDY)
    assert [(each.kind, each.subject, each.words) for each in found] == [
        ("feed lease reclaimed", "lse_1", "power is short"),
        ("feed protocol error", "prv_a", "two messages of one number"),
    ]


async def test_what_runs_is_counted_while_it_runs(sessions: Sessions):
    market = await cleared_market(sessions)
    async with market.services() as services:
        assert all(each.accelerators == 0 for each in (await services.operators.overview(HEDY)).shed), "the first slot has not begun"
    pass_time(market, START - GATE)
    async with market.services() as services:
        found = await services.operators.overview(HEDY)
    assert next((each.tier, each.leases, each.accelerators) for each in found.shed) == ("spot", 1, 8)
    assert (found.providers, found.silent, found.quarantined, found.failovers_waiting) == (1, 0, 0, 0)
