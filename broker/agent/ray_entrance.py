"""What stands in a lease's placement group on Ray: it remembers since when, and runs what the holder sends.

The cluster's machines need not have Gridfare: this file travels to them whole, so it stands on Python and Ray alone.
"""

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

JobState = Literal["running", "succeeded", "failed", "stopped"]
OUTPUT_BYTES_MAX = 65_536
PR_SET_PDEATHSIG = 1
DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")
PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", *DEVICES)


class Process(NamedTuple):
    """One process of a job, over."""

    exit_code: int
    output: str


class Told(NamedTuple):
    """A job as the entrance knows it; `state` as in the agent's port."""

    job_id: str
    state: JobState
    exit_code: int | None
    output: str


class Entrance:
    """An actor that outlives the agent and dies with its placement group.

    sizes  accelerators in each bundle: one process of a job runs in each
    """

    def __init__(self, group: PlacementGroup, *, sizes: Sequence[int], lease_id: str) -> None:
        self._group = group
        self._sizes = tuple(sizes)
        self._lease_id = lease_id
        self._since = ""
        self._running: dict[str, list[ray.ObjectRef[Process]]] = {}
        self._over: dict[str, Told] = {}

    def ready_since(self, now: str) -> str:
        """When somebody first asked: the entrance was there, so all the group was."""
        self._since = self._since or now
        return self._since

    def submit(self, job_id: str, arguments: Sequence[str], *, environment: Mapping[str, str]) -> Told:
        """Start a job's processes, once; they wait for accelerators other jobs of the lease have."""
        if job_id not in self._running and job_id not in self._over:
            head = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            refs = []
            for rank, size in enumerate(self._sizes):
                place = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=rank)
                facts = {
                    "GRIDFARE_LEASE": self._lease_id,
                    "GRIDFARE_JOB": job_id,
                    "GRIDFARE_RANK": str(rank),
                    "GRIDFARE_NODES": str(len(self._sizes)),
                    "GRIDFARE_ACCELERATORS": str(size),
                    "GRIDFARE_HEAD": head,
                }
                task = ray.remote(run).options(num_cpus=0, num_gpus=size, max_retries=0, scheduling_strategy=place)
                refs.append(task.remote(tuple(arguments), {**facts, **environment}))
            self._running[job_id] = refs
        told = self.job(job_id)
        assert told is not None, "it was just submitted"
        return told

    def job(self, job_id: str) -> Told | None:
        """A job as it stands; None for one nobody submitted."""
        refs = self._running.get(job_id)
        if refs is None:
            return self._over.get(job_id)
        done, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        if len(done) < len(refs):
            return Told(job_id, "running", None, "")
        try:
            processes: list[Process] = ray.get(refs)
        except ray.exceptions.RayError as fault:
            return self._end(Told(job_id, "failed", None, f"{type(fault).__name__}: the machine was lost, or the program cannot be run"))
        exit_code = max(process.exit_code for process in processes)
        state: JobState = "succeeded" if all(process.exit_code == 0 for process in processes) else "failed"
        return self._end(Told(job_id, state, exit_code, "".join(process.output for process in processes)))

    def stop(self, job_id: str) -> Told | None:
        """End a job's processes; None for one nobody submitted."""
        told = self.job(job_id)
        if told is None or told.state != "running":
            return told
        for ref in self._running[job_id]:
            ray.cancel(ref, force=True)
        return self._end(Told(job_id, "stopped", None, ""))

    def _end(self, told: Told) -> Told:
        self._running.pop(told.job_id, None)
        self._over[told.job_id] = told
        return told


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Run one process of a job, in a folder of its own that goes with it, and keep the end of what it writes.

    It dies with the worker that runs it, so that nothing runs on when the lease is over. Of the worker's environment it is
    given what programs need to find each other, and Ray's address, so that `ray.init()` finds the cluster.
    """
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    address = ray.get_runtime_context().gcs_address
    with tempfile.TemporaryDirectory(prefix="gridfare-") as home, tempfile.TemporaryFile() as written:
        code = subprocess.run(
            list(arguments),
            cwd=home,
            env={**passed, "HOME": home, "RAY_ADDRESS": address, **environment},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            check=False,
            preexec_fn=_dying_with(os.getpid()),
        ).returncode
        size = written.seek(0, os.SEEK_END)
        written.seek(max(0, size - OUTPUT_BYTES_MAX))
        return Process(code if code >= 0 else 128 - code, written.read().decode(errors="replace"))


def _dying_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes the program: ask Linux to end it with its parent, however that ends."""
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie
