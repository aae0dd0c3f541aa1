"""Cells of the book: what many offers have in common, held once.

Offers differ in price, number, age; in everything else a hundred thousand of them are a few thousand kinds. Whatever a search
demands of such a fact is decided once a value, and spread over cells by a code; nobody asks a hundred thousand offers for it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.services.offers import OfferRecord
from contracts.terms.time import EPOCH

# What is an offer's own; everything else in the columns of the book is its cell's.
OWN: dict[str, pl.DataType] = {
    "offer_id": pl.String(),
    "quantity": pl.Int64(),
    "rate_micros": pl.Int64(),
    "observed_at": pl.Datetime("us", "UTC"),
    "reason": pl.String(),
}
SHARED: dict[str, pl.DataType] = {
    "provider": pl.String(),
    "provider_name": pl.String(),
    "source": pl.String(),
    "site": pl.String(),
    "country": pl.String(),
    "operator_country": pl.String(),
    "parent_country": pl.String(),
    "trust": pl.String(),
    "hardware": pl.String(),
    "memory_gb": pl.Float64(),
    "firm": pl.Boolean(),
    "uptime": pl.Float64(),
    "certifications": pl.List(pl.String()),
    "open_to": pl.List(pl.String()),
    "closed_to": pl.List(pl.String()),
    "state": pl.String(),
    "carbon_g": pl.Float64(),
}
LISTS = [place for place, dtype in enumerate(SHARED.values()) if isinstance(dtype, pl.List)]
Codes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Shared(msgspec.Struct, frozen=True):
    """What the offers of one cell share.

    offer     the facts of such an offer; its id, figures and time mean nothing
    state     live, or why it cannot be booked
    carbon_g  grams of CO2 an accelerator-hour; None where nobody knows
    """

    offer: OfferRecord
    state: str
    carbon_g: float | None


# What searches ask of a cell, by the name of the fact.
READINGS: dict[str, Callable[[Shared], Any]] = {
    "hardware": lambda cell: cell.offer.hardware,
    "site": lambda cell: cell.offer.site,
    "country": lambda cell: cell.offer.country,
    "operator_country": lambda cell: cell.offer.operator_country,
    "operators": lambda cell: (cell.offer.operator_country, cell.offer.parent_country),
    "trust": lambda cell: cell.offer.trust,
    "memory_gb": lambda cell: cell.offer.memory_gb,
    "firm": lambda cell: cell.offer.firm,
    "uptime": lambda cell: cell.offer.uptime,
    "certifications": lambda cell: tuple(cell.offer.certifications or ()),
    "access": lambda cell: (tuple(cell.offer.open_to), tuple(cell.offer.closed_to)),
    "state": lambda cell: cell.state,
    "carbon_g": lambda cell: cell.carbon_g,
    "kind": lambda cell: (cell.offer.hardware, cell.offer.country),
    "haystack": lambda cell: haystack(cell.offer),
}


class Fact(msgspec.Struct, frozen=True, eq=False):
    """One fact of all cells.

    places   its different values, each with its number, in the order in which they came
    codes    (C,) the number of each cell's value
    """

    places: dict[Any, int]
    codes: Codes

    def where(self, admits: Callable[[Any], bool]) -> Bools:
        """(C,) whether a cell's value is admitted; asked once a value."""
        return np.fromiter(map(admits, self.places), np.bool_, len(self.places))[self.codes]

    def grown(self, values: Iterable[Any]) -> "Fact":
        """The fact with those of further cells behind it."""
        places = dict(self.places)
        codes = [places.setdefault(value, len(places)) for value in values]
        return Fact(places, np.concatenate([self.codes, np.array(codes, dtype=np.int64)]))


class Cells(msgspec.Struct, frozen=True, eq=False):
    """The C cells of a book, in the order in which they came.

    places   each cell's number by what its offers share, in the order of `SHARED`, lists as tuples
    shared   (C,) the same as a record
    facts    by name, those of `READINGS`
    """

    places: dict[tuple[Any, ...], int]
    shared: list[Shared]
    facts: dict[str, Fact]

    def grown(self, keys: Iterable[tuple[Any, ...]]) -> "Cells":
        """These cells, and those of the keys that are not among them yet."""
        new = [key for key in dict.fromkeys(keys) if key not in self.places]
        if not new:
            return self
        places = self.places | {key: place for place, key in enumerate(new, len(self.places))}
        shared = [_shared(key) for key in new]
        facts = {name: self.facts[name].grown(map(reading, shared)) for name, reading in READINGS.items()}
        return Cells(places, self.shared + shared, facts)


NO_CELLS = Cells({}, [], {name: Fact({}, np.zeros(0, dtype=np.int64)) for name in READINGS})


def cell_key(values: Sequence[Any]) -> tuple[Any, ...]:
    """What an offer shares, in the order of `SHARED`, so that it can be looked up."""
    key = list(values)
    for place in LISTS:
        key[place] = None if key[place] is None else tuple(key[place])
    return tuple(key)


def haystack(offer: OfferRecord) -> str:
    """What a text is looked for in, lower case."""
    return f"{offer.provider_name} {offer.provider} {offer.site} {offer.hardware} {offer.country or ''}".lower()


def _shared(key: tuple[Any, ...]) -> Shared:
    facts = dict(zip(SHARED, key, strict=True))
    state, carbon_g = facts.pop("state"), facts.pop("carbon_g")
    for name in ("certifications", "open_to", "closed_to"):
        facts[name] = None if facts[name] is None else list(facts[name])
    return Shared(OfferRecord(offer_id="", quantity=0, rate_micros=0, observed_at=EPOCH, **facts), state, carbon_g)
