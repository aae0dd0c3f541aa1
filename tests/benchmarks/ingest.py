"""How fast usage comes in, in one process beside one server: `python -m tests.benchmarks.ingest [BATCHES] [ROWS]`.

Every round takes fresh batches of the same kind through each way in, one after the other: COPY into a table of the same
columns, key and indexes (and nothing that checks), the merge, the same batch merged again, the service that judges and
merges, and HTTP. What counts is CPU time of this process and of its one connection's backend together. The last line is JSON.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import polars as pl
from rich.console import Console
from sqlalchemy import text

from broker.app import Market
from broker.application import application
from broker.clock import FixedClock
from broker.cycle import Timetable
from broker.services.accounts import key_digest
from broker.services.usage_views import UsageReport, as_batch
from broker.services.views import Caller
from broker.store.copying import copy_text, driver
from broker.store.embedded import EmbeddedServer
from broker.store.engine import open_engine
from broker.store.migrate import upgrade
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.usage import COLUMNS, UsageRepository
from broker.store.unit_of_work import Sessions, open_sessions, unit_of_work
from contracts.terms.accounts import Provider
from contracts.terms.time import utc

START = utc("2027-01-04T00:00:00Z")
HOUR = timedelta(hours=1)
HOURS = 168
LEASES = 2000
QUANTITY = 8
KEY = "gf_benchmark"
METER = Caller(account_id="provider:prv_a", account_name="A", scopes=frozenset({"usage:write"}), provider_id="prv_a")
TICKS = os.sysconf("SC_CLK_TCK")
LEASE = """INSERT INTO leases SELECT 'lse_' || n, 'cyc', 'bid', 'acct', 'prv_a', 'ofr', 's', 'h', 'spot', 'active', :quantity, :start, :end
    FROM generate_series(0, :leases - 1) AS n"""
SLOT = """INSERT INTO lease_slots SELECT 'lse_' || n, CAST(:start AS timestamptz) + h * interval '1 hour',
    CAST(:start AS timestamptz) + (h + 1) * interval '1 hour', :quantity, 1000000
    FROM generate_series(0, :leases - 1) AS n, generate_series(0, :hours - 1) AS h"""
Way = Callable[[list[UsageReport]], Awaitable[None]]


def reports(round_number: int, rows: int) -> list[UsageReport]:
    """A batch of parts of hours, of all leases in turn; ids that sort nowhere near each other."""
    draw = random.Random(round_number)
    parts = -(-rows // LEASES)
    start = START + (round_number % HOURS) * HOUR
    return [
        UsageReport(
            usage_id=f"use_{draw.getrandbits(128):032x}",
            lease_id=f"lse_{n % LEASES}",
            start=start,
            end=start + HOUR,
            accelerator_seconds=QUANTITY * 3600 // parts // HOURS,
        )
        for n in range(rows)
    ]


async def prepare(sessions: Sessions) -> None:
    """Leases of eight accelerators for a week, a provider with a key, and a bare table to copy into."""
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id="prv_a", name="A", country="DE", kind="neocloud")])
        await accounts.add_provider_key("prv_a", key_digest(KEY), scopes=["usage:write"], at=START)
        await work.execute(text("SET LOCAL session_replication_role = replica"))
        span = {"quantity": QUANTITY, "start": START, "leases": LEASES}
        await work.execute(text(LEASE), span | {"end": START + HOURS * HOUR})
        await work.execute(text(SLOT), span | {"hours": HOURS})
        await work.execute(text("CREATE TABLE usage_bare (LIKE usage_records INCLUDING ALL)"))
    async with unit_of_work(sessions) as work:
        await work.execute(text("ANALYZE"))


class Ways:
    """The ways in, each a function of a batch; the connection they share is the first the engine opens."""

    def __init__(self, sessions: Sessions, client: httpx.AsyncClient, market: Market) -> None:
        self._sessions, self._client, self._market = sessions, client, market

    async def copied(self, batch: list[UsageReport], frame: pl.DataFrame) -> None:
        """Raw COPY, of the same frame."""
        async with unit_of_work(self._sessions) as work:
            await copy_text(work, "usage_bare", frame=frame.select(COLUMNS))

    async def merged(self, batch: list[UsageReport], frame: pl.DataFrame) -> None:
        """The store's merge."""
        async with unit_of_work(self._sessions) as work:
            await UsageRepository(work).merge(frame)

    async def judged(self, batch: list[UsageReport], frame: pl.DataFrame) -> None:
        """The service: a frame of the reports, judged against the leases, merged."""
        async with self._market.services() as services:
            receipt = await services.usage.report(batch, METER)
        assert receipt.new == len(batch), receipt.set_aside[:1]

    async def sent(self, batch: list[UsageReport], body: bytes) -> None:
        """HTTP, from the bytes of a request to the bytes of its answer."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        answer = await self._client.post("/v1/usage", content=body, headers=headers)
        assert answer.status_code == 201, answer.text


async def backend(sessions: Sessions) -> int:
    """The process id of the connection's backend."""
    async with unit_of_work(sessions) as work:
        return int((await driver(work)).get_server_pid())


