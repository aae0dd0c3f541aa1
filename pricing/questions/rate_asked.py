"""Had an offer asked another rate: past gates cleared again with it, and what its provider would have sold and received.

Each gate is cleared again by itself, the book otherwise as it was, so the price the offer meets is the one it would itself have
made. An hour is offered at several gates; what more of it would have been sold counts once, at the gate where that is most.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from contracts.terms.errors import BadInput, NotFound
from contracts.terms.money import micros_text
from contracts.terms.orders import MarketBook
from pricing.arrays import PRICE_MAX
from pricing.questions.tally import Run, run

HOUR = ["offer_id", "start"]
MONEY = ("received_micros", "uplift_micros")


class AtGate(msgspec.Struct, frozen=True, kw_only=True):
    """One gate cleared again: accelerator-hours the offer sold and would have sold there, and its provider's receipts, uplift included."""

    sold: float
    would_sell: float
    received_micros: int
    would_receive_micros: int


class RateAsked(msgspec.Struct, frozen=True, kw_only=True):
    """One offer at another rate over some gates. Hours are accelerator-hours of the offer, money is all its provider's offers'.

    rate_micros      what it would have asked in every slot, before energy where the offer is indexed
    sold             what it did sell
    hours_more       what it would have sold beside, less what it would not have sold; each hour once
    received_micros  what the provider did receive, premiums and uplift included
    micros_more      what it would have received beside, of the same hours
    gates            gate by gate, each alone
    """

    offer_id: str
    currency: str
    rate_micros: int
    sold: float
    hours_more: float
    received_micros: int
    micros_more: int
    gates: tuple[AtGate, ...]

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        at = f"At {micros_text(self.rate_micros, places=2)} {self.currency} it"
        span = "at the last gate" if len(self.gates) == 1 else f"in the last {len(self.gates)} gates"
        money = micros_text(abs(self.micros_more), places=2)
        earned = f"the provider had received {money} {self.currency} {'more' if self.micros_more >= 0 else 'less'}"
        if not self.hours_more:
            return f"{at} would have sold as many accelerator-hours {span}; {earned}."
        more = f"{abs(self.hours_more):,g} {'more' if self.hours_more > 0 else 'fewer'}"
        return f"{at} would have sold {more} accelerator-hours {span}; {earned}."


def rate_asked(runs: Sequence[Run], offer_id: str, *, rate_micros: int) -> RateAsked:
    """Clear each book again, the offer at another rate; books in which it is not are passed over.

    Raises NotFound for an offer that is in none of them, BadInput for a rate no offer may have; and as `clear`.
    """
    if not 0 <= rate_micros <= PRICE_MAX:
        raise BadInput("no offer may ask such a rate", found=rate_micros, would_do=f"0 to {PRICE_MAX} micros")
    held = [each for each in runs if offer_id in each.book.offers["offer_id"]]
    if not held:
        raise NotFound(f"no offer of these gates has the id {offer_id}", offer_id=offer_id)
    before = pl.concat([_receipts(each, offer_id, gate=number) for number, each in enumerate(held)])
    again = [run(at_rate(each.book, offer_id, rate_micros=rate_micros)) for each in held]
    after = pl.concat([_receipts(each, offer_id, gate=number) for number, each in enumerate(again)])
    rows = before.join(after, on=[*HOUR, "gate"], how="full", coalesce=True, suffix="_after").fill_null(0)
    rows = rows.with_columns(more=pl.col("sold_after") - pl.col("sold"), money_more=pl.col("money_after") - pl.col("money"))
    once = _each_hour_once(rows)
    hours = held[0].book.rules.hours
    mine = pl.col("offer_id") == offer_id
    return RateAsked(
        offer_id=offer_id,
        currency=held[0].book.rules.currency,
        rate_micros=rate_micros,
        sold=float(hours * int(rows.filter(mine)["sold"].sum())),
        hours_more=float(hours * int(once.filter(mine)["more"].sum())),
        received_micros=int(rows["money"].sum()),
        micros_more=int(once["money_more"].sum()),
        gates=tuple(
            AtGate(
                sold=float(hours * int(rows.filter(mine, pl.col("gate") == gate)["sold"].sum())),
                would_sell=float(hours * int(rows.filter(mine, pl.col("gate") == gate)["sold_after"].sum())),
                received_micros=int(rows.filter(pl.col("gate") == gate)["money"].sum()),
                would_receive_micros=int(rows.filter(pl.col("gate") == gate)["money_after"].sum()),
            )
            for gate in range(len(held))
        ),
    )


def at_rate(book: MarketBook, offer_id: str, *, rate_micros: int) -> MarketBook:
    """The book with one offer at another rate, the same in every slot."""
    rate = pl.when(pl.col("offer_id") == offer_id).then(pl.lit(rate_micros, pl.Int64)).otherwise("rate_micros").alias("rate_micros")
    return msgspec.structs.replace(book, offers=book.offers.with_columns(rate), offer_slots=book.offer_slots.with_columns(rate))


def _receipts(found: Run, offer_id: str, *, gate: int) -> pl.DataFrame:
    """What the offers of the offer's provider sold and received by hour: offer_id, start, gate, sold, money."""
    offers, grid = found.book.offers, found.book.rules.grid
    provider = offers.filter(pl.col("offer_id") == offer_id)["provider"][0]
    mine = offers.filter(pl.col("provider") == provider)["offer_id"]
    starts = [grid.period(slot).start for slot in range(found.book.rules.slots)]
    when = pl.DataFrame({"slot": range(len(starts)), "start": starts}, schema={"slot": pl.Int64(), "start": pl.Datetime("us", "UTC")})
    rows = found.clearing.receipts.filter(pl.col("offer_id").is_in(mine.to_list())).join(when, on="slot")
    return rows.select(*HOUR, pl.lit(gate, pl.Int64).alias("gate"), "sold", money=pl.sum_horizontal(MONEY))


def _each_hour_once(rows: pl.DataFrame) -> pl.DataFrame:
    """Without the gates at which an hour would have sold more than it did, but for the one where that is most (of equals the first)."""
    gaining = rows.filter(pl.col("more") > 0).sort("more", "gate", descending=[True, False]).unique(HOUR, keep="first", maintain_order=True)
    return pl.concat([rows.filter(pl.col("more") <= 0), gaining])
