"""Searching the offers: what answers, what it costs all-in, and why the rest does not.

Every offer the caller may see is tried against every demand, so the answer can say not only how many
were left out but which single demand to drop. The reading of unknown facts is the market's: an unknown
fact fails every demand that asks for it.
"""

import base64
import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.market_views import Exclusion, FacetValue, OfferQuery, OfferSearch, OfferView
from contracts.terms.errors import BadInput
from contracts.terms.hardware import REFERENCE_CLASS, HardwareClass, factor
from contracts.terms.money import BASIS_POINTS, half_up, micros_text
from contracts.terms.tables import TRUST_CLASSES

PORTABILITY_LOSS = Decimal("0.15")
BITS_PER_TERABYTE_BY_GIGABIT = 8000
EXAMPLES_SHOWN = 3
FOREVER_SECONDS = 100 * 366 * 86_400


class OfferRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The current version of an offer with its provider's name; the facts a search can test."""

    offer_id: str
    provider: str
    provider_name: str
    source: str
    site: str
    country: str | None
    operator_country: str | None
    parent_country: str | None
    trust: str | None
    hardware: str
    memory_gb: float | None
    quantity: int
    rate_micros: int
    firm: bool
    uptime: float | None
    certifications: list[str] | None
    open_to: list[str]
    closed_to: list[str]
    observed_at: datetime


class TransferRate(msgspec.Struct, frozen=True):
    """What moving a terabyte costs (micros), and how fast it goes (Gb/s)."""

    micros_per_tb: int
    gbps: float


class OfferReader(Protocol):
    """What a search reads."""

    async def current(self) -> list[OfferRecord]:
        """Every offer that is not superseded, by id."""
        ...

    async def latencies(self, place: str) -> dict[str, float]:
        """Measured round-trip time from a place, milliseconds by site."""
        ...

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        """Moving data out of a country, by destination."""
        ...

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        """Volume-weighted price of the last applied cycle by (site, hardware, firm), where something was sold."""
        ...


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An offer with what this search makes of it. None: cannot be had, or cannot be known."""

    offer: OfferRecord
    factor: Fraction | None
    rtt_ms: float | None
    transfer_micros: int | None
    arrival_seconds: int
    all_in_micros: int | None
    total_micros: int | None
    ready_at: datetime | None


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What a class of hardware in a country makes of the work a search is for, whoever offers it. None: cannot be had, or known.

    factor           reference hours an accelerator-hour is worth
    transfer_micros  moving the data, spread over the accelerator-hours the work takes here
    arrival_seconds  how long the data takes to get there
    ready_seconds    until the work is done, the data moved first
    """

    factor: Fraction | None
    transfer_micros: int | None
    arrival_seconds: int
    ready_seconds: int | None


class _Clause(msgspec.Struct, frozen=True):
    """One demand: its name, whether an offer meets it, and what the offer says instead."""

    name: str
    holds: Callable[[OfferQuery, Candidate], bool]
    found: Callable[[Candidate], str]


def _covers(wanted: list[str], found: list[str | None]) -> bool:
    return not wanted or all(value is not None and value in wanted for value in found)


def _at_least(wanted: float | None, found: float | None) -> bool:
    return wanted is None or (found is not None and found >= wanted)


def _at_most(wanted: float | None, found: float | None) -> bool:
    return wanted is None or (found is not None and found <= wanted)


def _trusted(wanted: str | None, found: str | None) -> bool:
    return wanted is None or (found is not None and TRUST_CLASSES.index(found) >= TRUST_CLASSES.index(wanted))


def _mentions(text: str, offer: OfferRecord) -> bool:
    haystack = f"{offer.provider_name} {offer.provider} {offer.site} {offer.hardware} {offer.country or ''}".lower()
    return all(word in haystack for word in text.lower().split())


def _named(value: object, unit: str = "") -> str:
    return "unknown" if value is None else f"{value}{unit}"


def _costly(candidate: Candidate) -> str:
    all_in = candidate.all_in_micros
    return "unknown" if all_in is None else f"{micros_text(all_in, places=4)} a reference hour"


