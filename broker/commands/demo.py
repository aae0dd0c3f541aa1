"""`gridfare demo`: the whole market on this machine."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from broker.demo.run import DemoPlan, run_demo
from broker.settings import read_settings
from broker.store.embedded import server

NOT_CERTIFIED = 3

Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Port of the portal; the next free one when it is taken.")]
Once = Annotated[bool, typer.Option("--once", help="Stop after the summary; exit 0 only if certificates and trial balance hold.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the closed month and its exports are written.")]
Pace = Annotated[float, typer.Option("--pace", metavar="SECONDS", min=0.05, help="How long a market hour takes while serving.")]


def demo_command(port: Port = None, once: Once = False, out: Out = Path(".gridfare/demo"), pace: Pace = 5.0) -> None:
    """Run a whole market: a world of offers, buyers, gates, leases, a ledger, an invoice, and the portal.

    It keeps trading until you stop it with Ctrl-C, and takes up where it was when started again.

    Example: gridfare demo --once
    """
    settings = read_settings(os.environ)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    plan = DemoPlan(directory=out, once=once, seconds_per_hour=pace)
    console = Console()
    try:
        with server(settings) as dsn:
            holds = asyncio.run(run_demo(settings, plan, dsn=dsn, console=console))
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is lost: `make demo` takes up where this was.")
        return
    if not holds:
        raise typer.Exit(NOT_CERTIFIED)
