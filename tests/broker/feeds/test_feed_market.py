"""Offers from a feed stand in the market beside the others; what is stale, withdrawn or beyond belief is not cleared."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from broker.feeds.protocol.stage import KEY
from broker.services.accounts import key_digest
from broker.services.feed_views import Release
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.book import BookRepository
from broker.store.rows import AwardRow, FeedEventRow, FeedOfferRow, OfferRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.feed import speaker
from contracts.feed.attributes import Norms, attributes_of, doubt
from contracts.feed.messages import Announce, Message, Price, Withdraw
from contracts.feed.speaker import Speaker, SpeakerTerms
from contracts.feed.wire import encode, public_key_of, seal
from contracts.terms.errors import Conflict
from contracts.terms.hardware import HardwareClass
from tests.broker.feeds.http_sides import API_KEY, client_of, fed_market
from tests.broker.small_market import GATE, START, USD, caller, cycle_of, pass_time, request

pytestmark = pytest.mark.anyio
FED = "prv_fed"
PLAIN = {"site": "fr-1", "country": "FR", "hardware": "H100-SXM", "memory_gb": 80.0, "chip_origin": "US"}


def an_announcement(offer_id: str = "ofr_fed", *, rate_micros: int = USD // 2, **attributes: object) -> Announce:
    """Eight H100s at 0.50, under the 1.00 and 2.00 of the small market, for a day."""
    return Announce(
        offer_id=offer_id, version=1, quantity=8, rate_micros=rate_micros, ttl_seconds=86_400, attributes={**PLAIN, **attributes}
    )


class Fed:
    """A market and the provider that feeds it; what it says arrives."""

    def __init__(self, market) -> None:
        self.market = market
        self.memory = Speaker(provider=FED, epoch=1, terms=SpeakerTerms(hold_seconds=60, restart_seconds=600))

    @classmethod
    async def opened(cls, sessions: Sessions) -> "Fed":
        fed = cls(await fed_market(sessions, provider=FED, public_key=public_key_of(KEY)))
        await fed.sent(speaker.started(fed.memory, fed.market.clock.now()))
        return fed

    async def sent(self, spoken: speaker.Spoken) -> None:
        self.memory = spoken.speaker
        if spoken.sent:
            for reply in await self.market.feeds.take(FED, [encode(seal(unsigned, KEY)) for unsigned in spoken.sent]):
                await self.sent(speaker.hear(self.memory, reply, now=self.market.clock.now()))

    async def say(self, message: Message) -> None:
        await self.sent(speaker.say(self.memory, message, now=self.market.clock.now()))

    async def shown(self) -> dict[str, tuple[str, str]]:
        return {offer.offer_id: (offer.state, offer.reason) for offer in (await self.market.feeds.view(FED)).offers}

    async def until_gate(self, *, alive: bool) -> None:
        """Time up to the gate, with a sign of life in its last minute or without."""
        pass_time(self.market, GATE - self.market.clock.now())
        if alive:
            await self.sent_sign_of_life()
        await self.market.feeds.pass_time()

    async def sent_sign_of_life(self) -> None:
        """The provider is there."""
        await self.sent(speaker.reconnected(self.memory, self.market.clock.now()))
        await self.market.feeds.pass_time()

    async def sold(self) -> set[str]:
        """Offers that a bid for sixteen hours of eight H100s was awarded from."""
        async with self.market.services() as services:
            await services.orders.submit(request(), caller("acct_a"))
        await cycle_of(self.market).run(GATE)
        async with unit_of_work(self.market.sessions) as work:
            return set(await work.scalars(select(AwardRow.offer_id)))


async def test_a_live_offer_of_a_feed_is_cleared_like_any_other(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    await fed.until_gate(alive=True)
    assert await fed.sold() == {"ofr_fed"}


async def test_a_silent_provider_sells_nothing(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    pass_time(fed.market, timedelta(seconds=59))
    await fed.market.feeds.pass_time()
    assert await fed.shown() == {"ofr_fed": ("live", "")}
    pass_time(fed.market, timedelta(seconds=1))
    await fed.market.feeds.pass_time()
    assert (await fed.shown())["ofr_fed"][0] == "stale"
    await fed.until_gate(alive=False)
    assert await fed.sold() == {"ofr_a"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"rate_micros": 10_000}, "usually costs"),
        ({"memory_gb": 800.0}, "800 GB of memory"),
        ({"chip_origin": "CN"}, "chip_origin CN"),
        ({"site": None}, "site"),
        ({"pue": 0.5}, "pue"),
    ],
)
async def test_what_nobody_should_believe_is_shown_with_the_reason_and_not_cleared(sessions: Sessions, facts, why):
    """The small market's H100s cost 1.00 and 2.00: one at 0.01 is a mistake or a lure."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement(**facts))
    await fed.until_gate(alive=True)
    state, reason = (await fed.shown())["ofr_fed"]
    assert (state, why in reason) == ("suspect", True), reason
    async with client_of(fed.market) as client:
        assert [each["offer_id"] for each in (await client.get("/v1/offers")).json()["offers"]] == ["ofr_a", "ofr_b"]
    assert await fed.sold() == {"ofr_a"}


