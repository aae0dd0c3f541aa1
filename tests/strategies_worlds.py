"""Small worlds that most bids may trade in, at rates and limits near each other: every clause, moving data and carbon decide something."""

from decimal import Decimal

from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from tests.builders import Row, a_bid, an_offer, book

COUNTRIES = ("FR", "DE", "US")
CERTIFICATIONS = ("c5", "hds")

country = st.none() | st.sampled_from(COUNTRIES)
some_countries: st.SearchStrategy[list[str]] = st.just([]) | st.lists(st.sampled_from(COUNTRIES), min_size=1, max_size=2, unique=True)
trust = st.none() | st.sampled_from(("community", "verified", "certified"))
degrees = st.none() | st.sampled_from((0.0, 1.5, 40.25))

OFFER_FACTS = st.fixed_dictionaries(
    {
        "country": country,
        "subdivision": st.none() | st.sampled_from(("FR-A", "DE-B")),
        "operator_country": country,
        "parent_country": country,
        "trust": trust,
        "chip_origin": st.none() | st.sampled_from(("US", "CN")),
        "memory_gb": st.none() | st.sampled_from((24.0, 80.0)),
        "uptime": st.none() | st.sampled_from((99.0, 99.9)),
        "firm": st.booleans(),
        "latitude": degrees,
        "longitude": degrees,
        "certifications": st.none() | st.lists(st.sampled_from(CERTIFICATIONS), unique=True),
        "open_to": some_countries,
        "closed_to": some_countries,
        "hardware": st.sampled_from(("GPU", "TPU")),
        "site": st.sampled_from(("north", "south")),
        "zone": st.none() | st.sampled_from(("Z1", "Z2")),
        "watts": st.sampled_from((0.0, 350.0, 72.5)),
        "pue": st.sampled_from((1.0, 1.24)),
        "energy_indexed": st.booleans(),
        "rate_micros": st.integers(1, 3_000_000),
        "slot_first": st.integers(0, 2),
    }
)
BID_FACTS: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {},
    optional={
        "buyer_country": country,
        "buyer_parent_country": country,
        "memory_gb_min": st.sampled_from((24.0, 40.0, 80.0)),
        "uptime_min": st.sampled_from((99.0, 99.5)),
        "countries": some_countries,
        "subdivisions": st.just(["FR-A"]),
        "operator_countries": some_countries,
        "countries_denied": some_countries,
        "certifications": st.lists(st.sampled_from(CERTIFICATIONS), min_size=1, unique=True),
        "chip_origins_denied": st.just(["CN"]),
        "trust_min": trust,
        "place": st.sampled_from(("P1", "P2")),
        "rtt_ms_max": st.sampled_from((10.0, 50.0)),
        "latitude": degrees,
        "longitude": degrees,
        "distance_km_max": st.sampled_from((1.0, 300.0, 5000.0)),
        "data_tb": st.sampled_from((0.0, 1.5, 3.0, 20.0)),
        "data_country": country,
        "carbon_micros_per_kg": st.sampled_from((0, 100_000, 5_000_000)),
        "hardware": st.sampled_from((["GPU:1"], ["TPU:0.75", "GPU:1.25"])),
        "limit_guaranteed_micros": st.integers(1, 6_000_000),
        "limit_standard_micros": st.integers(1, 6_000_000),
        "slot_first": st.integers(0, 2),
    },
)


CLAUSES = {
    "countries": some_countries,
    "certifications": st.just(["c5"]),
    "trust_min": trust,
    "rtt_ms_max": st.sampled_from((10.0, 50.0)),
    "memory_gb_min": st.just(40.0),
}
MONEY: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "place": st.just("P1"),
        "data_tb": st.sampled_from((0.0, 0.3, 1.5)),
        "data_country": st.sampled_from(("FR", "DE")),
        "carbon_micros_per_kg": st.sampled_from((0, 100_000, 5_000_000)),
        "hardware": st.sampled_from((["GPU:1", "TPU:0.75"], ["TPU:1.25", "GPU:1.25"])),
        "limit_guaranteed_micros": st.none() | st.integers(1, 6_000_000),
        "slot_first": st.integers(0, 2),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> MarketBook:
    """A few offers and bids that test everything, with some facts unknown."""
    offers = [an_offer(f"o{number}", **draw(OFFER_FACTS)) for number in range(draw(st.integers(1, 4)))]
    bids: list[Row] = [
        a_bid(f"b{n}", limit_spot_micros=3_000_000, width=2, hours=3.0, **draw(BID_FACTS)) for n in range(draw(st.integers(1, 4)))
    ]
    return draw(_around(offers, bids))


@st.composite
def dear_worlds(draw: st.DrawFn) -> MarketBook:
    """Bids of one clause at most beside sites of known facts, where rate, data and carbon decide: most worths are near a rate."""
    facts = {
        "country": st.sampled_from(("FR", "DE")),
        "zone": st.just("Z1"),
        "watts": st.sampled_from((72.5, 700.0)),
        "open_to": st.just([]),
    }
    facts |= {"closed_to": st.just([]), "memory_gb": st.sampled_from((24.0, 80.0))}
    offers = [an_offer(f"o{n}", **draw(OFFER_FACTS)) | draw(st.fixed_dictionaries(facts)) for n in range(draw(st.integers(1, 4)))]
    bids: list[Row] = []
    for number in range(draw(st.integers(1, 4))):
        clause = draw(st.sampled_from(sorted(CLAUSES)))
        asked = {clause: draw(CLAUSES[clause])} if draw(st.booleans()) else {}
        limit = draw(st.integers(1, 6_000_000))
        bids.append(a_bid(f"b{number}", limit_spot_micros=limit, width=2, hours=3.0, **draw(MONEY)) | asked)
    return draw(_around(offers, bids))


@st.composite
def _around(draw: st.DrawFn, offers: list[Row], bids: list[Row]) -> MarketBook:
    """The book of these orders: power, distances, perhaps a table of transfers."""
    zones: list[Row] = [
        {"zone": "Z1", "slot": slot, "price_micros_per_mwh": 98_764_663, "carbon_g_per_kwh": 453.4}
        for slot in draw(st.sampled_from(((0, 1, 2), (1,))))
    ]
    zones.append({"zone": "Z2", "slot": 0, "price_micros_per_mwh": None, "carbon_g_per_kwh": None})
    around: dict[str, list[Row]] = {
        "zones": zones,
        "latency": [{"place": "P1", "site": "north", "rtt_ms": 10.0}, {"place": "P1", "site": "south", "rtt_ms": 50.1}],
    }
    if draw(st.booleans()):
        around["transfer"] = [
            {"from_country": "FR", "to_country": "DE", "micros_per_tb": 2_000_001, "gbps": 10.0},
            {"from_country": "DE", "to_country": "DE", "micros_per_tb": 700_007, "gbps": 400.0},
        ]
    return book(offers=offers, bids=bids, around=around, slots=3, slot_hours=Decimal("0.5"), fee_bps=draw(st.sampled_from((0, 25))))
