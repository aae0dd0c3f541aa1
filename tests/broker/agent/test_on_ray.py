"""A lease from its announcement to its invoice, on a real Ray cluster of this machine and through the real program.

Eight declared accelerators at 1.80; a buyer wins four for two slots of 18 seconds. It runs a command on them, the agent is killed in
the middle and started again, and what is billed is what was delivered: seconds × rate.
"""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import ray as ray_client
from sqlmodel import select

from broker.agent.cluster import Command, Hold, NotHeld, Want
from broker.agent.ray_cluster import RayCluster
from broker.app import Market
from broker.client import AsyncGridfare, calls
from broker.clock import SystemClock
from broker.cycle import Timetable
from broker.demo.fed_grid import feed_address
from broker.services.access_views import AccessView
from broker.services.accounts import key_digest
from broker.services.views import LeaseView
from broker.serving import any_port
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.accounts import Provider
from contracts.terms.bids import BidRequest
from contracts.terms.errors import MarketError
from contracts.terms.time import month_of
from tests.broker.agent.ray_processes import kill_all, ray_cluster
from tests.broker.small_market import H100, START, USD, account, caller, cycle_of

pytestmark = pytest.mark.anyio
SLOT = timedelta(seconds=18)
TABLE = Timetable(lead=timedelta(seconds=18), gate_interval=timedelta(seconds=36), slot_seconds=18, slots=2)
GATE = START - TABLE.lead
MONTH = month_of(START)
PROVIDER, OFFER = "prv_ray", "ofr_ray_h100"
GRID_KEY, BUYER_KEY = "gf_grid_of_tests", "gf_buyer_of_tests"
RATE = 1_800_000
GRIDFARE = Path(sys.executable).with_name("gridfare")
PATIENCE_SECONDS = 60
# Ray's own lock: nobody calls the cluster without the token, which the agent knows and holders' programs are not given.
SHUT = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
SLEEP = "86399.25"
LONG = {"arguments": ["sh", "-c", "sleep 8; echo $CUDA_VISIBLE_DEVICES"], "job_id": "long"}


class LeapingClock:
    """Runs with the machine's, from a moment it was set to; it may be set again, later."""

    runs = True

    def __init__(self, moment: datetime) -> None:
        self._ahead = moment - SystemClock().now()

    def now(self) -> datetime:
        return SystemClock().now() + self._ahead

    def leap(self, moment: datetime) -> None:
        """Go on from a moment, unless it has passed."""
        self._ahead += max(moment - self.now(), timedelta(0))


async def open_ray_market(sessions: Sessions) -> tuple[Market, LeapingClock]:
    clock = LeapingClock(GATE - timedelta(minutes=5))
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        await accounts.add_providers([Provider(id=PROVIDER, name="Ray", country="DE", kind="neocloud")])
        await accounts.add_plans({"metered": {"name": "Metered", "kind": "metered_cleared"}})
        await accounts.add_accounts([account("acct_a")])
        await accounts.add_provider_key(
            PROVIDER, key_digest(GRID_KEY), scopes=["feed:write", "leases:write", "usage:write"], at=clock.now()
        )
        await accounts.add_key("acct_a", key_digest(BUYER_KEY), scopes=["bids:write", "leases:write"], at=clock.now())
    return Market(sessions, clock=clock, timetable=TABLE, hardware=[H100]), clock


def written_grid(folder: Path, *, broker: str, ray: str, port: int) -> Path:
    (folder / "api.key").write_text(GRID_KEY)
    file = folder / "agent.toml"
    file.write_text(f"""
broker = "{broker}"
provider = "{PROVIDER}"
every_seconds = 0.5
patience = {{ lead_seconds = 12 }}
cluster = {{ kind = "ray", address = "{ray}" }}
door = {{ port = {port}, url = "http://127.0.0.1:{port}" }}
[[offers]]
offer_id = "{OFFER}"
accelerator = "H100"
rate_micros = {RATE}
attributes = {{ site = "de-1", country = "DE", hardware = "H100-SXM", memory_gb = 80.0, chip_origin = "US" }}
""")
    return file


@contextmanager
def running_agent(grid: Path) -> Iterator[None]:
    """The program, until the end of the block, when it is killed without a word."""
    with (grid.parent / "said").open("ab") as said:
        process = subprocess.Popen([GRIDFARE, "agent", "run", str(grid)], stdout=said, stderr=subprocess.STDOUT, env={**os.environ, **SHUT})
    try:
        yield
    finally:
        kill_all(process.pid)
        process.wait(PATIENCE_SECONDS)


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something that happens by itself."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not await true():
        assert time.monotonic() < end, f"{what} did not happen"
        await asyncio.sleep(0.2)


