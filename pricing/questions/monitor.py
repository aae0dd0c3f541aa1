"""The market monitor: who could move the prices of a clearing, and whether they are where competition would have them.

Three looks at one clearing. *Structure*: how concentrated each hardware class is, and which providers are pivotal, that
is, without whose offers the market, cleared again, serves fewer hours. *Conduct*: offers far above the usual rate of
their class, and accelerators kept out of slots that would have sold them. *Impact*: the market cleared again with every
rate at most the usual one of its class. Findings are reasons to look, not verdicts; the thresholds are stated beside them.
"""

from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from pricing.policy_facts import exact
from pricing.pools import gather
from pricing.questions.tally import Progress, Run, amount, change, run, tally

PER_SHARE = 10_000


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From where on the monitor speaks up.

    concentration   Herfindahl index of a class, 0 to 10,000; above 1,800 the merger guidelines of the United States (2023)
                    call a market highly concentrated
    pivotal         share of the hours served that are lost without a provider
    conduct         times the reference rate of its class an offer may state
    impact          share by which prices exceed those at reference rates
    withheld        share of a provider's accelerator-hours kept from slots whose price was above its rate
    """

    concentration: int = 1_800
    pivotal: Fraction = Fraction(1, 100)
    conduct: Fraction = Fraction(3, 2)
    impact: Fraction = Fraction(1, 10)
    withheld: Fraction = Fraction(1, 20)


USUAL = Thresholds()


class ClassLook(msgspec.Struct, frozen=True, kw_only=True):
    """One hardware class. Shares are of accelerator-hours, as Herfindahl indices of 0 to 10,000.

    reference_micros   the usual rate: the median of its offers' rates, energy included, weighted by hours offered
    mean_micros        mean rate of what was sold; `at_reference_micros` with every rate at most the reference; None without trade
    """

    hardware: str
    providers: int
    offered_hours: float
    sold_hours: float
    offered_index: int
    sold_index: int
    reference_micros: int
    mean_micros: int | None
    at_reference_micros: int | None


class ProviderLook(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. Hours are accelerator-hours.

    lost_hours       served with its offers, not served without; None where the market was not cleared without them
    welfare_micros   what the market would lose without it
    price_change     how the mean rate of what is sold would move, in per cent, at today's quantities by class
    dear_hours       offered above the conduct threshold, unsold
    withheld_hours   its offers state for other slots, but not for slots whose price exceeded their rate
    """

    provider: str
    offered_hours: float
    sold_hours: float
    received_micros: int
    lost_hours: float | None = None
    welfare_micros: int | None = None
    price_change: int | None = None
    dear_hours: float = 0.0
    withheld_hours: float = 0.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing worth a look: which threshold, who or what, in a sentence."""

    kind: str
    subject: str
    sentence: str


class MonitorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor saw.

    examined             providers the market was cleared without, those with most sold first
    impact_micros        welfare that rates above the references cost the market, were the references what it costs to provide
    unsold_below_hours   left unsold although the price of their pool exceeded their rate: 0 on an exact clearing without blocks
    findings             what passed a threshold
    """

    currency: str
    thresholds: Thresholds
    classes: tuple[ClassLook, ...]
    providers: tuple[ProviderLook, ...]
    examined: int
    welfare_micros: int
    impact_micros: int
    unsold_below_hours: float
    findings: tuple[Finding, ...]
    approximate: bool

    @property
    def text(self) -> str:
        """The findings, a sentence each."""
        return "\n".join(finding.sentence for finding in self.findings) or "Nothing passes a threshold."


def monitor(base: Run, *, providers_most: int = 10, thresholds: Thresholds = USUAL, progress: Progress | None = None) -> MonitorReport:
    """Look at a clearing. The market is cleared once at reference rates and once without each of the largest sellers. Raises as `clear`."""
    steps = steps_of(base)
    references = reference_rates(steps)
    if progress:
        progress("at reference rates")
    reference = run(at_references(base.book, steps, references=references))
    classes = _classes(base, steps, references=references, reference=reference)
    looks = _providers(base, steps, references=references, thresholds=thresholds)
    largest = [look for look in looks if look.sold_hours][:providers_most]
    examined = [_without(base, look, place=(number, len(largest)), progress=progress) for number, look in enumerate(largest, start=1)]
    looks = [*examined, *looks[len(examined) :]]
    welfare = tally(base).welfare_micros
    below = steps.filter(pl.col("price") > pl.col("rate"))
    hours = base.book.rules.hours
    return MonitorReport(
        currency=base.book.rules.currency,
        thresholds=thresholds,
        classes=tuple(classes),
        providers=tuple(looks),
        examined=len(examined),
        welfare_micros=welfare,
        impact_micros=tally(reference).welfare_micros - tally(base, valued_by=reference.book).welfare_micros,
        unsold_below_hours=float(hours * int((below["left"] - below["sold"]).sum())),
        findings=tuple(_findings(base, classes, looks=looks, thresholds=thresholds)),
        approximate=base.clearing.approximate,
    )


