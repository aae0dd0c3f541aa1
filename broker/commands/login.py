"""`gridfare login`: keep the address of a broker and the key to it."""

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.client import Gridfare, calls
from broker.client.profiles import HERE, Profile, Profiles, read_profiles, read_settings, write_profiles
from broker.commands.buying import PAUSES, plain_table, say_json, terminal

Url = Annotated[str, typer.Argument(metavar="[URL]", help="Address of the broker.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="The API key; asked for, without showing it, when not given.")]
Name = Annotated[str, typer.Option("--profile", metavar="NAME", help="Name to keep it under.")]
Known = Annotated[bool, typer.Option("--list", help="Show the brokers that are kept; no key is shown.")]
Forget = Annotated[bool, typer.Option("--forget", help="Forget the broker kept under --profile.")]
Json = Annotated[bool, typer.Option("--json", help="With --list: answer as JSON.")]


def login_command(
    url: Url = HERE, key: Key = None, name: Name = "default", known: Known = False, forget: Forget = False, json: Json = False
) -> None:
    """Sign in to a broker: the key is tried once and kept in a file only you may read.

    GRIDFARE_URL and GRIDFARE_KEY in the environment do without the file. Exit code 2: the broker does not know the key.

    Example: gridfare login https://market.example.org --profile work
    """
    file = read_settings(os.environ).file
    kept = read_profiles(file)
    console = terminal()
    if known:
        _show(kept, console, json=json)
    elif forget:
        write_profiles(file, kept.without(name))
        console.print(f"Forgotten: {escape(name)}. The key itself still works; have the broker revoke it if others saw it.")
    else:
        given = key if key is not None else typer.prompt("API key", hide_input=True, err=True)
        with Gridfare(url, key=given, pauses=PAUSES) as market:
            market.send(calls.list_leases(limit=1))
        write_profiles(file, kept.with_profile(name, Profile(url=url, key=given)))
        console.print(f"Signed in to {escape(url)}, kept as {escape(name)} in {escape(str(file))}.")


def _show(kept: Profiles, console: Console, *, json: bool) -> None:
    rows = [(name, each.url, "yes" if name == kept.current else "") for name, each in sorted(kept.known.items())]
    if json:
        say_json([{"profile": name, "url": url, "current": bool(used)} for name, url, used in rows])
        return
    if not rows:
        console.print("No broker is kept yet. `gridfare login URL` keeps one.")
        return
    table = plain_table(("profile", "address", "used unless another is named"))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
