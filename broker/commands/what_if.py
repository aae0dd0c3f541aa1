"""`gridfare what-if`: one bid, had it asked otherwise."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.commands.cleared import Directory, Json, Result, read_run, say_json, teller, terminals
from contracts.terms.errors import BadInput
from contracts.terms.tables import TIERS
from pricing.questions.tally import amount, change
from pricing.questions.what_if import Otherwise, WhatIf, usual_ways, what_if

BidId = Annotated[str, typer.Argument(metavar="BID_ID", help="A bid of the market.")]
Later = Annotated[int, typer.Option("--later", metavar="SLOTS", help="Its window so many slots later; negative is earlier.")]
Tier = Annotated[str | None, typer.Option("--tier", metavar="TIER", help="Only this tier: guaranteed, standard or spot.")]
Country = Annotated[list[str] | None, typer.Option("--country", metavar="CODE", help="Sites in this country; repeat for more.")]
Anywhere = Annotated[bool, typer.Option("--anywhere", help="Sites in any country.")]
Hardware = Annotated[str | None, typer.Option("--hardware", metavar="CLASS", help="Only this class of those it names.")]
Carbon = Annotated[int | None, typer.Option("--carbon", metavar="MICROS", min=0, help="Pay so much to avoid a kilogram of carbon.")]
Width = Annotated[int | None, typer.Option("--width", min=1, help="So many accelerators at once.")]


def what_if_command(
    directory: Directory, bid_id: BidId, out: Result = None, *, later: Later = 0, tier: Tier = None, country: Country = None,
    anywhere: Anywhere = False, hardware: Hardware = None, carbon: Carbon = None, width: Width = None, json: Json = False,
) -> None:  # fmt: skip
    """Clear the market again with one bid changed; without a change, once for each change worth trying.

    Example: gridfare what-if market bid_aurora-film-denoise --later 6 --tier spot
    """
    if tier is not None and tier not in TIERS:
        raise BadInput("--tier names no tier", found=tier, would_do=", ".join(TIERS))
    if anywhere and country:
        raise BadInput("--anywhere and --country cannot both be", would_do="one of them")
    countries = () if anywhere else tuple(country) if country else None
    way = Otherwise(later=later, tier=tier, countries=countries, hardware=hardware, carbon_micros_per_kg=carbon, width=width)
    console, errors = terminals()
    tell = teller(errors)
    base = read_run(directory, out, tell=tell)
    ways = usual_ways(base.book, bid_id) if way == Otherwise() else (way,)
    found = what_if(base, bid_id, otherwise=ways, progress=tell)
    say_json(found) if json else _show(found, console)


def _show(found: WhatIf, console: Console) -> None:
    console.print(escape(found.text))
    table = Table(box=SIMPLE_HEAD, title=f"Bid {escape(found.bid_id)}, {found.currency} all-in per reference hour", title_justify="left")
    table.add_column("Had it asked", overflow="fold")
    table.add_column("Status")
    for name in ("Hours", "Price", "Change", "Carbon, kg", "Gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for words, status, tally in [
        ("as it is", found.status, found.before),
        *((way.words, way.status, way.after) for way in found.otherwise),
    ]:
        moved = change(found.before.all_in_micros, tally.all_in_micros) if words != "as it is" else ""
        price, gain = amount(tally.all_in_micros, places=4), amount(tally.gain_micros)
        table.add_row(words, status, f"{tally.hours:,g}", price, moved, f"{tally.carbon_kg:,.1f}", gain)
    console.print(table)
