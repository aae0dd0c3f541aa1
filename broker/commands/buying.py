"""What the commands of a buyer share: which broker, in which words its answers are shown, and what is asked before money moves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from broker.client import Gridfare
from broker.client.profiles import choose, read_profiles, read_settings
from broker.services.views import LeaseView
from contracts.terms.errors import BadInput
from contracts.terms.money import half_up, micros_text

WIDTH = 180
PAUSES = (0.2, 0.6, 1.2)
HOUR_SECONDS = 3600

Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the broker; else GRIDFARE_URL, else the one last signed in to.")
]
Kept = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="A broker kept by `gridfare login`, by its name.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with what the broker said, as JSON.")]
Project = Annotated[str | None, typer.Option("--project", metavar="NAME", help="Whose spend it is, by name or id; else the default's.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money moves.")]


@contextmanager
def market_at(url: str | None, profile: str | None) -> Iterator[Gridfare]:
    """The broker that was meant, with the key to it. Raises BadInput and NotFound for one nobody knows."""
    settings = read_settings(os.environ)
    chosen = choose(settings, read_profiles(settings.file), url=url, name=profile)
    with Gridfare(chosen.url, key=chosen.key, pauses=PAUSES) as market:
        yield market


def terminal() -> Console:
    """Standard output; a file or a pipe is as wide as the tables are."""
    plain = Console(soft_wrap=True, highlight=False)
    return plain if plain.is_terminal else Console(soft_wrap=True, highlight=False, width=WIDTH)


def say_json(found: object) -> None:
    """Write an answer to standard output as JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on: asked on standard error, so that the answer alone is on the other. Raises BadInput where nobody can say."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadInput("money would move, and nobody is there to be asked", would_do="--yes")
    return typer.confirm(question, err=True)


def plain_table(words: tuple[str, ...], figures: tuple[str, ...] = ()) -> Table:
    """A table without lines: columns of words, then of figures. Where room is short the words fold; never the first, which is an id."""
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for heading in words:
        table.add_column(heading, no_wrap=heading == words[0], overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def money(micros: int, currency: str = "") -> str:
    """An amount for people: two decimals, thousands apart."""
    whole, _, part = micros_text(abs(micros), places=2).partition(".")
    return f"{'-' if micros < 0 else ''}{int(whole):,}.{part} {currency}".strip()


def when(moment: datetime) -> str:
    """A moment for people, to the minute; UTC, as the `Z` says."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def rate(micros: int) -> str:
    """A rate for people: four decimals."""
    return micros_text(micros, places=4)


def hours(seconds: int) -> str:
    """Accelerator-seconds as accelerator-hours for people."""
    return f"{seconds / HOUR_SECONDS:,.2f}"


def leased_seconds(lease: LeaseView) -> int:
    """Accelerator-seconds a lease holds in all its slots."""
    return sum(slot.quantity * int((slot.end - slot.start).total_seconds()) for slot in lease.slots)


def cost_micros(lease: LeaseView) -> int:
    """What its slots come to at their rates, without fee and tax."""
    return half_up(
        sum(slot.quantity * slot.rate_micros * int((slot.end - slot.start).total_seconds()) for slot in lease.slots), HOUR_SECONDS
    )


def lease_line(lease: LeaseView) -> str:
    """A lease in one line."""
    quantity = max((slot.quantity for slot in lease.slots), default=0)
    span = f"{when(lease.starts_at)} to {when(lease.ends_at)}"
    return f"{lease.lease_id}: {quantity:,} {lease.hardware} ({lease.tier}) at {lease.site}, {span}, {lease.state}"


def bought_for(wants: list[str] | None, project: str | None) -> list[str]:
    """What is wanted, and for which project, as demands."""
    return [*(wants or []), *([f"project={project}"] if project is not None else [])]
