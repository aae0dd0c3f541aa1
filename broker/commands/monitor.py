"""`gridfare monitor`: who could move the prices of a clearing, and whether they are where competition would have them."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.commands.cleared import Directory, Json, Result, read_run, say_json, teller, terminals
from pricing.questions.monitor import MonitorReport, Thresholds, monitor
from pricing.questions.tally import amount, change

ALARM = 4

Providers = Annotated[int, typer.Option("--providers", min=0, help="Clear without each of so many, those who sold most.")]
Strict = Annotated[bool, typer.Option("--strict", help=f"Exit with {ALARM} when a threshold is passed.")]


def monitor_command(
    directory: Directory, out: Result = None, *, providers: Providers = 10, json: Json = False, strict: Strict = False
) -> None:
    """Watch a clearing for market power: pivotal providers, concentration, rates above reference, accelerators held out.

    The market is cleared once with every rate at most its class's reference, and once without each of the largest sellers.
    Exit code 4 with --strict: a threshold is passed.

    Example: gridfare monitor market result --providers 5
    """
    console, errors = terminals()
    tell = teller(errors)
    found = monitor(read_run(directory, out, tell=tell), providers_most=providers, progress=tell)
    say_json(found) if json else _show(found, console)
    if strict and found.findings:
        raise typer.Exit(ALARM)


def _show(found: MonitorReport, console: Console) -> None:
    console.print(escape(found.text))
    console.print(_classes(found))
    console.print(_providers(found))
    console.print(_looked_for(found.thresholds))
    lost = f"{amount(found.impact_micros)} {found.currency}"
    told = f"Were the reference rates what it costs to provide, rates above them would lose the market {lost}"
    console.print(f"{told}; {found.unsold_below_hours:,g} hours stayed unsold below their pool's price.")
    if found.approximate:
        console.print("[yellow]The clearing was approximate:[/] differences of the size of its gap say nothing.")


def _looked_for(limits: Thresholds) -> str:
    pivotal, impact, withheld = (f"{float(share):.0%}" for share in (limits.pivotal, limits.impact, limits.withheld))
    return (
        f"Looked for: an index above {limits.concentration:,}; more than {pivotal} of the hours unserved without a provider; "
        f"prices {impact} above those at reference rates; more than {withheld} of a provider's hours unsold "
        f"at over {float(limits.conduct):g} times the reference, or kept out of slots priced above its rate."
    )


def _classes(found: MonitorReport) -> Table:
    table = Table(box=SIMPLE_HEAD, title=f"Classes, {found.currency} per accelerator-hour", title_justify="left")
    table.add_column("Hardware", no_wrap=True)
    for name in ("Providers", "Offered", "Sold", "Index sold", "Reference", "Mean", "At reference", "Impact"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in (each for each in found.classes if each.sold_hours):
        rates = (amount(micros, places=4) for micros in (each.reference_micros, each.mean_micros, each.at_reference_micros))
        hours = (f"{each.offered_hours:,g}", f"{each.sold_hours:,g}")
        moved = change(each.at_reference_micros, each.mean_micros) or "-"
        table.add_row(each.hardware, f"{each.providers}", *hours, f"{each.sold_index:,}", *rates, moved)
    return table


def _providers(found: MonitorReport) -> Table:
    title = f"Providers: the market cleared without {found.examined} of {len(found.providers)}, {found.currency}"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("Provider", overflow="fold")
    for name in ("Offered", "Sold", "Received", "Hours lost", "Welfare lost", "Prices", "Dear unsold", "Kept out"):
        table.add_column(name, justify="right", no_wrap=True)
    for look in (look for look in found.providers if look.sold_hours or look.dear_hours or look.withheld_hours):
        without = (
            "-" if look.lost_hours is None else f"{look.lost_hours:,g}",
            amount(look.welfare_micros),
            "-" if look.price_change is None else f"{look.price_change:+d} %",
        )
        hours = (f"{look.offered_hours:,g}", f"{look.sold_hours:,g}")
        kept = (f"{look.dear_hours:,g}", f"{look.withheld_hours:,g}")
        table.add_row(escape(look.provider), *hours, amount(look.received_micros), *without, *kept)
    return table
