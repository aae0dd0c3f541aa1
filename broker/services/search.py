"""Searching the book by the column: every demand is decided for all offers at once.

What an offer costs and how it is shown is the slow reading's to say (`broker.services.offers`), and a property holds the two
equal. Here each demand is an array of yes and no, so that counts by reason and by facet are sums.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from broker.clock import Clock
from broker.services.book_view import BookView, Bools
from broker.services.market_views import Exclusion, FacetValue, OfferView
from broker.services.offers import (
    CLAUSES,
    EXAMPLES_SHOWN,
    Candidate,
    OfferReader,
    OfferRecord,
    OfferService,
    may_see,
    read_cursor,
    view_of,
    write_cursor,
)
from broker.services.search_views import BookSearch, SearchOffer, SearchQuery
from contracts.terms.money import BASIS_POINTS
from contracts.terms.tables import TRUST_CLASSES

INT64_ROOM = 2**62
CLAUSE_OF = {name: name for name in ("hardware", "countries", "operator_countries", "certifications")} | {
    "trust_min": "trust",
    "states": "state",
}
FACT_OF = {
    "hardware": "hardware",
    "countries": "country",
    "operator_countries": "operator_country",
    "trust_min": "trust",
    "states": "state",
}
Ints = npt.NDArray[np.int64]
# How many demands an offer fails in: there are fewer of them than a byte counts.
Counts = npt.NDArray[np.uint8]
Masks = Mapping[str, Bools]


class Book(Protocol):
    """Where the present book is to be had."""

    async def current(self) -> BookView:
        """The book as it stands."""
        ...


class Weighed(msgspec.Struct, frozen=True, eq=False):
    """What a search makes of every offer.

    kinds      a candidate for each kind of offer of the book
    all_in     (O,) micros a reference hour, 0 where it cannot be known
    known      (O,) whether it can
    carbon     (O,) grams of CO2 a reference hour; NaN where it cannot be known
    """

    kinds: list[Candidate]
    all_in: Ints
    known: Bools
    carbon: npt.NDArray[np.float64]


class SearchService:
    """Looking through the book."""

    def __init__(self, book: Book, offers: OfferService, *, reader: OfferReader, clock: Clock) -> None:
        self._book = book
        self._offers = offers
        self._reader = reader
        self._clock = clock
        self._view: BookView | None = None

    async def search(self, query: SearchQuery) -> BookSearch:
        """Offers that meet every demand, best first, and an account of those that do not. Raises BadInput for a foreign cursor."""
        now = self._clock.now()
        # One look a request: several searches agree, and none waits for a second connection while it holds its first.
        view = self._view = self._view or await self._book.current()
        rtt = await self._reader.latencies(query.place) if query.place else {}
        transfers = await self._reader.transfers(query.data_country) if query.data_country and query.data_tb else None

        def candidates(records: list[OfferRecord]) -> list[Candidate]:
            return [self._offers.candidate(each, query, rtt=rtt, transfers=transfers, now=now) for each in records]

        weighed = weigh(view, candidates(view.likeness), fee_bps=self._offers.fee_bps)
        masks = demands(view, query, weighed=weighed, rtt=rtt)
        visible = np.array([may_see(query.buyer_country, opened, closed_to=closed) for opened, closed in view.access], dtype=np.bool_)
        seen = visible[view.access_code] if view.access else np.zeros(0, dtype=np.bool_)
        failed = np.zeros(len(seen), dtype=np.uint8)
        for mask in masks.values():
            failed += ~mask
        found = np.flatnonzero(seen & (failed == 0))
        key = _key(view, query, weighed=weighed)
        rest = _behind(view, found, key=key, cursor=query.cursor)
        page = _least(rest, key, count=query.limit + 1)
        rates = await self._reader.last_rates(query.tier) if len(page) else {}
        shown = candidates(view.records(page[: query.limit]))
        considered = int(seen.sum())
        last = page[query.limit - 1] if len(page) > query.limit else None
        return BookSearch(
            as_of=now,
            currency=self._offers.currency,
            considered=considered,
            found=len(found),
            left_out=considered - len(found),
            offers=[_offer(view, int(row), weighed=weighed, shown=view_of(c, rates, now=now)) for row, c in zip(page, shown, strict=False)],
            next_cursor=None if last is None else write_cursor((int(key[last]), view.frame["offer_id"][int(last)])),
            exclusions=[
                _exclusion(name, [(view, c, int(row)) for row, c in zip(rows, candidates(view.records(rows)), strict=True)], counts=counts)
                for name, rows, counts in _left_out(masks, seen, failed=failed, weighed=weighed)
            ],
            facets=_facets(view, masks, seen=seen, failed=failed),
        )


def weigh(view: BookView, kinds: list[Candidate], *, fee_bps: int) -> Weighed:
    """All-in cost of every offer: (rate × (1 + fee) + transfer) ÷ factor, rounded once, half up; exact in integers."""
    known = np.array([c.factor is not None and c.transfer_micros is not None for c in kinds], dtype=np.bool_)[view.kind_code]
    above = np.array([c.factor.numerator if c.factor is not None else 1 for c in kinds], dtype=np.int64)[view.kind_code]
    below = np.array([c.factor.denominator if c.factor is not None else 1 for c in kinds], dtype=np.int64)[view.kind_code]
    moved = [c.transfer_micros or 0 for c in kinds]
    rate = view.column("rate_micros")
    rates_max = int(rate.max()) if len(rate) else 0
    largest = (rates_max + max(moved, default=0)) * (BASIS_POINTS + fee_bps) * int(below.max(initial=1)) + BASIS_POINTS * int(
        above.max(initial=1)
    )
    exact: Any = np.int64 if 2 * largest < INT64_ROOM else object
    with_fee = rate.astype(exact) * (BASIS_POINTS + fee_bps) + np.array(moved, dtype=exact)[view.kind_code] * BASIS_POINTS
    cost, unit = with_fee * below.astype(exact), above.astype(exact) * BASIS_POINTS
    all_in = np.where(known, (2 * cost + unit) // (2 * unit), 0)
    factor = np.where(known, above / below, np.nan)
    return Weighed(kinds, all_in, known, view.column("carbon_g") / factor)


def demands(view: BookView, query: SearchQuery, *, weighed: Weighed, rtt: Mapping[str, float]) -> Masks:
    """For each demand that is made, which offers meet it; an unknown fact meets none."""
    q, kind_code = query, view.kind_code
    masks: dict[str, Bools] = {}

    def coded(fact: str, admits: Iterable[bool]) -> Bools:
        return np.array(list(admits), dtype=np.bool_)[view.codes[fact]]

    def among(fact: str, wanted: list[Any]) -> Bools:
        return coded(fact, (value in wanted for value in view.values[fact]))

    def kindly(admits: Iterable[bool]) -> Bools:
        return np.array(list(admits), dtype=np.bool_)[kind_code]

    if q.hardware:
        masks["hardware"] = among("hardware", q.hardware)
    masks["conversion"] = kindly(c.factor is not None for c in weighed.kinds)
    masks["quantity"] = view.column("quantity") >= q.quantity
    if q.tier != "spot":
        masks["tier"] = view.column("firm")
    if q.countries:
        masks["countries"] = among("country", q.countries)
    if q.operator_countries:
        masks["operator_countries"] = among("operator_country", q.operator_countries) & among("parent_country", q.operator_countries)
    if q.certifications:
        nobody = np.zeros(len(kind_code), dtype=np.bool_)
        masks["certifications"] = np.logical_and.reduce([view.held.get(name, nobody) for name in q.certifications])
    if q.trust_min is not None:
        masks["trust"] = among("trust", list(TRUST_CLASSES[TRUST_CLASSES.index(q.trust_min) :]))
    if q.memory_gb_min is not None:
        masks["memory"] = view.column("memory_gb") >= q.memory_gb_min
    if q.uptime_min is not None:
        masks["uptime"] = view.column("uptime") >= q.uptime_min
    if q.rtt_ms_max is not None:
        masks["latency"] = coded("site", (rtt.get(site or "", np.inf) <= q.rtt_ms_max for site in view.values["site"]))
    masks["transfer"] = kindly(c.transfer_micros is not None for c in weighed.kinds)
    if q.ready_by is not None:
        masks["deadline"] = kindly(c.ready_at is not None and c.ready_at <= q.ready_by for c in weighed.kinds)
    if q.rate_max_micros is not None:
        masks["budget"] = (weighed.known & (weighed.all_in <= q.rate_max_micros)).astype(np.bool_)
    if words := q.text.lower().split():
        masks["text"] = np.logical_and.reduce([view.haystack.str.contains(word, literal=True).to_numpy() for word in words])
    masks["state"] = among("state", list(q.states))
    if q.carbon_g_max is not None:
        masks["carbon"] = weighed.carbon <= q.carbon_g_max
    return masks


def _key(view: BookView, query: SearchQuery, *, weighed: Weighed) -> npt.NDArray[Any]:
    if query.sort == "all_in":
        return weighed.all_in
    return view.column("rate_micros") if query.sort == "rate" else -view.column("quantity")


def _behind(view: BookView, found: Ints, *, key: npt.NDArray[Any], cursor: str | None) -> Ints:
    """What comes after a cursor, in the order of keys and then of ids."""
    if cursor is None:
        return found
    least, offer_id = read_cursor(cursor)
    place = int(view.frame["offer_id"].search_sorted(offer_id, side="right"))
    behind: Ints = found[(key[found] > least) | ((key[found] == least) & (found >= place))]
    return behind


def _least(rows: Ints, key: npt.NDArray[Any], *, count: int) -> Ints:
    """The rows of the least keys, in order; of equal keys those of the lesser id. Only these are sorted."""
    if len(rows) > count:
        edge = np.partition(key[rows], count - 1)[count - 1]
        below, at = rows[key[rows] < edge], rows[key[rows] == edge]
        rows = np.concatenate([below, at[: count - len(below)]])
    by_id: Ints = np.sort(rows)
    order: Ints = np.argsort(key[by_id], kind="stable")
    return by_id[order]


def _left_out(masks: Masks, seen: Bools, *, failed: Counts, weighed: Weighed) -> list[tuple[str, Ints, tuple[int, int, int | None]]]:
    """By reason, the one that leaves out most first: a few examples, and how many, how many it alone, and the least cost of those."""
    rows = []
    for name, mask in masks.items():
        out = np.flatnonzero(seen & ~mask)
        if len(out):
            alone = out[failed[out] == 1]
            best = weighed.all_in[alone][weighed.known[alone]]
            examples = _least(alone, weighed.all_in, count=EXAMPLES_SHOWN) if len(alone) else out[:EXAMPLES_SHOWN]
            rows.append((name, examples, (len(out), len(alone), int(best.min()) if len(best) else None)))
    return sorted(rows, key=lambda row: (-row[2][0], row[0]))


def _exclusion(name: str, examples: list[tuple[BookView, Candidate, int]], *, counts: tuple[int, int, int | None]) -> Exclusion:
    found = {clause.name: clause.found for clause in CLAUSES}

    def said(view: BookView, candidate: Candidate, *, row: int) -> str:
        if name == "state":
            return f"{view.frame['state'][row]}: {view.frame['reason'][row]}"
        if name == "carbon":
            grams = view.frame["carbon_g"][row]
            return "unknown" if grams is None else f"{grams:g} g an accelerator-hour"
        return found[name](candidate)

    texts = [f"{c.offer.provider_name}, {c.offer.site}: {said(view, c, row=row)}" for view, c, row in examples]
    return Exclusion(reason=name, offers=counts[0], alone=counts[1], best_all_in_micros=counts[2], examples=texts)


def _facets(view: BookView, masks: Masks, *, seen: Bools, failed: Counts) -> dict[str, list[FacetValue]]:
    """For each facet, how many offers each value would let in while every other demand stands; values that let in none too."""
    facets = {}
    met = np.flatnonzero(seen & (failed == 0))
    for name, clause in CLAUSE_OF.items():
        mask = masks.get(clause)
        # What meets every other demand: what meets all, and what fails in this one alone.
        rest = met if mask is None else np.flatnonzero(seen & (failed == (~mask).view(np.uint8)))
        if name == "certifications":
            counts = [(held, int(has[rest].sum())) for held, has in view.held.items() if (seen & has).any()]
        else:
            fact = FACT_OF[name]
            values, codes = view.values[fact], view.codes[fact]
            # Every value is somebody's: only where a bar hides offers may one be nobody's.
            there = np.ones(len(values), dtype=np.bool_) if seen.all() else np.bincount(codes[seen], minlength=len(values)) > 0
            let_in = np.bincount(codes[rest], minlength=len(values))
            counts = [(value, int(let_in[place])) for place, value in enumerate(values) if value is not None and there[place]]
        facets[name] = [FacetValue(value=value, offers=count) for value, count in sorted(counts)]
    return facets


def _offer(view: BookView, row: int, *, weighed: Weighed, shown: OfferView) -> SearchOffer:
    carbon = float(weighed.carbon[row])
    state, reason = view.frame["state"][row], view.frame["reason"][row]
    return SearchOffer(offer=shown, state=state, reason=reason, carbon_g=None if np.isnan(carbon) else carbon)
