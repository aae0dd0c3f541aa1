"""`gridfare lease`: what you hold, longer, shorter, and as it is delivered."""

import time
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from broker.client import calls
from broker.commands.buying import (
    Json,
    Kept,
    Url,
    Yes,
    agreed,
    cost_micros,
    hours,
    lease_line,
    leased_seconds,
    market_at,
    money,
    plain_table,
    rate,
    say_json,
    terminal,
    when,
)
from broker.commands.demands import read_demands
from broker.commands.quote import settle_quote, show_quote
from broker.services.views import LeaseView
from contracts.resale import ResaleRequest
from contracts.terms.errors import BadInput

ENDED_EARLY = 5
DONE = ("completed", "released")
BROKEN = ("failed", "reclaimed")
LOOKS = 3
RESALE = "rate=2.50 accelerators=4"

Id = Annotated[str, typer.Argument(metavar="LEASE", help="Id of a lease; `gridfare lease list` shows yours.")]
Hours = Annotated[float, typer.Argument(metavar="HOURS", help="How much longer, a whole number of slots.")]
Accept = Annotated[bool, typer.Option("--accept", help="Take the quote, after showing the worst case and asking.")]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to look.")]
Looks = Annotated[int | None, typer.Option("--looks", metavar="COUNT", min=1, help="Stop after so many looks, though it goes on.")]

Part = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="What to offer, by the names of the API: rate=2.50 accelerators=4 …")
]
Back = Annotated[bool, typer.Option("--withdraw", help="Take back what has not been sold.")]

