"""`gridfare export`: a close in, files of one format out."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.files.replacing import replace_file
from broker.files.settlement import read_settled
from broker.files.statement_pdf import statement_pdfs
from contracts.close import PERIOD_TABLES, table_hash
from contracts.exports import FORMATS, export
from contracts.exports.focus_versions import VERSIONS
from contracts.statements import SettledBook

NOT_RECONCILED = 3
PAPER = "statements"

Closed = Annotated[Path, typer.Argument(metavar="OUT", help="Directory written by `gridfare settle`.")]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}.")]
Target = Annotated[Path, typer.Option("--to", metavar="DIR", help="Directory the files are written to.")]
Version = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help=f"Of focus: {', '.join(VERSIONS)}; {VERSIONS[0]} unless said.")
]


def export_command(out: Closed, format: Format, to: Target, version: Version = None) -> None:
    """Export a close: FOCUS for cost tools, Beancount and hledger for accountants, pain.001 for banks, UBL for buyers.

    Statements come as pages of text, and each as a PDF.

    An export is a function of the close alone: run it twice and the files are the same, byte for byte. Exit code 2:
    the close cannot be read, or lacks what the format must say; 3: it does not add up, and nothing is written.

    Example: gridfare export closed --format focus --to focus
    """
    settled = read_settled(out)
    _add_up(settled)
    files = export(settled, format, version=version)
    to.mkdir(parents=True, exist_ok=True)
    console = Console()
    for name, content in files.items():
        replace_file(to / name, content)
        console.print(f"{to / name}  {len(content):,} bytes")
    if format == PAPER:
        printed = 0
        for name, content in statement_pdfs(settled):
            replace_file(to / name, content)
            printed += 1
        console.print(f"{printed:,} statements as PDF in {to}")
    if not files:
        console.print(f"Nothing to write: the close has nothing that {format} would say.")


def _add_up(settled: SettledBook) -> None:
    """Leave with exit code 3 where a reconciliation failed or a table was changed since: bills and payments would carry it on."""
    record = settled.record
    off = [f"{line.name} (by {line.difference})" for line in record.reconciliations if line.difference]
    changed = [table.name for table in PERIOD_TABLES if table_hash(table, getattr(settled, table.name)) != record.outputs.get(table.name)]
    off += [f"{name} is not the table its close record has the hash of" for name in changed]
    if off:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"[red]The close does not add up, and is not exported:[/] {'; '.join(off)}")
        raise typer.Exit(NOT_RECONCILED)
