"""What a search makes of the cells of a book: what its work costs in each kind of them, and which demands each does not meet."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import gcd
from typing import Any

import msgspec
import numpy as np

from broker.services.book_cells import Bools, Cells, Codes
from broker.services.offers import OfferService, TransferRate, Worth, later, may_see
from broker.services.search_views import SearchQuery
from broker.services.sifting import ROOM, Terms
from contracts.terms.money import BASIS_POINTS
from contracts.terms.tables import TRUST_CLASSES

NOT_SHOWN = -1


class Cost(msgspec.Struct, frozen=True):
    """All-in cost in micros a reference hour: (rate × above + moved) ÷ below, half up; 0 where it cannot be known."""

    above: int
    moved: int
    below: int

    def of(self, rate_micros: int) -> int:
        """What an offer at this rate costs."""
        return (2 * (rate_micros * self.above + self.moved) + self.below) // (2 * self.below)

    def rate_max(self, all_in_micros: int) -> int:
        """The greatest rate that costs no more; -1 where none does, or nobody knows."""
        if not self.above:
            return -1
        return max(-1, ((2 * all_in_micros + 1) * self.below - 2 * self.moved - 1) // (2 * self.above))


class Kinds(msgspec.Struct, frozen=True, eq=False):
    """Cells by what the work is worth in them: by hardware, and where data has to move by country too.

    worth     (K,) what each makes of the work
    cost      (K,) what it costs there
    of_cell   (C,) the kind of each cell
    """

    worth: list[Worth]
    cost: list[Cost]
    of_cell: Codes

    def where(self, admits: Callable[[Worth], bool]) -> Bools:
        """(C,) whether the kind of a cell is admitted."""
        return np.fromiter(map(admits, self.worth), np.bool_, len(self.worth))[self.of_cell]


class Demands(msgspec.Struct, frozen=True, eq=False):
    """The demands a search makes.

    names    (D,) number and budget last, which are of offers; there is no budget where nothing is said of it
    failed   (C,) bits of those the offers of a cell do not meet; `NOT_SHOWN` where the caller may not see them
    """

    names: list[str]
    failed: Codes

    def beside(self, name: str, met: Bools) -> "Demands":
        """These demands and one more, which cells (C,) meet or not."""
        failed = np.where(self.failed < 0, self.failed, self.failed << 1 | ~met)
        return Demands([name, *self.names], failed)


def kinds(cells: Cells, query: SearchQuery, *, offers: OfferService, transfers: dict[str, TransferRate] | None) -> Kinds:
    """The kinds of cells a search has to tell apart, and what the work is worth and costs in each."""
    fact = cells.facts["kind" if transfers else "hardware"]
    pairs = list(fact.places) if transfers else [(hardware, None) for hardware in fact.places]
    worth = [offers.worth(hardware, country, query=query, transfers=transfers) for hardware, country in pairs]
    return Kinds(worth, [cost_of(each, fee_bps=offers.fee_bps) for each in worth], fact.codes)


def cost_of(worth: Worth, *, fee_bps: int) -> Cost:
    """(rate × (1 + fee) + transfer) ÷ factor, its terms as small as they can be."""
    if worth.factor is None or worth.transfer_micros is None:
        return Cost(0, 0, 1)
    above = (BASIS_POINTS + fee_bps) * worth.factor.denominator
    moved = worth.transfer_micros * BASIS_POINTS * worth.factor.denominator
    below = BASIS_POINTS * worth.factor.numerator
    shared = gcd(above, moved, below)
    return Cost(above // shared, moved // shared, below // shared)


def demands(cells: Cells, query: SearchQuery, *, made_of: Kinds, rtt: Mapping[str, float], now: datetime) -> Demands:
    """Every demand that is made, and which cells do not meet it; an unknown fact meets none. Number and budget are of offers."""
    masks = _demanded(cells, query) | _reckoned(cells, query, made_of=made_of, rtt=rtt, now=now)
    failed = np.zeros(len(cells.shared), dtype=np.int64)
    for place, mask in enumerate(masks.values()):
        failed[~mask] += 1 << place
    visible = cells.facts["access"].where(lambda access: may_see(query.buyer_country, access[0], closed_to=access[1]))
    failed[~visible] = NOT_SHOWN
    return Demands([*masks, "quantity", *(["budget"] if query.rate_max_micros is not None else [])], failed)


def budget_limit(made_of: Kinds, query: SearchQuery) -> Codes:
    """(K,) the greatest rate within the budget."""
    all_in = query.rate_max_micros
    return np.array([ROOM if all_in is None else min(ROOM, cost.rate_max(all_in)) for cost in made_of.cost], dtype=np.int64)


def terms(made: Demands, made_of: Kinds, *, query: SearchQuery) -> Terms:
    """Both as a pass over the offers takes them."""
    figures: list[Any] = []
    for name in ("above", "moved", "below"):
        column = [getattr(cost, name) for cost in made_of.cost]
        figures.append(np.array(column, dtype=np.int64 if max(column, default=0) < ROOM else object))
    return Terms(
        failed=made.failed,
        kind=made_of.of_cell,
        limit=budget_limit(made_of, query),
        above=figures[0],
        moved=figures[1],
        below=figures[2],
        slope=np.array([cost.above / cost.below for cost in made_of.cost], dtype=np.float64),
        base=np.array([cost.moved / cost.below for cost in made_of.cost], dtype=np.float64),
    )


def _demanded(cells: Cells, query: SearchQuery) -> dict[str, Bools]:
    """What is demanded of facts as they are."""
    q, facts = query, cells.facts
    masks: dict[str, Bools] = {}
    if q.hardware:
        masks["hardware"] = facts["hardware"].where(lambda name: name in q.hardware)
    if q.tier != "spot":
        masks["tier"] = facts["firm"].where(bool)
    if q.countries:
        masks["countries"] = facts["country"].where(lambda country: country in q.countries)
    if q.operator_countries:
        masks["operator_countries"] = facts["operators"].where(lambda both: all(country in q.operator_countries for country in both))
    if q.certifications:
        masks["certifications"] = facts["certifications"].where(lambda held: set(q.certifications) <= set(held))
    if q.trust_min is not None:
        trusted = TRUST_CLASSES[TRUST_CLASSES.index(q.trust_min) :]
        masks["trust"] = facts["trust"].where(lambda trust: trust in trusted)
    if (memory := q.memory_gb_min) is not None:
        masks["memory"] = facts["memory_gb"].where(lambda found: found is not None and found >= memory)
    if (uptime := q.uptime_min) is not None:
        masks["uptime"] = facts["uptime"].where(lambda found: found is not None and found >= uptime)
    if words := q.text.lower().split():
        masks["text"] = facts["haystack"].where(lambda text: all(word in text for word in words))
    masks["state"] = facts["state"].where(lambda state: state in q.states)
    return masks


def _reckoned(cells: Cells, query: SearchQuery, *, made_of: Kinds, rtt: Mapping[str, float], now: datetime) -> dict[str, Bools]:
    """What is demanded of the work as it would be done there."""
    q, facts = query, cells.facts
    masks = {
        "conversion": made_of.where(lambda worth: worth.factor is not None),
        "transfer": made_of.where(lambda worth: worth.transfer_micros is not None),
    }
    if (by := q.ready_by) is not None:
        masks["deadline"] = made_of.where(lambda worth: (at := later(now, worth.ready_seconds)) is not None and at <= by)
    if (longest := q.rtt_ms_max) is not None:
        masks["latency"] = facts["site"].where(lambda site: rtt.get(site, np.inf) <= longest)
    if q.carbon_g_max is not None:
        grams = np.array([np.nan if each is None else each for each in facts["carbon_g"].places], dtype=np.float64)
        factors = np.array([np.nan if each.factor is None else float(each.factor) for each in made_of.worth], dtype=np.float64)
        masks["carbon"] = grams[facts["carbon_g"].codes] / factors[made_of.of_cell] <= q.carbon_g_max
    return masks
