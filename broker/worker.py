"""What a running market does by itself: cycles at its gates, and between them what it has promised."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import httpx

from broker.app import Market
from broker.cycle import CycleReport
from broker.failover import lose_silent, serve_between
from broker.telling import WebhookSender
from contracts.terms.errors import MarketError
from contracts.terms.time import iso

PROMISES_EVERY_SECONDS = 5.0


async def keep_gates(market: Market, worker: Executor, *, say: Callable[[str], None]) -> None:
    """Run the cycle of every gate as it closes, until cancelled. A cycle that fails is told; the market keeps its last result."""
    cycle = market.cycle(worker)
    while True:
        gate = market.timetable.gate_after(market.clock.now())
        await asyncio.sleep((gate - market.clock.now()).total_seconds())
        try:
            await market.feeds.pass_time()
            say(_words(await cycle.run(gate)))
        except MarketError as error:
            say(f"{iso(gate)}  {error}; the market keeps its last result")


async def keep_promises(market: Market, *, say: Callable[[str], None]) -> None:
    """Every few seconds, until cancelled: end quotes and tokens whose time is over, serve what broken leases owe, send the outbox.

    What came in by the API is written down as well.
    """
    async with httpx.AsyncClient() as client:
        sender = WebhookSender(market.sessions, clock=market.clock, client=client, inside=market.inside)
        while True:
            try:
                async with market.services() as services:
                    await services.quotes.expire()
                    await services.access.forget_over()
                    await services.keys.write_down()
                for lease in await serve_between(market.sessions, market.timetable.over, now=market.clock.now()):
                    say(f"{iso(market.clock.now())}  lease {lease.continues} goes on at {lease.site}")
                await sender.send_due()
            except MarketError as error:
                say(f"{iso(market.clock.now())}  {error}; tried again in {PROMISES_EVERY_SECONDS:g} s")
            await asyncio.sleep(PROMISES_EVERY_SECONDS)


async def keep_listening(market: Market, *, say: Callable[[str], None], every: float = PROMISES_EVERY_SECONDS) -> None:
    """Every few seconds, until cancelled: fail the leases of grids that have fallen silent, and write down what came in by the API.

    For the process that takes announcements: only who has listened all the while knows a silence from having been away.
    """
    begun = market.clock.now()
    while True:
        await asyncio.sleep(every)
        try:
            async with market.services() as services:
                await services.keys.write_down()
            for lease_id in await lose_silent(market.sessions, now=market.clock.now(), listening_since=begun):
                say(f"{iso(market.clock.now())}  lease {lease_id} failed: its grid is silent")
        except MarketError as error:
            say(f"{iso(market.clock.now())}  {error}; tried again in {every:g} s")


def _words(report: CycleReport) -> str:
    cycle, gap = report.cycle, report.certificate.gap
    return f"{iso(cycle.gate_at)}  cycle {cycle.number}: {report.bids} bids, {report.awards} awards, gap {gap:.4%}"
