"""Whether an announced offer is to be believed, and the row of the market's offers that it becomes.

What is usual is asked of the store for every provider at once. A large book is asked now and then: its medians do not move with
one batch, and reading a hundred thousand rates for each would cost more than taking the batch.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median_low

import msgspec

from broker.store.repositories.feed import LISTED, FeedRepository, Known, Voice
from contracts.feed.attributes import Norms, OfferAttributes, attributes_of_all, doubt
from contracts.feed.table import Entry
from contracts.terms.hardware import HardwareClass

SMALL = 500
NORMS_LAST = timedelta(seconds=60)
STRANGER = "another provider's offer has this id"


class Judged(msgspec.Struct, frozen=True):
    """What is held against each offer, empty where nothing is; and the rows of those the market lists, by the column."""

    suspects: dict[str, str]
    rows: dict[str, Sequence[object]]


class Judge:
    """Judges what providers announce by what the others ask."""

    def __init__(self, hardware: Mapping[str, HardwareClass]) -> None:
        self._hardware = hardware
        self._voices: list[Voice] = []
        self._heard_at: datetime | None = None

    async def norms(self, feeds: FeedRepository, *, without: str, now: datetime) -> Norms:
        """What is usual in the market, a provider's own rates left out."""
        old = self._heard_at is None or now - self._heard_at >= NORMS_LAST
        if old or sum(voice.offers for voice in self._voices) <= SMALL:
            self._voices, self._heard_at = await feeds.voices(), now
        rates: dict[str, list[int]] = {}
        for voice in self._voices:
            if voice.provider != without:
                rates.setdefault(voice.hardware, []).append(voice.rate_micros)
        return Norms(hardware=self._hardware, rates={name: (median_low(found), len(found)) for name, found in rates.items()})


def judge(entries: Mapping[str, Entry], *, norms: Norms, known: Mapping[str, Known], stated: Mapping[str, object]) -> Judged:
    """Judge offers. `stated` has what the broker says of all of them: provider, trust, observed_at."""
    suspects: dict[str, str] = {}
    listed: list[tuple[Entry, OfferAttributes]] = []
    found = attributes_of_all([entry.offer for entry in entries.values()])
    norms = norms.settled({read.hardware for read in found if not isinstance(read, str)})
    for (name, entry), read in zip(entries.items(), found, strict=True):
        there = known.get(name)
        if there is not None and there.is_strangers:
            suspects[name] = STRANGER
        elif isinstance(read, str):
            suspects[name] = read
        else:
            suspects[name] = doubt(entry.offer, read, norms=norms)
            listed.append((entry, read))
    return Judged(suspects, _columns(listed, known=known, stated=stated) if listed else {})


def _columns(
    listed: list[tuple[Entry, OfferAttributes]], *, known: Mapping[str, Known], stated: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """The rows of the table `offers`, by the column: each a version after those there were."""
    offers = [entry.offer for entry, _ in listed]
    columns: dict[str, Sequence[object]] = dict(
        zip(OfferAttributes.__struct_fields__, zip(*(msgspec.structs.astuple(read) for _, read in listed), strict=True), strict=True)
    )
    columns |= {name: [value] * len(listed) for name, value in stated.items()}
    columns["id"] = [offer.offer_id for offer in offers]
    columns["version"] = [known[offer.offer_id].version + 1 if offer.offer_id in known else 1 for offer in offers]
    columns["quantity"] = [offer.quantity for offer in offers]
    columns["rate_micros"] = [offer.rate_micros for offer in offers]
    return {name: columns[name] for name in LISTED}
