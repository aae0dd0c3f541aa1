"""Leases for Kubernetes and Slurm: what is written is what those systems read.

Manifests are validated by the schemas Kubernetes publishes. Slurm publishes none: the options and the forms of their values that
`sbatch` of Slurm 24.05 documents are written down here.
"""

import json
import re
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path

import kubernetes_validate
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.agent.kubernetes import KubernetesSite, manifests
from broker.agent.slurm import SlurmSite, scripts
from broker.agent.spells import LeaseToEmit, Spell, parts, spells
from broker.services.access_views import DeliverySlot
from contracts.terms.errors import BadInput
from tests.broker.small_market import START
from tests.broker.terminal import run

HOUR = timedelta(hours=1)
KUBERNETES = ("1.28.0", "1.34.0")
NAME, COUNT = r"[A-Za-z0-9_.%-]+", r"[1-9][0-9]*"
MOMENT, DURATION = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", r"\d+-\d\d:\d\d:\d\d"
NAMED = dict.fromkeys(("job-name", "partition", "account", "reservation", "output"), NAME)
TIMES = {"begin": MOMENT, "deadline": MOMENT, "time": DURATION, "time-min": DURATION}
SBATCH = NAMED | TIMES | {"nodes": COUNT, "gpus": rf"({NAME}:)?{COUNT}", "ntasks-per-node": COUNT, "no-requeue": None}


def a_lease(*quantities: int) -> LeaseToEmit:
    """Hourly slots with these quantities, from the start on; 0 is a pause."""
    hours = [START + hour * HOUR for hour in range(len(quantities))]
    slots = [DeliverySlot(start=start, end=start + HOUR, quantity=quantity) for start, quantity in zip(hours, quantities, strict=True)]
    return LeaseToEmit(lease_id="lse_6nqk3v2c7hzq5w4y7x2m3p5r4t", slots=tuple(slots))


def test_slots_in_a_row_are_one_spell():
    assert spells(a_lease(4, 4, 8, 0, 4)) == (
        Spell(START, START + 2 * HOUR, 4),
        Spell(START + 2 * HOUR, START + 3 * HOUR, 8),
        Spell(START + 4 * HOUR, START + 5 * HOUR, 4),
    )
    with pytest.raises(BadInput):
        spells(a_lease(0, 0))


@given(st.integers(1, 200), st.integers(1, 16))
def test_equal_parts_fit_their_machines_and_add_up(quantity: int, node_size: int):
    count, size = parts(quantity, node_size)
    assert count * size == quantity
    assert size <= node_size
    assert parts(12, 8) == (3, 4)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("lease", [a_lease(4), a_lease(12, 12, 3, 0, 24)])
def test_manifests_are_what_kubernetes_publishes(version: str, lease: LeaseToEmit):
    emitted = json.loads(msgspec.json.encode(manifests(lease, KubernetesSite(selector={"nvidia.com/gpu.product": "H100"}))))
    for item in emitted["items"]:
        kubernetes_validate.validate(item, version, strict=True)
    wrong = json.loads(json.dumps(emitted["items"][-1]))
    wrong["spec"]["paralellism"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_pods_of_a_spell_hold_its_accelerators_for_as_long_as_it_is():
    """12 for two hours on machines of eight: three pods of four; then three for an hour: one pod."""
    emitted = json.loads(msgspec.json.encode(manifests(a_lease(12, 12, 3), KubernetesSite())))
    kinds = [item["kind"] for item in emitted["items"]]
    assert kinds == ["Namespace", "ResourceQuota", "NetworkPolicy", "ServiceAccount", "Role", "RoleBinding", "Job", "Job"]
    first, second = emitted["items"][-2:]
    held = []
    for job in (first["spec"], second["spec"]):
        (container,) = job["template"]["spec"]["containers"]
        held.append((job["parallelism"], container["resources"]["limits"], job["activeDeadlineSeconds"]))
    assert held == [(3, {"nvidia.com/gpu": "4"}, 7200), (1, {"nvidia.com/gpu": "3"}, 3600)]
    assert first["metadata"]["annotations"] == {"gridfare.dev/begins": "2027-01-04T00:00:00Z", "gridfare.dev/ends": "2027-01-04T02:00:00Z"}
    assert (first["spec"]["suspend"], second["spec"]["suspend"]) == (True, True)
    assert emitted["items"][1]["spec"] == {"hard": {"requests.nvidia.com/gpu": "12"}}
    namespaces = {item["metadata"].get("namespace") for item in emitted["items"][1:]}
    assert namespaces == {"lse-6nqk3v2c7hzq5w4y7x2m3p5r4t"}, "nothing reaches outside the holder's own"


def options_of(script: str) -> dict[str, str | None]:
    """The options of a batch script, read as `sbatch` does: up to the first line that is no comment. Fails on any it lacks."""
    first, *lines = script.splitlines()
    assert first == "#!/bin/bash"
    found: dict[str, str | None] = {}
    for line in lines:
        if not line.startswith("#"):
            break
        if line.startswith("#SBATCH "):
            (word,) = shlex.split(line.removeprefix("#SBATCH "))
            name, equals, value = word.removeprefix("--").partition("=")
            assert word.startswith("--"), line
            assert name in SBATCH.keys() - found.keys(), line
            form = SBATCH[name]
            assert not equals if form is None else re.fullmatch(form, value), line
            found[name] = value if equals else None
    return found


def test_batch_scripts_say_what_sbatch_reads():
    """12 H100s from the start for two hours, on two machines of eight; then three for one hour, from the third hour on."""
    site = SlurmSite(gres="h100", partition="gpu", account="gridfare", reservation="leases")
    first, second = scripts(a_lease(12, 12, 3), site)
    told = options_of(first)
    assert told | {"output": None} == {
        "job-name": "lse_6nqk3v2c7hzq5w4y7x2m3p5r4t.0", "begin": "2027-01-04T00:00:00", "deadline": "2027-01-04T02:00:00",
        "time": "0-02:00:00", "time-min": "0-00:01:00", "nodes": "2", "gpus": "h100:12", "ntasks-per-node": "1", "partition": "gpu",
        "account": "gridfare", "reservation": "leases", "output": None, "no-requeue": None,
    }  # fmt: skip
    assert (options_of(second)["begin"], options_of(second)["gpus"], options_of(second)["nodes"]) == ("2027-01-04T02:00:00", "h100:3", "1")
    (plain,) = scripts(a_lease(1), SlurmSite())
    assert {"partition", "account", "reservation"}.isdisjoint(options_of(plain))


def test_batch_scripts_are_scripts():
    for script in scripts(a_lease(12, 3), SlurmSite(partition="a b; rm -rf /")):
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        with pytest.raises(AssertionError):
            options_of(script)


def test_the_command_writes_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "lease.json"
    file.write_bytes(msgspec.json.encode(a_lease(8)))
    emitted = json.loads(run(capsys, "agent", "emit", file, "--kind", "kubernetes", "--select", "a=b").out)
    assert emitted["items"][-1]["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}
    script = run(capsys, "agent", "emit", file, "--kind", "slurm", "--gres", "h100").out
    assert options_of(script)["gpus"] == "h100:8"
    file.write_text('{"lease_id": 1}')
    refused = run(capsys, "agent", "emit", file, "--kind", "slurm")
    assert (refused.code, "this is no lease" in refused.err) == (2, True)
