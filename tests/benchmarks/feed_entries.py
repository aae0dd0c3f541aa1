"""Announcements coming in, the book they make, and how soon it is there: `tests.benchmarks.feed` and `tests.benchmarks.freshness`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_least, at_most, entry

NAMES = {
    "signed and durable ÷ COPY": "durable_copy",
    "store alone ÷ COPY": "store_copy",
    "offers a CPU second": "offers_a_second",
    "rates a CPU second": "rates_a_second",
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
    sizes = ("1", "20", "200") if bench.quick else ("30", "1000", "100000")
    raced = bench.race({"feed": Program(arguments=("-m", "tests.benchmarks.feed", *sizes))}, runs=3)
    told = raced["feed"].told
    return Finding(figures={name: told[key] for name, key in NAMES.items()}, medians=raced)


SEEN = {
    "acknowledged to found p50, s": "fresh_p50",
    "acknowledged to found p99, s": "fresh_p99",
    "search p50 over HTTP, s": "search_p50",
    "search p99 over HTTP, s": "search_p99",
    "searches that failed": "failed",
    "offers changed a second": "changed_a_second",
    "searches a second": "searches_a_second",
    "sent to acknowledged p99, s": "taken_p99",
    "client's own lateness p99, s": "late_p99",
    "cores, feed's door": "feed_cores",
    "cores, market's door": "market_cores",
    "cores, PostgreSQL": "store_cores",
}


@entry(
    "freshness",
    what="100,000 offers behind two doors: 5,000 change a second at one, 50 searches a second are answered at the other",
    rival="none",
    targets={
        "acknowledged to found p99, s": at_most(1),
        "search p99 over HTTP, s": at_most(0.05),
        "searches that failed": at_most(0),
        "offers changed a second": at_least(4_900),
        "searches a second": at_least(49),
    },
    minutes=2,
)
def freshness(bench: Bench) -> Finding:
    """The clock's seconds, seen by a client, its own lateness among them; meanwhile all of the book is read anew at least once."""
    sizes = ("500", "500", "2") if bench.quick else ("100000", "5000", "40")
    raced = bench.race({"freshness": Program(arguments=("-m", "tests.benchmarks.freshness", *sizes))}, runs=1)
    told = raced["freshness"].told
    return Finding(figures={name: told[key] for name, key in SEEN.items()}, medians=raced)
