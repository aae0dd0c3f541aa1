"""`gridfare agent`: what a provider runs beside its cluster."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from granian.constants import Interfaces
from granian.server.embed import Server
from rich.console import Console
from rich.markup import escape

from broker.agent.agent import Agent
from broker.agent.cluster import Cluster
from broker.agent.door import door
from broker.agent.grid import ClusterAddress, Grid, read_grid
from broker.client import AsyncGridfare
from broker.clock import SystemClock
from contracts.terms.errors import BadInput

# Imported when it is asked for: Ray is an extra.
CLUSTERS = {"ray": ("broker.agent.ray_cluster", "RayCluster")}
PAUSES = (0.2,)
GridFile = Annotated[Path, typer.Argument(metavar="AGENT.toml", help="Who sells what, on which cluster, through which broker.")]

agent_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Sell a cluster: announce it, fulfil its leases, meter them, let their holders in.

    Example: gridfare agent run agent.toml
    """,
)


@agent_app.callback()
def agent_callback() -> None:
    """A group even while it has one command."""


@agent_app.command("run")
def run_command(grid_file: GridFile) -> None:
    """Keep a grid until stopped. Stopped and started again it takes up where it was: what runs goes on, what ran is billed once."""
    grid = read_grid(grid_file)
    console = Console(soft_wrap=True, highlight=False)
    try:
        asyncio.run(_run(grid, console))
    except KeyboardInterrupt:
        console.print("\nStopped. Leases under way go on; start again before the next slot.")


async def _run(grid: Grid, console: Console) -> None:
    cluster = _cluster(grid.cluster)
    key = grid.api_key_file.read_text(encoding="utf-8").strip()
    async with AsyncGridfare(grid.broker, key=key, pauses=PAUSES) as market:
        agent = Agent(grid, cluster, market=market, clock=SystemClock(), say=lambda text: console.print(escape(text)))
        server = Server(door(agent), address=grid.door.host, port=grid.door.port, interface=Interfaces.ASGI, log_enabled=False)
        console.print(f"[bold]{escape(grid.provider)}[/bold] sells at {escape(grid.broker)}; holders knock at {escape(grid.door.url)}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve())
            tasks.create_task(agent.run())


def _cluster(address: ClusterAddress) -> Cluster:
    """Join the cluster. Raises BadInput when what speaks its language is not installed."""
    module, name = CLUSTERS[address.kind]
    try:
        found = getattr(import_module(module), name)
    except ModuleNotFoundError as fault:
        raise BadInput(f"{fault.name} is not installed", would_do=f"pip install 'gridfare[{address.kind}]'") from fault
    cluster: Cluster = found(address.address)
    return cluster
