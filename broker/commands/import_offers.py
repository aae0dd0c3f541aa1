"""`gridfare import`: what others publish in, tables of a market out, and a reason for every row left out."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Printed

from broker.feeds.adapters import drop, ecb, gpuhunt, power, skypilot, table
from broker.feeds.adapters.prices import Parsed, Terms
from broker.feeds.adapters.sheet import Unread
from broker.files.market_toml import FILE, read_rules
from broker.files.replacing import replace_file
from broker.files.tables import table_path
from broker.world import hardware_classes
from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketRules
from contracts.terms.tables import OFFERS, ZONES
from pricing.canonical import canonical_text

REJECTED_FILE = "rejected.csv"
SHOWN = 5
HELP = "Bring in what others publish.\n\nExample: gridfare import offers prices.csv --to market"
import_app = typer.Typer(help=HELP, no_args_is_help=True)


class Publisher(StrEnum):
    """Whose columns a file has."""

    TABLE = "table"
    GPUHUNT = "gpuhunt"
    SKYPILOT = "skypilot"
    DROP = "drop"


PARSERS: dict[Publisher, Callable[[bytes, Terms], Parsed]] = {
    Publisher.TABLE: table.parse,
    Publisher.GPUHUNT: gpuhunt.parse,
    Publisher.SKYPILOT: skypilot.parse,
    Publisher.DROP: drop.parse,
}
PriceList = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="What was published; without it gpuhunt and SkyPilot are asked over the network.")
]
From = Annotated[
    Publisher,
    typer.Option(
        "--from", help="table: a table of price lists, CSV or Parquet; gpuhunt or skypilot: a file of theirs; drop: offers in our columns."
    ),
]
Provider = Annotated[str, typer.Option("--provider", help="Whose prices they are: gpuhunt and SkyPilot have a file for each.")]
Target = Annotated[Path | None, typer.Option("--to", metavar="DIR", help=f"Write offers.csv and {REJECTED_FILE} there.")]
Exchange = Annotated[
    list[str] | None,
    typer.Option("--exchange", metavar="CUR=RATE", help="Market currency for one unit of another, e.g. CNY=0.14."),
]
Rates = Annotated[
    Path | None, typer.Option("--rates", metavar="FILE", help="Exchange rates as the ECB publishes them (eurofxref-hist.csv), with --on.")
]
On = Annotated[
    str | None, typer.Option("--on", metavar="DAY", help="The day of the exchange rates; a day without one takes the last before it.")
]
Slots = Annotated[int, typer.Option("--slots", min=1, help=f"Slots the offers hold for; a {FILE} in DIR says better.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Instances taken to be on offer for each price: price lists do not say.")]
Template = Annotated[bool, typer.Option("--template", help="Print a drop to fill in, and do nothing else.")]
PowerFile = Annotated[Path, typer.Argument(metavar="FILE", help="Hours of zones, CSV: zone, utc_hour, price_per_mwh, gco2_per_kwh, …")]
Market = Annotated[
    Path, typer.Option("--to", metavar="DIR", help=f"A market directory: its {FILE} says which hours; zones.csv is written.")
]


@import_app.callback()
def import_command() -> None:
    """Bring in what others publish."""


@import_app.command("offers")
def import_offers_command(
    file: PriceList = None,
    publisher: From = Publisher.TABLE,
    provider: Provider = "",
    to: Target = None,
    exchange: Exchange = None,
    rates: Rates = None,
    on: On = None,
    slots: Slots = 24,
    nodes: Nodes = 1,
    template: Template = False,
) -> None:
    """Turn what others publish into offers; count every price that cannot trade by its reason.

    Every price is either offered or rejected. The columns of each publisher are on the manual's page on adapters.

    Example: gridfare import offers vms.csv --from skypilot --provider lambda --to market --rates eurofxref-hist.csv --on 2026-11-20
    """
    console = Console()
    if template:
        console.print(drop.template(), end="", soft_wrap=True, highlight=False)
        return
    rules = _rules(to)
    currency = rules.currency if rules else "USD"
    terms = Terms(
        hardware=hardware_classes(),
        slots=rules.slots if rules else slots,
        currency=currency,
        exchange=_exchange(exchange or [], rates, on=on, market=currency),
        nodes=nodes,
        provider=provider or (file.stem if file else ""),
    )
    parsed = _parsed(file, publisher, terms=terms)
    if parsed.fault:
        raise BadInput("nothing can be read of it", file=file.name if file else publisher, found=parsed.fault)
    console.print(_counted(parsed))
    if to is not None:
        _write(to, parsed)
        console.print(f"{to}: {parsed.offers.height:,} offers, {parsed.rejected.height:,} prices rejected with their reasons")


@import_app.command("power")
def import_power_command(file: PowerFile, to: Market, exchange: Exchange = None, rates: Rates = None, on: On = None) -> None:
    """Turn hourly energy prices and carbon into the zones of a market.

    Example: gridfare import power hours.csv --to market --exchange EUR=1.08
    """
    rules = read_rules(to)
    if rules.slot_hours != 1:
        raise BadInput("hourly files fit hourly slots", column="slot_hours", found=str(rules.slot_hours), would_do="1.0")
    known = _exchange(exchange or [], rates, on=on, market=rules.currency)
    terms = power.PowerTerms(start=rules.start, slots=rules.slots, currency=rules.currency, exchange=known)
    hours = power.parse(_bytes(file), terms)
    if hours.fault:
        raise BadInput("nothing can be read of it", file=file.name, found=hours.fault)
    if table_path(to, ZONES) is not None:
        raise BadInput("the directory has zones already", file=str(to), would_do="another directory, or take them away first")
    replace_file(to / f"{ZONES.name}.csv", canonical_text(ZONES, hours.zones).encode())
    console = Console()
    console.print(f"{to}: {hours.zones.height:,} hours of {hours.zones['zone'].n_unique():,} zones")
    for zone, slots in hours.missing.items():
        console.print(f"{zone}: nothing of {slots:,} of {rules.slots:,} slots")
    _say(hours.rejected, console)


def _parsed(file: Path | None, publisher: Publisher, *, terms: Terms) -> Parsed:
    if file is not None:
        is_frame = publisher is Publisher.TABLE and file.suffix == ".parquet"
        return table.parse_frame(table.read_frame(file), terms) if is_frame else PARSERS[publisher](_bytes(file), terms)
    if publisher is Publisher.GPUHUNT and terms.provider:
        return gpuhunt.parse_items(gpuhunt.fetch(terms.provider), terms)
    if publisher is Publisher.SKYPILOT and terms.provider:
        return skypilot.parse(skypilot.fetch(terms.provider), terms)
    raise BadInput("there is nothing to read", would_do="a file, or --from gpuhunt or skypilot with --provider")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput("the file cannot be read", file=file.name, found=str(error.strerror)) from error


def _rules(to: Path | None) -> MarketRules | None:
    """The rules of the market the offers are for, if there is one."""
    return None if to is None or not (to / FILE).is_file() else read_rules(to)


def _exchange(given: list[str], rates: Path | None, *, on: str | None, market: str) -> dict[str, Decimal]:
    """Units of the market's currency for one unit of others: what was given counts before what was published."""
    said = dict(_rate(text) for text in given)
    if rates is None:
        return said
    published = ecb.parse(_bytes(rates))
    if published.fault:
        raise BadInput("no exchange rates can be read of it", file=rates.name, found=published.fault)
    return published.exchange(market, _day(on)) | said


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError as error:
        raise BadInput("--rates needs the day they are for", found=text, would_do="--on 2026-11-20") from error


