"""Contested quotes: `python -m tests.benchmarks.quoting [CONTESTS]`. The last line is JSON.

Clients, each on its own account and in transactions of its own, want accelerators of one small offer in the same few slots,
take what they are held or leave it; from time to time what was taken is let go, so that there is always something to fight
for. What is counted is accelerators leased beyond what the offer has, slot by slot: none may be.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from sqlalchemy import text

from broker.app import Market
from broker.store.embedded import EmbeddedServer
from broker.store.engine import open_engine
from broker.store.migrate import upgrade
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, open_sessions, unit_of_work
from contracts.terms.errors import MarketError
from contracts.terms.quotes import QuoteRequest
from tests.broker.small_market import START, account, caller, open_small_market

CLIENTS = 50
ROUND = 100
SOLD = 8
BOOKED = text(
    "SELECT coalesce(sum(greatest(0, booked - :sold)), 0) FROM (SELECT sum(s.quantity) AS booked FROM lease_slots s "
    "JOIN leases l ON l.id = s.lease_id WHERE l.state = 'awarded' GROUP BY l.offer_id, s.slot_start) AS by_slot"
)


async def contest(market: Market, number: int, draw: random.Random) -> str:
    """One client's try: what became of it."""
    who = caller(f"acct_{number}")
    start = START + timedelta(hours=draw.randint(0, 1))
    wish = QuoteRequest(accelerators=draw.randint(1, 3), hours=float(draw.randint(1, 2)), start=start, offer_id="ofr_a")
    try:
        async with market.services() as services:
            quote = await services.quotes.hold(wish, who)
        async with market.services() as services:
            if draw.random() < 0.25:
                await services.quotes.withdraw(quote.quote_id, who)
                return "left"
            await services.quotes.accept(quote.quote_id, who)
    except MarketError as error:
        return error.code
    return "taken"


async def fight(sessions: Sessions, contests: int) -> dict[str, float]:
    """So many contests; accelerators booked twice, what became of the contests, CPU milliseconds of this process for one."""
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account(f"acct_{number}", credit=10**15) for number in range(CLIENTS)])
    draw, became, twice = random.Random(2027), Counter[str](), 0
    begun = time.process_time()
    for first in range(0, contests, ROUND):
        seeds = [draw.random() for _ in range(min(ROUND, contests - first))]

        async def client(number: int, mine: list[float]) -> None:
            for seed in mine:
                became[await contest(market, number, random.Random(seed))] += 1

        await asyncio.gather(*(client(number, seeds[number::CLIENTS]) for number in range(CLIENTS)))
        async with unit_of_work(sessions) as work:
            twice += int((await work.execute(BOOKED, {"sold": SOLD})).scalar_one())
            await work.execute(text("UPDATE leases SET state = 'failed'"))
    spent = time.process_time() - begun
    return {
        "twice": twice,
        "contests": contests,
        "taken": became["taken"],
        "refused": became["not_found"],
        "milliseconds": 1000 * spent / contests,
    }


async def main(contests: int) -> dict[str, float]:
    """On a server of its own."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres", durable=False) as server:
        await upgrade(server.dsn)
        engine = open_engine(server.dsn)
        found = await fight(open_sessions(engine), contests)
        await engine.dispose()
    return found


if __name__ == "__main__":
    told = asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
    Console(width=1000).print(msgspec.json.encode({"cpu_seconds": told["milliseconds"] / 1000, **told}).decode(), highlight=False)
