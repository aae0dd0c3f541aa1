"""Usage coming in: one entry of the register, on `tests.benchmarks.ingest`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, entry

NAMES = {"merge ÷ COPY": "merge_copy", "replay ÷ COPY": "replay_copy", "HTTP ÷ merge": "http_merge", "HTTP ÷ service": "http_service"}


@entry(
    "ingest",
    what="rows a CPU second: the merge, a replay and HTTP, in batches of ten thousand, beside raw COPY into the same key and indexes",
    rival="COPY of the same frame into a table as large, which checks nothing",
    targets={"merge ÷ COPY": at_least(0.65), "replay ÷ COPY": at_least(0.6), "HTTP ÷ merge": at_least(0.5)},
    minutes=1,
)
def ingest(bench: Bench) -> Finding:
    """Client and backend together; batches take turns within one process."""
    sizes = ("2", "200") if bench.quick else ("20", "10000")
    raced = bench.race({"ingest": Program(arguments=("-m", "tests.benchmarks.ingest", *sizes))}, runs=3)
    told = raced["ingest"].told
    return Finding(figures={name: told[key] for name, key in NAMES.items()}, medians=raced)
