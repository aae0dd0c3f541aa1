"""Programs run one at a time in processes of their own, and what each cost: CPU seconds of all its threads, and peak memory.

A program may time a part of itself: the last line it prints is then a JSON object whose `cpu_seconds` counts instead of the
whole process, beside whatever figures it tells. A program that exceeds what it was given says nothing and is *stopped*.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = sys.executable
KIBIBYTE = 1024
Told = dict[str, float]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a program.

    cpu_seconds   of the part it timed, else of the process
    whole         CPU seconds of the process, start and reading included
    peak_mb       most memory it held
    told          the figures it printed
    code          its exit code
    """

    cpu_seconds: float
    whole: float
    peak_mb: float
    told: Told
    code: int


class Median(msgspec.Struct, frozen=True, kw_only=True):
    """The median of several runs of one program, figure by figure; `stopped` when none of them came to an end."""

    cpu_seconds: float
    spread: tuple[float, float]
    whole: float
    peak_mb: float
    told: Told
    runs: int
    stopped: bool = False


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: arguments after the interpreter's name, and exit codes that count as an answer.

    stop_after   CPU seconds at which a program that stops by itself is counted as spending all of them
    """

    arguments: tuple[str, ...]
    accepted: tuple[int, ...] = (0,)
    stop_after: float | None = None


def race(programs: Mapping[str, Program], *, runs: int) -> dict[str, Median]:
    """Every program `runs` times, in turn, so that whatever else the machine does meets all of them; medians by label.

    One run each goes before and is thrown away where more than one is asked for: it finds caches cold and kernels not yet
    compiled. Raises RuntimeError when a program fails.
    """
    if runs > 1:
        for program in programs.values():
            if program.stop_after is None:
                run(program)
    found: dict[str, list[Run]] = {label: [] for label in programs}
    for _ in range(runs):
        for label, program in programs.items():
            if not (program.stop_after and found[label]):  # one run to the limit says what another would
                found[label].append(run(program))
    return {label: median(of, stop_after=programs[label].stop_after) for label, of in found.items()}


def run(program: Program) -> Run:
    """Run a program to its end. Raises RuntimeError, with what it said, for an exit code that is no answer."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([PYTHON, *program.arguments], cwd=ROOT, stdout=out, stderr=err, env=_environment())
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        said, complaint = out.read().decode(), err.read().decode()
    whole = used.ru_utime + used.ru_stime
    ran_out = program.stop_after is not None and child.returncode < 0 and whole >= program.stop_after
    if child.returncode not in program.accepted and not ran_out:
        raise RuntimeError(f"{' '.join(program.arguments)} ended with {child.returncode}: {complaint[-2000:] or said[-2000:]}")
    told = _told(said)
    return Run(cpu_seconds=told.pop("cpu_seconds", whole), whole=whole, peak_mb=used.ru_maxrss / KIBIBYTE, told=told, code=child.returncode)


def median(runs: Sequence[Run], *, stop_after: float | None = None) -> Median:
    """Each figure's median over the runs that came to an end; where none did, the limit stands for the time."""
    ended = [run for run in runs if run.told or stop_after is None]
    if not ended:
        most = stop_after or 0.0
        peak = statistics.median(run.peak_mb for run in runs)
        return Median(cpu_seconds=most, spread=(most, most), whole=runs[0].whole, peak_mb=peak, told={}, runs=len(runs), stopped=True)
    seconds = [run.cpu_seconds for run in ended]
    return Median(
        cpu_seconds=statistics.median(seconds),
        spread=(min(seconds), max(seconds)),
        whole=statistics.median(run.whole for run in ended),
        peak_mb=statistics.median(run.peak_mb for run in ended),
        told={name: statistics.median(run.told[name] for run in ended) for name in ended[0].told},
        runs=len(ended),
    )


def machine() -> dict[str, str | float]:
    """What the figures were measured on: processor, cores, memory, and how busy it was. Names nobody's machine."""
    words = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": words[0] if words else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
    }


def _told(said: str) -> Told:
    """The figures in the last line, if it is an object of them."""
    last = said.strip().splitlines()[-1:] or [""]
    try:
        return msgspec.json.decode(last[0], type=Told)
    except msgspec.DecodeError:
        return {}


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
