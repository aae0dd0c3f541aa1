"""The two locks on a data directory: PostgreSQL's `postmaster.pid`, and ours on whoever keeps the server.

PostgreSQL's lock names a process id. Ids are given again, and a process nobody has reaped still has one, so the file
alone does not say whether a server runs; the process table does. Ours is a lock of the kernel's, which ends with its
holder however the holder ends.
"""

import fcntl
import os
from pathlib import Path

import msgspec

POSTMASTER_FILE = "postmaster.pid"
READY = "ready"
STATUS_LINE = 7
SOCKET_LINE = 4


class Postmaster(msgspec.Struct, frozen=True):
    """What `postmaster.pid` says: who runs, where its socket is, and whether it takes connections."""

    pid: int
    socket_directory: str
    status: str


def read_postmaster(data: Path) -> Postmaster | None:
    """The server that claims a data directory; None without a claim, or with one not yet written out."""
    try:
        lines = (data / POSTMASTER_FILE).read_text().splitlines()
        pid = abs(int(lines[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None
    padded = [line.strip() for line in lines] + [""] * (STATUS_LINE + 1)
    return Postmaster(pid, padded[SOCKET_LINE], padded[STATUS_LINE])


def is_serving(pid: int, data: Path) -> bool:
    """Whether a process is a server on this data directory, by its command line.

    The command line is what everybody may read of a process (root in a container may not see the rest); a zombie's
    is empty. Whoever else was given the number of a dead server has another one.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return words[0].rpartition(b"/")[2] == b"postgres" and os.fsencode(data) in words


def disown(data: Path) -> None:
    """Put our own process id into a dead server's lock: PostgreSQL takes its parent's id for stale.

    By itself it would be misled by a zombie, or by a stranger of its account who was given the number. The file is
    rewritten, not removed, because its other lines are how PostgreSQL finds a dead server's workers that are still
    busy, beside which it must not start. Only one that was never written out, which PostgreSQL would refuse, goes.
    Call it with the keeper's lock held and nobody serving.
    """
    path = data / POSTMASTER_FILE
    if read_postmaster(data) is None:
        path.unlink(missing_ok=True)
        return
    rest = path.read_text().partition("\n")[2]
    path.write_text(f"{os.getpid()}\n{rest}")


class KeeperLock:
    """Held by the process that keeps the server, from before it starts to after it has stopped.

    A lock of the open file (flock), free again the moment its holder dies. Forked children drop it: they would
    otherwise keep it for a parent that is gone.
    """

    _held: set[int] = set()  # noqa: RUF012 - shared on purpose: a fork must find every lock of the process

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether the lock is ours now. Never waits. Raises OSError where the file cannot be opened."""
        assert self._descriptor is None, "the lock is already held by this object"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._held.add(descriptor)
        return True

    def release(self) -> None:
        """Let others keep the server. Releasing twice is allowed."""
        if self._descriptor is not None:
            self._held.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    @classmethod
    def drop_in_child(cls) -> None:
        """Close the copies a fork made; the parent's lock is not touched by that."""
        for descriptor in cls._held:
            os.close(descriptor)
        cls._held.clear()


os.register_at_fork(after_in_child=KeeperLock.drop_in_child)
