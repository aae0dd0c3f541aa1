"""`gridfare world`: a market directory to start from, as shipped or scaled up."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from broker.files.market import write_market
from broker.world import shipped_book
from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook
from contracts.terms.time import utc
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec
from pricing.simulation.suite import SEED, SUITE

START = "2027-01-04T00:00:00Z"
SITES = "50,500"
SEED_SLOTS = 24
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory the market is written to.")]
Bids = Annotated[int | None, typer.Option("--bids", min=1, help="Generate this many bids instead of those shipped.")]
Sites = Annotated[str | None, typer.Option("--sites", metavar="CORE,EDGE", help=f"Generate this many core and edge sites, e.g. {SITES}.")]
Slots = Annotated[int, typer.Option("--slots", min=1, help="Hourly slots.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed generates the same market.")]
Suite = Annotated[
    str | None, typer.Option("--suite", metavar="NAME", help="Generate a named world of the benchmark suite, e.g. plain-10k, blocks-500.")
]
Start = Annotated[str, typer.Option("--start", metavar="TIME", help="First instant of slot 0, UTC.")]
Parquet = Annotated[bool, typer.Option("--parquet", help="Write Parquet instead of CSV.")]


def world_command(
    directory: Directory, bids: Bids = None, sites: Sites = None, slots: Slots = 24, seed: Seed = SEED, start: Start = START,
    suite: Suite = None, parquet: Parquet = False,
) -> None:  # fmt: skip
    """Write the shipped world as a market directory, or with --bids, --sites or --suite a larger one in its image.

    Example: gridfare world market --bids 1000 --sites 20,30 --slots 24 --seed 7
    """
    moment = _moment(start)
    if suite is not None:
        book = generate(shipped_book(moment, SEED_SLOTS), spec=_named(suite, moment), seed=seed)
    elif bids is None and sites is None:
        book = shipped_book(moment, slots)
    else:
        seed_world = shipped_book(moment, SEED_SLOTS)
        core, edge = _counts(sites or SITES)
        spec = WorldSpec(bids=bids or seed_world.bids.height, core_sites=core, edge_sites=edge, slots=slots, start=moment)
        book = generate(seed_world, spec=spec, seed=seed)
    write_market(directory, book, parquet=parquet)
    Console().print(_said(book, directory))


def _said(book: MarketBook, directory: Path) -> str:
    offers = book.offers
    supply = f"{offers.height:,} offers at {offers['site'].n_unique():,} sites in {offers['country'].n_unique()} countries"
    return f"{directory}: {supply}, {book.bids.height:,} bids over {book.rules.slots} slots"


def _moment(text: str) -> datetime:
    try:
        return utc(text)
    except ValueError as error:
        raise BadInput(f"the start cannot be read: {error}", found=text, would_do=START) from error


def _named(name: str, start: datetime) -> WorldSpec:
    """The spec of a named world, from that start. Raises BadInput."""
    if name not in SUITE:
        raise BadInput("--suite names no world of the suite", found=name, would_do=", ".join(SUITE))
    return msgspec.structs.replace(SUITE[name].spec, start=start)


def _counts(text: str) -> tuple[int, int]:
    """Core and edge sites from `CORE,EDGE`. Raises BadInput."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not any(int(part) for part in parts):
        raise BadInput("--sites needs two whole numbers, not both 0", found=text, would_do=SITES)
    return int(parts[0]), int(parts[1])
