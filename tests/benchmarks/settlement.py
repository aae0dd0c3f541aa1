"""How long a month takes to settle, beside what a scan takes, and a database: `python -m tests.benchmarks.settlement`.

Every measurement is a process of its own; ours and its rival's take turns, and medians are compared, in CPU seconds of all
threads, starting included. The directories are made first, by the row (`settlement_months`), and removed afterwards.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import msgspec
from rich.console import Console

from tests.benchmarks.settlement_months import MonthSpec, late_part, write_month

GRIDFARE = ("-c", "from broker.cli import main; main()")
SCAN = """
import sys, polars as pl
lease = sys.argv[2]
rest = [pl.col(name).max() for name in ("start", "end", "received_at", "rev")]
rows = pl.scan_parquet(sys.argv[1]).group_by(lease, "status").agg(pl.col("accelerator_seconds").sum(), *rest, pl.col("usage_id").count())
rows.collect(engine="streaming")
"""
SQL = """
import sys
from pathlib import Path
from tests.oracles.settlement_files import settled_database
with settled_database(Path(sys.argv[1])) as (database, queries):
    for query in queries.values():
        database.execute(f"SELECT count(*) FROM ({query})").fetchall()
"""
PREPARE = """
import sys
from pathlib import Path
from tests.benchmarks.settlement import prepare
prepare(int(sys.argv[1]), Path(sys.argv[2]))
"""
MEGABYTE = 1024
LATE_SHARE, LATE_CORRECTIONS = 0.005, 0.2


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One process: CPU seconds of all its threads, seconds by the clock, most memory held, MB."""

    cpu: float
    wall: float
    peak: int


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `at_least`: the target is a lower bound; `first`, `second`: command lines, first ÷ second is the ratio."""

    name: str
    target: float
    first: tuple[str, ...]
    second: tuple[str, ...]
    at_least: bool = False


def prepare(rows: int, directory: Path) -> None:
    """The directories that are settled: one file, the same as segments, and a folder to which late rows come after a close."""
    spec = MonthSpec(rows=rows)
    one = write_month(spec, directory / "month")
    measured((*GRIDFARE, "segments", str(one), "--to", str(directory / "segments")))
    late = write_month(msgspec.structs.replace(spec, periods=spec.periods + 1, months_used=spec.periods), directory / "late", folder=True)
    measured((*GRIDFARE, "settle", str(late), "--out", str(directory / "before"), "--as-of", str(spec.periods), "--remember"))
    late_part(spec, share=LATE_SHARE, corrections=LATE_CORRECTIONS).write_parquet(late / "usage" / "part-99999.parquet")


def ratios(places: dict[str, Path], *, sql: bool = True) -> list[Ratio]:
    """The rows of the table for some prepared directories."""
    month, segments, late, before, out = (str(places[name]) for name in ("month", "segments", "late", "before", "out"))
    public = (*GRIDFARE, "settle", month, "--out", out)
    close = (*GRIDFARE, "settle", late, "--out", out)
    found = [
        Ratio(name="public format / scan + group", target=3.0, first=public, second=("-c", SCAN, f"{month}/usage.parquet", "lease_id")),
        Ratio(
            name="segments / scan + group",
            target=2.2,
            first=(*GRIDFARE, "settle", segments, "--out", out),
            second=("-c", SCAN, f"{segments}/usage/rows-*.parquet", "lease"),
        ),
        Ratio(name="re-close after late rows / full close", target=0.15, first=(*close, "--previous", before), second=close),
    ]
    if sql:
        found.append(Ratio(name="DuckDB SQL / public format", target=2.5, first=("-c", SQL, month), second=public, at_least=True))
    return found


def measured(arguments: tuple[str, ...]) -> Measured:
    """Run Python on some arguments and say what it took. Raises RuntimeError when it fails."""
    started = perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments[2:])} ended with {process.returncode}")
    return Measured(cpu=usage.ru_utime + usage.ru_stime, wall=perf_counter() - started, peak=usage.ru_maxrss // MEGABYTE)


def compared(ratio: Ratio, *, runs: int) -> tuple[Measured, Measured]:
    """Medians of both sides, taking turns."""
    pairs = [(measured(ratio.first), measured(ratio.second)) for _ in range(runs)]
    first, second = (
        Measured(
            cpu=statistics.median(side.cpu for side in sides),
            wall=statistics.median(side.wall for side in sides),
            peak=max(side.peak for side in sides),
        )
        for sides in zip(*pairs, strict=True)
    )
    return first, second


def main() -> int:
    """Measure at one size; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-sql", action="store_true")
    parser.add_argument("--keep", type=Path, help="make the directories here, or use those made before, and leave them")
    asked = parser.parse_args()
    console = Console(width=140)
    place = asked.keep or Path(tempfile.mkdtemp(prefix="gridfare-settlement-"))
    names = ("month", "segments", "late", "before", "out")
    try:
        ready = (place / "before" / "close.json").is_file()
        if not ready:  # in a process of its own: a child's peak is never below its parent's
            measured(("-c", PREPARE, str(int(asked.rows)), str(place)))
        places = {name: place / name for name in names}
        line = "{:<42}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}"
        console.print(
            line.format(f"{int(asked.rows):,} rows", "target", "ratio", "CPU, s", "rival", "wall, s", "rival", "peak, MB", "rival")
        )
        missed = False
        for ratio in ratios(places, sql=not asked.no_sql):
            first, second = compared(ratio, runs=asked.runs)
            found = first.cpu / second.cpu
            missed |= found < ratio.target if ratio.at_least else found > ratio.target
            figures = [f"{value:.2f}" for value in (first.cpu, second.cpu, first.wall, second.wall)]
            peaks = [f"{side.peak:,}" for side in (first, second)]
            console.print(line.format(ratio.name, f"{ratio.target:.2f}", f"{found:.2f}", *figures, *peaks))
        return int(missed)
    finally:
        if not asked.keep:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
