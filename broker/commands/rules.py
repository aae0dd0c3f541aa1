"""`gridfare rules`: what each clause costs the buyers who insist on it, and the market."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.commands.cleared import Directory, Json, Result, read_run, say_json, teller, terminals
from pricing.questions.rules_cost import RulesCost, rules_cost
from pricing.questions.tally import amount, change, counted

Bid = Annotated[str | None, typer.Option("--bid", metavar="BID_ID", help="The clauses of one bid alone.")]


def rules_command(directory: Directory, out: Result = None, *, bid: Bid = None, json: Json = False) -> None:
    """Clear the market again without each sovereignty, export, trust, latency and carbon clause in use: its shadow price.

    Example: gridfare rules market result --bid bid_delta-video-serve
    """
    console, errors = terminals()
    tell = teller(errors)
    found = rules_cost(read_run(directory, out, tell=tell), bid_id=bid, progress=tell)
    say_json(found) if json else _show(found, console)


def _show(found: RulesCost, console: Console) -> None:
    console.print(escape(found.text))
    if found.rules:
        table = Table(box=SIMPLE_HEAD, title=f"What clauses cost, {found.currency}", title_justify="left")
        table.add_column("Clause", no_wrap=True)
        for name in ("Bids", "Buyers", "Market", "Hours", "Without", "Price", "Payments"):
            table.add_column(name, justify="right", no_wrap=True)
        for cost in found.rules:
            hours = (f"{cost.before.hours:,g}", f"{cost.after.hours:,g}")
            price = change(cost.after.all_in_micros, cost.before.all_in_micros) or "-"
            buyers, market, less = (amount(micros) for micros in (cost.buyers_micros, cost.market_micros, -cost.payments_micros))
            table.add_row(cost.clause, f"{cost.users:,}", buyers, market, *hours, price, less)
        console.print(table)
        console.print(
            "Buyers: what they would gain without the clause. Market: the welfare it costs. Without: hours they would get. "
            "Price: all-in per reference hour, with the clause against without. "
            "Payments: what all buyers together would pay more without it."
        )
    if found.providers_clauses:
        kept = f"{counted(found.providers_clauses, 'offer')} say themselves whom they are open or closed to"
        console.print(f"{kept}: those clauses are the providers' to give up, and stay.")
    if found.approximate:
        console.print("[yellow]A clearing was approximate:[/] differences of the size of its gap say nothing.")
