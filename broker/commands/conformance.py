"""`gridfare conformance`: the feed's two sides against every clause of its specification."""

import typer
from rich.console import Console
from rich.markup import escape

from broker.feeds.protocol.card import report_card
from broker.feeds.protocol.stage import Sides

NOT_CONFORMING = 3


def conformance_command() -> None:
    """Run our provider and our broker through every clause of the feed protocol; a line a clause.

    Exit code 0 only if every clause is kept, 3 otherwise. The clauses are those of the manual's page on the protocol.

    Example: gridfare conformance
    """
    console = Console(soft_wrap=True, highlight=False)
    card = report_card(Sides())
    for mark in card:
        verdict = "[bold red]BROKEN[/]" if mark.found else "[green]kept[/]  "
        console.print(f"{verdict}  {mark.part:<8}  {mark.name.replace('_', ' '):<36} {escape(mark.found or mark.law)}")
    broken = sum(bool(mark.found) for mark in card)
    if broken:
        console.print(f"[bold red]{broken} of {len(card)} clauses are not kept.[/]")
        raise typer.Exit(NOT_CONFORMING)
    console.print(f"All {len(card)} clauses are kept.")