class Holder:
    """The buyer: what it may do with its key, and at the door with its token."""

    def __init__(self, market: AsyncGridfare, http: httpx.AsyncClient) -> None:
        self.market, self.http = market, http

    async def bid(self) -> None:
        hours = 4 * 2 * SLOT.total_seconds() / 3600
        window = {"window_start": START, "window_end": START + 2 * SLOT}
        wish = BidRequest(width=4, hours=hours, hardware={"H100-SXM": 1.0}, limit_spot_micros=3 * USD, **window)
        await self.market.send(calls.submit_bid(wish))

    async def lease(self) -> LeaseView:
        return (await self.market.send(calls.list_leases())).items[0]

    async def is_in(self, state: str) -> bool:
        return (await self.lease()).state == state

    async def access(self, lease_id: str) -> httpx.Response:
        return await self.http.get(f"/v1/leases/{lease_id}/access", headers={"Authorization": f"Bearer {BUYER_KEY}"})

    async def at_door(self, access: AccessView, path: str = "", *, job: object = None, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or access.token}"}
        if job is None:
            return await self.http.get(access.endpoint + path, headers=headers)
        return await self.http.post(f"{access.endpoint}/jobs", json=job, headers=headers)

    async def ran(self, access: AccessView, job_id: str) -> dict[str, object]:
        found: dict[str, object] = {}

        async def is_over() -> bool:
            try:
                answer = await self.at_door(access, f"/jobs/{job_id}")
            except httpx.TransportError:
                return False  # the agent is not back yet
            found.update(answer.json())
            return found.get("state") not in {None, "running"} and answer.status_code == 200

        await until(is_over, f"job {job_id}: {found}")
        return found


async def delivered_seconds(sessions: Sessions) -> dict[str, int]:
    async with unit_of_work(sessions) as work:
        totals = {"delivered": 0, "provider_failed": 0}
        for row in await work.scalars(select(UsageRow)):
            assert row.rev == 0
            totals[row.status] += row.accelerator_seconds
    return totals


async def test_a_lease_runs_on_ray_from_its_announcement_to_its_invoice(sessions: Sessions, tmp_path: Path):
    with ray_cluster(accelerators=8, kind="H100", shut=SHUT) as ray:
        await _from_announcement_to_invoice(sessions, tmp_path, ray=ray)


async def _from_announcement_to_invoice(sessions: Sessions, tmp_path: Path, *, ray: str) -> None:
    market, clock = await open_ray_market(sessions)
    async with feed_address(market) as broker, AsyncGridfare(broker, key=BUYER_KEY) as line, httpx.AsyncClient(base_url=broker) as http:
        holder, grid = Holder(line, http), written_grid(tmp_path, broker=broker, ray=ray, port=any_port("127.0.0.1"))
        with running_agent(grid):
            access = await _leased(market, clock, holder=holder)
            await _works_and_is_its_holders_alone(holder, access)
            survivor = await holder.at_door(access, job=LONG)
            assert survivor.status_code == 201, survivor.text
        with running_agent(grid):
            assert await holder.ran(access, "long") == {"job_id": "long", "state": "succeeded", "exit_code": 0, "output": "0,1,2,3\n"}
            await until(lambda: holder.is_in("completed"), f"completion; the agent said: {(tmp_path / 'said').read_text()}")
            assert (await holder.access(access.lease_id)).status_code == 409, "over"
            assert (await holder.at_door(access)).status_code == 401
    seconds = await delivered_seconds(sessions)
    assert sum(seconds.values()) == 4 * 36, "every second of the lease is told, once"
    assert seconds["delivered"] >= 4 * 18, f"the agent said: {(tmp_path / 'said').read_text()}"
    await _billed(market, clock, seconds=seconds["delivered"])


async def _leased(market: Market, clock: LeapingClock, *, holder: Holder) -> AccessView:
    """Announced, bid for, cleared, begun and opened."""

    async def is_live() -> bool:
        try:
            return [(offer.state, offer.quantity) for offer in (await market.feeds.view(PROVIDER)).offers] == [("live", 8)]
        except MarketError:
            return False

    await until(is_live, "an announcement")
    await holder.bid()
    clock.leap(GATE)
    report = await cycle_of(market).run(GATE)
    assert (report.leases, report.certificate.holds) == (1, True)
    lease = await holder.lease()
    assert (await holder.access(lease.lease_id)).status_code == 409, "not before it has begun"
    assert [(slot.quantity, slot.rate_micros) for slot in lease.slots] == [(4, RATE), (4, RATE)]
    await until(lambda: holder.is_in("active"), "the start of the lease")
    answer = await holder.access(lease.lease_id)
    assert answer.headers["cache-control"] == "no-store"
    return msgspec.json.decode(answer.content, type=AccessView)


