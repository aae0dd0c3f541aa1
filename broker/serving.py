"""Serving the portal and the API of a market that runs in this process, or of its part at one door.

The site stands above the broker, so it is named, not imported, as every application server does.
"""

import asyncio
import gc
import socket
import sys
from importlib import import_module

from granian.constants import Interfaces
from granian.server.embed import Server

from broker.app import Market
from broker.doors import Door, OneDoor
from contracts.terms.errors import BadInput

SITE = "web.asgi:site"
PORTS_TRIED = 20
# Objects made and not yet gone; then how many of the younger collections before an older one.
COLLECT_AFTER = (50_000, 20, 50)
# How long a thread beside the loop may keep the interpreter from it. A request asks for it four or five times, and beside a thread that
# makes a book each time cost the usual five milliseconds: an answer took 16 ms, and takes 3.
SWITCH_SECONDS = 0.001


def free_port(host: str, port: int) -> int:
    """The port, or the next free one after it. Raises BadInput when twenty in a row are taken."""
    for candidate in range(port, port + PORTS_TRIED):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    raise BadInput(
        f"no port is free from {port} to {port + PORTS_TRIED - 1}", variable="PORT", found=port, would_do="another port: PORT=9000"
    )


def any_port(host: str) -> int:
    """A port nobody has, of the system's choice: two programs that start together get two."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def settle_memory() -> None:
    """Tell the collector of cycles that what is loaded now stays, and to look for more only now and then.

    A broker holds a hundred thousand offers that refer to nothing but themselves: going through all of them after every few hundred
    new objects, as is usual, takes a fifth of the time that taking announcements does, and makes readers wait meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def serve(market: Market, *, host: str, port: int, only: Door | None = None) -> None:
    """Serve until cancelled; with `only`, what belongs to that door and nothing else."""
    module, name = SITE.split(":")
    site = getattr(import_module(module), name)(market)
    settle_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
    answering = site if only is None else OneDoor(site, only)
    server = Server(answering, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        # A server waits for its streams to end before it does.
        market.watch.close()
        market.happenings.close()
        server.stop()  # type: ignore[no-untyped-call]
        await serving
