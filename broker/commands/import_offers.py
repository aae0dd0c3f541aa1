"""`gridfare import offers`: somebody's price list in, offers out, and a reason for every price left out."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from broker.feeds.catalogue_table import Parsed, Terms, parse, read
from broker.files.market_toml import FILE, read_rules
from broker.files.replacing import replace_file
from broker.files.tables import table_path
from broker.world import hardware_classes
from contracts.terms.errors import BadInput
from contracts.terms.tables import OFFERS
from pricing.canonical import canonical_text

REJECTED_FILE = "rejected.csv"
HELP = "Bring in what others publish.\n\nExample: gridfare import offers prices.csv --to market"
import_app = typer.Typer(help=HELP, no_args_is_help=True)

PriceList = Annotated[Path, typer.Argument(metavar="FILE", help="Price list, Parquet or CSV: one row an instance type.")]
Target = Annotated[Path | None, typer.Option("--to", metavar="DIR", help=f"Write offers.csv and {REJECTED_FILE} there.")]
Exchange = Annotated[
    list[str] | None,
    typer.Option("--exchange", metavar="CUR=RATE", help="Market currency for one unit of another, e.g. CNY=0.14."),
]
Slots = Annotated[int, typer.Option("--slots", min=1, help=f"Slots the offers hold for; a {FILE} in DIR says better.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Instances taken to be on offer for each price: price lists do not say.")]


@import_app.callback()
def import_command() -> None:
    """Bring in what others publish."""


@import_app.command("offers")
def import_offers_command(file: PriceList, to: Target = None, exchange: Exchange = None, slots: Slots = 24, nodes: Nodes = 1) -> None:
    """Turn a public price list into offers; count every price that cannot trade by its reason.

    Each row gives an on-demand price and perhaps an interruptible one; every price is either offered or rejected.

    Example: gridfare import offers prices.parquet --to market --exchange CNY=0.14
    """
    parsed = parse(read(file), _terms(to, exchange or [], slots=slots, nodes=nodes))
    console = Console()
    console.print(_counted(parsed))
    if to is not None:
        _write(to, parsed)
        console.print(f"{to}: {parsed.offers.height:,} offers, {parsed.rejected.height:,} prices rejected with their reasons")


def _terms(to: Path | None, exchange: list[str], *, slots: int, nodes: int) -> Terms:
    """What the price list leaves open, from the options and from the market the offers are for."""
    rates = dict(_rate(text) for text in exchange)
    if to is None or not (to / FILE).is_file():
        return Terms(hardware=hardware_classes(), slots=slots, exchange=rates, nodes=nodes)
    rules = read_rules(to)
    return Terms(hardware=hardware_classes(), slots=rules.slots, currency=rules.currency, exchange=rates, nodes=nodes)


def _rate(text: str) -> tuple[str, Decimal]:
    currency, _, figure = text.partition("=")
    try:
        rate = Decimal(figure)
    except InvalidOperation:
        rate = Decimal(0)
    if len(currency) != 3 or not rate.is_finite() or rate <= 0:
        raise BadInput("--exchange needs a currency and a positive rate", found=text, would_do="CNY=0.14")
    return currency.upper(), rate


def _counted(parsed: Parsed) -> Table:
    """Prices by outcome; each column adds up to the prices the list holds."""
    table = Table(box=SIMPLE_HEAD, show_footer=True)
    counts = parsed.counts()
    table.add_column("Outcome", footer="prices in the list")
    table.add_column("On demand", justify="right", footer=f"{parsed.on_demand:,}")
    table.add_column("Interruptible", justify="right", footer=f"{parsed.interruptible:,}")
    for reason, on_demand, interruptible in counts.iter_rows():
        table.add_row(reason, f"{on_demand:,}", f"{interruptible:,}")
    return table


def _write(directory: Path, parsed: Parsed) -> None:
    """The offers as the published table, the rejections beside them. Raises BadInput rather than overwrite offers."""
    if table_path(directory, OFFERS) is not None:
        raise BadInput("the directory has offers already", file=str(directory), would_do="another directory")
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / f"{OFFERS.name}.csv", canonical_text(OFFERS, parsed.offers).encode())
    replace_file(directory / REJECTED_FILE, parsed.rejected.write_csv().encode())
