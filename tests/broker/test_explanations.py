"""A buyer asks why: the last gate's book and result, read back, explain her bid and nobody else's."""

import pytest
from litestar.testing import TestClient

from broker.api.examples import EXAMPLES
from broker.application import application
from broker.services.explanations import BidExplanation
from contracts.terms.errors import NotFound
from pricing.explain import Removal
from tests.broker.small_market import GATE, USD, caller, cycle_of, open_small_market
from tests.broker.test_cycle import submit
from tests.fake_market import KEY, OTHER_KEY, FakeMarket

A, B = caller("acct_a"), caller("acct_b")
SIGNED = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.anyio
async def test_a_bid_is_explained_at_its_last_gate(sessions):
    """Two offers at 1.00 and 2.00 in DE. In France there is nothing: giving way would find eight from the price at which nobody bought."""
    market, _ = await open_small_market(sessions)
    bid_id = await submit(market, countries=["FR"])
    async with market.services() as services:
        with pytest.raises(NotFound, match="has not been through a gate yet"):
            await services.explanations.bid(bid_id, A)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        found: BidExplanation = await services.explanations.bid(bid_id, A)
        with pytest.raises(NotFound, match="no bid has the id"):
            await services.explanations.bid(bid_id, B)
    assert (found.bid_id, found.cycle_number, found.explanation.status) == (bid_id, 1, "rejected")
    assert found.explanation.removals == (Removal(clause="countries", offers=2),)
    (relaxation,) = found.explanation.relaxations
    assert (relaxation.change, relaxation.accelerators, relaxation.rate_micros) == ("allow DE", 16, USD)
    assert found.sentences[0] == f"Bid {bid_id} found nothing. Of 2 offers it may see, 0 meet every clause but perhaps the price."


def test_the_api_explains_only_the_callers_own_bids_and_only_after_a_gate():
    with TestClient(application(FakeMarket().services)) as client:
        bid_id = client.post("/v1/bids", json=EXAMPLES["SubmitBid"]["night_batch"]["value"], headers=SIGNED).json()["bid_id"]
        waiting = client.get(f"/v1/bids/{bid_id}/explanation", headers=SIGNED)
        assert (waiting.status_code, waiting.json()["type"]) == (404, "/problems/not_found")
        assert "explained after the next" in waiting.json()["detail"]
        other = client.get(f"/v1/bids/{bid_id}/explanation", headers={"Authorization": f"Bearer {OTHER_KEY}"})
        assert (other.status_code, other.json()["detail"]) == (404, f"no bid has the id {bid_id}")
