"""Announcements coming in and the book they make: one entry of the register, on `tests.benchmarks.feed`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, at_most, entry

NAMES = {
    "signed and durable ÷ COPY": "durable_copy",
    "store alone ÷ COPY": "store_copy",
    "book swapped in, s": "swap",
    "search p50, s": "search_p50",
    "search p99, s": "search_p99",
}


@entry(
    "feed",
    what="announcements in batches of a thousand, signatures and all, beside raw COPY of the rows they become; a book of 100,000 offers",
    rival="COPY of the same rows of both tables into bare ones, which checks nothing",
    targets={"signed and durable ÷ COPY": at_least(0.4), "book swapped in, s": at_most(2), "search p99, s": at_most(0.05)},
    minutes=2,
)
def feed(bench: Bench) -> Finding:
    """CPU seconds of client and backend together; searches with six demands, facets and a sort, one after the other."""
    sizes = ("1", "20", "200") if bench.quick else ("10", "1000", "100000")
    raced = bench.race({"feed": Program(arguments=("-m", "tests.benchmarks.feed", *sizes))}, runs=3)
    told = raced["feed"].told
    note = "each message carries its own Ed25519 signature, whose check alone takes many times what copying its row does"
    return Finding(figures={name: told[key] for name, key in NAMES.items()}, medians=raced, note=note)