lease_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Leases: what a bid won or a quote became.

    Exit code 2: refused, with a remedy. `watch` ends with 0 when the lease was delivered to its end or given up by you, and with
    5 when its provider or the network ended it.

    Example: gridfare lease list && gridfare lease watch lse_01
    """,
)


@lease_app.command("list")
def list_command(url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """Your leases."""
    with market_at(url, profile) as market:
        leases = list(market.every(calls.list_leases(limit=200)))
    if json:
        say_json(leases)
        return
    console = terminal()
    if not leases:
        console.print("No leases yet. `gridfare quote` and `gridfare bid` are the ways to one.")
        return
    table = plain_table(("lease", "state", "class", "tier", "site", "from", "to"), ("accelerators", "delivered", "of hours"))
    for lease in leases:
        words = (lease.lease_id, lease.state, lease.hardware, lease.tier, lease.site, when(lease.starts_at), when(lease.ends_at))
        quantity = max((slot.quantity for slot in lease.slots), default=0)
        table.add_row(*(escape(word) for word in words), f"{quantity:,}", hours(lease.delivered_seconds), hours(leased_seconds(lease)))
    console.print(table)


@lease_app.command("show")
def show_command(lease: Id, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """One lease, slot by slot."""
    with market_at(url, profile) as market:
        found = market.send(calls.get_lease(lease))
    if json:
        say_json(found)
        return
    console = terminal()
    console.print(f"[bold]{escape(lease_line(found))}[/]")
    console.print(
        f"of {escape(found.provider)}; {hours(found.delivered_seconds)} of {hours(leased_seconds(found))} accelerator-hours delivered"
    )
    if found.closed_by:
        console.print(f"ended by {found.closed_by}: {escape(found.close_reason or 'without a reason')}")
    table = plain_table(("from", "to"), ("accelerators", "rate"))
    for slot in found.slots:
        table.add_row(when(slot.start), when(slot.end), f"{slot.quantity:,}", rate(slot.rate_micros))
    console.print(table)
    console.print(f"At these rates {money(cost_micros(found))} in all, before fee and tax.")


@lease_app.command("access")
def access_command(lease: Id, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """Where a lease is reached and the token that is let in there. The token is as good as the lease: keep it to yourself.

    Example: gridfare lease access lse_01 --json
    """
    with market_at(url, profile) as market:
        access = market.send(calls.get_lease_access(lease))
    if json:
        say_json(access)
        return
    console = terminal()
    console.print(f"{access.protocol} at {escape(access.endpoint)}, until {when(access.valid_until)}")
    console.print(f"token {escape(access.token)}")
    if access.protocol == "jobs":
        console.print(f"Run something: gridfare submit {escape(access.lease_id)} -- python -c 'print(1)'")


@lease_app.command("extend")
def extend_command(
    lease: Id, more: Hours, accept: Accept = False, yes: Yes = False, url: Url = None, profile: Kept = None, json: Json = False
) -> None:
    """A quote for more hours from the lease's end on. Taken, it is the same lease, longer.

    Example: gridfare lease extend lse_01 2 --accept
    """
    with market_at(url, profile) as market:
        quote = market.send(calls.extend_lease(lease, more))
        if accept:
            settle_quote(market, quote, yes=yes, json=json)
        else:
            say_json(quote) if json else show_quote(quote, terminal())


@lease_app.command("release")
def release_command(lease: Id, yes: Yes = False, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """Give up the slots that have not begun. The slot under way is paid."""
    console = terminal()
    with market_at(url, profile) as market:
        held = market.send(calls.get_lease(lease))
        if not agreed(f"{lease_line(held)}. Give up what has not begun?", yes=yes):
            console.print("Kept.")
            return
        left = market.send(calls.release_lease(lease))
    say_json(left) if json else console.print(f"Released: {escape(lease_line(left))}")


@lease_app.command("resell")
def resell_command(
    lease: Id, wants: Part = None, back: Back = False, yes: Yes = False, url: Url = None, profile: Kept = None, json: Json = False
) -> None:
    """Offer what has not begun to others, at the next gates and for quotes, or take back what has not been sold.

    You go on paying your own rate; what it fetches pays your statements.

    Example: gridfare lease resell lse_01 rate=2.50 accelerators=4
    """
    console = terminal()
    if back == bool(wants):
        raise BadInput("say what to offer, or take it back", would_do=f"{RESALE}, or --withdraw")
    with market_at(url, profile) as market:
        if back:
            found = market.send(calls.withdraw_resale(lease))
        else:
            request = read_demands(wants or [], ResaleRequest, example=RESALE)
            if not agreed(f"Offer {lease} on from {rate(request.rate_micros)} an accelerator-hour?", yes=yes):
                console.print("Not offered.")
                return
            found = market.send(calls.resell_lease(lease, request))
    if json:
        say_json(found)
        return
    console.print(f"{'Taken back' if back else 'Offered'}: {escape(lease_line(found))}")


@lease_app.command("watch")
def watch_command(
    lease: Id, every: Every = 2.0, looks: Looks = None, url: Url = None, profile: Kept = None, json: Json = False
) -> None:  # fmt: skip
    """Say what happens to a lease as it happens, until it has ended. With --json, one object a line.

    A lease that failed is looked at a few times more: it may go on elsewhere.
    """
    seen: LeaseView | None = None
    broken = looked = 0
    with market_at(url, profile) as market:
        while True:
            found = market.send(calls.get_lease(lease))
            looked += 1
            if found != seen:
                _tell(found, seen, json=json)
            broken = broken + 1 if found.state in BROKEN else 0
            if found.state in DONE or broken >= LOOKS or looked == looks:
                break
            seen = found
            time.sleep(every)
    if broken:
        raise typer.Exit(ENDED_EARLY)


def _tell(lease: LeaseView, before: LeaseView | None, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(lease).decode())
        return
    console = terminal()
    if before is None:
        console.print(f"[bold]{escape(lease_line(lease))}[/]")
    elif (lease.state, lease.site) != (before.state, before.site):
        by = f", by {lease.closed_by}: {lease.close_reason}" if lease.closed_by else ""
        console.print(f"{lease.state} at {escape(lease.site)}{escape(by)}")
    console.print(f"{hours(lease.delivered_seconds)} of {hours(leased_seconds(lease))} accelerator-hours delivered")
