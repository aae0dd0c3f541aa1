"""`report.html`: what a clearing decided, on one page that needs no network and runs no script.

Verdict and figures, what became of the bids, supply and demand of each hardware class with the clearing point and its
range, prices by site and slot, headroom, uplift and the checks. The charts are drawn here, in SVG, and every one has
its table. Large books are shown by their largest classes and sites. The same result gives the same bytes.
"""

from pathlib import Path

from broker.files import report_parts as parts
from broker.files.replacing import replace_file
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.time import iso

REPORT_FILE = "report.html"

STYLE = """
:root { color-scheme: light dark; --ink: #14202b; --dim: #54636f; --line: #d5dde3; --page: #fbfcfc; --supply: #0b6e75; --demand: #b4530a;
  --supply-2: #3f9aa0; --supply-3: #8cc6c9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf1; --dim: #93a3af; --line: #2c3a44; --page: #10171c; --supply: #4fc3c9; --demand: #f0a35e;
    --supply-2: #358a90; --supply-3: #235a5f; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0 1rem; color: var(--dim); max-width: 50rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 500; } .n { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.5rem; }
figure { margin: 0 0 1.5rem; min-width: 0; } figcaption { font-size: .9rem; color: var(--dim); margin: .25rem 0; }
.charts svg { width: 100%; height: auto; display: block; }
summary { font-size: .85rem; color: var(--dim); cursor: pointer; }
svg.bar { width: 8rem; height: .7rem; display: block; margin-top: .35rem; }
.map { font-size: .75rem; width: auto; } .map th, .map td { padding: .2rem .35rem; border: 0; }
.map td { background: color-mix(in srgb, var(--supply) calc(var(--heat, 0%) * .55), transparent); }
.map td.idle { color: var(--dim); background: none; } .map td.idle::before { content: "· "; }
.map th[scope=row] { white-space: nowrap; position: sticky; left: 0; background: var(--page); }
.verdict { font-weight: 600; color: var(--ink); } .fails { color: #c0262d; }
@media (prefers-color-scheme: dark) { .fails { color: #ff8a8f; } }
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
            parts.proof(book, certificate),
            parts.statuses(book, clearing),
            parts.curves(book, clearing),
            parts.maps(book, clearing),
            parts.headrooms(book, clearing),
            parts.prices(book, clearing),
            parts.uplifts(book, clearing),
            parts.checks(certificate),
            "</html>\n",
        )
    )