def spent(pid: int) -> float:
    """CPU seconds of this process and of a backend."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / TICKS


async def measure(sessions: Sessions, batches: int, *, rows: int) -> dict[str, list[tuple[float, float]]]:
    """CPU and wall seconds of every batch, way by way."""
    market = Market(sessions, clock=FixedClock(START + 2 * HOURS * HOUR), timetable=Timetable(), hardware=[])
    found: dict[str, list[tuple[float, float]]] = {}
    transport = httpx.ASGITransport(app=application(market.services))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://broker") as client:
        ways, pid = Ways(sessions, client, market), await backend(sessions)

        async def timed(name: str, way: Callable[..., Awaitable[None]], *arguments: object) -> None:
            before = spent(pid), time.perf_counter()
            await way(*arguments)
            found.setdefault(name, []).append((spent(pid) - before[0], time.perf_counter() - before[1]))

        for number in range(batches):
            sets = [reports(4 * number + n, rows) for n in range(4)]
            frames = [as_batch(each, market.clock.now()) for each in sets]
            body = msgspec.json.encode(sets[3])
            await timed("copy", ways.copied, sets[0], frames[0])
            await timed("merge", ways.merged, sets[1], frames[1])
            await timed("replay", ways.merged, sets[1], frames[1])
            await timed("service", ways.judged, sets[2], frames[2])
            await timed("http", ways.sent, sets[3], body)
            for frame in frames[2:]:  # both tables grow alike: a larger index is a slower one
                await ways.copied([], frame)
    return found


async def main(batches: int, rows: int) -> dict[str, float]:
    """CPU seconds a batch of each way, and how fast each is beside another: above 1 is faster."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "postgres", durable=False) as server:
        await upgrade(server.dsn)
        engine = open_engine(server.dsn, pool_size=1)
        sessions = open_sessions(engine)
        await prepare(sessions)
        found = await measure(sessions, batches + 1, rows=rows)
        await engine.dispose()
    warm = {name: times[1:] for name, times in found.items()}
    cpu = {name: sum(seconds for seconds, _ in times) / len(times) for name, times in warm.items()}
    wall = {f"{name}_wall": statistics.median(seconds for _, seconds in times) for name, times in warm.items()}
    pairs = {"merge_copy": ("copy", "merge"), "replay_copy": ("copy", "replay"), "http_service": ("service", "http")}
    pairs["http_merge"] = ("merge", "http")
    return {**cpu, **wall, **{name: cpu[first] / cpu[second] for name, (first, second) in pairs.items()}}


if __name__ == "__main__":
    batches, rows = (int(word) for word in (*sys.argv[1:], *("20", "10000")[len(sys.argv) - 1 :]))
    told = asyncio.run(main(batches, rows))
    Console(width=1000).print(msgspec.json.encode({"cpu_seconds": told["merge"], **told}).decode(), highlight=False)
