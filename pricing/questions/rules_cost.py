"""The shadow price of a rule: what a clause costs the buyers who insist on it, and the market.

The book clears again as if nobody (or not one bid) had asked for the clause; all else stays. What the others would pay
changes too: a clause gone can crowd as well as relieve.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from contracts.terms.errors import NotFound
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS
from pricing.questions.tally import Progress, Run, Tally, amount, change, run, tally

SHOWN_MICROS = 100


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A clause a bid may carry: its kind, the column that holds it, and what it says."""

    kind: str
    column: str
    words: str


RULES = (
    Rule(kind="sovereignty", column="countries", words="the site stands in named countries"),
    Rule(kind="sovereignty", column="operator_countries", words="operator and parent are of named countries"),
    Rule(kind="sovereignty", column="countries_denied", words="nothing touches a denied country"),
    Rule(kind="sovereignty", column="subdivisions", words="the site stands in named subdivisions"),
    Rule(kind="export", column="chip_origins_denied", words="no chips of a denied origin"),
    Rule(kind="trust", column="trust_min", words="a trust class at least"),
    Rule(kind="trust", column="certifications", words="certifications are held"),
    Rule(kind="latency", column="rtt_ms_max", words="a round trip at most"),
    Rule(kind="latency", column="distance_km_max", words="a distance at most"),
    Rule(kind="carbon", column="carbon_micros_per_kg", words="carbon is avoided at a price"),
)


class RuleCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one clause costs. Micros; positive is a cost of having it.

    users                 bids that ask for it (one, when one bid was asked about)
    before, after         what they get with it, and without
    buyers_micros         what they would gain without it
    market_micros         welfare of the whole market without it, less that of today's awards, both valued as without
    payments_micros       what all buyers would pay less, charges alone; negative is more
    avoided_kg            carbon the clause keeps its users from emitting
    """

    kind: str
    clause: str
    words: str
    users: int
    before: Tally
    after: Tally
    buyers_micros: int
    market_micros: int
    payments_micros: int
    avoided_kg: float


class RulesCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of every clause in use, dearest for the market first.

    providers_clauses   offers that say themselves whom they are open or closed to: theirs to give up, not the buyers'
    approximate         whether a clearing was of the auction, so that small differences say nothing
    """

    bid_id: str | None
    currency: str
    rules: tuple[RuleCost, ...]
    providers_clauses: int
    approximate: bool

    @property
    def text(self) -> str:
        """A sentence for every clause."""
        return "\n".join(_sentence(self, cost) for cost in self.rules) or "No clause of these kinds is in use."


def rules_cost(base: Run, *, bid_id: str | None = None, progress: Progress | None = None) -> RulesCost:
    """Clear the book of a run again without each clause in use: of all the bids that use it, or of one.

    Raises NotFound for a bid the book does not have; and as `clear`.
    """
    if bid_id is not None and bid_id not in base.book.bids["bid_id"]:
        raise NotFound(f"no bid of the book has the id {bid_id}", bid=bid_id)
    used = [(rule, users) for rule in RULES if (users := users_of(base.book, rule, bid_id=bid_id))]
    costs, approximate = [], base.clearing.approximate
    for number, (rule, users) in enumerate(used, start=1):
        if progress:
            progress(f"{number} of {len(used)}: without {rule.column} ({len(users)} bids)")
        without = run(relaxed_book(base.book, rule, users=users))
        costs.append(_cost(base, without, rule=rule, users=users))
        approximate = approximate or without.clearing.approximate
    closed = base.book.offers.filter((pl.col("open_to").list.len() > 0) | (pl.col("closed_to").list.len() > 0))
    return RulesCost(
        bid_id=bid_id,
        currency=base.book.rules.currency,
        rules=tuple(sorted(costs, key=lambda cost: (-cost.market_micros, cost.clause))),
        providers_clauses=closed.height,
        approximate=approximate,
    )


def users_of(book: MarketBook, rule: Rule, *, bid_id: str | None = None) -> list[str]:
    """The bids that ask for a clause, by id."""
    column = pl.col(rule.column)
    kind = BIDS.column(rule.column).kind
    asked = column.list.len() > 0 if kind == "list" else column > 0 if kind == "int" else column.is_not_null()
    bids = book.bids.filter(asked) if bid_id is None else book.bids.filter(asked, pl.col("bid_id") == bid_id)
    return bids["bid_id"].to_list()


def relaxed_book(book: MarketBook, rule: Rule, *, users: Sequence[str]) -> MarketBook:
    """The book as if these bids had not asked for the clause."""
    column = BIDS.column(rule.column)
    nothing = pl.lit([] if column.kind == "list" else column.default, dtype=column.dtype)
    given_up = pl.when(pl.col("bid_id").is_in(list(users))).then(nothing).otherwise(pl.col(rule.column))
    return msgspec.structs.replace(book, bids=book.bids.with_columns(given_up.alias(rule.column)))


def _cost(base: Run, without: Run, *, rule: Rule, users: list[str]) -> RuleCost:
    """Today's awards are valued as without the clause, so that a price on carbon is not counted as a loss of its own."""
    before, after = tally(base, users, valued_by=without.book), tally(without, users)
    today, freed = tally(base, valued_by=without.book), tally(without)
    return RuleCost(
        kind=rule.kind,
        clause=rule.column,
        words=rule.words,
        users=len(users),
        before=before,
        after=after,
        buyers_micros=after.gain_micros - before.gain_micros,
        market_micros=freed.welfare_micros - today.welfare_micros,
        payments_micros=today.paid_micros - freed.paid_micros,
        avoided_kg=after.carbon_kg - before.carbon_kg,
    )


def _sentence(found: RulesCost, cost: RuleCost) -> str:
    who = f"{cost.users} bids" if cost.users != 1 else found.bid_id or "one bid"
    hours = f"{cost.before.hours:,g} hours in place of {cost.after.hours:,g}"
    price = change(cost.after.all_in_micros, cost.before.all_in_micros)
    paid = f", the all-in price {price}" if price else ""
    per_hour = half_up(cost.buyers_micros * 1000, int(cost.before.hours * 1000)) if cost.before.hours else None
    worth = f" ({amount(per_hour, places=4)} an hour)" if per_hour and abs(per_hour) >= SHOWN_MICROS else ""
    return (
        f"{cost.clause} ({cost.words}) costs {who} {amount(cost.buyers_micros)} {found.currency}{worth} "
        f"and the market {amount(cost.market_micros)}: {hours}{paid}{_carbon(cost)}."
    )


def _carbon(cost: RuleCost) -> str:
    if cost.kind != "carbon":
        return ""
    avoided = f"; {cost.avoided_kg:,.1f} kg of carbon are avoided"
    if cost.avoided_kg <= 0 or cost.market_micros <= 0:
        return avoided
    return f"{avoided}, at {amount(half_up(round(cost.market_micros * 1000), round(cost.avoided_kg * 1000)))} a kilogram to the market"