def steps_of(base: Run) -> pl.DataFrame:
    """Every offer in every slot: provider, hardware, rate (energy included), stated, left (by leases), sold, price (spot, 0 if none).

    `stated` is what the offer says it has in slots nobody overrode, `left` what is on sale in this one.
    """
    book, supply = base.book, gather(base.book)
    row, slot = (axis.ravel() for axis in np.indices(supply.left.shape))
    offers = book.offers.sort("offer_id").select("offer_id", "provider", "hardware", "slot_first", "slot_end", stated="quantity")
    pool_of = supply.pools["pool"].gather(supply.pool_of)
    frame = offers.with_columns(pool=pool_of)[row].with_columns(
        slot=pl.Series(slot, dtype=pl.Int64),
        rate=pl.Series(supply.rates.ravel()),
        gross=pl.Series(supply.gross.ravel()),
        left=pl.Series(supply.left.ravel()),
    )
    sold = base.clearing.awards.group_by("offer_id", "slot").agg(sold=pl.col("quantity").sum())
    spot = base.clearing.prices.filter(pl.col("tier") == "spot").select("pool", "slot", price="rate_micros")
    traded = base.clearing.prices.group_by("pool", "slot").agg(trade=pl.col("sold").sum() > 0)
    return (
        frame.join(sold, on=["offer_id", "slot"], how="left")
        .join(spot, on=["pool", "slot"], how="left")
        .join(traded, on=["pool", "slot"], how="left")
        .with_columns(pl.col("sold", "price").fill_null(0), pl.col("trade").fill_null(value=False))
        .with_columns(pl.when("trade").then("price").otherwise(0).alias("price"))
        .sort("offer_id", "slot")
    )


def reference_rates(steps: pl.DataFrame) -> dict[str, int]:
    """The usual rate of each class with anything on sale: the least at which half of its accelerator-hours are offered."""
    found = {}
    for (hardware,), mine in steps.filter(pl.col("left") > 0).sort("rate").group_by("hardware", maintain_order=True):
        upto = mine["left"].cum_sum()
        found[str(hardware)] = int(mine.filter(2 * upto >= upto[-1])["rate"][0])
    return dict(sorted(found.items()))


def at_references(book: MarketBook, steps: pl.DataFrame, *, references: dict[str, int]) -> MarketBook:
    """The book with every rate in every slot at most the reference of its class. Quantities stay; so does the energy within a rate."""
    capped = pl.min_horizontal("rate", pl.col("hardware").replace_strict(references, default=None, return_dtype=pl.Int64))
    slots = steps.filter(pl.col("gross") > 0).select("offer_id", "slot", quantity="gross", rate_micros=capped).sort("offer_id", "slot")
    return msgspec.structs.replace(book, offers=book.offers.with_columns(energy_indexed=pl.lit(value=False)), offer_slots=slots)


def without_provider(book: MarketBook, provider: str) -> MarketBook:
    """The book as if a provider had never announced anything; its leases are gone with it."""
    offers = book.offers.filter(pl.col("provider") != provider)
    kept = pl.col("offer_id").is_in(offers["offer_id"].to_list())
    return msgspec.structs.replace(
        book, offers=offers, offer_slots=book.offer_slots.filter(kept), commitments=book.commitments.filter(kept)
    )


def _classes(base: Run, steps: pl.DataFrame, *, references: dict[str, int], reference: Run) -> list[ClassLook]:
    hours, means, lower = float(base.book.rules.hours), base.mean_rates, reference.mean_rates
    found = []
    for hardware, rate in references.items():
        mine = steps.filter(pl.col("hardware") == hardware).group_by("provider").agg(pl.col("left", "sold").sum())
        found.append(
            ClassLook(
                hardware=hardware,
                providers=mine.filter(pl.col("left") > 0).height,
                offered_hours=hours * int(mine["left"].sum()),
                sold_hours=hours * int(mine["sold"].sum()),
                offered_index=concentration(mine["left"].to_list()),
                sold_index=concentration(mine["sold"].to_list()),
                reference_micros=rate,
                mean_micros=means.get(hardware),
                at_reference_micros=lower.get(hardware),
            )
        )
    return found


def concentration(quantities: list[int]) -> int:
    """The Herfindahl index: the sum of squared shares, 10,000 for one seller, 0 where nobody sells.

    >>> concentration([1, 1]), concentration([3, 1]), concentration([])
    (5000, 6250, 0)
    """
    total = sum(quantities)
    return half_up(Fraction(PER_SHARE * sum(quantity**2 for quantity in quantities), total**2)) if total else 0