async def _works_and_is_its_holders_alone(holder: Holder, access: AccessView) -> None:
    room = (await holder.at_door(access)).json()
    assert (room["accelerators"], room["hardware"]) == (4, "H100-SXM")
    assert (await holder.at_door(access, token="gfa_guessed")).status_code == 401
    other = msgspec.structs.replace(access, endpoint=access.endpoint + "x")
    assert (await holder.at_door(other)).status_code == 401
    assert (await holder.at_door(access, "/jobs/unknown")).status_code == 404
    script = "import os; print(os.environ['GRIDFARE_ACCELERATORS'], os.environ['GREETING'], 'RAY_AUTH_TOKEN' in os.environ)"
    await holder.at_door(access, job={"arguments": [sys.executable, "-c", script], "environment": {"GREETING": "hello"}, "job_id": "first"})
    assert await holder.ran(access, "first") == {"job_id": "first", "state": "succeeded", "exit_code": 0, "output": "4 hello False\n"}


async def _billed(market: Market, clock: LeapingClock, *, seconds: int) -> None:
    closes_at = MONTH.end + timedelta(hours=6)
    clock.leap(closes_at)
    await market.close().run(MONTH.start, closes_at=closes_at, people=("ada", "grace"))
    async with market.services() as services:
        statement = await services.finance.statement(1, caller("acct_a"))
    (usage,) = [line for line in statement.lines if line.kind == "usage"]
    assert (usage.quantity_seconds, usage.amount_micros) == (seconds, seconds * RATE // 3600)


def test_what_ray_holds_is_there_lost_or_waited_for():
    """Four of eight are held and six wait; what dies is lost, and begun anew it is another; what runs goes when it is let go of."""
    with ray_cluster(accelerators=8, kind="H100") as ray:
        _held_lost_and_waited_for(ray)


def _held_lost_and_waited_for(ray: str) -> None:
    cluster, now = RayCluster(ray), START
    four, six = Want("lse_four", 4), Want("lse_six", 6)
    try:
        assert [(node.accelerator, node.quantity) for node in cluster.nodes()] == [("H100", 8)]
        cluster.start(four, "H100")
        cluster.start(four, "H100")
        held_when(cluster, now, {four: "ready"})
        cluster.start(six, "H100")
        held_when(cluster, now + SLOT, {four: "ready", six: "pending"})
        with pytest.raises(NotHeld):
            cluster.submit(six, Command(arguments=("true",)), job_id="early")
        wrong = cluster.submit(four, Command(arguments=("no-such-program",)), job_id="wrong")
        sleeping = cluster.submit(four, Command(arguments=("sleep", SLEEP)), job_id="long")
        assert {wrong.job_id, sleeping.job_id, cluster.job(four, "unknown")} == {"wrong", "long", None}
        eventually(lambda: str(getattr(cluster.job(four, "wrong"), "state", None)) == "failed", "the failure of what cannot run")
        eventually(lambda: runs(SLEEP), "the start of the job")
        ray_client.kill(ray_client.get_actor("lse_four.4", namespace="gridfare"))
        held_when(cluster, now + SLOT, {four: "lost", six: "pending"})
        cluster.stop(four)
        assert {hold.since for hold in held_when(cluster, now + 2 * SLOT, {six: "ready"})} == {now + 2 * SLOT}
        eventually(lambda: not runs(SLEEP), "the end of the job")
        with pytest.raises(NotHeld):
            cluster.job(four, "long")
        cluster.close()
        cluster = RayCluster(ray)
        (hold,) = cluster.holds(now + 9 * SLOT)
        assert (hold.state, hold.since) == ("ready", now + 2 * SLOT), "the cluster remembers for whoever joins it anew"
        cluster.stop(six)
        cluster.stop(six)
        held_when(cluster, now, {})
    finally:
        cluster.close()


def held_when(cluster: RayCluster, now: datetime, states: dict[Want, str]) -> tuple[Hold, ...]:
    """What is held, once it is held so."""
    eventually(lambda: {Want(each.lease_id, each.quantity): each.state for each in cluster.holds(now)} == states, f"{states}")
    return cluster.holds(now)


def eventually(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.2)


def runs(seconds: str) -> bool:
    """Whether a `sleep` of so long is among the machine's processes."""
    wanted = f"sleep\0{seconds}\0".encode()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if line.read_bytes() == wanted:
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False
