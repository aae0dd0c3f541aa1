"""Parts of our own clearing, timed from the inside: `python -m tests.benchmarks.ours TASK DIR [ARGUMENT …]`.

Reading and compiling the directory are not part of what is timed unless the task says so.
"""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np

from broker.files.market import read_market
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.convex import optimum
from pricing.network import Network
from pricing.problem import MarketProblem, build, compile_book
from tests.benchmarks.linear import programme, save
from tests.benchmarks.measuring import Told
from tests.benchmarks.spent import cpu_seconds

HUNDREDTH = 100


def write_programme(book: MarketBook, path: str) -> Told:
    """Write the whole book as a linear programme."""
    network = compile_book(book).network
    before = cpu_seconds()
    written = programme(network)
    save(written, Path(path))
    return {"cpu_seconds": cpu_seconds() - before, "arcs": written.arcs, "rows": len(written.room)}


def compile_arcs(book: MarketBook) -> Told:
    """The directory's book to a network: every bid against every pool in every slot of its window."""
    compile_book(book)
    before = cpu_seconds()
    compiled = compile_book(book)
    spent = cpu_seconds() - before
    network = compiled.network
    window = int((book.bids["slot_end"] - book.bids["slot_first"]).sum())
    return {"cpu_seconds": spent, "decided": window * network.cheapest.shape[0], "pairs": len(network.pool)}


def solve_convex(book: MarketBook) -> Told:
    """From problem arrays to whole accelerators on every arc."""
    problem = build(book)
    before = cpu_seconds()
    quantity = optimum(problem, _silence)
    return {"cpu_seconds": cpu_seconds() - before, "welfare": welfare(problem, quantity), "arcs": len(quantity)}


def clear_and_certify(book: MarketBook, path: str = "auto") -> Told:
    """A book cleared, then certified: what each took, and what was found. A first, tiny book loads what is compiled."""
    _warm(book, path)
    before = cpu_seconds()
    result = clear(book, path=path)
    cleared = cpu_seconds()
    certificate = certify(book, result, path=result.path, approximate=result.approximate)
    spent = cpu_seconds() - cleared
    return {
        "cpu_seconds": cleared - before,
        "certifying": spent,
        "holds": float(certificate.holds),
        "gap": certificate.gap,
        "welfare": float(Fraction(certificate.welfare_micros) / book.rules.hours),
        "awards": result.awards.height,
        "assigned": int(result.awards["quantity"].sum()),
    }


def hold(book: MarketBook, gap: str = "0.002") -> Told:
    """The auction on the compiled book, until it can prove that gap."""
    from pricing.auction import hold_auction

    network = compile_book(book).network
    hold_auction(compile_book(_few(book)).network, gap=1.0, progress=_silence)
    before = cpu_seconds()
    found = hold_auction(network, gap=float(gap), progress=_silence)
    if found.gap > float(gap):
        raise RuntimeError(f"the auction came within {found.gap:.4%} of the best, {float(gap):.4%} is measured")
    return {"cpu_seconds": cpu_seconds() - before, "gap": found.gap, "found": float(found.welfare), "bound": float(found.bound)}


def finish_exactly(book: MarketBook, gap: str = "0.002") -> Told:
    """The auction on the compiled book and the exact finish from there: whole accelerators and both ends of every price."""
    from pricing.auction import hold_auction
    from pricing.exact import finish

    small, network = compile_book(_few(book)).network, compile_book(book).network
    finish(small, hold_auction(small, gap=1.0, progress=_silence), progress=_silence)
    before = cpu_seconds()
    start = hold_auction(network, gap=float(gap), progress=_silence)
    held = cpu_seconds()
    flow, _ = finish(network, start, progress=_silence)
    spent = cpu_seconds() - before
    return {"cpu_seconds": spent, "auction": held - before, "assigned": int(flow.quantity.sum())}


def clear_again(book: MarketBook, gap: str = "0.002") -> Told:
    """A book held cold, and again from one of whose bids a hundredth is gone and another has come; both from the compiled book.

    The one before was held at half the gap, so that there is some to lose; carrying its answer over is part of the time.
    """
    from pricing.auction import hold_auction
    from pricing.reclearing import carry_over, reclear

    before, after = (compile_book(_all_but_a_hundredth(book, rest)) for rest in (0, HUNDREDTH // 2))
    few, fewer = (compile_book(msgspec.structs.replace(book, bids=book.bids.head(bids))) for bids in (20, 2))
    held = hold_auction(few.network, gap=1.0, progress=_silence)
    reclear(fewer.network, carry_over(fewer, previous=few, found=held), gap=1.0, progress=_silence)
    start = hold_auction(before.network, gap=float(gap) / 2, progress=_silence)
    began = cpu_seconds()
    cold = hold_auction(after.network, gap=float(gap), progress=_silence)
    held_cold = cpu_seconds()
    again = reclear(after.network, carry_over(after, previous=before, found=start), gap=float(gap), progress=_silence)
    spent = cpu_seconds() - held_cold
    return {"cpu_seconds": spent, "cold": held_cold - began, "gap": again.gap, "gap_cold": cold.gap, "gap_before": start.gap}


def welfare(problem: MarketProblem, quantity: np.ndarray) -> float:
    """Σ worth·x less what the supply costs, its steps sold from the lowest rate up; micros per slot-hour."""
    network: Network = problem.network
    sold = np.bincount(problem.arcs.pool * problem.slots + problem.arcs.slot, weights=quantity, minlength=network.cheapest.size)
    before = np.cumsum(network.quantity) - network.quantity
    place = np.repeat(np.arange(network.cheapest.size), np.diff(network.step))
    taken = np.clip(sold[place] - (before - before[network.step[place]]), 0, network.quantity)
    return float(problem.arcs.worth @ quantity - network.rate @ taken)


def _warm(book: MarketBook, path: str) -> None:
    """Clear a few of the bids by the same path, so that kernels are loaded before anything is timed."""
    few = _few(book)
    certify(few, clear(few, path=path), path=path)


def _few(book: MarketBook) -> MarketBook:
    """The same book with twenty of its bids."""
    return msgspec.structs.replace(book, bids=book.bids.head(20))


def _all_but_a_hundredth(book: MarketBook, rest: int) -> MarketBook:
    """The same book without every hundredth of its bids, by id, that leaves this rest."""
    bids = book.bids.sort("bid_id")
    return msgspec.structs.replace(book, bids=bids.filter(np.arange(bids.height) % HUNDREDTH != rest))


def _silence(_: str) -> None:
    """Tell nobody."""


TASKS: dict[str, Callable[..., Told]] = {
    "programme": write_programme,
    "compile": compile_arcs,
    "convex": solve_convex,
    "auction": hold,
    "exact": finish_exactly,
    "reclear": clear_again,
    "clear": clear_and_certify,
}


def main() -> None:
    """Do one task on the directory named on the command line, and tell its figures."""
    task, folder, *arguments = sys.argv[1:]
    json.dump(TASKS[task](read_market(Path(folder)), *arguments), sys.stdout)


if __name__ == "__main__":
    main()
