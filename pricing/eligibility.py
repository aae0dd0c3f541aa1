"""Which pools each requirement may use, clause by clause, on distinct values.

A clause compares a few columns of a bid with a few columns of a pool. Bids share their requirements
and pools their facts, so every clause is decided once for each pair of *distinct* values and spread by
index: `table[bid_key][:, pool_key]`. Bids of equal requirements share a *policy*, whose row of bits, one a pool, is the
AND of its clauses' rows. Each clause keeps its own table, since a refusal is explained by counting them. Null is unknown,
and unknown fails every clause that asks for it.

The clauses that depend on the slot and on money (window, tier, worth) are in `arcs.py`.
"""

from collections.abc import Callable, Sequence
from math import asin, cos, radians, sin, sqrt

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.terms.tables import TRUST_CLASSES
from pricing.arrays import Bools, Ints
from pricing.distinct import Values, distinct, values_of

EARTH_RADIUS_KM = 6371.0088
Bits = npt.NDArray[np.uint8]


class ClauseTable(msgspec.Struct, frozen=True, eq=False):
    """One clause, decided for every pair of distinct values.

    admits    (distinct bid values, distinct pool values)
    bid_key   (G,) row of `admits` for each bid
    pool_key  (P,) column of `admits` for each pool
    """

    name: str
    admits: Bools
    bid_key: Ints
    pool_key: Ints

    def of(self, bids: Ints) -> Bools:
        """The clause for some bids (n,) against every pool: (n, P)."""
        spread: Bools = self.admits[self.bid_key[bids]][:, self.pool_key]
        return spread


class Eligibility(msgspec.Struct, frozen=True, eq=False):
    """Every clause that needs neither slot nor price, in the order of the rulebook, and what they leave together.

    policy_of   (G,) which of the D distinct policies each bid has
    bits        (D, ⌈P ÷ 8⌉) uint8: a bit a pool, set where a policy admits it
    pools       P
    """

    clauses: tuple[ClauseTable, ...]
    policy_of: Ints
    bits: Bits
    pools: int

    def of(self, bids: Ints) -> Bools:
        """Which pools satisfy all clauses, for some bids (n,): (n, P)."""
        return self.of_policies(self.policy_of[bids])

    def of_policies(self, policies: Ints) -> Bools:
        """The same for some policies (n,)."""
        return np.unpackbits(self.bits[policies], axis=1, count=self.pools).view(np.bool_)


def compile_clauses(bids: pl.DataFrame, pools: pl.DataFrame, *, transfer: pl.DataFrame | None, latency: pl.DataFrame) -> Eligibility:
    """Decide every clause for bids (G rows) against pools (P rows).

    `hardware` of the bids holds class names here, without factors.
    """
    milliseconds = {(place, site): rtt for place, site, rtt in latency.iter_rows()}
    routes = None if transfer is None else {(origin, end) for origin, end, *_ in transfer.iter_rows()}

    def near(asked: Values, known: Values) -> bool:
        place, most = asked
        return most is None or milliseconds.get((place, known[0]), np.inf) <= most

    def reachable(asked: Values, known: Values) -> bool:
        data, origin = asked
        return routes is None or not data or origin is None or known[0] == origin or (origin, known[0]) in routes

    rows = (
        *STATIC_CLAUSES,
        ("latency", "place rtt_ms_max", "site", near),
        ("distance", "latitude longitude distance_km_max", "latitude longitude", _within_distance),
        ("transfer", "data_tb data_country", "country", reachable),
    )
    policies, policy_of = distinct(bids.select(sorted({column for _, asked, _, _ in rows for column in asked.split()})))
    bits = np.packbits(np.ones((policies.height, pools.height), dtype=bool), axis=1)
    clauses = []
    for name, asked, known, admits in rows:
        decided = _decide(name, (policies.select(asked.split()), pools.select(known.split())), admits=admits)
        bits &= np.packbits(decided.admits[:, decided.pool_key], axis=1)[decided.bid_key]
        clauses.append(msgspec.structs.replace(decided, bid_key=decided.bid_key[policy_of]))
    return Eligibility(tuple(clauses), policy_of, bits, pools=pools.height)


def great_circle_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Distance between two (latitude, longitude) in degrees on a sphere of 6371.0088 km.

    >>> round(great_circle_km((48.8566, 2.3522), (52.52, 13.405)))
    877
    """
    lat, lon, lat_there, lon_there = map(radians, (*here, *there))
    half = sin((lat_there - lat) / 2) ** 2 + cos(lat) * cos(lat_there) * sin((lon_there - lon) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def _decide(name: str, frames: tuple[pl.DataFrame, pl.DataFrame], *, admits: Callable[[Values, Values], bool]) -> ClauseTable:
    (asked, bid_key), (known, pool_key) = (distinct(frame) for frame in frames)
    facts = values_of(known)
    table = np.array([[admits(demand, fact) for fact in facts] for demand in values_of(asked)], dtype=bool)
    return ClauseTable(name, table.reshape(asked.height, known.height), bid_key, pool_key)


def _has_hardware(asked: Values, known: Values) -> bool:
    return known[0] in asked[0]


def _at_least(asked: Values, known: Values) -> bool:
    return asked[0] is None or (known[0] is not None and known[0] >= asked[0])


def _all_in_list(asked: Values, known: Values) -> bool:
    return not asked[0] or all(fact in asked[0] for fact in known)


def _none_denied(asked: Values, known: Values) -> bool:
    return not asked[0] or all(fact is not None and fact not in asked[0] for fact in known)


def _holds_certifications(asked: Values, known: Values) -> bool:
    return set(asked[0]) <= set(known[0] or ())


def _trusted(asked: Values, known: Values) -> bool:
    return asked[0] is None or (known[0] is not None and _trust_rank(known[0]) >= _trust_rank(asked[0]))


def _trust_rank(trust: str) -> int:
    return TRUST_CLASSES.index(trust)


def _open_to_buyer(asked: Values, known: Values) -> bool:
    return not known[0] or (_both_known(asked) and asked[0] in known[0])


def _not_closed_to_buyer(asked: Values, known: Values) -> bool:
    return not known[0] or (_both_known(asked) and not set(asked) & set(known[0]))


def _both_known(countries: Sequence[str | None]) -> bool:
    return None not in countries


def _within_distance(asked: Values, known: Values) -> bool:
    *here, most = asked
    if most is None:
        return True
    return None not in (*here, *known) and great_circle_km((here[0], here[1]), (known[0], known[1])) <= most


STATIC_CLAUSES: tuple[tuple[str, str, str, Callable[[Values, Values], bool]], ...] = (
    ("hardware", "hardware", "hardware", _has_hardware),
    ("memory", "memory_gb_min", "memory_gb", _at_least),
    ("uptime", "uptime_min", "uptime", _at_least),
    ("countries", "countries", "country", _all_in_list),
    ("operator_countries", "operator_countries", "operator_country parent_country", _all_in_list),
    ("countries_denied", "countries_denied", "country operator_country parent_country", _none_denied),
    ("subdivisions", "subdivisions", "subdivision", _all_in_list),
    ("certifications", "certifications", "certifications", _holds_certifications),
    ("trust", "trust_min", "trust", _trusted),
    ("chip_origin", "chip_origins_denied", "chip_origin", _none_denied),
    ("open_to", "buyer_country buyer_parent_country", "open_to", _open_to_buyer),
    ("closed_to", "buyer_country buyer_parent_country", "closed_to", _not_closed_to_buyer),
)
