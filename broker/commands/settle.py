"""`gridfare settle`: a settlement directory in, a close out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from broker.commands.watching import watched
from broker.files.kept import keep_tables
from broker.files.settlement import read_previous, read_settlement, write_settlement
from contracts.close import CloseRecord, PreviousClose, close_record
from contracts.settlement import Settlement
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT, micros_text

NOT_RECONCILED = 3

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory with usage, leases, accounts, hardware, plans, periods.")]
Out = Annotated[Path, typer.Option("--out", metavar="OUT", help="Directory the close is written to.")]
AsOf = Annotated[int | None, typer.Option("--as-of", metavar="K", help="Settle periods 1 to K; all of them by default.")]
Previous = Annotated[
    Path | None,
    typer.Option("--previous", metavar="OUT", help="An earlier close: its periods must be unchanged, and its hash is chained."),
]

Remember = Annotated[
    bool, typer.Option("--remember", help="Keep beside OUT what the next close, given --previous OUT, need not read again.")
]


def settle_command(directory: Directory, out: Out, as_of: AsOf = None, previous: Previous = None, remember: Remember = False) -> None:
    """Settle metered usage into invoices, postings and payouts.

    Every period bills what is known at its close less what was billed before. Exit code 2: a file, row or column
    cannot stand; 3: settled, but something does not add up (written and marked, not to be applied).

    Usage that grows is best kept as a folder `usage` of Parquet files: a close that remembers spares the next one those it has read.

    Example: gridfare settle month --out may --as-of 5 --remember, then gridfare settle month --out june --previous may
    """
    reading = read_settlement(directory, previous=previous)
    earlier = read_previous(previous) if previous else None
    with watched() as progress:
        settlement = reading.settle(as_of=as_of, progress=progress, remember=out if remember else None, previous=earlier)
    _in_order(earlier, settlement)
    record = close_record(settlement, inputs=reading.inputs, previous=earlier)
    write_settlement(out, settlement, record=record, copied=reading.copied)
    if remember:
        keep_tables(out, settlement, record=record, book=reading.book)
    warnings = Console(stderr=True)
    for warning in reading.warnings:
        warnings.print(f"[yellow]left out:[/] {warning}")
    console = Console()
    console.print(_periods(settlement))
    console.print(_checks(record))
    console.print(f"Close {record.hash[:16]}… of periods 1 to {record.as_of} is in {out}")
    if not record.holds:
        warnings.print("[red]The close does not add up:[/] it is written and marked, and must not be applied.")
        raise typer.Exit(NOT_RECONCILED)


def _in_order(earlier: PreviousClose | None, settlement: Settlement) -> None:
    if earlier and earlier.record.as_of >= settlement.as_of:
        raise BadInput(
            f"the close given to --previous is of period {earlier.record.as_of}, which is not before period {settlement.as_of}",
            file="close.json",
            found=earlier.record.as_of,
            would_do=f"a close of period {settlement.as_of - 1} or earlier",
        )


def _periods(settlement: Settlement) -> Table:
    """What each period bills and pays out, one row a period and currency."""
    table = Table(title="Settled", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("Period", "Currency", "Invoices", "Lines", "Subtotal", "Tax", "Payable", "Payouts"):
        table.add_column(name, justify="left" if name == "Currency" else "right", no_wrap=True)
    for row in _period_rows(settlement):
        table.add_row(*row)
    return table


def _period_rows(settlement: Settlement) -> Iterator[tuple[str, ...]]:
    lines = settlement.lines.group_by("account_id", "period").len("lines")
    wide = settlement.invoices.join(lines, on=["account_id", "period"], how="left").with_columns(
        pl.col("subtotal_micros", "tax_micros", "payable_cents").cast(pl.Int128)
    )
    sums = wide.group_by("period", "currency").agg(
        pl.len().alias("invoices"), pl.col("lines").sum(), pl.col("subtotal_micros", "tax_micros", "payable_cents").sum()
    )
    paid = settlement.payouts.group_by("period", "currency").agg(pl.col("net_micros").cast(pl.Int128).sum())
    rows = sums.join(paid, on=["period", "currency"], how="left").sort("period", "currency")
    for period, currency, invoices, count, subtotal, tax, payable, net in rows.iter_rows():
        yield (
            str(period),
            currency,
            str(invoices),
            str(count),
            micros_text(subtotal, places=2),
            micros_text(tax, places=2),
            micros_text(payable * MICROS_PER_CENT, places=2),
            micros_text(net or 0, places=2),
        )


def _checks(record: CloseRecord) -> Table:
    """Every reconciliation with its difference, and the counts of the usage."""
    table = Table(title="Reconciliations", box=SIMPLE_HEAD)
    table.add_column("What must agree")
    table.add_column("Difference", justify="right")
    for line in record.reconciliations:
        table.add_row(line.name, f"[red]{line.difference}[/]" if line.difference else "0")
    table.add_section()
    for name in record.counts.__struct_fields__:
        table.add_row(name.replace("_", " "), str(getattr(record.counts, name)))
    return table
