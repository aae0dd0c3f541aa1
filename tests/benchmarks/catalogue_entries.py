"""The book beside a catalogue of the same rows: one entry of the register, on `tests.benchmarks.catalogue`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, entry


@entry(
    "catalogue",
    what="a search of 100,000 offers with six demands, sorted, with facets and reasons",
    rival="gpuhunt, Catalog.query of the same rows with six filters, which gives a list",
    targets={"gpuhunt ÷ search": at_least(100)},
    minutes=1,
)
def catalogue(bench: Bench) -> Finding:
    """Both in one process, in turn; the median query of each. The library loads its rows from files, as it always does."""
    sizes = ("300", "3") if bench.quick else ("100000", "25")
    raced = bench.race({"catalogue": Program(arguments=("-m", "tests.benchmarks.catalogue", *sizes))}, runs=3)
    told = raced["catalogue"].told
    figures = {"gpuhunt ÷ search": told["ratio"], "search, ms": 1000 * told["ours"], "gpuhunt, ms": 1000 * told["gpuhunt"]}
    return Finding(figures=figures, medians=raced)
