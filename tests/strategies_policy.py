"""Books in which every clause of the policy has something to decide, unknown facts included."""

from decimal import Decimal

from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS, TRUST_CLASSES
from tests.builders import Row, a_bid, an_offer, book

SLOTS = 3
COUNTRIES = ("SE", "DE", "US")
PLACES = ("P1", "P2")
SITES = ("north", "south", "west")
ZONES = ("Z1", "Z2")
CLASSES = ("GPU", "TPU")

country = st.sampled_from(COUNTRIES)
maybe_country = st.none() | country
few_countries = st.lists(country, max_size=2, unique=True)
latitude = st.none() | st.sampled_from((59.33, 48.85, -33.9))
longitude = st.none() | st.sampled_from((18.07, 2.35, 151.2))


def offers(name: str) -> st.SearchStrategy[Row]:
    """An offer with any fact known or not."""
    return st.fixed_dictionaries(
        {
            "site": st.sampled_from(SITES),
            "country": maybe_country,
            "operator_country": maybe_country,
            "parent_country": maybe_country,
            "subdivision": st.sampled_from((None, "SE-A", "DE-B")),
            "trust": st.none() | st.sampled_from(TRUST_CLASSES),
            "hardware": st.sampled_from(CLASSES),
            "chip_origin": st.sampled_from((None, "US", "CN")),
            "memory_gb": st.sampled_from((None, 40.0, 80.0)),
            "uptime": st.sampled_from((None, 99.0, 99.9)),
            "firm": st.booleans(),
            "quantity": st.integers(1, 3),
            "rate_micros": st.integers(1, 40).map(lambda step: step * 10_007),
            "slot_first": st.integers(0, 1),
            "slot_end": st.integers(2, SLOTS),
            "latitude": latitude,
            "longitude": longitude,
            "zone": st.none() | st.sampled_from(ZONES),
            "watts": st.sampled_from((0.0, 700.0, 350.5)),
            "pue": st.sampled_from((1.0, 1.23)),
            "energy_indexed": st.booleans(),
            "certifications": st.none() | st.lists(st.sampled_from(("c5", "hds")), max_size=2),
            "open_to": few_countries,
            "closed_to": few_countries,
        }
    ).map(lambda fields: an_offer(name, **fields))


def _demands() -> dict[str, st.SearchStrategy[object]]:
    return {
        "buyer_country": maybe_country,
        "buyer_parent_country": maybe_country,
        "memory_gb_min": st.sampled_from((None, None, 48.0)),
        "uptime_min": st.sampled_from((None, None, 99.5)),
        "countries": few_countries,
        "subdivisions": st.lists(st.sampled_from(("SE-A", "DE-B")), max_size=1),
        "operator_countries": st.just([]) | few_countries,
        "countries_denied": st.just([]) | few_countries,
        "certifications": st.just([]) | st.lists(st.sampled_from(("c5", "hds")), max_size=2, unique=True),
        "chip_origins_denied": st.sampled_from(([], [], ["CN"])),
        "trust_min": st.none() | st.sampled_from(TRUST_CLASSES),
        "place": st.none() | st.sampled_from(PLACES),
        "rtt_ms_max": st.sampled_from((None, None, 20.0)),
        "latitude": latitude,
        "longitude": longitude,
        "distance_km_max": st.sampled_from((None, None, 1600.0)),
    }


def _wants() -> dict[str, st.SearchStrategy[object]]:
    limit = st.none() | st.integers(1, 60).map(lambda step: step * 10_000)
    return {
        "width": st.integers(1, 2),
        "hours": st.sampled_from((1.0, 2.5, 6.0)),
        "slot_first": st.integers(0, 1),
        "slot_end": st.integers(2, SLOTS),
        "hardware": st.sampled_from((["GPU:1"], ["GPU:0.9", "TPU:1.25"], ["TPU:0.333333"])),
        "data_tb": st.sampled_from((0.0, 0.0, 0.4, 1.7)),
        "data_country": maybe_country,
        "carbon_micros_per_kg": st.sampled_from((0, 0, 100_000)),
        **{f"limit_{tier}_micros": limit for tier in TIERS},
    }


def bids(name: str, *, picky: bool) -> st.SearchStrategy[Row]:
    """A bid that demands a few things of those a policy may ask, or everything."""
    demands = _demands()
    some = st.sets(st.sampled_from(sorted(demands)), max_size=len(demands) if picky else 4)
    drawn = st.tuples(some, st.fixed_dictionaries(demands), st.fixed_dictionaries(_wants()))
    return drawn.map(lambda parts: _wanting(a_bid(name, **{key: parts[1][key] for key in parts[0]}, **parts[2])))


def _wanting(bid: Row) -> Row:
    """The bid, with a limit at spot when it names none."""
    return bid if any(bid[f"limit_{tier}_micros"] for tier in TIERS) else {**bid, "limit_spot_micros": 300_000}


@st.composite
def policy_books(draw: st.DrawFn, *, offers_max: int = 4, bids_max: int = 4) -> MarketBook:
    """A book of flexible bids with transfer, latency, zones and every demand."""
    pairs = st.dictionaries(st.tuples(country, country), st.tuples(st.integers(0, 300_000), st.sampled_from((0.5, 10.0))))
    transfer = [
        {"from_country": pair[0], "to_country": pair[1], "micros_per_tb": micros, "gbps": gbps}
        for pair, (micros, gbps) in draw(pairs).items()
    ]
    latency = draw(st.dictionaries(st.tuples(st.sampled_from(PLACES), st.sampled_from(SITES)), st.sampled_from((5.0, 20.0, 80.0))))
    figures = st.tuples(st.none() | st.sampled_from((90_000_001, 250_000_000)), st.none() | st.sampled_from((93.1, 411.3)))
    zones = draw(st.dictionaries(st.tuples(st.sampled_from(ZONES), st.integers(0, SLOTS - 1)), figures))
    around: dict[str, list[Row]] = {
        "latency": [{"place": place, "site": site, "rtt_ms": rtt} for (place, site), rtt in latency.items()],
        "zones": [
            {"zone": zone, "slot": slot, "price_micros_per_mwh": price, "carbon_g_per_kwh": grams}
            for (zone, slot), (price, grams) in zones.items()
        ],
    }
    if draw(st.booleans()):
        around["transfer"] = transfer
    return book(
        offers=[draw(offers(f"o{number}")) for number in range(draw(st.integers(1, offers_max)))],
        bids=[draw(bids(f"b{number}", picky=draw(st.booleans()))) for number in range(draw(st.integers(1, bids_max)))],
        around=around,
        slots=SLOTS,
        slot_hours=Decimal(draw(st.sampled_from(("1", "0.25")))),
        headroom_guaranteed=Decimal(draw(st.sampled_from(("0", "0.2")))),
        fee_bps=draw(st.sampled_from((0, 25))),
    )
