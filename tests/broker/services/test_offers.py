"""Searching offers: all-in figures by hand, the account of what is left out, pages that join up."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.clock import FixedClock
from broker.services.market_views import OfferQuery
from broker.services.offers import OfferRecord, OfferService, TransferRate
from broker.services.queries import read_query, write_query
from contracts.terms.errors import BadInput
from contracts.terms.hardware import HardwareClass
from tests.fake_market import NOW, FakeMarket

pytestmark = pytest.mark.anyio


def a_class(name: str, tflops: int, vendor: str = "NVIDIA") -> HardwareClass:
    return HardwareClass(
        name=name,
        vendor=vendor,
        variant="",
        tflops=tflops,
        memory_gb=80.0,
        watts=700.0,
        chip_origin="US",
        confidence="high",
        source="made up",
    )


CATALOGUE = {each.name: each for each in (a_class("H100-SXM", 1000), a_class("HALF", 500), a_class("OTHER", 1000, "AMD"))}


def an_offer(offer_id: str, **facts: object) -> OfferRecord:
    defaults: dict = {
        "offer_id": offer_id,
        "provider": "prv_a",
        "provider_name": "A",
        "source": "made up",
        "site": "paris-1",
        "country": "FR",
        "operator_country": "FR",
        "parent_country": "FR",
        "trust": "verified",
        "hardware": "H100-SXM",
        "memory_gb": 80.0,
        "quantity": 8,
        "rate_micros": 2_000_000,
        "firm": True,
        "uptime": 99.9,
        "certifications": ["hds"],
        "open_to": [],
        "closed_to": [],
        "observed_at": NOW - timedelta(seconds=90),
    }
    return OfferRecord(**(defaults | facts))


class Reader:
    """Offers from a list; data moves from FR to DE only, at 10 a terabyte."""

    def __init__(self, offers: list[OfferRecord]) -> None:
        self._offers = offers

    async def current(self) -> list[OfferRecord]:
        return sorted(self._offers, key=lambda offer: offer.offer_id)

    async def latencies(self, place: str) -> dict[str, float]:
        return {"paris-1": 4.0}

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        return {"DE": TransferRate(10_000_000, 8.0)}

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        return {("paris-1", "H100-SXM", True): 2_100_000} if tier == "standard" else {}


async def search(*offers: OfferRecord, fee_bps: int = 0, **query: object):
    service = OfferService(Reader(list(offers)), FixedClock(NOW), catalogue=CATALOGUE, currency="USD", fee_bps=fee_bps)
    return await service.search(OfferQuery(**query))


async def test_half_the_throughput_at_half_the_rate_costs_the_same_all_in():
    """1.00 an hour for a chip of factor 0.5 is 2.00 a reference hour, and 2 × 3 of those are 12.00."""
    found = await search(an_offer("ofr_a"), an_offer("ofr_b", hardware="HALF", rate_micros=1_000_000), quantity=2, hours=3)
    assert [offer.all_in_micros for offer in found.offers] == [2_000_000, 2_000_000]
    assert [offer.total_micros for offer in found.offers] == [12_000_000, 12_000_000]


async def test_moving_data_is_shared_by_the_hours_and_the_fee_is_in():
    """3 TB at 10.00 over 10 reference hours is 3.00 an hour; 1 % on 2.00 is 0.02: 5.02 all-in."""
    found = await search(an_offer("ofr_a", country="DE"), fee_bps=100, hours=10, data_tb=3.0, data_country="FR")
    (offer,) = found.offers
    assert (offer.transfer_micros, offer.all_in_micros, offer.arrival_seconds) == (3_000_000, 5_020_000, 3000)


async def test_data_stays_at_home_for_nothing_and_cannot_go_where_no_line_goes():
    found = await search(an_offer("ofr_home"), an_offer("ofr_far", country="JP"), data_tb=3.0, data_country="FR")
    assert [(offer.offer_id, offer.transfer_micros) for offer in found.offers] == [("ofr_home", 0)]
    assert [(row.reason, row.alone) for row in found.exclusions] == [("transfer", 1)]


async def test_code_for_another_maker_loses_fifteen_per_cent():
    """2.00 ÷ 0.85 = 2.352941…"""
    found = await search(an_offer("ofr_a", hardware="OTHER"), stack="NVIDIA")
    assert found.offers[0].all_in_micros == 2_352_941


async def test_ready_by_counts_the_move_and_the_slower_chip():
    """Ten hours on half a chip are twenty; 3 TB at 8 Gb/s take 50 minutes more."""
    offer = an_offer("ofr_a", hardware="HALF", country="DE")
    needed = timedelta(hours=20, minutes=50)
    asked = {"hours": 10, "data_tb": 3.0, "data_country": "FR"}
    assert (await search(offer, ready_by=NOW + needed, **asked)).found == 1
    late = await search(offer, ready_by=NOW + needed - timedelta(seconds=1), **asked)
    assert [row.reason for row in late.exclusions] == ["deadline"]


@pytest.mark.parametrize(
    ("facts", "query", "reason"),
    [
        ({"hardware": "HALF"}, {"hardware": ["H100-SXM"]}, "hardware"),
        ({"hardware": "UNHEARD"}, {}, "conversion"),
        ({"quantity": 7}, {"quantity": 8}, "quantity"),
        ({"firm": False}, {"tier": "standard"}, "tier"),
        ({"country": None}, {"countries": ["FR"]}, "countries"),
        ({"parent_country": "US"}, {"operator_countries": ["FR"]}, "operator_countries"),
        ({"certifications": None}, {"certifications": ["hds"]}, "certifications"),
        ({"trust": "community"}, {"trust_min": "verified"}, "trust"),
        ({"memory_gb": None}, {"memory_gb_min": 1.0}, "memory"),
        ({"uptime": None}, {"uptime_min": 1.0}, "uptime"),
        ({"site": "elsewhere"}, {"place": "paris", "rtt_ms_max": 500.0}, "latency"),
        ({}, {"rate_max_micros": 1_999_999}, "budget"),
        ({}, {"text": "berlin"}, "text"),
    ],
)
async def test_each_demand_leaves_out_alone_and_unknown_fails_it(facts, query, reason):
    meets = await search(an_offer("ofr_a"), **(query if reason not in ("budget", "text", "conversion") else {}))
    fails = await search(an_offer("ofr_a", **facts), **query)
    assert (meets.found, fails.found) == (1, 0)
    assert [(row.reason, row.offers, row.alone) for row in fails.exclusions] == [(reason, 1, 1)]


async def test_an_offer_closed_to_the_buyer_is_not_there_at_all():
    closed = an_offer("ofr_a", closed_to=["RU"])
    bound = an_offer("ofr_b", open_to=["CN"])
    assert (await search(closed, bound)).considered == 0
    assert (await search(closed, bound, buyer_country="RU")).considered == 0
    assert (await search(closed, bound, buyer_country="CN")).considered == 2


async def test_age_source_and_last_price_come_with_the_offer():
    (offer,) = (await search(an_offer("ofr_a"), tier="standard")).offers
    assert (offer.age_seconds, offer.source, offer.last_rate_micros) == (90, "made up", 2_100_000)


QUERIES = st.builds(
    OfferQuery,
    hardware=st.lists(st.sampled_from(["H100-SXM", "A100-80", "L4", "NONE"]), max_size=2, unique=True),
    countries=st.lists(st.sampled_from(["DE", "FR", "CN", "US"]), max_size=2, unique=True),
    tier=st.sampled_from(["guaranteed", "standard", "spot"]),
    quantity=st.integers(1, 200),
    rate_max_micros=st.none() | st.integers(0, 5_000_000),
    certifications=st.lists(st.sampled_from(["soc2", "c5", "hds"]), max_size=1),
    sort=st.sampled_from(["all_in", "rate", "quantity"]),
    text=st.sampled_from(["", "paris", "aws"]),
    limit=st.integers(1, 40),
)
MARKET = FakeMarket()


@settings(max_examples=40, deadline=None)
@given(query=QUERIES)
async def test_every_offer_is_accounted_for_and_pages_join_up(query):
    """found + left_out = considered; each left out has a reason; pages together are the whole list, once, in order."""
    service = MARKET.desk.offers
    found = await service.search(query)
    assert found.found + found.left_out == found.considered
    assert max((row.offers for row in found.exclusions), default=0) <= found.left_out <= sum(row.offers for row in found.exclusions)
    whole = await service.search(msgspec.structs.replace(query, limit=200))
    pages, page = list(found.offers), found
    while page.next_cursor:
        page = await service.search(msgspec.structs.replace(query, cursor=page.next_cursor))
        pages += page.offers
    assert pages == whole.offers
    assert len(pages) == found.found


@settings(max_examples=20, deadline=None)
@given(query=QUERIES)
async def test_dropping_the_one_demand_in_the_way_lets_in_exactly_those(query):
    service = MARKET.desk.offers
    found = await service.search(query)
    relaxed = {"hardware": {"hardware": []}, "countries": {"countries": []}, "budget": {"rate_max_micros": None}, "tier": {"tier": "spot"}}
    for row in found.exclusions:
        if row.reason in relaxed:
            without = await service.search(msgspec.structs.replace(query, **relaxed[row.reason]))
            assert without.found == found.found + row.alone


@settings(max_examples=60, deadline=None)
@given(query=QUERIES)
def test_a_query_written_and_read_is_the_same(query):
    fields: dict[str, list[str]] = {}
    for name, value in write_query(query):
        fields.setdefault(name, []).append(value)
    assert read_query(fields, OfferQuery) == query


@pytest.mark.parametrize("cursor", ["x", "W10", "eyJhIjoxfQ", "é"])
async def test_a_foreign_cursor_is_refused_by_name(cursor):
    with pytest.raises(BadInput, match="cursor"):
        await search(an_offer("ofr_a"), cursor=cursor)
