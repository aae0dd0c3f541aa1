"""From a quote to what a program wrote: a broker, an agent with a door, and a buyer at a terminal; the cluster alone is pretended."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from broker.agent.agent import Agent
from broker.agent.announcing import OfferTerms
from broker.agent.cluster import Command, Job, Want
from broker.agent.door import door
from broker.agent.grid import ClusterAddress, DoorAddress, Grid
from broker.client import AsyncGridfare
from broker.commands.submit import STOPPED
from broker.services.accounts import key_digest
from broker.serving import any_port
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import unit_of_work
from tests.broker.agent.pretending import PretendedCluster
from tests.broker.client.conftest import Program, Served
from tests.broker.small_market import START, pass_time

pytestmark = pytest.mark.anyio
GRID_KEY = "gf_grid"
LOOKS = 2


class RunningCluster(PretendedCluster):
    """What runs here ends after a few looks: it repeats its words, or fails with the number it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: dict[str, int] = {}
        self.environment: dict[str, str] = {}

    def submit(self, held: Want, command: Command, *, job_id: str) -> Job:
        self.environment = command.environment
        return super().submit(held, command, job_id=job_id)

    def job(self, held: Want, job_id: str) -> Job | None:
        self.looks[job_id] = self.looks.get(job_id, 0) + 1
        found = super().job(held, job_id)
        if found is None or self.looks[job_id] < LOOKS:
            return found
        program, _, code = found.output.partition(" ")
        if program == "stop":
            return Job(job_id=job_id, state="stopped", output=found.output)
        return Job(
            job_id=job_id,
            state="failed" if program == "exit" else "succeeded",
            exit_code=int(code) if program == "exit" else 0,
            output=found.output,
        )


@pytest.fixture
async def cluster(served: Served, tmp_path: Path) -> AsyncIterator[tuple[RunningCluster, Agent]]:
    """The first provider's agent and its open door."""
    async with unit_of_work(served.market.sessions) as work:
        scopes = ["feed:write", "leases:write", "usage:write"]
        await AccountRepository(work).add_provider_key("prv_a", key_digest(GRID_KEY), scopes=scopes, at=served.market.clock.now())
    port = any_port("127.0.0.1")
    grid = Grid(
        broker=served.url,
        provider="prv_a",
        cluster=ClusterAddress(kind="ray", address="pretended"),
        door=DoorAddress(url=f"http://127.0.0.1:{port}"),
        offers=(OfferTerms(offer_id="ofr_a", accelerator="H100", rate_micros=1_000_000, attributes={"site": "de-1", "country": "DE"}),),
        signing_key_file=tmp_path / "feed.key",
        memory_file=tmp_path / "agent.json",
    )
    running = RunningCluster()
    async with AsyncGridfare(served.url, key=GRID_KEY) as market:
        agent = Agent(grid, running, market=market, clock=served.market.clock, say=lambda _: None)
        server = Server(door(agent), address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
        serving = asyncio.create_task(server.serve())
        yield running, agent
        server.stop()
        await serving


async def test_a_command_runs_on_a_lease_and_ends_as_it_ended(gridfare: Program, served: Served, cluster: tuple[RunningCluster, Agent]):
    running, agent = cluster
    words = ("quote", "offer_id=ofr_a", "accelerators=8", "hours=2", "start=2027-01-04T00:00Z", "--accept", "--yes", "--json")
    lease = json.loads((await gridfare(*words)).out)["lease_id"]
    early = await gridfare("submit", lease, "--", "echo")
    assert (early.code, "has not opened this lease yet" in early.err) == (2, True)
    pass_time(served.market, START - served.market.clock.now())
    for _ in range(2):
        await agent.turn()
    shown = json.loads((await gridfare("lease", "access", lease, "--json")).out)
    assert (shown["protocol"], shown["lease_id"]) == ("jobs", lease)
    assert shown["token"] in (await gridfare("lease", "access", lease)).out
    done = await gridfare("submit", lease, "--env", "EPOCHS=3", "--every", "0.05", "--", "echo", "--loud", "hello")
    assert (done.code, done.out, running.environment) == (0, "echo --loud hello\n", {"EPOCHS": "3"}), done.err
    failed = await gridfare("submit", lease, "--every", "0.05", "--", "exit", "7")
    assert failed.code == 7
    assert (await gridfare("submit", lease, "--every", "0.05", "--", "stop")).code == STOPPED
    for _ in range(2):
        left = await gridfare("submit", lease, "--name", "night-42", "--leave", "--json", "--", "train")
        assert json.loads(left.out)["job_id"] == "night-42"
    assert sorted(job.output for job in running.jobs.values()) == ["echo --loud hello", "exit 7", "stop", "train"], "once, by its name"
    assert (await gridfare("submit", lease, "--env", "EPOCHS", "--", "echo")).code == 2


async def test_nobody_else_gets_in(gridfare: Program, served: Served, cluster: tuple[RunningCluster, Agent], monkeypatch):
    words = ("quote", "offer_id=ofr_a", "accelerators=8", "hours=2", "start=2027-01-04T00:00Z", "--accept", "--yes", "--json")
    lease = json.loads((await gridfare(*words)).out)["lease_id"]
    pass_time(served.market, START - served.market.clock.now())
    for _ in range(2):
        await cluster[1].turn()
    monkeypatch.setenv("GRIDFARE_KEY", "gf_b")
    refused = await gridfare("submit", lease, "--", "echo")
    assert (refused.code, "no lease has the id" in refused.err) == (2, True)
    assert cluster[0].jobs == {}
