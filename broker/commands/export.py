"""`gridfare export`: a close in, files of one format out."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.settlement_files import read_settled, replace_file
from contracts.exports import FORMATS, LATER, export

Closed = Annotated[Path, typer.Argument(metavar="OUT", help="Directory written by `gridfare settle`.")]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}; later {', '.join(LATER)}.")]
Target = Annotated[Path, typer.Option("--to", metavar="DIR", help="Directory the files are written to.")]


def export_command(out: Closed, format: Format, to: Target) -> None:
    """Export a close: FOCUS for cost tools, Beancount for accountants, statements for people.

    An export is a function of the close alone: run it twice and the files are the same, byte for byte.

    Example: gridfare export closed --format focus --to focus
    """
    files = export(read_settled(out), format)
    to.mkdir(parents=True, exist_ok=True)
    console = Console()
    for name, content in files.items():
        replace_file(to / name, content)
        console.print(f"{to / name}  {len(content):,} bytes")
