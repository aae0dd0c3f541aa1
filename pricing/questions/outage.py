"""The loss of a whole site: who sits on it, who finds another place at the rate it had, at what cost, and who finds none.

Nothing at the site survives, and nothing elsewhere is touched. What was lost is cleared again on what today's awards and
the leases leave of the other sites: the guaranteed first, then standard, then spot, the published order of shedding
backwards. Each holder keeps its tier and its own clauses (`losses.py` says how it asks again).
"""

from collections.abc import Sequence
from fractions import Fraction

import msgspec
import polars as pl

from contracts.terms.errors import NotFound
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, BIDS, COMMITMENTS, TIERS
from pricing.questions.losses import AWARD, Loss, losses
from pricing.questions.tally import Progress, Run, amount, counted, run, total, valued


class Loser(msgspec.Struct, frozen=True, kw_only=True):
    """Who held something at the site at one tier, and what becomes of it.

    holder               of an award the bid's id, of a lease of an earlier gate the lease's
    hours, replaced      accelerator-hours lost, and found elsewhere; `reference_…` the work they do, in hours of the reference class
    old_micros           charges for what was lost
    new_micros           charges for what replaces it
    credit_base_micros   the part of the old charges that nothing replaces: what an SLA credit is a share of
    sites                where it goes, the most hours first
    """

    holder: str
    kind: str
    tier: str
    hours: float
    replaced: float
    reference_hours: float
    reference_replaced: float
    old_micros: int
    new_micros: int
    credit_base_micros: int
    sites: tuple[str, ...]

    @property
    def extra_micros(self) -> int:
        """What the replacement costs above the old charges for as many accelerator-hours, perhaps of slower hardware; negative is less."""
        return self.new_micros - (self.old_micros - self.credit_base_micros)


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of a site, by holder: guaranteed before standard before spot, then the most hours first.

    extra_micros          what the replacements cost above the old charges for as many hours; negative is less
    welfare_lost_micros   of the awards at the site, less what their replacements are worth above the rates there
    """

    site: str
    currency: str
    slot_first: int
    offers: int
    hours: float
    replaced: float
    extra_micros: int
    credit_base_micros: int
    welfare_lost_micros: int
    losers: tuple[Loser, ...]

    @property
    def stranded(self) -> tuple[Loser, ...]:
        """Those who find nothing at all."""
        return tuple(loser for loser in self.losers if not loser.replaced)

    @property
    def text(self) -> str:
        """The outage in a few sentences."""
        return "\n".join(_sentences(self))


def outage(base: Run, site: str, *, slot_first: int = 0, progress: Progress | None = None) -> Outage:
    """Lose a site from a slot on. Raises NotFound for a site without offers; and as `clear`."""
    gone = base.book.offers.filter(pl.col("site") == site)
    if gone.is_empty():
        raise NotFound(f"no offer of the book stands at {site}", site=site)
    lost = losses(base, gone["offer_id"].to_list(), slot_first=slot_first)
    granted = _clear_again(base, gone, lost=lost, progress=progress)
    losers = _losers(base.book, lost, granted=granted)
    return Outage(
        site=site,
        currency=base.book.rules.currency,
        slot_first=slot_first,
        offers=gone.height,
        hours=sum(loser.hours for loser in losers),
        replaced=sum(loser.replaced for loser in losers),
        extra_micros=sum(loser.extra_micros for loser in losers),
        credit_base_micros=sum(loser.credit_base_micros for loser in losers),
        welfare_lost_micros=_welfare_lost(base, gone, slot_first=slot_first, granted=_by_holder(granted, lost)),
        losers=losers,
    )


def _clear_again(base: Run, gone: pl.DataFrame, *, lost: Sequence[Loss], progress: Progress | None) -> pl.DataFrame:
    """The awards of the replacements, under the ids of their losses; tier after tier, each on what those before it left."""
    ids = gone["offer_id"].to_list()
    elsewhere = ~pl.col("offer_id").is_in(ids)
    book = msgspec.structs.replace(
        base.book,
        offers=base.book.offers.filter(elsewhere),
        offer_slots=base.book.offer_slots.filter(elsewhere),
        commitments=_held(base.book.commitments.filter(elsewhere), base.clearing.awards.filter(elsewhere)),
    )
    granted = AWARDS.empty()
    for tier in TIERS:
        rows = [loss.row for loss in lost if loss.tier == tier and loss.row is not None]
        if not rows or book.offers.is_empty():
            continue
        if progress:
            progress(f"{tier}: {len(rows)} pieces to place elsewhere")
        bids = pl.DataFrame(rows, schema=BIDS.schema, orient="row").sort("bid_id")
        awards = run(msgspec.structs.replace(book, bids=bids)).clearing.awards
        book = msgspec.structs.replace(book, commitments=_held(book.commitments, awards))
        granted = pl.concat([granted, awards])
    return granted


def _held(commitments: pl.DataFrame, awards: pl.DataFrame) -> pl.DataFrame:
    """Commitments with awards as leases beside them."""
    leased = awards.select(pl.concat_str(pl.lit("award "), "bid_id").alias("lease_id"), "offer_id", "slot", "tier", "quantity")
    return pl.concat([commitments, leased.select(list(COMMITMENTS.schema))]).sort(COMMITMENTS.key)


def _losers(book: MarketBook, lost: Sequence[Loss], *, granted: pl.DataFrame) -> tuple[Loser, ...]:
    """What becomes of each holder, its pieces put together."""
    place_of = {offer: (site, hardware) for offer, site, hardware in book.offers.select("offer_id", "site", "hardware").iter_rows()}
    found: dict[str, list[tuple[str, str, int, int]]] = {}
    for bid_id, offer_id, quantity, charge in granted.select("bid_id", "offer_id", "quantity", "charge_micros").iter_rows():
        found.setdefault(bid_id, []).append((*place_of[offer_id], quantity, charge))
    by_holder: dict[tuple[int, str, str], list[Loss]] = {}
    for loss in lost:
        by_holder.setdefault((TIERS.index(loss.tier), loss.holder, loss.kind), []).append(loss)
    losers = []
    for pieces in by_holder.values():
        parts = [part for piece in pieces for part in found.get(piece.id, [])]
        losers.append(_loser(pieces, parts, hours=book.rules.hours))
    return tuple(sorted(losers, key=lambda loser: (TIERS.index(loser.tier), -loser.hours, loser.holder)))


def _loser(pieces: list[Loss], parts: list[tuple[str, str, int, int]], *, hours: Fraction) -> Loser:
    """One holder at one tier from its pieces and (site, hardware, quantity, charge) of what replaces them."""
    by_site: dict[str, int] = {}
    for site, _, quantity, _ in parts:
        by_site[site] = by_site.get(site, 0) + quantity
    taken, replaced = sum(piece.quantity for piece in pieces), sum(by_site.values())
    old = sum(piece.old_micros for piece in pieces)
    return Loser(
        holder=pieces[0].holder,
        kind=pieces[0].kind,
        tier=pieces[0].tier,
        hours=float(hours * taken),
        replaced=float(hours * replaced),
        reference_hours=float(hours * sum((piece.reference for piece in pieces), Fraction(0))),
        reference_replaced=float(hours * sum((quantity * pieces[0].factors[hardware] for _, hardware, quantity, _ in parts), Fraction(0))),
        old_micros=old,
        new_micros=sum(charge for *_, charge in parts),
        credit_base_micros=half_up(old * (taken - replaced), taken),
        sites=tuple(sorted(by_site, key=lambda site: (-by_site[site], site))),
    )


def _by_holder(granted: pl.DataFrame, lost: Sequence[Loss]) -> pl.DataFrame:
    """The replacements of awards, under the ids of the bids that held them."""
    holders = {loss.id: loss.holder for loss in lost if loss.kind == AWARD}
    mine = granted.filter(pl.col("bid_id").is_in(list(holders)))
    return mine.with_columns(pl.col("bid_id").replace_strict(holders, return_dtype=pl.String()))


def _welfare_lost(base: Run, gone: pl.DataFrame, *, slot_first: int, granted: pl.DataFrame) -> int:
    """Worth above rates of the awards at the site, less that of their replacements to the same bids, micros."""
    here = pl.col("offer_id").is_in(gone["offer_id"].to_list())
    was = valued(base.book, base.clearing.awards.filter(here, pl.col("slot") >= slot_first))
    gain = pl.col("worth_micros") - pl.col("cost_micros")
    return half_up(base.book.rules.hours * (total(was, gain) - total(valued(base.book, granted), gain)))


def _more(micros: int) -> str:
    return "less" if micros < 0 else "more"


def _sentences(found: Outage) -> list[str]:
    if not found.losers:
        return [f"{found.site} is lost from slot {found.slot_first} on: nobody holds anything there."]
    who = f"{counted(len(found.losers), 'holder')} {'loses' if len(found.losers) == 1 else 'lose'} {found.hours:,g} accelerator-hours"
    lines = [
        f"{found.site} is lost from slot {found.slot_first} on: {who}, {found.replaced:,g} of them are found elsewhere at the old rate."
    ]
    for tier in TIERS:
        mine = [loser for loser in found.losers if loser.tier == tier]
        if mine:
            hours, replaced = sum(loser.hours for loser in mine), sum(loser.replaced for loser in mine)
            lines.append(f"{tier.capitalize()}: {replaced:,g} of {hours:,g} hours of {counted(len(mine), 'holder')}.")
    lines.append(
        f"What is found costs {amount(abs(found.extra_micros))} {found.currency} {_more(found.extra_micros)} than it did "
        f"and does {sum(loser.reference_replaced for loser in found.losers):,.1f} reference hours of work in place of "
        f"{sum(loser.reference_hours for loser in found.losers):,.1f}; "
        f"credits are due on {amount(found.credit_base_micros)}, and {amount(found.welfare_lost_micros)} of welfare is lost."
    )
    if found.stranded:
        names = ", ".join(loser.holder for loser in found.stranded[:5])
        more = f" and {len(found.stranded) - 5} more" if len(found.stranded) > 5 else ""
        lines.append(f"Nothing is found for {names}{more}.")
    return lines
