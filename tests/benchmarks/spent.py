"""CPU seconds of this process, user and system, every thread of it: never the clock on the wall, which others share."""

import resource
import signal
from types import FrameType


def cpu_seconds() -> float:
    """Seconds of processor spent so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def stop_after(seconds: float) -> None:
    """End this process once it has spent that many more; 0 never does. What it would have said stays unsaid.

    The kernel ends what does not listen, a solver deep in its own code, a second later.
    """
    if not seconds:
        return

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit

    signal.signal(signal.SIGXCPU, leave)
    spent = int(cpu_seconds() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 1))