CLAUSES = (
    _Clause("hardware", lambda q, c: _covers(q.hardware, [c.offer.hardware]), lambda c: c.offer.hardware),
    _Clause("conversion", lambda _, c: c.factor is not None, lambda c: f"no throughput on record for {c.offer.hardware}"),
    _Clause("quantity", lambda q, c: c.offer.quantity >= q.quantity, lambda c: f"{c.offer.quantity} accelerators"),
    _Clause("tier", lambda q, c: q.tier == "spot" or c.offer.firm, lambda _: "interruptible"),
    _Clause("countries", lambda q, c: _covers(q.countries, [c.offer.country]), lambda c: _named(c.offer.country)),
    _Clause(
        "operator_countries",
        lambda q, c: _covers(q.operator_countries, [c.offer.operator_country, c.offer.parent_country]),
        lambda c: f"operator {_named(c.offer.operator_country)}, parent {_named(c.offer.parent_country)}",
    ),
    _Clause(
        "certifications",
        lambda q, c: set(q.certifications) <= set(c.offer.certifications or ()),
        lambda c: ", ".join(c.offer.certifications or ()) or "none",
    ),
    _Clause("trust", lambda q, c: _trusted(q.trust_min, c.offer.trust), lambda c: _named(c.offer.trust)),
    _Clause("memory", lambda q, c: _at_least(q.memory_gb_min, c.offer.memory_gb), lambda c: _named(c.offer.memory_gb, " GB")),
    _Clause("uptime", lambda q, c: _at_least(q.uptime_min, c.offer.uptime), lambda c: _named(c.offer.uptime, " %")),
    _Clause("latency", lambda q, c: _at_most(q.rtt_ms_max, c.rtt_ms), lambda c: _named(c.rtt_ms, " ms")),
    _Clause("transfer", lambda _, c: c.transfer_micros is not None, lambda _: "no way to move the data there"),
    _Clause(
        "deadline",
        lambda q, c: q.ready_by is None or (c.ready_at is not None and c.ready_at <= q.ready_by),
        lambda c: f"ready {c.ready_at:%d %b %H:%M} UTC" if c.ready_at else "not in a lifetime",
    ),
    _Clause("budget", lambda q, c: _at_most(q.rate_max_micros, c.all_in_micros), _costly),
    _Clause("text", lambda q, c: _mentions(q.text, c.offer), lambda c: f"{c.offer.provider_name} {c.offer.site}"),
)
FACETS: dict[str, tuple[str, Callable[[OfferRecord], list[str | None]]]] = {
    "hardware": ("hardware", lambda offer: [offer.hardware]),
    "countries": ("countries", lambda offer: [offer.country]),
    "operator_countries": ("operator_countries", lambda offer: [offer.operator_country]),
    "certifications": ("certifications", lambda offer: [*(offer.certifications or ())]),
    "trust_min": ("trust", lambda offer: [offer.trust]),
}


