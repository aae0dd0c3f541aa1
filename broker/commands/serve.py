"""`gridfare serve`: the portal, the API and the gates of a real market."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from broker.app import Market, clearing_worker, open_market
from broker.clock import SystemClock
from broker.cycle import Timetable
from broker.doors import Door
from broker.feeds.keeping import keep_feeds
from broker.files.archive import UsageArchive
from broker.files.settlement import read_seller
from broker.identity_provider import IdentityProvider
from broker.indicating import keep_indicating
from broker.payments.opening import open_stripe
from broker.services.signing_in import SignUpTerms
from broker.serving import free_port, serve
from broker.settings import Settings, read_settings
from broker.store.embedded import server
from broker.store.migrate import upgrade
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.unit_of_work import unit_of_work
from broker.worker import keep_gates, keep_listening, keep_promises
from broker.world.catalogue import hardware_classes
from contracts.statements import Seller
from contracts.terms.time import iso

# What an organisation that signs itself up is on until somebody gives it another.
FIRST_PLAN: dict[str, dict[str, object]] = {"metered": {"name": "Metered: what the gate said", "kind": "metered_cleared"}}
Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Port to listen on; the next free one when it is taken.")]
Hours = Annotated[int, typer.Option("--gate-hours", metavar="HOURS", min=1, max=24, help="Time between two gates.")]
Only = Annotated[
    Door | None,
    typer.Option("--only", help="Serve one door: feed takes announcements, market does the rest; on one database."),
]


def serve_command(port: Port = None, gate_hours: Hours = 6, only: Only = None) -> None:
    """Serve the portal and the API, and clear the market at every gate by this machine's clock.

    DATABASE_URL names the PostgreSQL to use; without it an embedded one is kept in .gridfare/postgres. With STRIPE_API_KEY and
    STRIPE_WEBHOOK_SECRET statements are collected and providers paid through Stripe, whose events go to /v1/webhooks/stripe.
    A large market is served by two processes, --only feed and --only market; the second clears.

    Example: DATABASE_URL=postgresql://broker@db/gridfare gridfare serve --port 8000
    """
    settings = read_settings(os.environ)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    timetable = Timetable(gate_interval=timedelta(hours=gate_hours))
    seller = read_seller(settings.seller_file) if settings.seller_file else None
    try:
        with server(settings) as dsn:
            asyncio.run(_serve(settings, timetable, dsn=dsn, seller=seller, only=only))
    except KeyboardInterrupt:
        Console(soft_wrap=True).print("\nStopped.")


async def _serve(settings: Settings, timetable: Timetable, *, dsn: str, seller: Seller | None, only: Door | None) -> None:
    console = Console(soft_wrap=True)
    await upgrade(dsn)
    hardware = [each for _, each in sorted(hardware_classes().items())]
    with clearing_worker() as worker:
        async with open_market(dsn, clock=SystemClock(), timetable=timetable, hardware=hardware) as market:
            _furnish(market, settings)
            async with unit_of_work(market.sessions) as work:
                await AccountRepository(work).add_plans(FIRST_PLAN)
                if seller:
                    await SettlementRepository(work).name_seller(seller)
            port = free_port(settings.host, settings.port)
            gate = f"   next gate {iso(timetable.gate_after(market.clock.now()))}" if only != "feed" else ""
            name = {None: "Portal", "market": "Market", "feed": "Feed"}[only]
            console.print(f"[bold]{name}[/bold]  http://{settings.host}:{port}{gate}   stop with Ctrl-C")
            async with asyncio.TaskGroup() as tasks:
                for task in tasks_at(only, market, worker=worker, say=console.print):
                    tasks.create_task(task)
                tasks.create_task(serve(market, host=settings.host, port=port, only=only))


def tasks_at(only: Door | None, market: Market, *, worker: Executor, say: Callable[[str], None]) -> list[Coroutine[Any, Any, None]]:
    """What runs by itself beside the answering: each of these in one process of a market, since two would only wait for each other."""
    tasks: list[Coroutine[Any, Any, None]] = []
    if only != "feed":
        tasks += [keep_gates(market, worker, say=say), keep_promises(market, say=say), keep_indicating(market, worker, say=say)]
    if only != "market":
        tasks += [keep_feeds(market.feeds, say=say), keep_listening(market, say=say)]
    return tasks


def _furnish(market: Market, settings: Settings) -> None:
    """Give a market what the operator chose for it."""
    if settings.stripe_api_key and settings.stripe_webhook_secret:
        market.processor = open_stripe(settings.stripe_api_key, secret=settings.stripe_webhook_secret, clock=market.clock)
    market.archive = UsageArchive(settings.segments) if settings.segments else None
    if settings.oidc_issuer:
        market.identity = IdentityProvider(
            settings.oidc_issuer, client_id=settings.oidc_client_id or "", client_secret=settings.oidc_secret or "", entropy=os.urandom
        )
    market.sign_up = SignUpTerms(currency=market.timetable.currency, take_bps=market.timetable.fee_bps)
