"""A Ray cluster of this machine for one test: declared accelerators, no dashboard, everything in a folder that goes with it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
PATIENCE_SECONDS = 120
ADDRESS = "ray start --address='"


@contextmanager
def ray_cluster(*, accelerators: int, kind: str, shut: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a cluster of one machine, shut by settings of Ray's; afterwards all its processes are gone."""
    # Sockets have short names: the folder may not be pytest's.
    folder = Path(tempfile.mkdtemp(prefix="gfray", dir="/tmp"))
    with (folder / "said").open("wb") as said:
        command = [
            str(RAY), "start", "--head", "--block", "--port=0", "--num-cpus=2", f"--num-gpus={accelerators}",
            f'--resources={{"accelerator_type:{kind}": 1}}', "--include-dashboard=false", f"--temp-dir={folder}",
            "--disable-usage-stats", "--object-store-memory=100000000",
        ]  # fmt: skip
        head = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(shut or {})})
    try:
        yield _address(folder / "said", head)
    finally:
        kill_all(head.pid)
        head.wait(PATIENCE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def kill_all(root: int) -> None:
    """End a process and all it has begun, by their ids, and wait until none of them runs."""
    doomed = [root]
    for pid in doomed:
        doomed += [child for child, parent in _parents().items() if parent == pid and child not in doomed]
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    until = time.monotonic() + PATIENCE_SECONDS
    while set(doomed[1:]) & _parents().keys():
        assert time.monotonic() < until, "processes of the cluster are still there"
        time.sleep(0.1)


def _parents() -> dict[int, int]:
    """Parent by process, of all that run; what only waits to be collected does not."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def _address(said: Path, head: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        text = said.read_text(errors="replace")
        if "Ray runtime started" in text and ADDRESS in text:
            return text.partition(ADDRESS)[2].partition("'")[0]
        assert head.poll() is None, text
        time.sleep(0.2)
    raise AssertionError(said.read_text(errors="replace"))