def _providers(base: Run, steps: pl.DataFrame, *, references: dict[str, int], thresholds: Thresholds) -> list[ProviderLook]:
    """Every provider, the largest sellers first."""
    ceiling = pl.col("hardware").replace_strict({name: int(thresholds.conduct * rate) for name, rate in references.items()}, default=None)
    unsold = pl.col("left") - pl.col("sold")
    inside = (pl.col("slot") >= pl.col("slot_first")) & (pl.col("slot") < pl.col("slot_end"))
    missing = pl.max_horizontal(pl.col("stated") - pl.col("gross"), pl.lit(0))
    sums = steps.group_by("provider").agg(
        pl.col("left", "sold").sum(),
        dear=unsold.filter(pl.col("rate") > ceiling).sum(),
        withheld=missing.filter(inside & (pl.col("price") > pl.col("rate"))).sum(),
    )
    provider_of = base.book.offers.select("offer_id", "provider")
    received = base.clearing.receipts.join(provider_of, on="offer_id").group_by("provider").agg(received=pl.col("received_micros").sum())
    hours = float(base.book.rules.hours)
    rows = sums.join(received, on="provider", how="left").with_columns(pl.col("received").fill_null(0))
    return [
        ProviderLook(
            provider=row["provider"],
            offered_hours=hours * row["left"],
            sold_hours=hours * row["sold"],
            received_micros=row["received"],
            dear_hours=hours * row["dear"],
            withheld_hours=hours * row["withheld"],
        )
        for row in rows.sort("sold", "provider", descending=[True, False]).iter_rows(named=True)
    ]


def _without(base: Run, look: ProviderLook, *, place: tuple[int, int], progress: Progress | None) -> ProviderLook:
    """What the market would be without a provider."""
    if progress:
        progress(f"{place[0]} of {place[1]}: without {look.provider}")
    book = without_provider(base.book, look.provider)
    was = tally(base)
    if book.offers.is_empty():
        return msgspec.structs.replace(look, lost_hours=was.hours, welfare_micros=was.welfare_micros)
    after = run(book)
    now = tally(after)
    return msgspec.structs.replace(
        look,
        lost_hours=was.hours - now.hours,
        welfare_micros=was.welfare_micros - now.welfare_micros,
        price_change=_price_change(base, after),
    )


def _price_change(base: Run, after: Run) -> int | None:
    """By how many per cent the mean rates of the classes sold in both moved, weighted by the hours sold before."""
    before, now = base.mean_rates, after.mean_rates
    sold = dict(base.clearing.prices.group_by("hardware").agg(pl.col("sold").sum()).iter_rows())
    both = [name for name in before if name in now]
    weighed = sum(before[name] * sold[name] for name in both)
    return half_up(Fraction(100 * sum((now[name] - before[name]) * sold[name] for name in both), weighed)) if weighed else None


def _findings(base: Run, classes: list[ClassLook], *, looks: list[ProviderLook], thresholds: Thresholds) -> list[Finding]:
    """Whatever passes a threshold: structure, conduct, impact."""
    currency, served = base.book.rules.currency, exact(float(base.clearing.outcomes["hours"].sum()))
    found = []
    for look in looks:
        if look.lost_hours is not None and served and exact(look.lost_hours) > thresholds.pivotal * served:
            share = half_up(100 * exact(look.lost_hours) / served)
            moved = f" and the others' prices move {look.price_change:+d} %" if look.price_change else ""
            sentence = f"{look.provider} is pivotal: without it {look.lost_hours:,g} hours ({share} %) go unserved{moved}."
            found.append(Finding(kind="pivotal", subject=look.provider, sentence=sentence))
    for each in classes:
        if each.sold_index > thresholds.concentration:
            sentence = (
                f"{each.hardware} is concentrated: index {each.sold_index:,} of what was sold, {each.offered_index:,} of what was offered."
            )
            found.append(Finding(kind="concentration", subject=each.hardware, sentence=sentence))
    for each in classes:
        mean, lower = each.mean_micros, each.at_reference_micros
        if mean and lower and mean - lower > thresholds.impact * lower:
            moved = change(lower, mean)
            sentence = f"{each.hardware} sold at {amount(mean, places=4)} {currency}, {moved} of what it is at reference rates."
            found.append(Finding(kind="impact", subject=each.hardware, sentence=sentence))
    for look in looks:
        if exact(look.dear_hours) > thresholds.withheld * exact(look.offered_hours):
            times = f"{float(thresholds.conduct):g} times"
            sentence = f"{look.provider} left {counted_hours(look.dear_hours)} unsold at rates above {times} the reference of their class."
            found.append(Finding(kind="conduct", subject=look.provider, sentence=sentence))
        if exact(look.withheld_hours) > thresholds.withheld * exact(look.offered_hours):
            sentence = f"{look.provider} kept {counted_hours(look.withheld_hours)} out of slots whose price was above its rate."
            found.append(Finding(kind="withheld", subject=look.provider, sentence=sentence))
    return found


def counted_hours(hours: float) -> str:
    """Accelerator-hours in words."""
    return f"{hours:,g} accelerator-hours"
