"""`gridfare verify`: a market directory and a result in, a verdict out; no solver is asked."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.files.market import market_file_hashes, read_market_aloud, read_result
from pricing.certificate import verify

NOT_CERTIFIED = 3

verify_app = typer.Typer(add_completion=False, rich_markup_mode="rich")

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Market directory the result was cleared from.")]
Result = Annotated[Path, typer.Argument(metavar="OUT", help="Directory written by `gridfare clear`.")]


@verify_app.command("verify")
def verify_command(directory: Directory, out: Result) -> None:
    """Check a result against its market: every award, price, charge and receipt, and that no clearing could do better.

    A line a check. Exit code 0 only if every check holds; 3 if one does not; 2 if a file cannot be read.

    Example: gridfare verify market result
    """
    result = read_result(out)
    book = read_market_aloud(directory).book
    certificate = verify(book, result.clearing, stored=result.certificate, files=market_file_hashes(directory))
    console = Console(soft_wrap=True, highlight=False)
    for check in certificate.checks:
        mark = "[green]holds[/]" if check.holds else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check.name:<17} {escape(check.finding)}")
    if not certificate.holds:
        console.print("[bold red]The result must not be applied.[/]")
        raise typer.Exit(NOT_CERTIFIED)
    console.print("Every check holds.")
