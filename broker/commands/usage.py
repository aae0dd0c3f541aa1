"""`gridfare usage`: what leases delivered."""

from typing import Annotated

import typer
from rich.markup import escape

from broker.client import calls
from broker.commands.buying import Json, Kept, Url, cost_micros, hours, leased_seconds, market_at, money, plain_table, say_json, terminal
from broker.services.views import LeaseView

Ids = Annotated[list[str] | None, typer.Argument(metavar="[LEASE]…", help="Leases to look at; all of yours unless said.")]


def usage_command(leases: Ids = None, url: Url = None, profile: Kept = None, json: Json = False) -> None:
    """What your leases delivered and failed to deliver, in accelerator-hours, beside what they hold. Only what was delivered is billed.

    Example: gridfare usage --json
    """
    with market_at(url, profile) as market:
        found = [market.send(calls.get_lease(each)) for each in leases] if leases else list(market.every(calls.list_leases(limit=200)))
    if json:
        say_json([_record(each) for each in found])
        return
    console = terminal()
    if not found:
        console.print("No leases yet, so nothing was delivered.")
        return
    table = plain_table(("lease", "class", "tier", "state"), ("leased", "delivered", "failed", "at most"))
    for each in found:
        words = (each.lease_id, each.hardware, each.tier, each.state)
        table.add_row(*(escape(word) for word in words), *_figures(each))
    table.add_section()
    sums = [sum(seconds) for seconds in zip(*(_seconds(each) for each in found), strict=True)]
    table.add_row("together", "", "", "", *(hours(each) for each in sums), money(sum(cost_micros(each) for each in found)))
    console.print(table)


def _seconds(lease: LeaseView) -> tuple[int, int, int]:
    return leased_seconds(lease), lease.delivered_seconds, lease.failed_seconds


def _figures(lease: LeaseView) -> tuple[str, ...]:
    return (*(hours(each) for each in _seconds(lease)), money(cost_micros(lease)))


def _record(lease: LeaseView) -> dict[str, object]:
    leased, delivered, failed = _seconds(lease)
    figures = {"leased_seconds": leased, "delivered_seconds": delivered, "failed_seconds": failed, "cost_micros": cost_micros(lease)}
    return {"lease_id": lease.lease_id, "hardware": lease.hardware, "tier": lease.tier, "state": lease.state, **figures}
