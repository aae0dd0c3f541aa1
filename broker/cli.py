"""`gridfare`: one program, a command for each thing a person does.

A command is imported when it is run, not before: `gridfare --help` answers at once although some commands bring a
solver or a server. A refusal, by the rules or the file system, is one clear sentence and exit code 2; a certificate
or reconciliation that fails is 3; a fault of our own is 1, with its traces in a file. No traceback reaches the terminal.
"""

import importlib
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from contracts.terms.errors import MarketError

REFUSED = 2
BROKEN = 1

COMMANDS = {
    "demo": ("broker.commands.demo:demo_command", "Run a whole market on this machine, portal and all."),
    "serve": ("broker.commands.serve:serve_command", "Serve the portal and the API, and clear at every gate."),
    "clear": ("broker.commands.clear:clear_app", "Clear a market directory into awards, prices and a certificate."),
    "verify": ("broker.commands.verify:verify_app", "Check a result again without a solver."),
    "login": ("broker.commands.login:login_command", "Keep the address of a broker and your key to it."),
    "search": ("broker.commands.search:search_command", "Search a broker's live book, and say why offers were left out."),
    "quote": ("broker.commands.quote:quote_command", "Ask for a firm rate between gates, and take it or leave it."),
    "bid": ("broker.commands.bid:bid_command", "Bid for the next gate, from the line or a file."),
    "events": ("broker.commands.events:events_command", "Say what happens to your leases and quotes, as it happens."),
    "lease": ("broker.commands.lease:lease_app", "List, show, watch, extend and release your leases."),
    "outlet": ("broker.commands.outlet:outlet_app", "Use leases from SkyPilot and dstack."),
    "submit": ("broker.commands.submit:submit_command", "Run a command on a lease, and wait for its end."),
    "usage": ("broker.commands.usage:usage_command", "Say what your leases delivered."),
    "statements": ("broker.commands.statements:statements_command", "Show what closed months came to, and print one."),
    "explain": ("broker.commands.explain:explain_command", "Say why a price is what it is, or a bid got what it got."),
    "what-if": ("broker.commands.what_if:what_if_command", "Clear again with one bid asking otherwise."),
    "rules": ("broker.commands.rules:rules_command", "Say what each clause costs its buyers and the market."),
    "outage": ("broker.commands.outage:outage_command", "Lose a site: who is hit, who finds another place."),
    "monitor": ("broker.commands.monitor:monitor_command", "Watch a clearing for market power."),
    "settle": ("broker.commands.settle:settle_command", "Settle metered usage into invoices, postings and payouts."),
    "segments": ("broker.commands.segments:segments_command", "Write usage as segments, which settle faster."),
    "close": ("broker.commands.close:close_app", "Close a month step by step, by two people."),
    "people": ("broker.commands.people:people_app", "Let the first people in, and back in."),
    "export": ("broker.commands.export:export_command", "Export a close for cost tools, accountants or people."),
    "world": ("broker.commands.world:world_command", "Write a market directory to start from."),
    "import": ("broker.commands.import_offers:import_app", "Bring in what others publish."),
    "agent": ("broker.commands.agent:agent_app", "Sell a cluster: announce it, fulfil its leases, meter them."),
    "conformance": ("broker.commands.conformance:conformance_command", "Hold both sides of the feed protocol to its clauses."),
}


class LaterCommand(TyperCommand):
    """A command known by its name and its one line, imported when it is run."""

    def __init__(self, name: str, *, target: str, line: str) -> None:
        super().__init__(name=name, callback=None, params=[], help=line)
        self._target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command."""
        return self._load().make_context(info_name, args, parent=parent, **extra)

    def _load(self) -> Any:
        module, _, name = self._target.partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        command = typer.Typer(add_completion=False, rich_markup_mode="rich")
        command.command(self.name)(found)
        return typer.main.get_command(command)


class LaterGroup(TyperGroup):
    """The commands of `COMMANDS`, in their order."""

    def list_commands(self, _: Any) -> list[str]:
        """Names, in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, _: Any, cmd_name: str) -> LaterCommand | None:
        """The command of a name, not yet imported."""
        if cmd_name not in COMMANDS:
            return None
        target, line = COMMANDS[cmd_name]
        return LaterCommand(cmd_name, target=target, line=line)


app = typer.Typer(
    name="gridfare",
    cls=LaterGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def gridfare() -> None:
    """One ticket across every compute grid: a market for accelerator-hours.

    Example: gridfare world market && gridfare clear market --out result && gridfare verify market result
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program on its arguments (those of the process unless given) and exit with its code."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        app(arguments, prog_name="gridfare")
    except MarketError as refusal:
        errors.print(f"[bold red]Refused:[/] {escape(str(refusal))}")
        sys.exit(REFUSED)
    except OSError as refusal:
        errors.print(f"[bold red]Refused:[/] {escape(str(refusal.filename or 'the system'))}: {escape(refusal.strerror or str(refusal))}")
        sys.exit(REFUSED)
    except Exception as fault:  # noqa: BLE001 (the last line: whatever comes is a bug, told in one sentence)
        errors.print(f"[bold red]Something broke:[/] {escape(type(fault).__name__)}: {escape(str(fault))}")
        errors.print(f"This is a fault of the program. Its traces are in {_log(fault)}.")
        sys.exit(BROKEN)
    sys.exit(0)


def _log(fault: Exception) -> Path:
    """Write the traces of a fault where only this user reads them."""
    with tempfile.NamedTemporaryFile("w", prefix="gridfare-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write("".join(traceback.format_exception(fault)))
    return Path(log.name)


if __name__ == "__main__":
    main()
