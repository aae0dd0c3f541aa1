"""`gridfare outlet`: the market for users of SkyPilot and dstack, in those tools' own files."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from broker.client import Gridfare, calls
from broker.commands.buying import Kept, Url, market_at
from broker.feeds.outlets import dstack, skypilot
from broker.feeds.outlets.door import Door, door_of, ssh_config, yaml_text
from broker.files.replacing import replace_file
from broker.services.market_views import OfferView
from broker.services.search_views import SearchQuery

PAGE = 200
DEFAULT_KEY = "~/.ssh/id_ed25519"

Lease = Annotated[str, typer.Argument(metavar="LEASE", help="Id of a lease of yours that is reached by SSH.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where SkyPilot's interpreter finds modules: on its PYTHONPATH.")]
Key = Annotated[str, typer.Option("--identity-file", metavar="FILE", help="A private key that was let in: ssh-copy-id does it, once.")]
KeyOrToken = Annotated[
    str | None, typer.Option("--identity-file", metavar="FILE", help="A private key that was let in; without it the lease's token is used.")
]

outlet_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Use what you lease from SkyPilot or dstack. Every command writes one file to standard output.

    Example: gridfare outlet dstack lse_01 > fleet.dstack.yml && dstack apply -f fleet.dstack.yml
    """,
)


@outlet_app.command("skypilot-catalogue")
def skypilot_catalogue_command(url: Url = None, profile: Kept = None) -> None:
    """The live book as a SkyPilot catalogue, by class, country and number.

    Example: gridfare outlet skypilot-catalogue > ~/.sky/catalogs/v8/gridfare/vms.csv
    """
    with market_at(url, profile) as market:
        typer.echo(skypilot.catalogue(_offers(market)), nl=False)


@outlet_app.command("skypilot")
def skypilot_command(lease: Lease, url: Url = None, profile: Kept = None, identity_file: KeyOrToken = None) -> None:
    """A lease as a pool of SSH nodes: after `sky ssh up`, `sky launch --infra ssh/NAME` runs on it. It may hold the lease's token.

    Example: gridfare outlet skypilot lse_01 >> ~/.sky/ssh_node_pools.yaml && sky ssh up
    """
    typer.echo(skypilot.node_pool(_door(lease, url, profile=profile), identity_file=identity_file), nl=False)


@outlet_app.command("skypilot-plugin")
def skypilot_plugin_command(to: Folder) -> None:
    """Gridfare as a cloud of SkyPilot 0.14: the plugin's files, and what `~/.sky/plugins.yaml` has to say.

    Example: gridfare outlet skypilot-plugin ~/.sky/gridfare-plugin && export PYTHONPATH=~/.sky/gridfare-plugin
    """
    to.mkdir(parents=True, exist_ok=True)
    for name in skypilot.PLUGIN_FILES:
        replace_file(to / name, (skypilot.PLUGIN / name).read_bytes())
    typer.echo(yaml_text({"plugins": [{"class": "gridfare_sky.GridfarePlugin", "parameters": {"hours": 8}}]}), nl=False)


@outlet_app.command("dstack")
def dstack_command(lease: Lease, url: Url = None, profile: Kept = None, identity_file: Key = DEFAULT_KEY) -> None:
    """A lease as an SSH fleet.

    Example: gridfare outlet dstack lse_01 > fleet.dstack.yml && dstack apply -f fleet.dstack.yml
    """
    typer.echo(dstack.fleet(_door(lease, url, profile=profile), identity_file=identity_file), nl=False)


@outlet_app.command("ssh")
def ssh_command(lease: Lease, url: Url = None, profile: Kept = None, identity_file: Key = DEFAULT_KEY) -> None:
    """A lease as a host of your SSH client.

    Example: gridfare outlet ssh lse_01 >> ~/.ssh/config && ssh-copy-id gridfare-lse-01
    """
    typer.echo(ssh_config(_door(lease, url, profile=profile), identity_file=identity_file), nl=False)


def _door(lease: str, url: str | None, *, profile: str | None) -> Door:
    with market_at(url, profile) as market:
        return door_of(market.send(calls.get_lease_access(lease)))


def _offers(market: Gridfare) -> list[OfferView]:
    """Every live offer, firm or not, page by page."""
    query = SearchQuery(tier="spot", limit=PAGE)
    offers: list[OfferView] = []
    while True:
        found = market.send(calls.search_book(query))
        offers += [each.offer for each in found.offers]
        if found.next_cursor is None:
            return offers
        query = msgspec.structs.replace(query, cursor=found.next_cursor)