async def test_an_offer_that_comes_to_its_senses_is_believed(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement(rate_micros=10_000))
    assert (await fed.shown())["ofr_fed"][0] == "suspect"
    await fed.say(Price(offer_id="ofr_fed", version=2, rate_micros=USD))
    assert await fed.shown() == {"ofr_fed": ("live", "")}


async def test_an_operator_believes_an_offer_until_it_says_something_else(sessions: Sessions):
    """An H100 at 0.01 is a mistake, or a launch offer somebody has telephoned about: released it is sold, changed it is judged anew."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement(rate_micros=10_000))
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_staff("op", key_digest("gf_ada"), name="Ada", scopes=["operator"], at=START)
    (listed,) = [reason for state, reason in (await fed.shown()).values() if state == "suspect"]
    body = {"provider_id": FED, "offer_id": "ofr_fed", "reason": listed, "why": "a launch offer; called them"}
    async with client_of(fed.market) as client:
        client.headers["Authorization"] = "Bearer gf_ada"

        async def released(**facts: str) -> int:
            return (await client.post("/v1/operator/quarantine/release", json=body | facts)).status_code

        assert [each["reason"] for each in (await client.get("/v1/operator/quarantine")).json()["items"]] == [listed]
        assert await released(offer_id="ofr_nobody") == 404
        assert await released(reason="its memory") == 409
        assert await released() == 200
        assert await released() == 404, "nothing is held against it any more"
        found = (await client.get("/v1/search?hardware=H100-SXM")).json()
        assert found["offers"][0]["offer"]["offer_id"] == "ofr_fed"
        client.headers["Authorization"] = f"Bearer {API_KEY}"
        assert await released() == 403, "a provider does not believe itself"
    async with unit_of_work(sessions) as work:
        (event,) = await work.scalars(select(FeedEventRow).where(col(FeedEventRow.kind) == "offer_released"))
    assert (b"called them" in event.facts, b"Ada" in event.facts) == (True, True)
    pass_time(fed.market, timedelta(seconds=61))
    await fed.market.feeds.pass_time()
    await fed.sent_sign_of_life()
    assert (await fed.shown())["ofr_fed"] == ("live", ""), "silence and a sign of life change nothing"
    await fed.say(Price(offer_id="ofr_fed", version=2, rate_micros=9_000))
    assert (await fed.shown())["ofr_fed"][0] == "suspect"


async def test_what_is_not_on_the_market_cannot_be_released(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement("ofr_a"))
    reason = (await fed.shown())["ofr_a"][1]
    with pytest.raises(Conflict):
        await fed.market.feeds.release(Release(provider_id=FED, offer_id="ofr_a", reason=reason, why="please"), by="Ada")


async def test_nobody_takes_over_the_offer_of_another(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement("ofr_a"))
    assert (await fed.shown())["ofr_a"] == ("suspect", "another provider's offer has this id")
    async with unit_of_work(sessions) as work:
        (row,) = await work.scalars(select(OfferRow).where(col(OfferRow.id) == "ofr_a"))
    assert (row.provider, row.superseded_at) == ("prv_a", None)


async def test_versions_are_kept_and_what_was_cleared_is_delivered_after_a_withdrawal(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    pass_time(fed.market, timedelta(seconds=10))
    await fed.say(Price(offer_id="ofr_fed", version=2, rate_micros=USD // 4))
    pass_time(fed.market, timedelta(seconds=10))
    await fed.say(Withdraw(offer_id="ofr_fed"))
    async with unit_of_work(sessions) as work:
        rows = await work.scalars(select(OfferRow).where(col(OfferRow.id) == "ofr_fed").order_by(col(OfferRow.version)))
        found = [(row.version, row.rate_micros, (row.superseded_at - row.observed_at).seconds) for row in rows]
        places = await BookRepository(work).places()
    assert found == [(1, USD // 2, 10), (2, USD // 4, 10)]
    assert places["ofr_fed"].site == "fr-1"


async def test_a_row_says_what_the_table_says(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    async with unit_of_work(sessions) as work:
        (row,) = await work.scalars(select(FeedOfferRow))
    assert (row.state, row.reason, row.suspect, row.staged) == ("live", "", "", False)


def a_chip(name: str, tflops: int) -> HardwareClass:
    return HardwareClass(
        name=name, vendor="N", variant="", tflops=tflops, memory_gb=192.0, watts=None, chip_origin="US", confidence="high", source="t"
    )


def test_a_class_nobody_else_offers_is_judged_by_its_throughput():
    """An H100 (1,000 TFLOP/s) costs 2.00, so a B200 (2,250) costs about 4.50; at 0.01 nobody believes it, at 0.30 one may."""
    norms = Norms(hardware={each.name: each for each in (a_chip("H100", 1000), a_chip("B200", 2250))}, rates={"H100": (2 * USD, 5)})
    offer = an_announcement(rate_micros=10_000, hardware="B200")
    read = attributes_of(offer)
    assert norms.usual_rate("B200") == 4_500_000
    assert "B200 usually costs 4500000" in doubt(offer, read, norms=norms)
    assert doubt(an_announcement(rate_micros=300_000, hardware="B200"), read, norms=norms) == ""
    assert "B200 usually costs" in doubt(an_announcement(rate_micros=91 * USD, hardware="B200"), read, norms=norms)
    assert doubt(offer, attributes_of(offer), norms=Norms(hardware=norms.hardware)) == "", "of an empty market nothing is usual"


async def test_what_was_acknowledged_is_found_and_what_went_stale_is_told(sessions: Sessions):
    """Searched at once; after the hold only the others answer, and the reason says so."""
    fed = await Fed.opened(sessions)
    async with client_of(fed.market) as client:
        before = (await client.get("/v1/search?hardware=H100-SXM")).json()
        await fed.say(an_announcement())
        after = (await client.get("/v1/search?hardware=H100-SXM")).json()
        pass_time(fed.market, timedelta(seconds=60))
        await fed.market.feeds.pass_time()
        stale = (await client.get("/v1/search?hardware=H100-SXM")).json()
        shown = (await client.get("/v1/search?states=stale")).json()
    assert [each["offer"]["offer_id"] for each in before["offers"]] == ["ofr_a", "ofr_b"]
    assert [each["offer"]["offer_id"] for each in after["offers"]] == ["ofr_fed", "ofr_a", "ofr_b"]
    assert [each["offer"]["offer_id"] for each in stale["offers"]] == ["ofr_a", "ofr_b"]
    (reason,) = stale["exclusions"]
    assert (reason["reason"], reason["examples"]) == ("state", ["Fed, fr-1: stale: the provider has been silent for more than 60 s"])
    assert [(each["offer"]["offer_id"], each["offer"]["age_seconds"]) for each in shown["offers"]] == [("ofr_fed", 60)]