def _rate(text: str) -> tuple[str, Decimal]:
    currency, _, figure = text.partition("=")
    try:
        rate = Decimal(figure)
    except InvalidOperation:
        rate = Decimal(0)
    if len(currency) != 3 or not rate.is_finite() or rate <= 0:
        raise BadInput("--exchange needs a currency and a positive rate", found=text, would_do="CNY=0.14")
    return currency.upper(), rate


def _counted(parsed: Parsed) -> Printed:
    """Prices by outcome; each column adds up to the prices there are."""
    printed = Printed(box=SIMPLE_HEAD, show_footer=True)
    counts = parsed.counts()
    printed.add_column("Outcome", footer="prices in all")
    printed.add_column("On demand", justify="right", footer=f"{parsed.on_demand:,}")
    printed.add_column("Interruptible", justify="right", footer=f"{parsed.interruptible:,}")
    for reason, on_demand, interruptible in counts.iter_rows():
        printed.add_row(reason, f"{on_demand:,}", f"{interruptible:,}")
    return printed


def _say(rejected: list[Unread], console: Console) -> None:
    for row, reason, detail in rejected[:SHOWN]:
        console.print(f"row {row}: {reason} {detail}".rstrip(), markup=False)
    if len(rejected) > SHOWN:
        console.print(f"and {len(rejected) - SHOWN:,} more")


def _write(directory: Path, parsed: Parsed) -> None:
    """The offers as the published table, the rejections beside them. Raises BadInput rather than overwrite offers."""
    if table_path(directory, OFFERS) is not None:
        raise BadInput("the directory has offers already", file=str(directory), would_do="another directory")
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / f"{OFFERS.name}.csv", canonical_text(OFFERS, parsed.offers).encode())
    replace_file(directory / REJECTED_FILE, parsed.rejected.write_csv().encode())
