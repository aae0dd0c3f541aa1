"""What a class has cost by the hour: what was asked as it stood, what was paid as it was cleared."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.services.price_history import HOUR, HistoryQuery, Version, hours_of
from broker.store.unit_of_work import Sessions
from contracts.feed.messages import Price, Withdraw
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.time import utc
from tests.broker.feeds.http_sides import client_of
from tests.broker.feeds.test_feed_market import Fed, an_announcement
from tests.broker.small_market import GATE, START, USD, pass_time

NOON = utc("2027-01-03T12:00:00Z")


@pytest.mark.anyio
async def test_an_hour_has_the_percentiles_of_what_is_believed(sessions: Sessions):
    """Asked: 0.50, 1.00, 2.00, and one at 0.01 nobody believes. Of three the tenth percentile is the least."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    await fed.say(an_announcement("ofr_lure", rate_micros=USD // 100))
    await fed.market.feeds.pass_time()
    async with fed.market.services() as services:
        found = await services.prices.history(HistoryQuery(hardware="H100-SXM"))
    (point,) = found.points
    assert (point.hour, point.offers) == (fed.market.clock.now().replace(minute=0, second=0, microsecond=0), 3)
    assert (point.rate_p10_micros, point.rate_p50_micros, point.rate_p90_micros) == (USD // 2, USD, 2 * USD)
    assert (point.cleared_micros, point.sold) == (None, 0)


@pytest.mark.anyio
async def test_the_last_look_at_an_hour_is_what_it_is_remembered_by(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.market.feeds.pass_time()
    await fed.say(an_announcement())
    await fed.market.feeds.pass_time()
    async with client_of(fed.market) as client:
        answer = await client.get("/v1/prices/history?hardware=H100-SXM")
        assert answer.status_code == 200, answer.text
        early = answer.json()["points"]
        pass_time(fed.market, timedelta(minutes=5))
        await fed.market.feeds.pass_time()
        late = (await client.get("/v1/prices/history?hardware=H100-SXM")).json()["points"]
        table = await client.get("/v1/prices/history.csv?hardware=H100-SXM")
        both = await client.get("/v1/prices/history?hardware=H100-SXM&offer_id=ofr_a")
    assert [point["offers"] for point in early] == [2]
    assert late[-1]["offers"] == 2 if late[-1]["hour"] != early[0]["hour"] else 3
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0] == "hour,offers,rate_p10_micros,rate_p50_micros,rate_p90_micros,cleared_micros,sold"
    assert len(table.text.splitlines()) == 1 + len(late)
    assert (both.status_code, both.json()["would_do"]) == (400, "hardware=H100-SXM")


@pytest.mark.anyio
async def test_what_was_paid_is_the_mean_of_what_was_sold(sessions: Sessions):
    """Sixteen hours of eight at 0.50 are awarded: the hours that were sold say so, at the price of the cycle."""
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    await fed.until_gate(alive=True)
    assert await fed.sold() == {"ofr_fed"}
    pass_time(fed.market, START - GATE + timedelta(minutes=1))
    await fed.sent_sign_of_life()
    async with fed.market.services() as services:
        point = (await services.prices.history(HistoryQuery(hardware="H100-SXM"))).points[-1]
        offer = await services.prices.history(HistoryQuery(offer_id="ofr_fed", hours=2))
    assert point.hour == START
    assert point.sold == 8
    assert point.cleared_micros is not None
    assert USD // 2 <= point.cleared_micros <= USD
    assert {each.rate_p50_micros for each in offer.points} == {USD // 2}


@pytest.mark.anyio
async def test_an_offer_has_a_history_as_long_as_it_stood(sessions: Sessions):
    fed = await Fed.opened(sessions)
    await fed.say(an_announcement())
    pass_time(fed.market, HOUR)
    await fed.sent_sign_of_life()
    await fed.say(Price(offer_id="ofr_fed", version=2, rate_micros=USD))
    pass_time(fed.market, HOUR)
    await fed.sent_sign_of_life()
    await fed.say(Withdraw(offer_id="ofr_fed"))
    pass_time(fed.market, HOUR)
    async with fed.market.services() as services:
        found = await services.prices.history(HistoryQuery(offer_id="ofr_fed", hours=5))
        with pytest.raises(NotFound):
            await services.prices.history(HistoryQuery(offer_id="ofr_nobody"))
        with pytest.raises(BadInput):
            await services.prices.history(HistoryQuery())
    assert [point.rate_p50_micros for point in found.points] == [USD // 2, USD]


@given(
    cuts=st.lists(st.integers(0, 600), min_size=2, max_size=6, unique=True).map(sorted),
    hours=st.integers(1, 10),
    minutes=st.integers(0, 59),
)
def test_each_hour_says_what_stood_at_its_end(cuts: list[int], hours: int, minutes: int):
    """Against the minute: the version of the hour's last minute, or of now."""
    minute = timedelta(minutes=1)
    versions = [Version(since=NOON + minute * since, until=NOON + minute * until, rate_micros=since) for since, until in pairwise(cuts)]
    now = NOON + HOUR * hours + minute * minutes
    wanted = {}
    for hour in range(hours + 1):
        last = min(hour * 60 + 59, hours * 60 + minutes)
        standing = [each.rate_micros for each in versions if each.since <= NOON + minute * last < each.until]
        if standing and NOON + HOUR * hour < now:
            wanted[NOON + HOUR * hour] = standing[-1]
    assert {each.hour: each.rate_p50_micros for each in hours_of(versions, start=NOON, end=now)} == wanted
