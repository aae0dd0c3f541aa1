"""Searching by the column gives what the slow reading gives: offers, order, pages, counts by reason, facets."""

from datetime import timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.clock import FixedClock
from broker.services.book_view import SCHEMA, BookView, book_view
from broker.services.market_views import OfferQuery
from broker.services.offers import OfferRecord, OfferService
from broker.services.search import SearchService
from broker.services.search_views import SearchQuery
from contracts.terms.errors import BadInput
from tests.broker.services.test_offers import CATALOGUE, Reader, an_offer
from tests.fake_market import NOW
from tests.fake_search import HOURS, WholeRoom

pytestmark = pytest.mark.anyio
COUNTRIES = st.sampled_from(["DE", "FR", "CN", None])
RECORDS = st.lists(
    st.fixed_dictionaries({
        "site": st.sampled_from(["paris-1", "berlin-1"]),
        "country": COUNTRIES,
        "operator_country": COUNTRIES,
        "parent_country": COUNTRIES,
        "trust": st.sampled_from(["community", "verified", "certified", None]),
        "hardware": st.sampled_from(["H100-SXM", "HALF", "OTHER", "UNHEARD"]),
        "memory_gb": st.sampled_from([40.0, 80.0, None]),
        "quantity": st.integers(0, 16),
        "rate_micros": st.integers(0, 4_000_000) | st.just(10**15),
        "firm": st.booleans(),
        "uptime": st.sampled_from([99.0, 99.9, None]),
        "certifications": st.lists(st.sampled_from(["hds", "c5"]), unique=True) | st.none(),
        "open_to": st.lists(st.sampled_from(["DE", "FR"]), max_size=1),
        "closed_to": st.lists(st.sampled_from(["RU", "FR"]), max_size=1),
    }),
    max_size=25,
)  # fmt: skip
QUERIES = st.fixed_dictionaries({
    "hardware": st.lists(st.sampled_from(["H100-SXM", "HALF", "NONE"]), max_size=2, unique=True),
    "stack": st.sampled_from([None, "NVIDIA"]),
    "quantity": st.integers(1, 9),
    "hours": st.integers(1, 48),
    "ready_by": st.sampled_from([None, NOW + 20 * (NOW - NOW.replace(hour=max(0, NOW.hour - 1)))]),
    "tier": st.sampled_from(["standard", "spot"]),
    "countries": st.lists(st.sampled_from(["DE", "FR"]), max_size=2, unique=True),
    "operator_countries": st.lists(st.sampled_from(["DE", "FR"]), max_size=2, unique=True),
    "certifications": st.lists(st.sampled_from(["hds", "c5", "none"]), max_size=2, unique=True),
    "trust_min": st.sampled_from([None, "verified", "certified"]),
    "memory_gb_min": st.sampled_from([None, 80.0]),
    "uptime_min": st.sampled_from([None, 99.5]),
    "place": st.sampled_from([None, "paris"]),
    "rtt_ms_max": st.sampled_from([None, None, 5.0]),
    "data_tb": st.sampled_from([0.0, 3.5]),
    "data_country": st.sampled_from([None, "FR"]),
    "rate_max_micros": st.none() | st.integers(0, 4_000_000),
    "buyer_country": st.sampled_from([None, "FR", "DE"]),
    "text": st.sampled_from(["", "paris", "a h100"]),
    "sort": st.sampled_from(["all_in", "rate", "quantity"]),
    "limit": st.integers(1, 8),
})  # fmt: skip


TAKEN = st.lists(st.tuples(st.integers(0, HOURS - 1), st.integers(1, 4), st.integers(0, 16)), max_size=3)
Taken = dict[str, npt.NDArray[np.int32]]


class Held:
    """A book that stands still."""

    def __init__(self, view: BookView) -> None:
        self._view = view

    async def current(self) -> BookView:
        return self._view


def view_of(records: list[OfferRecord], *, states: list[str] | None = None, carbon: list[float | None] | None = None) -> BookView:
    rows = [
        msgspec.structs.asdict(record)
        | {
            "state": states[place] if states else "live",
            "reason": "because" if states else "",
            "carbon_g": carbon[place] if carbon else None,
        }
        for place, record in enumerate(records)
    ]
    return book_view(pl.DataFrame(rows, schema=SCHEMA))


def services(
    records: list[OfferRecord], view: BookView | None = None, *, fee_bps: int = 100, taken: Taken | None = None
) -> tuple[OfferService, SearchService]:
    reader, clock = Reader(records), FixedClock(NOW)
    slow = OfferService(reader, clock, catalogue=CATALOGUE, currency="USD", fee_bps=fee_bps)
    return slow, SearchService(Held(view or view_of(records)), slow, reader=reader, clock=clock, room=WholeRoom(reader, clock, taken))


@settings(max_examples=150)
@given(facts=RECORDS, asked=QUERIES)
async def test_the_columns_say_what_the_slow_reading_says(facts, asked):
    slow, fast = services([an_offer(f"ofr_{place:02}", **each) for place, each in enumerate(facts)])
    wanted, found = await slow.search(OfferQuery(**asked)), await fast.search(SearchQuery(**asked))
    assert [each.offer for each in found.offers] == wanted.offers
    assert (found.considered, found.found, found.left_out) == (wanted.considered, wanted.found, wanted.left_out)
    assert found.exclusions == wanted.exclusions
    assert {name: values for name, values in found.facets.items() if name != "states"} == wanted.facets
    assert found.next_cursor == wanted.next_cursor
    if found.next_cursor:
        wanted = await slow.search(OfferQuery(**asked, cursor=found.next_cursor))
        found = await fast.search(SearchQuery(**asked, cursor=found.next_cursor))
        assert ([each.offer for each in found.offers], found.next_cursor) == (wanted.offers, wanted.next_cursor)


