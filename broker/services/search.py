"""Searching the book: every demand is decided once for all offers alike, and one pass over the offers does the rest.

What an offer costs and how it is shown is the slow reading's to say (`broker.services.offers`), and a property holds the two
equal. Here counts by reason and by facet are sums over cells, and records are made of those offers alone that are shown.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

import msgspec
import numpy as np

from broker.clock import Clock
from broker.services.book_cells import Codes, Fact, Shared
from broker.services.book_view import BookView, parted
from broker.services.free_hours import FreeAsked, Room, free_asked
from broker.services.market_views import Exclusion, FacetValue
from broker.services.offers import (
    CLAUSES,
    EXAMPLES_SHOWN,
    Candidate,
    OfferRecord,
    OfferService,
    later,
    read_cursor,
    view_of,
    write_cursor,
)
from broker.services.search_demands import Demands, Kinds, budget_limit, demands, kinds, terms
from broker.services.search_facts import SearchFacts
from broker.services.search_views import BookSearch, SearchOffer, SearchQuery
from broker.services.sifting import ROOM, Asked, Sifted, room, sift

SORTS = {"all_in": 0, "rate": 1, "quantity": 2}
# By facet: the demand it is of, and the fact; the values of a certificate's fact are those held together.
FACETS = {
    "hardware": ("hardware", "hardware"),
    "countries": ("countries", "country"),
    "operator_countries": ("operator_countries", "operator_country"),
    "certifications": ("certifications", "certifications"),
    "trust_min": ("trust", "trust"),
    "states": ("state", "state"),
}
FOUND = {clause.name: clause.found for clause in CLAUSES}
# Who fails in one of these alone has no known cost.
WITHOUT_COST = ("conversion", "transfer")


class Book(Protocol):
    """Where the present book is to be had."""

    async def current(self) -> BookView:
        """The book as it stands."""
        ...


class Search(msgspec.Struct, frozen=True, eq=False):
    """One search: what was asked of which book, and what it made of it.

    rtt     measured round-trip time from the place, milliseconds by site
    free    the hours in which offers shall be free; None where it does not matter
    """

    view: BookView
    query: SearchQuery
    made_of: Kinds
    made: Demands
    rtt: Mapping[str, float]
    now: datetime
    free: FreeAsked | None

    def shown(self, rows: Codes) -> Iterator[tuple[Candidate, Shared]]:
        """Offers with what the search makes of them, and what they share with others."""
        kinds_of = self.made_of.of_cell[self.view.cell[rows]].tolist()
        for offer, shared, kind in zip(self.view.records(rows), self.view.shared(rows), kinds_of, strict=True):
            yield self._candidate(offer, kind=kind), shared

    def _candidate(self, offer: OfferRecord, *, kind: int) -> Candidate:
        worth = self.made_of.worth[kind]
        known = worth.factor is not None and worth.transfer_micros is not None
        all_in = self.made_of.cost[kind].of(offer.rate_micros) if known else None
        return Candidate(
            offer=offer,
            factor=worth.factor,
            rtt_ms=self.rtt.get(offer.site),
            transfer_micros=worth.transfer_micros,
            arrival_seconds=worth.arrival_seconds,
            all_in_micros=all_in,
            total_micros=None if all_in is None else all_in * self.query.quantity * self.query.hours,
            ready_at=later(self.now, worth.ready_seconds),
        )


class SearchService:
    """Looking through the book."""

    def __init__(self, book: Book, offers: OfferService, *, reader: SearchFacts, clock: Clock, room: Room) -> None:
        self._book = book
        self._offers = offers
        self._reader = reader
        self._clock = clock
        self._room = room
        self._view: BookView | None = None

    async def search(self, query: SearchQuery) -> BookSearch:
        """Offers that meet every demand, best first, and an account of those that do not.

        Raises BadInput for a foreign cursor, and for hours that have passed or are too far ahead to be free.
        """
        # One look a request: several searches agree, and none waits for a second connection while it holds its first.
        view = self._view = self._view or await self._book.current()
        free = free_asked(query, await self._room.current()) if query.is_timed else None
        if free is not None:
            rows = self._room.rows(view.ids, free.found)
            view = parted(view, ~free.enough(rows, view.quantity))
        rtt = await self._reader.latencies(query.place) if query.place else {}
        transfers = await self._reader.transfers(query.data_country) if query.data_country and query.data_tb else None
        now = self._clock.now()
        made_of = kinds(view.cells, query, offers=self._offers, transfers=transfers)
        made = demands(view.cells, query, made_of=made_of, rtt=rtt, now=now)
        if free is not None:
            made = made.beside("availability", np.arange(len(made.failed)) < len(made.failed) // 2)
        search = Search(view, query, made_of, made, rtt, now, free)
        sifted = sifted_by(search)
        behind = sifted.rows[-1, : sifted.kept[-1]]
        page, last = behind[: query.limit], behind[query.limit - 1] if len(behind) > query.limit else None
        rates = await self._reader.last_rates(query.tier) if len(page) else {}
        considered, found = int(view.offers()[made.failed >= 0].sum()), int(sifted.alone[-1])
        examples = [_examples_of(search, demand, sifted=sifted) for demand in range(len(made.names))]
        # All records in one go: the page first, then the examples of each demand.
        shown = search.shown(np.concatenate([page, *examples]))
        return BookSearch(
            as_of=now,
            currency=self._offers.currency,
            considered=considered,
            found=found,
            left_out=considered - found,
            offers=[_offer(search, each, shared=shared, rates=rates) for each, shared in islice(shown, len(page))],
            next_cursor=None if last is None else write_cursor((int(sifted.keys[-1, query.limit - 1]), view.ids[last])),
            exclusions=exclusions(search, sifted, shown=[list(islice(shown, len(rows))) for rows in examples]),
            facets=facets(search, sifted),
        )


def sifted_by(search: Search) -> Sifted:
    """The pass over the offers that a search asks for."""
    view, query, made = search.view, search.query, search.made
    least, place = -ROOM, 0
    if query.cursor is not None:
        least, offer_id = read_cursor(query.cursor)
        place = bisect_right(view.ids, offer_id)
    number = made.names.index("quantity")
    asked = Asked(query.quantity, number, len(made.names) - 1, SORTS[query.sort], least, place)
    into = room(len(made.names), len(made.failed), page=query.limit + 1, examples=EXAMPLES_SHOWN)
    asked_of = terms(made, search.made_of, query=query)
    return sift(view.by_cell, asked_of, asked=asked, into=into, rate_max=view.rate_max)


def exclusions(search: Search, sifted: Sifted, *, shown: list[list[tuple[Candidate, Shared]]]) -> list[Exclusion]:
    """By reason, the one that leaves out most first: how many, how many it alone and what the best of these costs, a few examples."""
    rows = [
        Exclusion(
            reason=name,
            offers=out,
            alone=alone,
            best_all_in_micros=int(sifted.keys[demand, 0]) if alone and name not in WITHOUT_COST else None,
            examples=[_example(search, candidate, shared=shared, reason=name) for candidate, shared in shown[demand]],
        )
        for demand, (name, out, alone) in enumerate(zip(search.made.names, sifted.out.tolist(), sifted.alone.tolist(), strict=False))
        if out
    ]
    return sorted(rows, key=lambda row: (-row.offers, row.reason))


def _examples_of(search: Search, demand: int, *, sifted: Sifted) -> Codes:
    """The best of those that fail in a demand alone; where none does, the first that fail in it at all."""
    kept, out = sifted.kept[demand], sifted.out[demand]
    rows: Codes = sifted.rows[demand, :kept]
    return first_out(search, demand) if out and not kept else rows


def first_out(search: Search, demand: int) -> Codes:
    """The first few offers that fail in a demand, in order of id."""
    view, query, failed, name = search.view, search.query, search.made.failed, search.made.names[demand]
    if name in ("quantity", "budget"):
        limit = budget_limit(search.made_of, query)[search.made_of.of_cell]
        out = view.quantity < query.quantity if name == "quantity" else view.rate > limit[view.cell]
        return np.flatnonzero(out & (failed >= 0)[view.cell])[:EXAMPLES_SHOWN]
    start, row = view.by_cell.start, view.by_cell.row
    cells = np.flatnonzero((failed >= 0) & (failed >> demand & 1 == 1) & (np.diff(start) > 0))
    # They are in those cells whose own first offers come first.
    if len(cells) > EXAMPLES_SHOWN:
        cells = cells[np.argpartition(row[start[cells]], EXAMPLES_SHOWN)[:EXAMPLES_SHOWN]]
    rows = [row[start[cell] : start[cell + 1]][:EXAMPLES_SHOWN] for cell in cells]
    return np.sort(np.concatenate(rows))[:EXAMPLES_SHOWN]


def facets(search: Search, sifted: Sifted) -> dict[str, list[FacetValue]]:
    """For each facet, how many offers each value would let in while every other demand stands; values that let in none too."""
    cells, failed = search.view.cells, search.made.failed
    there = (search.view.offers() > 0) & (failed >= 0)
    met = np.where(failed == 0, sifted.passed, 0)
    found = {}
    for name, (demand, fact_name) in FACETS.items():
        # What meets every other demand: what meets all, and what fails in this one alone.
        rest = met
        if demand in search.made.names:
            rest = met + np.where(failed == 1 << search.made.names.index(demand), sifted.passed, 0)
        counts = _let_in(cells.facts[fact_name], rest, there=there)
        found[name] = [FacetValue(value=value, offers=counts[value]) for value in sorted(counts)]
    return found


def _let_in(fact: Fact, offers: Any, *, there: Any) -> dict[str, int]:
    """By value that a cell which is there has: the sum of these offers of cells; of several values held together each counts."""
    let_in = np.bincount(fact.codes, weights=offers, minlength=len(fact.places)).tolist()
    held = let_in if there.all() else np.bincount(fact.codes, weights=there, minlength=len(fact.places)).tolist()
    counts: dict[str, int] = {}
    for value, cells, count in zip(fact.places, held, let_in, strict=True):
        if (cells or held is let_in) and value is not None:
            for each in value if isinstance(value, tuple) else (value,):
                counts[each] = counts.get(each, 0) + int(count)
    return counts


def _example(search: Search, candidate: Candidate, *, shared: Shared, reason: str) -> str:
    offer = candidate.offer
    if reason == "state":
        said = f"{shared.state}: {search.view.reasons.get(offer.offer_id, '')}"
    elif reason == "availability" and search.free is not None:
        said = search.free.said(offer.offer_id, most=offer.quantity)
    elif reason == "carbon":
        said = "unknown" if shared.carbon_g is None else f"{shared.carbon_g:g} g an accelerator-hour"
    else:
        said = FOUND[reason](candidate)
    return f"{offer.provider_name}, {offer.site}: {said}"


def _offer(search: Search, candidate: Candidate, *, shared: Shared, rates: dict[tuple[str, str, bool], int]) -> SearchOffer:
    offer = candidate.offer
    assert candidate.factor is not None  # an offer without a conversion is not found
    return SearchOffer(
        offer=view_of(candidate, rates, now=search.now),
        state=shared.state,
        reason=search.view.reasons.get(offer.offer_id, ""),
        carbon_g=None if shared.carbon_g is None else shared.carbon_g / float(candidate.factor),
        free=search.free.spans(offer.offer_id, most=offer.quantity) if search.free is not None else [],
    )
