"""What is measured of settling a month: against a scan of the same columns, against a database, and against settling all of it again."""

from pathlib import Path

from tests.benchmarks.clearing_entries import gridfare, times
from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, at_most, entry

QUICK_ROWS = 3_000
RIVAL = "a streaming scan and group of the same columns by Polars; all of rating in SQL by DuckDB, from the same file"
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
TARGETS = {
    "public format ÷ scan": at_most(3.0),
    "segments ÷ scan": at_most(2.2),
    "again after late rows ÷ all of it": at_most(0.15),
    "peak MB, public format": at_most(2560),
    "peak MB, segments": at_most(1229),
}


@entry(
    "settle-10m",
    what="ten million usage records settled, directory in, bills out",
    rival=RIVAL,
    targets={"SQL ÷ public format": at_least(2.5)},
    minutes=6,
)
def settle_10m(bench: Bench) -> Finding:
    """Whole processes."""
    return _settled(bench, "ledger-10m", rows=10_000_000)


@entry(
    "settle-50m",
    what="fifty million usage records settled, directory in, bills out",
    rival=RIVAL,
    targets=TARGETS | {"SQL ÷ public format": at_least(3)},
    minutes=25,
)
def settle_50m(bench: Bench) -> Finding:
    """Whole processes; three runs, the database one."""
    return _settled(bench, "ledger-50m", rows=50_000_000)


def _settled(bench: Bench, name: str, *, rows: int) -> Finding:
    places = _ledger(bench, name, rows=QUICK_ROWS if bench.quick else rows)
    month, segments, late, out = places["month"], places["segments"], places["late"], places["out"]
    again = ("settle", late, "--out", out)
    raced = bench.race(
        {
            "public format": gridfare("settle", month, "--out", out),
            "scan": _code(SCAN, month / "usage.parquet", "lease_id"),
            "segments": gridfare("settle", segments, "--out", out),
            "scan of segments": _code(SCAN, segments / "usage" / "rows-*.parquet", "lease"),
            "all of it": gridfare(*again),
            "again after late rows": gridfare(*again, "--previous", places["before"]),
        },
        runs=3,
    )
    raced |= bench.race({"SQL": _code(SQL, month)}, runs=1)
    pairs = {
        "public format ÷ scan": ("public format", "scan"),
        "segments ÷ scan": ("segments", "scan of segments"),
        "SQL ÷ public format": ("SQL", "public format"),
        "again after late rows ÷ all of it": ("again after late rows", "all of it"),
    }
    figures = {figure: times(raced[first], raced[second]) for figure, (first, second) in pairs.items()}
    figures |= {f"peak MB, {side}": raced[side].peak_mb for side in ("public format", "segments")}
    figures["millions of records a CPU second"] = rows / 1e6 / raced["public format"].cpu_seconds
    return Finding(figures=figures, medians=raced)


def _ledger(bench: Bench, name: str, *, rows: int) -> dict[str, Path]:
    """The directories that are settled, made when first asked for, by a process of its own: a child's peak is not below its parent's."""
    folder = bench.file(name)
    if not folder.exists():
        bench.race({"prepared": Program(arguments=("-m", "tests.benchmarks.settlement", str(rows), str(folder)))}, runs=1)
    return {part: folder / part for part in ("month", "segments", "late", "before", "out")}


def _code(text: str, *arguments: object) -> Program:
    return Program(arguments=("-c", text, *map(str, arguments)))
