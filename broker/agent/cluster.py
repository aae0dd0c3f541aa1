"""What the agent needs of a cluster, as a port: what it has, what it holds for leases, and running what holders send.

The words are the agent's; each kind of cluster has one file that speaks them.
"""

from datetime import datetime
from typing import Literal, NamedTuple, Protocol

import msgspec

HoldState = Literal["pending", "ready", "lost"]
JobState = Literal["running", "succeeded", "failed", "stopped"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One machine that is alive.

    accelerator  what the cluster calls them
    quantity     accelerators, in use or not
    """

    id: str
    accelerator: str
    quantity: int


class Want(NamedTuple):
    """Accelerators for a lease: what names a hold."""

    lease_id: str
    quantity: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster holds for a lease.

    state  ready: every accelerator is there for the holder; lost: it was, and is not any more
    since  from when on it is ready, by the agent's clock when it first saw so; None before. The cluster keeps it, so that an agent
           that starts anew knows what ran without it
    """

    lease_id: str
    quantity: int
    state: HoldState
    since: datetime | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program for a holder's accelerators: its arguments, the first of them the program, and what its environment adds."""

    arguments: tuple[str, ...]
    environment: dict[str, str] = {}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it stands.

    exit_code  the greatest of its processes'; None while it runs
    output     the end of what they wrote, process after process
    """

    job_id: str
    state: JobState
    exit_code: int | None = None
    output: str = ""


class Cluster(Protocol):
    """A cluster. Every method waits for it, and raises ClusterAway when it does not answer."""

    def nodes(self) -> tuple[Node, ...]:
        """The machines that are alive, by id."""
        ...

    def holds(self, now: datetime) -> tuple[Hold, ...]:
        """What is held for leases, by lease and quantity; a hold found ready for the first time is so since `now`."""
        ...

    def start(self, want: Want, accelerator: str) -> None:
        """Begin to hold accelerators of a kind for a lease. What is held already is left alone; what has no room waits."""
        ...

    def stop(self, held: Want) -> None:
        """Let go of them, and of whatever runs on them. What is not held is no fault."""
        ...

    def submit(self, held: Want, command: Command, *, job_id: str) -> Job:
        """Run a command on everything that is held; under a name once. Raises NotHeld."""
        ...

    def job(self, held: Want, job_id: str) -> Job | None:
        """A command of a lease; None for an unknown one. Raises NotHeld."""
        ...

    def stop_job(self, held: Want, job_id: str) -> Job | None:
        """Stop a command of a lease; None for an unknown one. Raises NotHeld."""
        ...


class ClusterAway(Exception):
    """The cluster does not answer; the next turn tries again."""


class NotHeld(Exception):
    """Nothing is held for this lease at the moment."""