@settings(max_examples=100)
@given(facts=RECORDS, asked=QUERIES, taken=st.lists(TAKEN, min_size=25, max_size=25), first=st.integers(0, 20), hours=st.integers(1, 4))
async def test_free_hours_part_the_offers_and_change_nothing_else(facts, asked, taken, first, hours):
    """What the slow reading finds among those that are free, and what it counts among all of them; too small is not taken."""
    records = [an_offer(f"ofr_{place:02}", **each) for place, each in enumerate(facts)]
    let: Taken = {record.offer_id: np.zeros(HOURS, dtype=np.int32) for record in records}
    for record, leases in zip(records, taken, strict=False):
        for begin, length, quantity in leases:
            let[record.offer_id][begin : begin + length] += quantity
    is_free = {
        record.offer_id: all(
            record.quantity - let[record.offer_id][hour] >= min(record.quantity, asked["quantity"]) for hour in range(first, first + hours)
        )
        for record in records
    }
    slow, fast = services(records, taken=let)
    begins = NOW.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1 + first)
    found = await fast.search(SearchQuery(**asked, free_from=begins, free_hours=hours))
    free, _ = services([record for record in records if is_free[record.offer_id]])
    wanted, whole = await free.search(OfferQuery(**asked)), await slow.search(OfferQuery(**asked))
    assert [each.offer for each in found.offers] == wanted.offers
    assert (found.considered, found.found, found.next_cursor) == (whole.considered, wanted.found, wanted.next_cursor)
    counted, alone = {row.reason: row.offers for row in whole.exclusions}, {row.reason: row.alone for row in wanted.exclusions}
    if whole.considered > wanted.considered:
        counted["availability"], alone["availability"] = whole.considered - wanted.considered, whole.found - wanted.found
    assert {row.reason: (row.offers, row.alone) for row in found.exclusions} == {
        name: (count, alone.get(name, 0)) for name, count in counted.items()
    }
    let_in = {name: {each.value: each.offers for each in values} for name, values in wanted.facets.items()}
    assert {name: {each.value: each.offers for each in found.facets[name]} for name in whole.facets} == {
        name: {each.value: let_in[name].get(each.value, 0) for each in values} for name, values in whole.facets.items()
    }
    for each in found.offers:
        assert any(span.start <= begins and begins + timedelta(hours=hours) <= span.end for span in each.free)


async def test_who_is_not_free_says_when_it_would_be():
    """Eight each: one is let from the third hour on for two, one has only four left all day; a start alone asks for an hour."""
    let = {"ofr_a": np.array([0, 0, 8, 8] + [0] * 20, dtype=np.int32), "ofr_b": np.full(24, 4, dtype=np.int32)}
    _, fast = services([an_offer("ofr_a", quantity=8), an_offer("ofr_b", quantity=8), an_offer("ofr_c", quantity=8)], taken=let)
    start = NOW.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    found = await fast.search(SearchQuery(quantity=8, free_hours=3))
    assert [each.offer.offer_id for each in found.offers] == ["ofr_c"]
    assert [(span.start, span.end) for span in found.offers[0].free] == [(start, start + timedelta(hours=24))]
    (row,) = found.exclusions
    assert (row.reason, row.offers, row.alone) == ("availability", 2, 2)
    later = start + timedelta(hours=4)
    assert row.examples == [
        f"A, paris-1: free for as long from {later:%d %b %H:%M} UTC",
        "A, paris-1: free for as long in no hours that may be quoted",
    ]
    assert (await fast.search(SearchQuery(quantity=8, free_from=start + timedelta(hours=1)))).found == 2
    assert (await fast.search(SearchQuery(quantity=8))).offers[0].free == []
    with pytest.raises(BadInput):
        await fast.search(SearchQuery(free_hours=25))


async def test_what_is_not_live_is_counted_with_its_reason():
    records = [an_offer(f"ofr_{name}") for name in "abc"]
    _, fast = services(records, view_of(records, states=["live", "stale", "suspect"]))
    found = await fast.search(SearchQuery())
    assert (found.considered, found.found) == (3, 1)
    assert [(row.reason, row.offers, row.alone, row.examples[0]) for row in found.exclusions] == [
        ("state", 2, 2, "A, paris-1: stale: because")
    ]
    assert {value.value: value.offers for value in found.facets["states"]} == {"live": 1, "stale": 1, "suspect": 1}
    both = await fast.search(SearchQuery(states=["live", "stale"]))
    assert [(each.offer.offer_id, each.state) for each in both.offers] == [("ofr_a", "live"), ("ofr_b", "stale")]


async def test_carbon_is_compared_per_reference_hour():
    """Half the throughput at 100 g an accelerator-hour is 200 g a reference hour; nobody knows the third."""
    records = [an_offer("ofr_a"), an_offer("ofr_b", hardware="HALF"), an_offer("ofr_c")]
    _, fast = services(records, view_of(records, carbon=[150.0, 100.0, None]))
    found = await fast.search(SearchQuery(carbon_g_max=150.0))
    assert [(each.offer.offer_id, each.carbon_g) for each in found.offers] == [("ofr_a", 150.0)]
    assert [(row.reason, row.offers) for row in found.exclusions] == [("carbon", 2)]
    assert (await fast.search(SearchQuery(carbon_g_max=200.0))).found == 2
