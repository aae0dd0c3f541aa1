"""`gridfare statements`: what closed months came to."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.client import calls
from broker.commands.buying import Json, Kept, Url, hours, market_at, money, plain_table, say_json, terminal
from broker.files.replacing import replace_file
from broker.services.views import StatementView
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.time import iso

Period = Annotated[int | None, typer.Argument(metavar="[PERIOD]", min=1, help="Number of a period, for its lines.")]
Pdf = Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write the statement of PERIOD as it is printed.")]


def statements_command(period: Period = None, pdf: Pdf = None, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """Your statements; with a period, its lines.

    Example: gridfare statements 1 --pdf march.pdf
    """
    if pdf is not None and period is None:
        raise BadInput("one statement is printed at a time", would_do="gridfare statements PERIOD --pdf FILE")
    console = terminal()
    with market_at(url, profile) as market:
        if period is None:
            found = list(market.every(calls.list_statements()))
            say_json(found) if json else _show_all(found, console)
            return
        if pdf is not None:
            replace_file(pdf, market.send(calls.get_statement_pdf(period)))
        statement = market.send(calls.get_statement(period))
    if json:
        say_json(statement)
        return
    _show(statement, console)
    if pdf is not None:
        console.print(f"Written to {escape(str(pdf))}.")


def _show_all(found: list[StatementView], console: Console) -> None:
    if not found:
        console.print("No statements yet: the first comes when a month is closed.")
        return
    table = plain_table(("period", "month", "account"), ("before tax", "tax", "payable", "currency"))
    for each in found:
        amounts = (_cents(cents) for cents in (each.subtotal_cents, each.tax_cents, each.payable_cents))
        table.add_row(str(each.period), iso(each.month_start)[:7], escape(each.account_name), *amounts, each.currency)
    console.print(table)


def _show(statement: StatementView, console: Console) -> None:
    table = plain_table((f"{statement.account_name}, period {statement.period}",), ("accelerator-hours", statement.currency))
    for line in statement.lines:
        quantity = hours(line.quantity_seconds) if line.quantity_seconds else ""
        table.add_row(escape(f"{line.kind} {line.hardware or ''}".strip()), quantity, _cents(line.amount_cents))
    table.add_section()
    table.add_row("before tax", "", _cents(statement.subtotal_cents))
    table.add_row("tax", "", _cents(statement.tax_cents))
    table.add_row("payable", "", _cents(statement.payable_cents), style="bold")
    console.print(table)


def _cents(amount: int) -> str:
    return money(amount * MICROS_PER_CENT)
