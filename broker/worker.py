"""The timetable of a running market: wait for a gate, run its cycle, and never stop for one that failed."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime

from broker.app import Market
from broker.cycle import CycleReport, Timetable
from contracts.terms.errors import MarketError
from contracts.terms.time import iso


def next_gate(timetable: Timetable, now: datetime) -> datetime:
    """The first gate of a timetable after a moment."""
    return timetable.gate_after(now)


async def keep_gates(market: Market, worker: Executor, *, say: Callable[[str], None]) -> None:
    """Run the cycle of every gate as it closes, until cancelled. A cycle that fails is told; the market keeps its last result."""
    cycle = market.cycle(worker)
    while True:
        gate = next_gate(market.timetable, market.clock.now())
        await asyncio.sleep((gate - market.clock.now()).total_seconds())
        try:
            await market.feeds.pass_time()
            say(_words(await cycle.run(gate)))
        except MarketError as error:
            say(f"{iso(gate)}  {error}; the market keeps its last result")


def _words(report: CycleReport) -> str:
    cycle, gap = report.cycle, report.certificate.gap
    return f"{iso(cycle.gate_at)}  cycle {cycle.number}: {report.bids} bids, {report.awards} awards, gap {gap:.4%}"
