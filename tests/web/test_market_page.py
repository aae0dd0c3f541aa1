"""What the market page works out: the next gate, the parts of a price, carbon, the map, messages; and the stream that tells of them."""

import asyncio
import csv
import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.indication import Indication, IndicativePrice
from broker.services.market_figures import CountryCarbon, MarketMessage, PriceSplit
from contracts.terms.money import half_up
from tests.fake_market import GATE, GATES_EVERY, NOW, FakeMarket, priced
from tests.web.test_pages import words
from web.asgi import site
from web.market_charts import map_chart, split_chart
from web.pages import market_words
from web.pages.market_live import told_of
from web.tiles import COLUMNS, TILES, places

CSV = re.compile(r'href="(/market/[a-z]+/csv)')


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def rows(client: TestClient[Litestar], address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(address).text)))


def indicated(market: FakeMarket, **rates: int) -> None:
    """Have the next gate clear H100-SXM at these rates."""
    prices = [IndicativePrice(hardware="H100-SXM", tier=tier, rate_micros=rate) for tier, rate in rates.items()]
    market.indications.put(Indication(currency="USD", gate_at=GATE + GATES_EVERY, worked_out_at=NOW, prices=prices))


def test_the_parts_of_a_price_add_up_to_the_headline(client):
    for row in rows(client, "/market/split/csv?hardware=H100-SXM"):
        sold = priced(2).filter(hardware="H100-SXM", tier=row["tier"])
        parts = [int(row[f"{part}, micros"]) for part in ("power", "the machine", "scarcity", "headroom")]
        assert sum(parts) == int(row["rate, micros per accelerator-hour"])
        assert sum(parts) == half_up(int((sold["rate_micros"] * sold["sold"]).sum()), int(sold["sold"].sum()))


def test_the_next_gate_is_shown_with_how_far_it_is_from_the_last():
    market = FakeMarket()
    indicated(market, spot=1_700_000, standard=3_500_000)
    with TestClient(site(market)) as client:
        text = words(client.get("/market/next?hardware=H100-SXM").text)
        assert "Had the gate closed at 23:49 UTC, H100-SXM would have cleared at 3.500 USD, standard tier." in text
        assert "1.700" in text
        assert client.get("/v1/market/indication").json()["prices"][0]["rate_micros"] == 1_700_000
        assert [row["tier"] for row in rows(client, "/market/indication/csv")] == ["spot", "standard"]
        assert "Fewer than three buyers would win L4 just now" in words(client.get("/market/next?hardware=L4").text)


def test_before_anything_is_worked_out_and_after_its_gate_nothing_is_indicated(client):
    assert "has not been worked out yet" in words(client.get("/").text)
    market = FakeMarket(now=GATE + GATES_EVERY)
    indicated(market, spot=1)
    with TestClient(site(market)) as late:
        assert "has not been worked out yet" in words(late.get("/market/next").text)
        assert late.get("/v1/market/indication").json() == {"currency": "USD", "gate_at": None, "worked_out_at": None, "prices": []}


def test_messages_say_what_left_the_market_and_name_nobody_who_bought(client):
    text = words(client.get("/market/latest").text)
    assert "Leases of H100-SXM at ovh-gra (OVHcloud) broke off." in text
    assert "Hyperstack took 32 H100-PCIE at hyperstack-norway-1 off the market." in text
    assert [row["provider"] for row in rows(client, "/market/messages/csv")] == ["Nebius", "OVHcloud", "Hyperstack"]


def test_every_kind_of_message_is_a_sentence_even_without_its_facts():
    for kind in market_words.MESSAGES:
        said = market_words.message_words(MarketMessage(kind=kind, at=NOW))
        assert said.endswith(".")
        assert "%(" not in said


def test_every_table_of_the_page_is_a_csv_too(client):
    addresses = set(CSV.findall(client.get("/").text))
    assert len(addresses) == 10
    for address in addresses:
        assert client.get(address).headers["content-type"].startswith("text/csv"), address


def test_what_nobody_bought_has_neither_parts_nor_carbon(client):
    page = client.get("/?hardware=MTT-S4000").text
    assert "figure-split" not in page
    assert "figure-carbon" not in page
    assert "figure-map" in page


def test_words_stand_to_the_left_and_figures_to_the_right(client):
    page = client.get("/market/messages").text
    heads = re.findall(r'<th scope="col"( class="num")?>([^<]+)</th>', page)
    assert [name for number, name in heads if number] == ["at, UTC", "until, UTC"]
    rates = client.get("/market/regions?hardware=H100-SXM").text
    assert [bool(number) for number, _ in re.findall(r'<th scope="col"( class="num")?>([^<]+)</th>', rates)] == [False, *[True] * 5]


def test_the_stream_begins_with_every_mark_the_page_shows(client):
    """What the page shows and what the stream says are the same marks, so a page that is up to date fetches nothing."""
    page = client.get("/").text
    shown = dict(re.findall(r'data-told="(\w+)" data-mark="([^"]*)"', page))

    async def first() -> dict[str, str]:
        stream = told_of(FakeMarket().desk.watch)
        told = [await anext(stream) for _ in range(4)]
        await stream.aclose()
        return {str(each.event): str(each.data) for each in told}

    assert asyncio.run(first()) == shown
    assert set(shown) == {"cycle", "gate", "indication", "book"}


def test_carbon_nobody_knows_is_said_and_not_drawn_as_none():
    known = CountryCarbon(country="NO", grams=12.4, reference_hours=3.0, hours_unknown=0.0)
    dirty = CountryCarbon(country="IN", grams=600.0, reference_hours=1.0, hours_unknown=0.0)
    unknown = CountryCarbon(country="XK", grams=None, reference_hours=0.0, hours_unknown=2.0)
    said = market_words.carbon_finding([known, dirty, unknown], {"NO": "Norway", "IN": "India"})
    assert said == "A reference hour emitted 12 g of CO2 in Norway and 600 g in India; 159 g on average."
    assert market_words.carbon_finding([unknown], {}) == "Nobody knows the carbon of what was bought."


@given(st.lists(st.sampled_from([*TILES, "XK", "AD", "FJ"]), unique=True))
def test_no_two_countries_share_a_tile(countries):
    found = places(countries)
    assert set(found) == set(countries)
    assert len(set(found.values())) == len(countries)
    assert all(0 <= column < COLUMNS for column, _ in found.values())


def test_a_split_is_drawn_from_its_parts_to_its_whole():
    parts = {"power_micros": 500_000, "machine_micros": 1_500_000, "scarcity_micros": 900_000, "headroom_micros": 100_000}
    split = PriceSplit(tier="spot", sold=1, rate_micros=3_000_000, **parts)
    values = split_chart(split, "USD")["data"]["values"]
    assert [(value["low"], value["high"]) for value in values] == [(0, 0.5), (0.5, 2.0), (2.0, 2.9), (2.9, 3.0), (0, 3.0)]


@pytest.mark.anyio
async def test_a_map_has_a_tile_for_every_country_that_offers():
    regions = await FakeMarket().desk.market.regions("H100-SXM")
    layers = map_chart(regions, names={})
    assert {value["code"] for value in layers["data"]["values"]} == {region.country for region in regions}
    assert all((value["shade"] > 0) == region.traded for value, region in zip(layers["data"]["values"], regions, strict=True))
