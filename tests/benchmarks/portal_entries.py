"""What a page costs its reader: `tests.benchmarks.portal`."""

from tests.benchmarks.measuring import Program
from tests.benchmarks.registry import Bench, Finding, at_most, entry

NAMES = {
    "market page ÷ its bare queries, p95": "market_over_queries",
    "search page ÷ its bare queries, p95": "find_over_queries",
    "market page ÷ its questions, p95": "market_over_questions",
    "search page ÷ its questions, p95": "find_over_questions",
    "market page p95, s": "market_p95",
    "search page p95, s": "find_p95",
    "market page with charts, kB": "market_bytes",
    "search page, kB": "find_bytes",
    "requests, market page": "market_requests",
    "requests, search page": "find_requests",
    "largest paint, market page, s": "market_paint",
    "largest paint, search page, s": "find_paint",
}


@entry(
    "portal",
    what="the market and the search page: a hundred users at once beside the statements it sends, sent bare; weight and first paint",
    rival="the page's SQL through asyncpg alone; then the services' own answers, no page around them",
    targets={
        "market page ÷ its bare queries, p95": at_most(3),
        "search page ÷ its bare queries, p95": at_most(3),
        "market page with charts, kB": at_most(450),
        "search page, kB": at_most(80),
        "requests, market page": at_most(12),
        "requests, search page": at_most(12),
        "largest paint, market page, s": at_most(2.5),
        "largest paint, search page, s": at_most(2.5),
    },
    minutes=2,
)
def portal(bench: Bench) -> Finding:
    """The clock's seconds: a reader waits in them. Paint is measured cold, at 390 px, on what Chromium calls fast 3G."""
    sizes = ("5", "1") if bench.quick else ("100", "3")
    raced = bench.race({"portal": Program(arguments=("-m", "tests.benchmarks.portal", *sizes))}, runs=1)
    told = raced["portal"].told
    figures = {name: told[key] / (1000 if key.endswith("bytes") else 1) for name, key in NAMES.items()}
    return Finding(figures=figures, medians=raced, note="Three clicks lead from the market to a lease: Find, Quote, Take it.")
