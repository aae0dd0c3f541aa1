"""`gridfare agent`: what a provider runs beside its cluster."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from granian.constants import Interfaces
from granian.server.embed import Server
from rich.console import Console
from rich.markup import escape

from broker.agent.agent import Agent
from broker.agent.cluster import Cluster
from broker.agent.door import door
from broker.agent.grid import ClusterAddress, Grid, read_grid
from broker.agent.kubernetes import KubernetesSite, manifests
from broker.agent.slurm import SlurmSite, scripts
from broker.agent.spells import LeaseToEmit
from broker.client import AsyncGridfare
from broker.clock import SystemClock
from contracts.terms.errors import BadInput

# Imported when it is asked for: Ray is an extra.
CLUSTERS = {"ray": ("broker.agent.ray_cluster", "RayCluster")}
PAUSES = (0.2,)
GridFile = Annotated[Path, typer.Argument(metavar="AGENT.toml", help="Who sells what, on which cluster, through which broker.")]
LeaseFile = Annotated[Path, typer.Argument(metavar="LEASE.json", help="A lease, as /v1/leases/{id} or /v1/deliveries tells it.")]
Kind = Annotated[Literal["kubernetes", "slurm"], typer.Option("--kind", help="What is to hold it.")]
NodeSize = Annotated[int, typer.Option("--node-size", metavar="N", min=1, help="Accelerators in a machine.")]
Resource = Annotated[str, typer.Option("--resource", metavar="NAME", help="Kubernetes: what a pod asks for to get an accelerator.")]
Image = Annotated[str, typer.Option("--image", metavar="IMAGE", help="Kubernetes: what the pods run.")]
Selector = Annotated[list[str] | None, typer.Option("--select", metavar="LABEL=VALUE", help="Kubernetes: labels of the machines.")]
Gres = Annotated[str, typer.Option("--gres", metavar="TYPE", help="Slurm: type of the accelerators, as in gpu:TYPE:COUNT.")]
Partition = Annotated[str, typer.Option("--partition", metavar="NAME", help="Slurm: partition.")]
SlurmAccount = Annotated[str, typer.Option("--account", metavar="NAME", help="Slurm: account.")]

agent_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Sell a cluster: announce it, fulfil its leases, meter them, let their holders in.

    Example: gridfare agent run agent.toml

    Example: gridfare agent emit lease.json --kind slurm --gres h100
    """,
)


@agent_app.command("run")
def run_command(grid_file: GridFile) -> None:
    """Keep a grid until stopped. Stopped and started again it takes up where it was: what runs goes on, what ran is billed once."""
    grid = read_grid(grid_file)
    console = Console(soft_wrap=True, highlight=False)
    try:
        asyncio.run(_run(grid, console))
    except KeyboardInterrupt:
        console.print("\nStopped. Leases under way go on; start again before the next slot.")


@agent_app.command("emit")
def emit_command(
    lease_file: LeaseFile,
    *,
    kind: Kind,
    node_size: NodeSize = 8,
    resource: Resource = "nvidia.com/gpu",
    image: Image = "ubuntu:24.04",
    selector: Selector = None,
    gres: Gres = "",
    partition: Partition = "",
    account: SlurmAccount = "",
) -> None:
    """Write what Kubernetes or Slurm needs to hold a lease: manifests for `kubectl apply -f -`, or batch scripts for `sbatch`.

    Example: gridfare agent emit lease.json --kind kubernetes --select nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3 | kubectl apply -f -
    """
    try:
        lease = msgspec.json.decode(lease_file.read_bytes(), type=LeaseToEmit)
    except msgspec.DecodeError as fault:
        raise BadInput(f"this is no lease: {fault}", file=str(lease_file), would_do="what /v1/leases/{id} tells") from fault
    console = Console(soft_wrap=True, highlight=False)
    if kind == "kubernetes":
        site = KubernetesSite(resource=resource, image=image, selector=_labels(selector or []), node_size=node_size)
        text = msgspec.json.format(msgspec.json.encode(manifests(lease, site)), indent=2).decode()
    else:
        text = "\n".join(scripts(lease, SlurmSite(gres=gres, partition=partition, account=account, node_size=node_size)))
    console.print(text, markup=False)


def _labels(texts: list[str]) -> dict[str, str]:
    """NAME=VALUE pairs. Raises BadInput."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise BadInput("a label has a name and a value", found=text, would_do="nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3")
        found[name] = value
    return found


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
