"""What a clearing comes to: hours, money and gain, for the whole book or for some of its bids.

Worths are read again from the book, not from what cleared it, so that the awards of one book can be valued by the
rules of another: a bid without its carbon value, the same awards before and after an outage.
"""

from collections.abc import Callable, Collection
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.money import half_up, micros_text
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.demand import NOT_WANTED, take_demand
from pricing.audit.result import STRANGER, rows_of
from pricing.audit.supply import take_stock
from pricing.audit.terms import read_terms
from pricing.audit.whole import Bools
from pricing.clearing import clear
from pricing.policy_facts import exact, facts_of

Progress = Callable[[str], None]


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the awards of some bids.

    hours             accelerator-hours delivered
    reference_hours   the work they do, in hours of the reference class
    paid_micros       charges; with fee and transfer it is what the buyers pay in all
    gain_micros       what the awards are worth to the buyers less what they pay, uplift included
    welfare_micros    what they are worth less what the providers accept at least
    all_in_micros     charge, fee and transfer per reference hour; None where nothing was served
    carbon_kg         emitted
    """

    bids: int
    served: int
    hours: float
    reference_hours: float
    paid_micros: int
    fee_micros: int
    transfer_micros: int
    gain_micros: int
    welfare_micros: int
    all_in_micros: int | None
    carbon_kg: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A book and how it cleared."""

    book: MarketBook
    clearing: Clearing

    @property
    def mean_rates(self) -> dict[str, int]:
        """Mean rate of what each hardware class sold, micros per accelerator-hour."""
        rate_micros, sold = pl.col("rate_micros").cast(pl.Int128), pl.col("sold")
        traded = (
            self.clearing.prices.filter(sold > 0).group_by("hardware").agg(mean=(rate_micros * sold).sum() // sold.sum()).sort("hardware")
        )
        return {name: int(mean) for name, mean in traded.iter_rows()}


def run(book: MarketBook, *, path: str = "auto") -> Run:
    """Clear a book. Raises as `clear`."""
    return Run(book=book, clearing=clear(book, path=path))


def tally(run_: Run, bid_ids: Collection[str] | None = None, *, valued_by: MarketBook | None = None) -> Tally:
    """Sum up a clearing, all of it or the awards of some bids.

    valued_by   another book whose bids say what the awards are worth; the run's own unless given
    """
    outcomes, awards = run_.clearing.outcomes, run_.clearing.awards
    if bid_ids is not None:
        mine = pl.col("bid_id").is_in(list(bid_ids))
        outcomes, awards = outcomes.filter(mine), awards.filter(mine)
    values = valued(valued_by or run_.book, awards)
    hours = run_.book.rules.hours
    paid, fee, transfer, uplift = (int(outcomes[f"{name}_micros"].sum()) for name in ("paid", "fee", "transfer", "uplift"))
    different = outcomes["reference_hours"].value_counts(name="bids").iter_rows()
    reference_hours = sum((exact(each) * bids for each, bids in different), Fraction(0))
    return Tally(
        bids=outcomes.height,
        served=outcomes.filter(pl.col("hours") > 0).height,
        hours=float(outcomes["hours"].sum()),
        reference_hours=float(reference_hours),
        paid_micros=paid,
        fee_micros=fee,
        transfer_micros=transfer,
        gain_micros=half_up(hours * total(values, pl.col("worth_micros") - pl.col("rate_micros"))) + uplift,
        welfare_micros=half_up(hours * total(values, pl.col("worth_micros") - pl.col("cost_micros"))),
        all_in_micros=half_up((paid + fee + transfer) / reference_hours) if reference_hours else None,
        carbon_kg=float(hours * total(values, pl.col("carbon_mg")) / 10**6),
    )


def total(values: pl.DataFrame, each: pl.Expr) -> int:
    """Σ of something per accelerator over the quantities of valued awards, exact."""
    return int(values.select((each.cast(pl.Int128) * pl.col("quantity")).sum()).item())


def valued(book: MarketBook, awards: pl.DataFrame) -> pl.DataFrame:
    """Awards with what each is worth to its bid, what its offer accepts at least, and what it emits, per accelerator-hour.

    Read by the certificate's columns. Raises KeyError for an award to a bid or an offer that is not in the book, or where the bid
    has no business.
    """
    facts, asked = facts_of(book), only(book, bids=awards["bid_id"])
    demand, stock = take_demand(asked, facts), take_stock(book, facts)
    terms = read_terms(demand, stock, facts=facts)
    bid, offer, tier = (
        rows_of(awards["bid_id"], demand.ids),
        rows_of(awards["offer_id"], list(stock.row_of)),
        rows_of(awards["tier"], TIERS),
    )
    _all_known(awards, (bid != STRANGER) & (offer != STRANGER))
    slot, pool = awards["slot"].to_numpy(), stock.pool_of[offer]
    _all_known(awards, terms.known(bid, pool) & (demand.limits[bid, tier] != NOT_WANTED))
    return awards.with_columns(
        worth_micros=pl.Series(terms.worth(bid, pool, slot=slot)[np.arange(len(bid)), tier]),
        cost_micros=pl.Series(stock.rates[offer, slot]),
        carbon_mg=pl.Series(stock.carbon[pool, slot]),
    )


def _all_known(awards: pl.DataFrame, known: Bools) -> None:
    if not known.all():
        row = awards.row(int(known.argmin()), named=True)
        raise KeyError(f"the book does not say what bid {row['bid_id']} gives at offer {row['offer_id']}, {row['tier']}")


def only(book: MarketBook, *, bids: pl.Series | None = None, offers: pl.Series | None = None) -> MarketBook:
    """The book with some of its bids or offers alone."""
    kept = {}
    if bids is not None:
        kept["bids"] = book.bids.filter(pl.col("bid_id").is_in(bids.unique().to_list()))
    if offers is not None:
        kept["offers"] = book.offers.filter(pl.col("offer_id").is_in(offers.unique().to_list()))
    return msgspec.structs.replace(book, **kept)


def change(before: int | None, after: int | None) -> str:
    """How an amount moved, in words: `-31 %`, `unchanged`; empty where one of them is missing or nothing."""
    if not before or after is None:
        return ""
    percent = half_up(Fraction(100 * (after - before), abs(before)))
    return "unchanged" if before == after else f"{percent:+d} %" if percent else "less than 1 %"


def counted(number: int, noun: str) -> str:
    """`1 bid`, `2 bids`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def amount(micros: int | None, *, places: int = 2) -> str:
    """Micros in currency units, or a dash for nothing to say."""
    return "-" if micros is None else micros_text(micros, places=places)
