"""`gridfare clear`: a market directory in, a certified result out."""

import platform
import time
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.commands.cleared import read_run
from broker.files.market import MarketReading, read_market_aloud, write_result
from broker.files.report import write_report
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.errors import BadInput
from contracts.terms.money import micros_text
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.clearing_again import Before, clear_again
from pricing.convex import Progress
from pricing.explain import explain

NOT_CERTIFIED = 3
PRICE_LINES = 3

clear_app = typer.Typer(add_completion=False, rich_markup_mode="rich")

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Market directory: market.toml, offers, bids and more.")]
Out = Annotated[Path, typer.Option("--out", metavar="OUT", help="Directory the result is written to.")]
Way = Annotated[str, typer.Option("--path", metavar="PATH", help="auto, convex, auction or exact.")]
Gap = Annotated[float, typer.Option("--gap", min=0.0, max=1.0, help="Largest gap the auction path may leave; the others leave none.")]
Explain = Annotated[str | None, typer.Option("--explain", metavar="BID_ID", help="Explain the outcome of one bid.")]
Previous = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--previous", metavar="DIR OUT", help="A market directory that differs little, and its result: start from there."),
]
Parquet = Annotated[bool, typer.Option("--parquet", help="Write Parquet instead of CSV.")]


class Stopwatch:
    """Seconds by stage, told on a terminal as they pass."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def tell(self, sentence: str) -> None:
        """Say what is going on, on a terminal only."""
        if self._console.is_terminal:
            self._console.print(f"[dim]{sentence}[/]")

    def stage(self, name: str) -> None:
        """Close a stage."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
        self.tell(f"{name}: {self.seconds[name]:.2f} s")


@clear_app.command("clear")
def clear_command(
    directory: Directory,
    out: Out,
    *,
    path: Way = "auto",
    gap: Gap = 0.002,
    explain_bid: Explain = None,
    previous: Previous = None,
    parquet: Parquet = False,
) -> None:
    """Clear a market directory: choose the awards of greatest welfare, price them, certify and write them.

    Exit code 2: a file, row or column cannot stand; 3: cleared, but the certificate fails (written and marked, not to
    be applied).

    With --previous, everybody keeps what it held before, at the prices there were, and only what changed moves; within --gap.

    Example: gridfare clear market --out result --explain b000004

    Example: gridfare clear market2 --out result2 --previous market result
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    watch = Stopwatch(errors)
    reading = read_market_aloud(directory)
    for warning in reading.warnings:
        errors.print(f"[yellow]Left out:[/] {warning}")
    _known_bid(reading, explain_bid)
    watch.stage("read")
    if previous is None:
        clearing = clear(reading.book, path=path, gap=gap, progress=watch.tell)
    else:
        before = _before(*previous, path=path, tell=watch.tell)
        watch.stage("read before")
        clearing = clear_again(reading.book, before, gap=gap, progress=watch.tell)
    watch.stage("cleared")
    certificate = certify(reading.book, clearing, path=clearing.path, approximate=clearing.approximate)
    watch.stage("certified")
    timing: dict[str, str | float] = {
        **watch.seconds,
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    write_report(out, reading.book, clearing=clearing, certificate=certificate)
    write_result(out, clearing, certificate=certificate, timing=timing, parquet=parquet)
    watch.stage("written")
    console = Console(soft_wrap=True, highlight=False)
    console.print(_summary(reading.book, clearing, certificate=certificate))
    console.print(_prices(reading.book, clearing))
    if explain_bid:
        console.print(escape(explain(reading.book, explain_bid, clearing=clearing).text))
    if not certificate.holds:
        _tell_failure(certificate, errors, out=out)
        raise typer.Exit(NOT_CERTIFIED)
    if certificate.approximate and certificate.gap > gap:
        errors.print(f"[bold red]The gap is {certificate.gap:.2%}[/], and --gap allows {gap:.2%}. The result in {out} must not be applied.")
        raise typer.Exit(NOT_CERTIFIED)
    console.print(f"Certified. The result is in {out}")


def _before(directory: Path, out: Path, *, path: str, tell: Progress) -> Before:
    """The book that was cleared before, and its result."""
    if path != "auto":
        raise BadInput("--previous has a path of its own", found=path, would_do="--previous without --path")
    run = read_run(directory, out, tell=tell)
    return Before(run.book, run.clearing)


def _known_bid(reading: MarketReading, bid_id: str | None) -> None:
    """Refuse to explain a bid that is not there before the work is done, not after."""
    if bid_id is not None and bid_id not in reading.book.bids["bid_id"]:
        raise BadInput("--explain names a bid the book does not have", found=bid_id, would_do="a bid_id of the bids")


def _summary(book: MarketBook, clearing: Clearing, *, certificate: Certificate) -> Table:
    """What was decided, in a few lines."""
    currency = book.rules.currency
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    served = clearing.outcomes.filter(pl.col("status").is_in(["filled", "partial"])).height
    sold = int(clearing.awards["quantity"].sum()) * book.rules.hours
    for name, figure in (
        ("Path", f"{certificate.path}, {'approximate: prices are indicative' if certificate.approximate else 'not approximate'}"),
        ("Welfare", f"{micros_text(certificate.welfare_micros, places=2)} {currency}"),
        ("Bound from prices", f"{micros_text(certificate.bound_micros, places=2)} {currency}"),
        ("Gap", f"{certificate.gap:.2%}"),
        ("Bids served", f"{served:,} of {book.bids.height:,}"),
        ("Awards", f"{clearing.awards.height:,}"),
        ("Accelerator-hours", f"{float(sold):,.2f}"),
        ("Paid and received", f"{micros_text(certificate.paid_micros, places=2)} {currency}"),
    ):
        table.add_row(name, figure)
    return table


def _prices(book: MarketBook, clearing: Clearing) -> Table:
    """The prices at which most was sold."""
    table = Table(box=SIMPLE_HEAD, title=f"Most sold, {book.rules.currency} per accelerator-hour", title_justify="left")
    for name in ("Hardware", "Site", "Slot", "Tier"):
        table.add_column(name, justify="right" if name == "Slot" else "left")
    for name in ("Sold", "Price", "Low", "High"):
        table.add_column(name, justify="right", no_wrap=True)
    most = clearing.prices.filter(pl.col("sold") > 0).sort("sold", "pool", "slot", "tier", descending=[True, False, False, False])
    for row in most.unique("hardware", keep="first", maintain_order=True).head(PRICE_LINES).iter_rows(named=True):
        ends = (micros_text(row[name]) for name in ("rate_micros", "rate_low_micros", "rate_high_micros"))
        table.add_row(row["hardware"], row["site"], str(row["slot"]), row["tier"], f"{row['sold']:,}", *ends)
    return table


def _tell_failure(certificate: Certificate, errors: Console, *, out: Path) -> None:
    errors.print(f"[bold red]The certificate fails.[/] The result in {out} is marked, and must not be applied:")
    for check in (check for check in certificate.checks if not check.holds):
        errors.print(f"  {check.name}: {escape(check.finding)}")
