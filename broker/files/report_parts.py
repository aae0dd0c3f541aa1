"""The parts of `report.html`: each a heading, a finding in one sentence, and a table that says it in figures."""

import html
from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from broker.files.curve_chart import Point, chart, near_steps
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.money import half_up, micros_text
from contracts.terms.orders import MarketBook
from contracts.terms.tables import OUTCOMES
from contracts.terms.time import iso
from pricing.curves import curve_steps
from pricing.questions.overview import class_points, headroom, price_map

CHARTS_MOST = 12
MAPS_MOST = 3
SITES_MOST = 15
SPANS_MOST = 24
STEPS_SHOWN = 12
UPLIFT_SHOWN = 10
STATUSES = OUTCOMES.column("status").one_of
Cells = Sequence[str]


def section(title: str, finding: str, *, body: str) -> str:
    """A part of the page. The body is HTML, the rest is text."""
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(finding)}</p>{body}</section>"


def rows_table(head: Cells, rows: Sequence[Cells], *, words: int = 1, drawings: Cells = ()) -> str:
    """A table of text cells: the first `words` columns are words, the others numbers, set to the right.

    drawings   HTML put at the end of each row, under the last title, in a column of its own
    """
    kinds = ["" if column < words or (drawings and column == len(head) - 1) else ' class="n"' for column in range(len(head))]
    titles = "".join(f'<th scope="col"{kind}>{html.escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    lines = ["".join(f"<td{kind}>{html.escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=False)) for row in rows]
    ends = [f"<td>{drawing}</td>" for drawing in drawings] or [""] * len(lines)
    body = "".join(f"<tr>{line}{end}</tr>" for line, end in zip(lines, ends, strict=True))
    return _wide(f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>")


def _wide(table: str) -> str:
    """A table that scrolls by itself where the page is narrow."""
    return f'<div class="wide">{table}</div>'


def proof(book: MarketBook, certificate: Certificate) -> str:
    """How the result was found and how far from the best it may be."""
    currency = book.rules.currency
    rows = [
        ("Path", certificate.path + (", approximate" if certificate.approximate else "")),
        (f"Welfare, {currency}", micros_text(certificate.welfare_micros, places=2)),
        (f"Most any clearing could have, by the prices alone, {currency}", micros_text(certificate.bound_micros, places=2)),
        ("Gap between the two", f"{certificate.gap:.4%}"),
    ]
    if certificate.bound_integer_micros is not None:
        left = certificate.bound_integer_micros - certificate.welfare_micros
        rows += [
            (f"Lost opportunity of whole blocks, {currency}", micros_text(certificate.lost_opportunity_micros, places=2)),
            (
                f"Most whole blocks could have, as branch and bound claims, {currency}",
                micros_text(certificate.bound_integer_micros, places=2),
            ),
            ("Gap to that claim", f"{left / certificate.bound_integer_micros if certificate.bound_integer_micros else 0:.4%}"),
        ]
    rows += [
        (f"Paid by buyers and received by providers, {currency}", micros_text(certificate.paid_micros, places=2)),
        (f"Fee, {currency}", micros_text(certificate.fee_micros, places=2)),
        (f"Data transfer, {currency}", micros_text(certificate.transfer_micros, places=2)),
        (f"Uplift, {currency}", micros_text(certificate.uplift_micros, places=2)),
    ]
    finding = (
        "The prices prove that no other awards would have been better."
        if certificate.gap == 0
        else f"By the prices alone, no other awards could have been better by more than {certificate.gap:.4%}."
    )
    return section("In figures", finding, body=rows_table(("", "Figure"), rows))


def statuses(book: MarketBook, clearing: Clearing) -> str:
    """What became of the bids."""
    count = clearing.outcomes.group_by("status").agg(bids=pl.len(), hours=pl.col("hours").sum(), paid=pl.col("paid_micros").sum())
    by_status = {status: figures for status, *figures in count.iter_rows()}
    rows = []
    for status in (status for status in STATUSES if status in by_status):
        bids, hours, paid = by_status[status]
        rows.append((status, f"{bids:,}", f"{bids / book.bids.height:.1%}", f"{hours:,.0f}", micros_text(paid, places=2)))
    reasons = clearing.outcomes.filter(pl.col("reason") != "").group_by("reason").len().sort("len", "reason", descending=[True, False])
    why = "; ".join(f"{number:,} {reason}" for reason, number in reasons.iter_rows())
    served = clearing.outcomes.filter(pl.col("hours") > 0).height
    finding = f"{served:,} of {book.bids.height:,} bids were served{f'; of the others {why}' if why else ''}."
    return section("Bids", finding, body=rows_table(("Status", "Bids", "Share", "Hours", f"Paid, {book.rules.currency}"), rows))


def curves(book: MarketBook, clearing: Clearing) -> str:
    """Supply and demand of each class that traded, in the slot that sold most of it; those that sold most first."""
    figures = []
    points = class_points(clearing)
    for hardware, slot, sold, rate, low, high in points.head(CHARTS_MOST).iter_rows():
        steps = curve_steps(book, hardware, slot=slot)
        point = Point(sold=sold, rate=rate, low=low, high=high)
        figures.append(f"<figure>{chart(steps, point)}{_caption(book, hardware, slot=slot, point=point)}{_steps(steps, point)}</figure>")
    if not figures:
        return section("Supply and demand", "Nothing was sold.", body="")
    more = f" The {CHARTS_MOST} of {points.height} classes that sold most." if points.height > CHARTS_MOST else ""
    note = (
        f"Supply is the solid line, demand the dashed one, in the slot that sold most.{more} The bar is the range of prices that support "
        "the awards; not every bid may meet every offer, so it need not be where the lines cross."
    )
    return section("Supply and demand", note, body=f'<div class="charts">{"".join(figures)}</div>')


def _caption(book: MarketBook, hardware: str, *, slot: int, point: Point) -> str:
    moment, currency = iso(book.rules.grid.period(slot).start), book.rules.currency
    text = f"{hardware}, {moment}: {point.sold:,} sold at {micros_text(point.rate, places=2)} {currency} an hour on average."
    low, high = (micros_text(end, places=4) for end in (point.low, point.high))
    if low != high:
        text += f" Any price from {low} to {high} would support it."
    return f"<figcaption>{html.escape(text)}</figcaption>"


def _steps(steps: pl.DataFrame, point: Point) -> str:
    """The steps on either side of the point as a table, folded away."""
    shown = []
    for side in ("supply", "demand"):
        mine = near_steps(steps, point.sold).filter(pl.col("side") == side)
        at = mine.filter(pl.col("quantity_to") <= point.sold).height
        near = mine.slice(max(0, at - STEPS_SHOWN // 2), STEPS_SHOWN)
        shown += [(side, micros_text(price), f"{start:,}", f"{end:,}") for _, price, start, end in near.iter_rows()]
    table = rows_table(("Side", "Price", "From", "To"), shown)
    return f"<details><summary>The steps around it</summary>{table}</details>"


def maps(book: MarketBook, clearing: Clearing) -> str:
    """Spot prices by site and slot of the classes that sold most."""
    drawn = [_map(book, clearing, hardware=name) for name in class_points(clearing)["hardware"].head(MAPS_MOST)]
    if not drawn:
        return ""
    unit = f"{book.rules.currency} per accelerator-hour"
    note = f"Spot prices, {unit}: the deeper the colour the dearer; a dot where nothing was sold. Sites that sold most first."
    return section("Where and when it was dear", note, body="".join(drawn))


def _map(book: MarketBook, clearing: Clearing, *, hardware: str) -> str:
    cells = price_map(clearing, hardware, sites_most=SITES_MOST, spans=SPANS_MOST)
    rates = cells.filter(pl.col("sold") > 0)["rate"].to_list()
    least, greatest = min(rates), max(rates)
    firsts = sorted(set(cells["slot_first"]))
    by_place = {(site, first): (rate, sold) for site, first, _, rate, sold in cells.iter_rows()}
    lines = []
    for site in cells["site"].unique(maintain_order=True):
        row = "".join(_map_cell(by_place.get((site, first)), least=least, greatest=greatest) for first in firsts)
        lines.append(f'<tr><th scope="row">{html.escape(site)}</th>{row}</tr>')
    head = "".join(f'<th scope="col" class="n">{first}</th>' for first in firsts)
    dearest = cells.filter(pl.col("sold") > 0).sort("rate", "site", "slot_first", descending=[True, False, False]).row(0)
    span = f"slot {dearest[1]}" if dearest[2] - dearest[1] == 1 else f"slots {dearest[1]} to {dearest[2] - 1}"
    cheapest = micros_text(least, places=2)
    finding = (
        f"{hardware}: sold from {cheapest} to {micros_text(dearest[3], places=2)} {book.rules.currency}, dearest at {dearest[0]} in {span}."
    )
    top = f'<thead><tr><th scope="col">Site, by slot</th>{head}</tr></thead>'
    table = _wide(f'<table class="map">{top}<tbody>{"".join(lines)}</tbody></table>')
    return f"<figure><figcaption>{html.escape(finding)}</figcaption>{table}</figure>"


def _map_cell(cell: tuple[int, int] | None, *, least: int, greatest: int) -> str:
    if cell is None:
        return "<td></td>"
    rate, sold = cell
    heat = half_up(100 * (rate - least), greatest - least) if greatest > least else 0
    return f'<td class="n{"" if sold else " idle"}" style="--heat:{heat}%">{micros_text(rate, places=2)}</td>'


def headrooms(book: MarketBook, clearing: Clearing) -> str:
    """What stood ready beyond what was sold, by class."""
    hours, frame = book.rules.hours, headroom(book, clearing)
    names = frame.columns[1:]
    rows = [(hardware, *(f"{float(hours * figure):,.0f}" for figure in figures)) for hardware, *figures in frame.iter_rows()]
    bars = [_bar(figures) for _, *figures in frame.iter_rows()]
    total = {name: float(hours * int(frame[name].sum())) for name in names}
    sold = total["offered"] - total["free"] - total["held_back"]
    finding = (
        f"Of {total['offered']:,.0f} accelerator-hours that leases left, {sold:,.0f} were sold; {total['free']:,.0f} more could have "
        f"been had at standard, {total['held_back']:,.0f} at spot alone, as headroom or because they are not firm."
    )
    head = ("Hardware", "Offered", "Guaranteed", "Standard", "Spot", "Free", "Spot only", "Sold by tier, free, spot only")
    return section("Headroom", finding, body=rows_table(head, rows, drawings=bars))


def _bar(figures: Sequence[int]) -> str:
    """Shares of what was offered as one bar: sold by tier, free, held back. Its table row says the same in figures."""
    offered, *parts = figures
    edges = [0.0]
    for part in parts:
        edges.append(edges[-1] + (100 * part / offered if offered else 0))
    marks = ("--supply", "--supply-2", "--supply-3", "--line", "--demand")
    boxes = "".join(
        f'<rect x="{start:.1f}" width="{end - start:.1f}" height="10" fill="var({mark})"/>'
        for (start, end), mark in zip(pairwise(edges), marks, strict=True)
        if end > start
    )
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{boxes}</svg>'


def prices(book: MarketBook, clearing: Clearing) -> str:
    """Mean price of what was sold, by class and tier, with the least and greatest price."""
    rates = pl.col("rate_micros")
    table = (
        clearing.prices.filter(pl.col("sold") > 0)
        .group_by("hardware", "tier")
        .agg(
            pl.col("sold").sum(),
            ((rates.cast(pl.Int128) * pl.col("sold")).sum() // pl.col("sold").sum()).alias("mean"),
            rates.min().alias("least"),
            rates.max().alias("greatest"),
        )
        .sort("hardware", "tier")
    )
    if table.is_empty():
        return section("Prices", "Nothing was sold.", body="")
    rows = [
        (hardware, tier, f"{sold:,}", *(micros_text(int(rate), places=4) for rate in figures))
        for hardware, tier, sold, *figures in table.iter_rows()
    ]
    finding = f"{table['hardware'].n_unique()} classes traded; per accelerator-hour, weighted by what was sold."
    head = ("Hardware", "Tier", "Accelerator-slots", "Mean", "Least", "Greatest")
    return section(f"Prices, {book.rules.currency}", finding, body=rows_table(head, rows, words=2))


def uplifts(book: MarketBook, clearing: Clearing) -> str:
    """Who was made whole beyond the price, and which blocks the prices would have admitted."""
    bids = clearing.outcomes.filter(pl.col("uplift_micros") > 0).select(who="bid_id", micros="uplift_micros")
    offers = clearing.receipts.group_by("offer_id").agg(micros=pl.col("uplift_micros").sum()).filter(pl.col("micros") > 0)
    due = pl.concat([bids, offers.select(who="offer_id", micros="micros")]).sort("micros", "who", descending=[True, False])
    left_out = clearing.outcomes.filter(pl.col("status") == "paradoxical")["bid_id"]
    told = f" {len(left_out):,} blocks were left out though the prices would admit them." if len(left_out) else ""
    if due.is_empty():
        return section("Uplift", f"Nobody had to be made whole beyond the price.{told}", body="")
    currency = book.rules.currency
    finding = (
        f"{micros_text(int(due['micros'].sum()), places=2)} {currency} make {due.height:,} winners whole whom the price leaves short.{told}"
    )
    rows = [(who, micros_text(micros, places=2)) for who, micros in due.head(UPLIFT_SHOWN).iter_rows()]
    return section("Uplift", finding, body=rows_table(("Bid or offer", f"Uplift, {currency}"), rows))


def checks(certificate: Certificate) -> str:
    """Every check of the certificate and what it found."""
    rows = [("holds" if check.holds else "FAILS", check.name, check.finding) for check in certificate.checks]
    broken = sum(not check.holds for check in certificate.checks)
    finding = f"{broken} of {len(rows)} checks fail." if broken else f"All {len(rows)} checks hold."
    return section("Certificate", finding, body=rows_table(("Verdict", "Check", "Finding"), rows, words=3))
