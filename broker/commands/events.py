"""`gridfare events`: what happens to you, as it happens."""

from itertools import islice
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from broker.client.events import Event
from broker.commands.buying import Json, Kept, Url, market_at, terminal

After = Annotated[str | None, typer.Option("--after", metavar="POSITION", help="Begin where this was heard, a day ago at most.")]
Count = Annotated[int | None, typer.Option("--count", metavar="COUNT", min=1, help="Stop after so many.")]


def events_command(after: After = None, count: Count = None, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """Say what happens as it happens: moves of your leases, quotes that end untaken, cycles that are applied. Ends with Ctrl-C.

    A line that breaks is taken up again, and everything is said once. With --json, one object a line, with its `position`.

    Example: gridfare events --json | while read -r event; do notify-send "$event"; done
    """
    with market_at(url, profile) as market:
        for event in islice(market.listen(after=after), count):
            typer.echo(_line(event)) if json else terminal().print(_words(event))


def _line(event: Event) -> str:
    """The body with its position, on one line."""
    return msgspec.json.encode(msgspec.json.decode(event.body, type=dict[str, object]) | {"position": event.position}).decode()


def _words(event: Event) -> str:
    told = msgspec.json.decode(event.body)
    facts: dict[str, Any] = told["data"]
    if event.kind == "cycle.applied":
        said = f"cycle {facts['number']} is applied: its prices are published"
    elif event.kind == "quote.expired":
        said = f"quote {facts['quote_id']} has ended: {facts['accelerators']:,} {facts['hardware']} are free again"
    else:
        by = f", by {facts['closed_by']}" if facts["closed_by"] else ""
        what = f"{facts['accelerators']:,} {facts['hardware']} at {facts['site']}"
        said = f"lease {facts['lease_id']} {facts['state']} ({what}){by}: {facts['reason']}"
    return f"{told['timestamp']}  {escape(said)}"
