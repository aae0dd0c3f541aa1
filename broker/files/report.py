"""`report.html`: what a clearing decided, on one page that needs no network.

Supply and demand of each hardware class in the slot that sold most of it, the prices, the gap and the checks. The
charts are drawn here, in SVG: supply solid, demand dashed, the clearing price labelled. The same result gives the
same bytes.
"""

import html
from pathlib import Path

import polars as pl

from broker.files.curve_chart import chart
from broker.files.replacing import replace_file
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.money import micros_text
from contracts.terms.orders import MarketBook
from contracts.terms.time import iso
from pricing.curves import curve_steps

REPORT_FILE = "report.html"
CHARTS_MOST = 12

STYLE = """
:root { color-scheme: light dark; --ink: #14202b; --dim: #5c6b78; --line: #d5dde3; --page: #fbfcfc; --supply: #0b6e75; --demand: #b4530a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf1; --dim: #93a3af; --line: #2c3a44; --page: #10171c; --supply: #4fc3c9; --demand: #f0a35e; }
}
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.25rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; } p { margin: .25rem 0 1rem; color: var(--dim); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 500; } .n { text-align: right; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-size: .9rem; color: var(--dim); } svg { width: 100%; height: auto; display: block; }
.verdict { font-weight: 600; color: var(--ink); } .fails { color: #c0262d; }
"""


def write_report(directory: Path, book: MarketBook, *, clearing: Clearing, certificate: Certificate) -> None:
    """Write the page into a result directory."""
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / REPORT_FILE, report(book, clearing, certificate=certificate).encode())


def report(book: MarketBook, clearing: Clearing, *, certificate: Certificate) -> str:
    """The page as text."""
    rules = book.rules
    last = rules.grid.period(rules.slots - 1).end
    verdict = "Certified: every check holds." if certificate.holds else "The certificate fails: not to be applied."
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>Clearing of {iso(rules.start)}</title><style>{STYLE}</style>",
            f"<h1>Clearing of {iso(rules.start)} to {iso(last)}</h1>",
            f'<p class="verdict{"" if certificate.holds else " fails"}">{verdict}</p>',
            _figures(book, clearing, certificate=certificate),
            _charts(book, clearing),
            _prices(book, clearing),
            _checks(certificate),
            "</html>\n",
        )
    )


def _figures(book: MarketBook, clearing: Clearing, *, certificate: Certificate) -> str:
    served = clearing.outcomes.filter(pl.col("status").is_in(["filled", "partial"])).height
    currency = book.rules.currency
    rows = [
        (f"Welfare, {currency}", micros_text(certificate.welfare_micros, places=2)),
        (f"Bound from prices, {currency}", micros_text(certificate.bound_micros, places=2)),
        ("Gap", f"{certificate.gap:.4%}"),
        (f"Paid by buyers and received by providers, {currency}", micros_text(certificate.paid_micros, places=2)),
        (f"Uplift, {currency}", micros_text(certificate.uplift_micros, places=2)),
        (f"Fee, {currency}", micros_text(certificate.fee_micros, places=2)),
        (f"Data transfer, {currency}", micros_text(certificate.transfer_micros, places=2)),
        ("Bids served", f"{served:,} of {book.bids.height:,}"),
        ("Awards", f"{clearing.awards.height:,}"),
    ]
    cells = "".join(f'<tr><th>{html.escape(name)}</th><td class="n">{figure}</td></tr>' for name, figure in rows)
    return f"<h2>In figures</h2><table>{cells}</table>"


def _charts(book: MarketBook, clearing: Clearing) -> str:
    """One chart a hardware class that traded, those that sold most first."""
    traded = (
        clearing.prices.filter(pl.col("sold") > 0)
        .group_by("hardware", "slot")
        .agg(pl.col("sold").sum(), ((pl.col("rate_micros").cast(pl.Int128) * pl.col("sold")).sum() // pl.col("sold").sum()).alias("mean"))
        .sort("sold", "hardware", "slot", descending=[True, False, False])
        .unique("hardware", keep="first", maintain_order=True)
        .head(CHARTS_MOST)
    )
    figures = []
    for hardware, slot, sold, mean in traded.iter_rows():
        drawing = chart(curve_steps(book, hardware, slot=slot), sold=sold, price_micros=int(mean))
        moment = iso(book.rules.grid.period(slot).start)
        finding = f"{hardware}, {moment}: {sold:,} sold at {micros_text(int(mean), places=2)} {book.rules.currency} an hour on average."
        figures.append(f"<figure>{drawing}<figcaption>{html.escape(finding)}</figcaption></figure>")
    if not figures:
        return "<h2>Supply and demand</h2><p>Nothing was sold.</p>"
    note = (
        "Supply solid, demand dashed, each in the slot that sold most. "
        "Not every bid may meet every offer, so the price need not be where they cross."
    )
    return f'<h2>Supply and demand</h2><p>{note}</p><div class="charts">{"".join(figures)}</div>'


def _prices(book: MarketBook, clearing: Clearing) -> str:
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
    rows = "".join(
        f'<tr><td>{html.escape(hardware)}</td><td>{tier}</td><td class="n">{sold:,}</td>'
        + "".join(f'<td class="n">{micros_text(int(rate), places=4)}</td>' for rate in rates_)
        + "</tr>"
        for hardware, tier, sold, *rates_ in table.iter_rows()
    )
    numbers = "".join(f'<th class="n">{name}</th>' for name in ("Accelerator-slots", "Mean", "Least", "Greatest"))
    head = f"<tr><th>Hardware</th><th>Tier</th>{numbers}</tr>"
    return f"<h2>Prices, {book.rules.currency} per accelerator-hour</h2><table>{head}{rows}</table>"


def _checks(certificate: Certificate) -> str:
    rows = "".join(
        f"<tr><td>{'holds' if check.holds else 'FAILS'}</td><td>{html.escape(check.name)}</td><td>{html.escape(check.finding)}</td></tr>"
        for check in certificate.checks
    )
    return f"<h2>Certificate</h2><table><tr><th>Verdict</th><th>Check</th><th>Finding</th></tr>{rows}</table>"
