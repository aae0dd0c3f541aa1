"""The door over HTTP: who is let in, what runs, and how it is refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.agent.cluster import Job
from broker.agent.door import door
from tests.broker.agent.pretending import TOKEN, Scene, a_delivery

SIGNED = {"Authorization": f"Bearer {TOKEN}"}
HERE = "/leases/lse_a"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Ten seconds into a lease of four."""
    scene = Scene(tmp_path, a_delivery())
    asyncio.run(_begun(scene))
    return scene


async def _begun(scene: Scene) -> None:
    for _ in range(26):
        await scene.turn(5)


@pytest.fixture
def client(scene: Scene) -> Iterator[TestClient[Litestar]]:
    with TestClient(door(scene.agent)) as client:
        yield client


def test_a_holder_sees_what_it_has_and_runs_what_it_sends(client, scene):
    assert client.get(HERE, headers=SIGNED).json() == {
        "lease_id": "lse_a", "hardware": "H100-SXM", "accelerators": 4, "until": "2027-01-04T00:01:00Z",
    }  # fmt: skip
    wish = {"arguments": ["python", "train.py"], "job_id": "one"}
    first, again = (client.post(f"{HERE}/jobs", json=wish, headers=SIGNED) for _ in range(2))
    assert (first.status_code, first.json()["state"], first.json()["output"]) == (201, "running", "python train.py")
    assert again.json() == first.json(), "under a name it runs once"
    assert len(scene.cluster.jobs) == 1
    scene.cluster.jobs["one"] = Job(job_id="one", state="succeeded", exit_code=0, output="done")
    assert client.get(f"{HERE}/jobs/one", headers=SIGNED).json()["output"] == "done"
    assert client.post(f"{HERE}/jobs/one/stop", headers=SIGNED).status_code == 200
    unnamed = client.post(f"{HERE}/jobs", json={"arguments": ["true"]}, headers=SIGNED).json()
    assert unnamed["job_id"] in scene.cluster.jobs


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer "}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer x"}])
@pytest.mark.parametrize("address", [HERE, f"{HERE}/jobs/one", "/leases/lse_b"])
def test_without_the_token_of_the_lease_there_is_nothing(client, address, header):
    answer = client.get(address, headers=header)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not_signed_in")
    assert client.get("/leases/lse_b", headers=SIGNED).status_code == 401, "nor with another's"


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"arguments": []},
        {"arguments": ["a\0"]},
        {"arguments": ["a"], "environment": {"A=B": "c"}},
        {"arguments": ["a"], "job_id": "../x"},
    ],
)
def test_what_is_no_command_is_refused_before_anything_runs(client, scene, wish):
    answer = client.post(f"{HERE}/jobs", json=wish, headers=SIGNED)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert scene.cluster.jobs == {}


def test_what_is_not_there_is_said(client, scene):
    assert client.get(f"{HERE}/jobs/none", headers=SIGNED).status_code == 404
    wish = {"arguments": ["true"]}
    scene.cluster.away = True
    busy = client.post(f"{HERE}/jobs", json=wish, headers=SIGNED)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "5")
    scene.cluster.away, scene.cluster.held = False, {}
    assert client.post(f"{HERE}/jobs", json=wish, headers=SIGNED).status_code == 409
