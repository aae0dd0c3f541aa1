"""`make bench`: how long clearing and certifying take as the book grows, on books generated from one seed."""

import resource
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

from rich.console import Console

from broker.world.book import shipped_book
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec

START = datetime(2027, 1, 1, tzinfo=UTC)
SLOTS = 24
SEED = 1
# bids, core sites, edge sites
SIZES = ((100, 10, 10), (300, 20, 20), (1_000, 25, 25))
LINE = "{:>8}{:>10}{:>10}{:>12}{:>12}{:>12}"

T = TypeVar("T")


def main() -> int:
    """Measure every size, smallest first; 1 when a certificate does not hold."""
    console = Console()
    console.print(f"{SLOTS} hourly slots, seed {SEED}; each size once, in this process", style="dim")
    console.print(LINE.format("bids", "offers", "awards", "clear, s", "certify, s", "peak, MB"), style="bold")
    seed_world = shipped_book(START, SLOTS)
    sound = True
    for bids, core, edge in SIZES:
        book = generate(seed_world, spec=WorldSpec(bids=bids, core_sites=core, edge_sites=edge, slots=SLOTS, start=START), seed=SEED)
        figures, holds = _measured(book)
        sound = sound and holds
        console.print(LINE.format(f"{bids:,}", *figures), "" if holds else "not certified")
    return 0 if sound else 1


def _measured(book: MarketBook) -> tuple[list[str], bool]:
    clearing, clear_seconds = _timed(lambda: clear(book))
    certificate, certify_seconds = _timed(lambda: certify(book, clearing, path="convex"))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = [f"{book.offers.height:,}", f"{clearing.awards.height:,}"]
    return [*counts, f"{clear_seconds:.2f}", f"{certify_seconds:.2f}", f"{megabytes:,}"], certificate.holds


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    started = perf_counter()
    return act(), perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
