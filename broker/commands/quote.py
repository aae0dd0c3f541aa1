"""`gridfare quote`: a firm rate between gates, held for minutes, taken or left."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.client import Gridfare, calls
from broker.commands.buying import (
    Json,
    Kept,
    Project,
    Url,
    Yes,
    agreed,
    bought_for,
    lease_line,
    market_at,
    money,
    plain_table,
    rate,
    say_json,
    terminal,
    when,
)
from broker.commands.demands import read_demands
from broker.services.quotes import QuoteView
from contracts.terms.errors import BadInput
from contracts.terms.quotes import QuoteRequest

EXAMPLE = "hardware=H100-SXM accelerators=8 hours=4"

Wants = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]…", help="What is wanted, by the names of POST /v1/quotes: accelerators=8 hours=4 hardware=H100-SXM …"
    ),
]
Accept = Annotated[bool, typer.Option("--accept", help="Take it, after showing the worst case and asking.")]
Take = Annotated[str | None, typer.Option("--take", metavar="QUOTE", help="Take a quote you hold.")]
Leave = Annotated[
    str | None, typer.Option("--leave", metavar="QUOTE", help="Leave a quote you hold: its accelerators are free for others.")
]
Listed = Annotated[bool, typer.Option("--list", help="Show your quotes.")]


def quote_command(
    wants: Wants = None,
    accept: Accept = False,
    yes: Yes = False,
    take: Take = None,
    leave: Leave = None,
    listed: Listed = False,
    url: Url = None,
    profile: Kept = None,
    json: Json = False,
    project: Project = None,
) -> None:
    """Ask for a firm rate: so many accelerators for so many hours, of one offer or of the cheapest that will do.

    It is held for five minutes, and never past the next gate. The worst case is said in one line before anything is taken.
    Exit code 2: refused, in a sentence that says what would do.

    Example: gridfare quote hardware=H100-SXM accelerators=8 hours=4 tier=standard countries=FR

    Example: gridfare quote hardware=H100-SXM accelerators=8 hours=4 --accept --yes --json
    """
    if sum((bool(wants), take is not None, leave is not None, listed)) != 1:
        raise BadInput("one thing at a time", would_do=f"{EXAMPLE}, --take QUOTE, --leave QUOTE or --list")
    console = terminal()
    with market_at(url, profile) as market:
        if listed:
            _show_all(list(market.every(calls.list_quotes(limit=200))), console, json=json)
        elif leave is not None:
            left = market.send(calls.withdraw_quote(leave))
            say_json(left) if json else console.print(f"Left: {escape(left.quote_id)}. It holds nothing any more.")
        elif take is not None:
            settle_quote(market, market.send(calls.get_quote(take)), yes=yes, json=json)
        else:
            asked = read_demands(bought_for(wants, project), QuoteRequest, example=EXAMPLE)
            quote = market.send(calls.request_quote(asked))
            if accept:
                settle_quote(market, quote, yes=yes, json=json)
            else:
                say_json(quote) if json else show_quote(quote, console)


def show_quote(quote: QuoteView, console: Console) -> None:
    """What is held, until when, and how it is taken."""
    console.print(f"[bold]{escape(quote.worst_case)}[/]")
    minutes = (quote.expires_at - quote.created_at).total_seconds() / 60
    console.print(f"{escape(quote.quote_id)}: offer {escape(quote.offer_id)} of {escape(quote.provider)} at {escape(quote.site)}")
    console.print(f"Held for {minutes:g} minutes, until {when(quote.expires_at)}.  Take it: gridfare quote --take {escape(quote.quote_id)}")


def settle_quote(market: Gridfare, quote: QuoteView, *, yes: bool, json: bool = False) -> None:
    """Show the worst case, ask, and take it. A quote that is not taken stays held until its time is over."""
    console = terminal()
    if not json:
        show_quote(quote, console)
    if not agreed(f"{quote.worst_case}. Take it?", yes=yes):
        console.print("Not taken.")
        return
    lease = market.send(calls.accept_quote(quote.quote_id))
    if json:
        say_json(lease)
    else:
        console.print(f"[bold]Yours:[/] {escape(lease_line(lease))}")
        console.print(f"Watch it: gridfare lease watch {escape(lease.lease_id)}")


def _show_all(quotes: list[QuoteView], console: Console, *, json: bool) -> None:
    if json:
        say_json(quotes)
        return
    if not quotes:
        console.print(f"No quotes yet. Ask for one: gridfare quote {EXAMPLE}")
        return
    table = plain_table(("quote", "state", "class", "tier", "site", "until"), ("accelerators", "rate", "at most"))
    for quote in quotes:
        words = (quote.quote_id, quote.state, quote.hardware, quote.tier, quote.site, when(quote.expires_at))
        most = money(quote.worst_case_micros, quote.currency)
        table.add_row(*(escape(word) for word in words), f"{quote.accelerators:,}", rate(quote.rate_micros), most)
    console.print(table)
