"""`gridfare outage`: a site is lost; who would be hit, who finds another place, at what cost."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.commands.cleared import Directory, Json, Result, read_run, say_json, teller, terminals
from pricing.questions.outage import Loser, Outage, outage
from pricing.questions.tally import amount

STRANDED = 4
SITES_SHOWN = 3

Site = Annotated[str, typer.Argument(metavar="SITE", help="The site that is lost, whole.")]
SlotFirst = Annotated[int, typer.Option("--slot-first", min=0, help="The first slot it is lost in.")]
Strict = Annotated[bool, typer.Option("--strict", help=f"Exit with {STRANDED} when somebody finds nothing at all.")]


def outage_command(
    site: Site, directory: Directory, out: Result = None, *, slot_first: SlotFirst = 0, json: Json = False, strict: Strict = False
) -> None:
    """Lose a site: list who holds what there by tier, and clear it again elsewhere, guaranteed first, at no more than the old rate.

    Exit code 2: a file cannot stand, or no offer is at the site; 4 with --strict: somebody finds nothing at all.

    Example: gridfare outage cn-horinger market result
    """
    console, errors = terminals()
    tell = teller(errors)
    found = outage(read_run(directory, out, tell=tell), site, slot_first=slot_first, progress=tell)
    say_json(found) if json else _show(found, console)
    if strict and found.stranded:
        raise typer.Exit(STRANDED)


def _show(found: Outage, console: Console) -> None:
    console.print(escape(found.text))
    if not found.losers:
        return
    table = Table(box=SIMPLE_HEAD, title=f"Hours are accelerator-hours, amounts {found.currency}", title_justify="left")
    for name in ("Tier", "Holder"):
        table.add_column(name, overflow="fold")
    for name in ("Lost", "Found", "Work", "Paid", "Again", "Credit on"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Where", overflow="fold")
    for loser in found.losers:
        table.add_row(*_row(loser))
    console.print(table)


def _row(loser: Loser) -> tuple[str, ...]:
    shown = ", ".join(loser.sites[:SITES_SHOWN]) + (f" +{len(loser.sites) - SITES_SHOWN}" if len(loser.sites) > SITES_SHOWN else "")
    work = f"{loser.reference_replaced / loser.reference_hours:.0%}" if loser.reference_hours else "-"
    old, new, credit = (amount(micros) for micros in (loser.old_micros, loser.new_micros, loser.credit_base_micros))
    who = loser.holder if loser.kind == "award" else f"lease {loser.holder}"
    return loser.tier, escape(who), f"{loser.hours:,g}", f"{loser.replaced:,g}", work, old, new, credit, escape(shown or "nowhere")
