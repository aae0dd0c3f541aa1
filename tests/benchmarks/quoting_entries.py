"""Contested quotes: one entry of the register, on `tests.benchmarks.quoting`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, at_most, entry


@entry(
    "quotes",
    what="accelerators booked twice in ten thousand contested quotes: fifty clients at once for one offer of eight",
    rival="none: a booking is a promise",
    targets={"booked twice": at_most(0), "taken": at_least(1)},
    minutes=6,
)
def quotes(bench: Bench) -> Finding:
    """Real transactions on a real PostgreSQL; what was taken is let go every hundred contests."""
    contests = "200" if bench.quick else "10000"
    raced = bench.race({"quotes": Program(arguments=("-m", "tests.benchmarks.quoting", contests))}, runs=1)
    told = raced["quotes"].told
    figures = {"booked twice": told["twice"], "taken": told["taken"], "refused": told["refused"], "CPU ms a contest": told["milliseconds"]}
    return Finding(figures=figures, medians=raced)
