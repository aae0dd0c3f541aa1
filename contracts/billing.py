"""The prices and bills of all accounts at once: `contracts.rating` and `contracts.invoicing` as tables of 128-bit integers.

The rules are the same, and so are the figures; a property holds the two readings equal. A row is an *event*: an account, a
month, and a period whose close may have changed the month's price. What a period bills is an event less the event before it.
Products need room: `contracts.month_facts` says which accounts have it, the others are priced with Python's integers.
Codes of accounts, hardware and providers are in order of the bytes of their ids, so that ties fall as the rules say.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from contracts.terms.hardware import TFLOP_SECONDS_PER_PF_DAY
from contracts.terms.money import BASIS_POINTS, MICROS_PER_CENT

SECONDS_PER_HOUR = 3600
WIDE = pl.Int128()
NONE = pl.lit(0, WIDE)
MONTH = ["account", "month"]
EVENT = ["account", "month", "period"]
BILL = ["account", "period"]
NO_HARDWARE = -1


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What prices are made of, by code.

    terms      account, plan_id, kind, tax_bps, take_bps, and the figures of the plan: volume, charged, unit_price_micros,
               fee_micros, fair_use_units, commit_micros, grant_units (0 where a plan has none)
    tiers      plan_id, lo_units, hi_units (null: no end), unit_price_micros
    hardware   account, month, period, hardware, seconds, units, rated: how the billable facts of a month move in a period
    providers  account, month, period, provider, rated, failed: the same by provider, failed = Σ seconds · rate · credit_bps
    periods    how many are settled
    billed     how many of them are billed already: all their moves are in the last of those, which is billed as one and left out
    """

    terms: pl.DataFrame
    tiers: pl.DataFrame
    hardware: pl.DataFrame
    providers: pl.DataFrame
    periods: int
    billed: int = 0

    @property
    def numbers(self) -> pl.DataFrame:
        """The periods that are reckoned: those to be billed, after the last one billed."""
        return pl.DataFrame({"period": pl.int_range(max(1, self.billed), self.periods + 1, eager=True)})


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What every period not billed yet bills, in 128 bits.

    lines   account, month, period, kind, hardware (−1: none), quantity_seconds, amount_micros, amount_cents
    bills   account, period and the totals of an invoice; every account and period has one, also of nothing
    dues    account, period, provider, gross, due: what its cost less credit changes by, gross that of the period's own month
    """

    lines: pl.DataFrame
    bills: pl.DataFrame
    dues: pl.DataFrame


def bill_all(ledger: Ledger) -> Billed:
    """The bills of every account of `terms` for periods `billed` + 1…`periods`.

    A price is cumulative: what a period bills is a price now less the price before, whatever periods led up to that.
    """
    events = _events(ledger)
    by_hardware = _known(ledger.hardware, events, of="hardware")
    by_provider = _known(ledger.providers, events, of="provider")
    prices = _prices(ledger, _totals(events, by_hardware, by_provider=by_provider))
    usage = _shared(by_hardware.join(prices.select(*EVENT, "usage", "cleared"), on=EVENT), of="hardware", total="usage")
    dues = _dues(by_provider, prices)
    lines = pl.concat([_plain_lines(prices), _usage_lines(usage)])
    due = pl.col("period") > ledger.billed
    bills = _bills(ledger, lines, dues=dues).filter(due)
    return Billed(lines=_with_cents(lines.filter(due), bills), bills=bills, dues=dues.filter(due))


def half_up(numerator: pl.Expr, denominator: int) -> pl.Expr:
    """numerator ÷ denominator to the nearest integer, an exact half going up; the numerator has 128 bits and doubles within them."""
    return (2 * numerator + denominator) // (2 * denominator)


def _events(ledger: Ledger) -> pl.DataFrame:
    """Every (account, month, period) whose price a close may change: from the first month that moved to the period's own.

    Plans that look across months (grants, commitments) have all months of every period, for their sums; so has the last one billed.
    """
    moved = pl.concat([frame.select(EVENT) for frame in (ledger.hardware, ledger.providers)])
    first = moved.group_by("account", "period").agg(pl.col("month").min().alias("first"))
    grid = ledger.terms.select("account", "kind").join(ledger.numbers, how="cross").join(first, on=BILL, how="left")
    all_months = pl.col("kind").is_in(["grant", "committed"]) | (pl.col("period") == ledger.billed)
    start = pl.when(all_months).then(1).otherwise(pl.min_horizontal("first", "period"))
    rows = grid.with_columns(pl.int_ranges(start, pl.col("period") + 1).alias("month")).explode("month")
    return rows.select(EVENT).sort(EVENT)


def _known(moves: pl.DataFrame, events: pl.DataFrame, *, of: str) -> pl.DataFrame:
    """The facts of each event, all moves up to its period added up; `moved` is what the period itself brought (of seconds)."""
    measures = [name for name in moves.columns if name not in {*EVENT, of}]
    ids = moves.select(*MONTH, of).unique()
    rows = events.join(ids, on=MONTH).join(moves, on=[*EVENT, of], how="left").sort(*MONTH, of, "period")
    filled = rows.with_columns(pl.col(measures).fill_null(NONE))
    moved = [pl.col("seconds").alias("moved")] if "seconds" in measures else []
    return filled.with_columns(*moved, *(_running(name, within=[*MONTH, of]).alias(name) for name in measures))


def _totals(events: pl.DataFrame, by_hardware: pl.DataFrame, *, by_provider: pl.DataFrame) -> pl.DataFrame:
    """Units, rated and failed of each event."""
    used = by_hardware.group_by(EVENT).agg(pl.col("units", "rated").sum())
    failed = by_provider.group_by(EVENT).agg(pl.col("failed").sum())
    joined = events.join(used, on=EVENT, how="left").join(failed, on=EVENT, how="left")
    return joined.with_columns(pl.col("units", "rated", "failed").fill_null(NONE))


def _prices(ledger: Ledger, totals: pl.DataFrame) -> pl.DataFrame:
    """The price of each event: usage, cost, take, fee, trueup, credit; all cumulative, none negative but the true-up."""
    rows = totals.join(ledger.terms, on="account").join(_tiered(ledger, totals), on=EVENT, how="left").sort("account", "period", "month")
    kind = pl.col("kind")
    rows = rows.with_columns(upto=_running("units", within=BILL), cleared=kind == "metered_cleared")
    beyond = _above("upto", "grant_units") - pl.max_horizontal(pl.col("upto") - pl.col("units") - pl.col("grant_units"), NONE)
    priced = (
        pl.when(kind == "flat_rate")
        .then(pl.when("charged").then(_above("units", "fair_use_units")).otherwise(NONE))
        .when(kind == "committed")
        .then("units")
        .otherwise(beyond)
    )
    by_plan = (
        pl.when(kind == "metered_tiers")
        .then(pl.col("tiered").fill_null(NONE))
        .when("cleared")
        .then(half_up(pl.col("rated"), SECONDS_PER_HOUR))
        .otherwise(half_up(priced * pl.col("unit_price_micros"), TFLOP_SECONDS_PER_PF_DAY))
    )
    rows = rows.with_columns(
        usage=by_plan,
        cost=half_up(pl.col("rated"), SECONDS_PER_HOUR),
        take=pl.when("cleared").then(half_up(pl.col("rated") * pl.col("take_bps"), SECONDS_PER_HOUR * BASIS_POINTS)).otherwise(NONE),
        fee=pl.when(kind == "flat_rate").then("fee_micros").otherwise(NONE),
    )
    rows = rows.with_columns(_running("usage", within=BILL).alias("value"))
    owed = pl.max_horizontal(pl.col("month") * pl.col("commit_micros"), "value")
    before = pl.max_horizontal((pl.col("month") - 1) * pl.col("commit_micros"), pl.col("value") - pl.col("usage"))
    rows = rows.with_columns(trueup=pl.when(kind == "committed").then(owed - before - pl.col("usage")).otherwise(NONE))
    failed = half_up(pl.col("failed"), SECONDS_PER_HOUR * BASIS_POINTS)
    rest = pl.sum_horizontal("usage", "take", "fee", "trueup")
    return rows.with_columns(credit=pl.min_horizontal(failed, rest)).select(
        *EVENT, "cleared", "usage", "cost", "take", "fee", "trueup", "credit"
    )


def _tiered(ledger: Ledger, totals: pl.DataFrame) -> pl.DataFrame:
    """The usage amount of events on tiers: each step at its own price, or all units at the price of the step they reach."""
    terms = ledger.terms.filter(pl.col("kind") == "metered_tiers").select("account", "plan_id", "volume")
    rows = totals.join(terms, on="account").join(ledger.tiers.cast({"lo_units": WIDE, "hi_units": WIDE}), on="plan_id")
    units = pl.col("units")
    reached = pl.min_horizontal(units, pl.col("hi_units").fill_null(units))
    within = (pl.col("lo_units") < units) & (pl.col("hi_units").is_null() | (units <= pl.col("hi_units")))
    volume = pl.when(within).then(units).otherwise(NONE)
    graduated = pl.max_horizontal(reached - pl.col("lo_units"), NONE)
    steps = rows.select(*EVENT, step=pl.when("volume").then(volume).otherwise(graduated) * pl.col("unit_price_micros"))
    return steps.group_by(EVENT).agg(half_up(pl.col("step").sum(), TFLOP_SECONDS_PER_PF_DAY).alias("tiered"))


def _shared(rows: pl.DataFrame, *, of: str, total: str) -> pl.DataFrame:
    """`total` of each event split by largest remainder, ties to the least id, as `share`; `change` is it less the event before.

    Weights are units, on cleared plans seconds at their rates; of providers always `weight`.
    """
    if of == "hardware":
        rows = rows.with_columns(weight=pl.when("cleared").then("rated").otherwise("units"))
    whole = pl.col("weight").sum().over(EVENT)
    product = pl.col(total) * pl.col("weight")
    rows = rows.with_columns(floor=(product // whole).fill_null(NONE), rest=(product % whole).fill_null(NONE))
    rows = rows.with_columns(left=pl.col(total) - pl.col("floor").sum().over(EVENT))
    rows = rows.sort(*EVENT, "rest", of, descending=[False, False, False, True, False])
    rows = rows.with_columns(share=pl.col("floor") + (_place(EVENT) < pl.col("left")).cast(WIDE)).sort(*MONTH, of, "period")
    return rows.with_columns(change=_change("share", within=[*MONTH, of]))


def _dues(by_provider: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    rows = by_provider.join(prices.select(*EVENT, "cost", "credit"), on=EVENT)
    cost, credit = (
        _shared(rows.with_columns(weight=weight), of="provider", total=total).select(*EVENT, "provider", pl.col("change").alias(total))
        for total, weight in (("cost", "rated"), ("credit", "failed"))
    )
    both = cost.join(credit, on=[*EVENT, "provider"])
    own = pl.when(pl.col("month") == pl.col("period")).then("cost").otherwise(NONE)
    changed = both.filter((pl.col("cost") != 0) | (pl.col("credit") != 0))
    return changed.group_by(*BILL, "provider").agg(
        gross=own.sum(), cost=pl.col("cost").sum(), due=(pl.col("cost") - pl.col("credit")).sum()
    )


def _plain_lines(prices: pl.DataFrame) -> pl.DataFrame:
    """Lines of every kind but usage."""
    rows = prices.sort(EVENT)
    kinds = []
    for kind, sign in (("credit", -1), ("fee", 1), ("take", 1), ("trueup", 1)):
        amount = sign * _change(kind, within=MONTH)
        kinds.append(
            rows.select(
                *EVENT,
                kind=pl.lit(kind),
                hardware=pl.lit(NO_HARDWARE, pl.Int64),
                quantity_seconds=pl.lit(None, WIDE),
                amount_micros=amount,
            )
        )
    return pl.concat(kinds).filter(pl.col("amount_micros") != 0)


def _usage_lines(usage: pl.DataFrame) -> pl.DataFrame:
    lines = usage.select(
        *EVENT, kind=pl.lit("usage"), hardware=pl.col("hardware").cast(pl.Int64), quantity_seconds="moved", amount_micros="change"
    )
    return lines.filter(pl.col("amount_micros") != 0)


def _bills(ledger: Ledger, lines: pl.DataFrame, *, dues: pl.DataFrame) -> pl.DataFrame:
    """Subtotal, tax and cents of every account and period: differences of running totals, each rounded once."""
    amount = pl.col("amount_micros")
    sums = lines.group_by(BILL).agg(
        subtotal_micros=amount.sum(), take_micros=amount.filter(pl.col("kind") == "take").sum(), lines=pl.len().cast(pl.Int64)
    )
    paid = dues.group_by(BILL).agg(cost_micros=pl.col("cost").sum(), due_micros=pl.col("due").sum())
    grid = ledger.terms.select("account", "kind", "tax_bps").join(ledger.numbers, how="cross")
    rows = grid.join(sums, on=BILL, how="left").join(paid, on=BILL, how="left").sort(BILL)
    figures = ["subtotal_micros", "take_micros", "cost_micros", "due_micros"]
    rows = rows.with_columns(pl.col(figures).fill_null(NONE), pl.col("lines").fill_null(0))
    rows = rows.with_columns(_running("subtotal_micros", within=["account"]).alias("s"))
    rows = rows.with_columns(t=half_up(pl.col("s") * pl.col("tax_bps"), BASIS_POINTS))
    rows = rows.with_columns(c=half_up(pl.col("s") + pl.col("t"), MICROS_PER_CENT), n=half_up(pl.col("s"), MICROS_PER_CENT))
    return rows.with_columns(
        _change("t", within=["account"]).alias("tax_micros"),
        _change("c", within=["account"]).alias("payable_cents"),
        _change("n", within=["account"]).alias("subtotal_cents"),
    ).drop("s", "t", "c", "n", "tax_bps")


def _with_cents(lines: pl.DataFrame, bills: pl.DataFrame) -> pl.DataFrame:
    """Cents of each line: rounded down, those left by largest remainder, ties by month, kind, hardware (none first)."""
    cent = pl.lit(MICROS_PER_CENT, WIDE)
    rows = lines.join(bills.select(*BILL, "subtotal_cents"), on=BILL)
    rows = rows.with_columns(floor=pl.col("amount_micros") // cent, rest=pl.col("amount_micros") % cent)
    rows = rows.sort(*BILL, "rest", "month", "kind", "hardware", descending=[False, False, True, False, False, False])
    rows = rows.with_columns(left=pl.col("subtotal_cents") - pl.col("floor").sum().over(BILL))
    return rows.with_columns(amount_cents=pl.col("floor") + (_place(BILL) < pl.col("left")).cast(WIDE)).drop(
        "floor", "rest", "left", "subtotal_cents"
    )


def _above(amount: str, floor: str) -> pl.Expr:
    return pl.max_horizontal(pl.col(amount) - pl.col(floor), NONE)


def _head(within: Sequence[str]) -> pl.Expr:
    """Whether a row is the first of its group, rows in order of the groups."""
    return pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in within).fill_null(value=True)


def _running(name: str, *, within: Sequence[str]) -> pl.Expr:
    """The running sum in each group: one sum over all rows, less what it was at the head of the group."""
    total = pl.col(name).cum_sum()
    return total - pl.when(_head(within)).then(total - pl.col(name)).forward_fill()


def _place(within: Sequence[str]) -> pl.Expr:
    """The number of a row in its group, from 0."""
    row = pl.int_range(pl.len()).cast(WIDE)
    return row - pl.when(_head(within)).then(row).forward_fill()


def _change(name: str, *, within: Sequence[str]) -> pl.Expr:
    """A value less the one before it in its group; the first counts from 0."""
    return pl.col(name) - pl.when(_head(within)).then(NONE).otherwise(pl.col(name).shift(1))