class OfferService:
    """Looking for offers."""

    def __init__(
        self, offers: OfferReader, clock: Clock, *, catalogue: Mapping[str, HardwareClass], currency: str, fee_bps: int = 0
    ) -> None:
        self._offers = offers
        self._clock = clock
        self._catalogue = catalogue
        self.currency = currency
        self.fee_bps = fee_bps

    async def search(self, query: OfferQuery) -> OfferSearch:
        """Offers that meet every demand, best first, and an account of those that do not. Raises BadInput for a foreign cursor."""
        now = self._clock.now()
        visible = [
            offer for offer in await self._offers.current() if may_see(query.buyer_country, offer.open_to, closed_to=offer.closed_to)
        ]
        rtt = await self._offers.latencies(query.place) if query.place else {}
        transfers = await self._offers.transfers(query.data_country) if query.data_country and query.data_tb else None
        candidates = [self.candidate(offer, query, rtt=rtt, transfers=transfers, now=now) for offer in visible]
        failures = [[clause.name for clause in CLAUSES if not clause.holds(query, candidate)] for candidate in candidates]
        found = sorted((c for c, failed in zip(candidates, failures, strict=True) if not failed), key=lambda c: rank(query, c))
        rest = [c for c in found if rank(query, c) > read_cursor(query.cursor)] if query.cursor else found
        page = rest[: query.limit]
        rates = await self._offers.last_rates(query.tier) if page else {}
        return OfferSearch(
            as_of=now,
            currency=self.currency,
            considered=len(visible),
            found=len(found),
            left_out=len(visible) - len(found),
            offers=[view_of(candidate, rates, now=now) for candidate in page],
            next_cursor=write_cursor(rank(query, page[-1])) if len(rest) > len(page) else None,
            exclusions=_exclusions(candidates, failures),
            facets=_facets(candidates, failures),
        )

    def candidate(
        self, offer: OfferRecord, query: OfferQuery, *, rtt: dict[str, float], transfers: dict[str, TransferRate] | None, now: datetime
    ) -> Candidate:
        """An offer with what a search makes of it."""
        worth = self.worth(offer.hardware, offer.country, query=query, transfers=transfers)
        all_in = None
        if worth.factor is not None and worth.transfer_micros is not None:
            cost = offer.rate_micros * (BASIS_POINTS + self.fee_bps) + worth.transfer_micros * BASIS_POINTS
            all_in = half_up(cost * worth.factor.denominator, BASIS_POINTS * worth.factor.numerator)
        return Candidate(
            offer=offer,
            factor=worth.factor,
            rtt_ms=rtt.get(offer.site),
            transfer_micros=worth.transfer_micros,
            arrival_seconds=worth.arrival_seconds,
            all_in_micros=all_in,
            total_micros=None if all_in is None else all_in * query.quantity * query.hours,
            ready_at=later(now, worth.ready_seconds),
        )

    def worth(self, hardware: str, country: str | None, *, query: OfferQuery, transfers: dict[str, TransferRate] | None) -> Worth:
        """What a class of hardware in a country makes of the work."""
        found = self.factor(hardware, query.stack)
        way = way_of(country, query, transfers=transfers)
        arrival = math.ceil(BITS_PER_TERABYTE_BY_GIGABIT * Fraction(query.data_tb) / Fraction(way.gbps)) if way and way.gbps else 0
        transfer = 0 if way is not None else None
        if found is not None and way is not None and way.micros_per_tb:
            # The work takes quantity × hours ÷ factor accelerator-hours here, and they share the cost of moving the data.
            transfer = math.ceil(Fraction(query.data_tb) * way.micros_per_tb * found / (query.quantity * query.hours))
        ready = None if found is None else arrival - (-3600 * query.hours * found.denominator // found.numerator)
        return Worth(factor=found, transfer_micros=transfer, arrival_seconds=arrival, ready_seconds=ready)

    def factor(self, hardware: str, stack: str | None) -> Fraction | None:
        """Reference hours per accelerator-hour; None for a class without throughput on record."""
        found, reference = self._catalogue.get(hardware), self._catalogue.get(REFERENCE_CLASS)
        if found is None or reference is None:
            return None
        loss = PORTABILITY_LOSS if stack and stack.lower() != found.vendor.lower() else Decimal(0)
        return _exact_factor(found.tflops, reference.tflops, loss=loss)


@functools.cache
def _exact_factor(tflops: int, reference: int, *, loss: Decimal) -> Fraction:
    """The factor as an exact fraction; a few classes and losses, asked for in every search."""
    return Fraction(factor(tflops, reference, portability_loss=loss))


def may_see(buyer_country: str | None, open_to: list[str], *, closed_to: list[str]) -> bool:
    """Whether an offer is open to a buyer's country; an unknown country opens nothing and passes no bar."""
    return (not open_to or buyer_country in open_to) and (not closed_to or (buyer_country is not None and buyer_country not in closed_to))


def later(now: datetime, seconds: int | None) -> datetime | None:
    """A moment ahead; None for never, and beyond what a calendar holds, which is too late for anybody."""
    return now + timedelta(seconds=seconds) if seconds is not None and seconds < FOREVER_SECONDS else None


def way_of(country: str | None, query: OfferQuery, *, transfers: dict[str, TransferRate] | None) -> TransferRate | None:
    """The way for the data: free and at once when nothing has to move; None when there is no way."""
    if transfers is None or not transfers:
        return TransferRate(0, 0)
    stay = TransferRate(0, 0) if country == query.data_country else None
    return transfers.get(country or "", stay)


def rank(query: OfferQuery, candidate: Candidate) -> tuple[int, str]:
    """Where a candidate stands in the order asked for: least first, then by id."""
    by = {
        "all_in": candidate.all_in_micros or 0,
        "rate": candidate.offer.rate_micros,
        "quantity": -candidate.offer.quantity,
    }
    return by[query.sort], candidate.offer.offer_id


def write_cursor(rank: tuple[int, str]) -> str:
    """The cursor behind an offer of this rank."""
    return base64.urlsafe_b64encode(msgspec.json.encode(rank)).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """The rank a cursor stands for. Raises BadInput for a foreign one."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=tuple[int, str])
    except ValueError as error:
        raise BadInput("the cursor is not one we gave", found=cursor, would_do="next_cursor of the page before") from error


def _exclusions(candidates: list[Candidate], failures: list[list[str]]) -> list[Exclusion]:
    """One row a reason, the one that leaves out most first; counts of several reasons overlap."""
    rows = []
    for clause in CLAUSES:
        out = [c for c, failed in zip(candidates, failures, strict=True) if clause.name in failed]
        alone = [c for c, failed in zip(candidates, failures, strict=True) if failed == [clause.name]]
        if out:
            shown = sorted(alone, key=lambda c: (c.all_in_micros or 0, c.offer.offer_id)) or out
            rows.append(
                Exclusion(
                    reason=clause.name,
                    offers=len(out),
                    alone=len(alone),
                    best_all_in_micros=min((c.all_in_micros for c in alone if c.all_in_micros is not None), default=None),
                    examples=[f"{c.offer.provider_name}, {c.offer.site}: {clause.found(c)}" for c in shown[:EXAMPLES_SHOWN]],
                )
            )
    return sorted(rows, key=lambda row: (-row.offers, row.reason))


def _facets(candidates: list[Candidate], failures: list[list[str]]) -> dict[str, list[FacetValue]]:
    """For each facet, how many offers each value would let in while every other demand stands; values that let in none too."""
    facets = {}
    for name, (clause, values) in FACETS.items():
        others_hold = [c.offer for c, failed in zip(candidates, failures, strict=True) if set(failed) <= {clause}]
        counts = Counter({value: 0 for c in candidates for value in values(c.offer) if value is not None})
        counts.update(value for offer in others_hold for value in values(offer) if value is not None)
        facets[name] = [FacetValue(value=value, offers=count) for value, count in sorted(counts.items())]
    return facets


def view_of(candidate: Candidate, rates: dict[tuple[str, str, bool], int], *, now: datetime) -> OfferView:
    """A candidate that answers, as the caller sees it."""
    offer = candidate.offer
    assert candidate.all_in_micros is not None  # an offer without a conversion or a way is not found
    assert candidate.total_micros is not None
    return OfferView(
        offer_id=offer.offer_id,
        provider=offer.provider,
        provider_name=offer.provider_name,
        site=offer.site,
        country=offer.country,
        operator_country=offer.operator_country,
        trust=offer.trust,
        hardware=offer.hardware,
        memory_gb=offer.memory_gb,
        quantity=offer.quantity,
        firm=offer.firm,
        uptime=offer.uptime,
        certifications=offer.certifications or [],
        rate_micros=offer.rate_micros,
        transfer_micros=candidate.transfer_micros or 0,
        all_in_micros=candidate.all_in_micros,
        total_micros=candidate.total_micros,
        last_rate_micros=rates.get((offer.site, offer.hardware, offer.firm)),
        factor=float(candidate.factor or 0),
        rtt_ms=candidate.rtt_ms,
        arrival_seconds=candidate.arrival_seconds,
        observed_at=offer.observed_at,
        age_seconds=max(0, int((now - offer.observed_at).total_seconds())),
        source=offer.source,
    )
