"""A provider's questions on the real store: 8 at 1.00 and 8 at 2.00 for four hours, one buyer of 16 hours at up to 3.00."""

import pytest

from broker.app import Market
from broker.services.providers import ProviderService
from broker.services.views import Caller
from broker.store.unit_of_work import Sessions
from contracts.terms.errors import NotFound, NotPermitted, NotSupported
from tests.broker.small_market import GATE, USD, caller, cycle_of, open_small_market, pass_time, request
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market

pytestmark = pytest.mark.anyio


def seller(provider_id: str = "prv_a", *, scopes: tuple[str, ...] = ("provider:read",)) -> Caller:
    return Caller(account_id=f"provider:{provider_id}", account_name="A", scopes=frozenset(scopes), provider_id=provider_id)


async def cleared_market(sessions: Sessions) -> Market:
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), caller("acct_a"))
    pass_time(market, GATE - clock.now())
    await cycle_of(market).run(GATE)
    return market


async def test_a_provider_sees_why_its_offers_sold_or_not(sessions: Sessions):
    """The cheap offer has 16 hours left that nobody asked for; of the dear one's 32 hours, 16 were bought next door."""
    market = await cleared_market(sessions)
    async with market.services() as services:
        found = await services.providers.sales(seller(), 7)
        assert [gate.number for gate in found.gates] == [1]
        cheap, dear = found.offers
        assert (cheap.offer_id, cheap.sums.sold, cheap.sums.left, cheap.sums.lost["unasked"]) == ("ofr_a", 16.0, 16.0, 16.0)
        assert (dear.sums.sold, dear.sums.lost["elsewhere"], dear.sums.lost["unasked"]) == (0.0, 16.0, 16.0)
        assert (dear.marginal_micros, dear.dearer_bps, dear.state) == (1 * USD, 10_000, "")
        assert (found.sums.offered, found.sums.sold, found.sums.left) == (64.0, 16.0, 48.0)
        assert found.gates[0].sums == found.sums
        assert await services.providers.sales(seller(), 7) == found, "what was remembered is what was worked out"


async def test_another_rate_is_asked_of_past_gates(sessions: Sessions):
    market = await cleared_market(sessions)
    async with market.services() as services:
        found = await services.providers.at_rate(seller(), "ofr_b", rate_micros=500_000, gates=7)
    assert (found.answer.sold, found.answer.hours_more, found.gates) == (0.0, 16.0, [1])
    assert found.sentence.startswith("At 0.50 USD it would have sold 16 more accelerator-hours at the last gate")


async def test_the_desk_is_the_providers_own(sessions: Sessions):
    market = await cleared_market(sessions)
    async with market.services() as services:
        desk: ProviderService = services.providers
        other = await desk.sales(seller("prv_b"), 7)
        assert (other.offers, other.sums.offered) == ([], 0.0)
        with pytest.raises(NotFound):
            await desk.at_rate(seller("prv_b"), "ofr_b", rate_micros=1, gates=7)
        for stranger in (caller("acct_a"), seller(scopes=("feed:write",))):
            with pytest.raises(NotPermitted):
                await desk.sales(stranger, 7)
            with pytest.raises(NotPermitted):
                await desk.income(stranger)


async def test_a_book_too_large_to_wait_for_is_shown_without_causes(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("broker.services.providers.PAIRS_MAX", 1)
    monkeypatch.setattr("broker.services.providers.BIDS_MAX", 0)
    market = await cleared_market(sessions)
    async with market.services() as services:
        found = await services.providers.sales(seller(), 7)
        assert (found.sums.sold, found.sums.left, sum(found.sums.lost.values())) == (16.0, 48.0, 0.0)
        with pytest.raises(NotSupported):
            await services.providers.at_rate(seller(), "ofr_b", rate_micros=1, gates=7)


async def test_before_the_first_gate_there_are_offers_and_no_sales(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        found = await services.providers.sales(seller(), 7)
        assert ([each.offer_id for each in found.offers], found.gates, found.sums.sold) == (["ofr_a", "ofr_b"], [], 0.0)
        with pytest.raises(NotFound):
            await services.providers.at_rate(seller(), "ofr_b", rate_micros=1, gates=7)


async def test_what_was_earned_is_what_the_close_says(sessions: Sessions):
    """16 hours at 1.00, all delivered: 16.00 owed once the month is closed, and a lease worth as much."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    async with market.services() as services:
        found = await services.providers.income(seller())
        assert (found.owed_micros, found.paid_cents) == ({"USD": 16 * USD}, {"USD": 0})
        assert [(each.net_micros, each.provider_name) for each in found.statements] == [(16 * USD, "A")]
        assert [(each.hours, each.value_micros) for each in found.leases] == [(16.0, 16 * USD)]
        (site,) = found.sites
        assert (site.leases, site.failed, site.delivered_seconds, site.delivered_bps) == (1, 0, 16 * 3600, 10_000)
        assert (await services.providers.income(seller("prv_b"))).leases == []
