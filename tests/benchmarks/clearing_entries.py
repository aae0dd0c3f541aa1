"""What is measured of the clearing: against solvers, against how others write the same market, against serving bids in turn."""

from pathlib import Path

import msgspec

from tests.benchmarks.measuring import Median, Program
from tests.benchmarks.registry import Bench, Finding, at_least, at_most, entry

Figures = dict[str, float]
Medians = dict[str, Median]
GLOP_SECONDS = 200.0
DENSE_SECONDS = 300.0
PERCENT = 100.0


class Stated(msgspec.Struct, frozen=True):
    """What a certificate states, as far as it is measured here."""

    welfare_micros: int
    bound_micros: int
    gap: float
    approximate: bool
    bound_integer_micros: int | None = None


def ours(task: str, folder: Path, *arguments: object) -> Program:
    """A part of our own clearing, timed from the inside."""
    return Program(arguments=("-m", "tests.benchmarks.ours", task, str(folder), *map(str, arguments)))


def rival(name: str, *arguments: object, stop_after: float | None = None) -> Program:
    """A rival's program; one that is to be stopped is told after how many CPU seconds."""
    limit = () if stop_after is None else (str(stop_after),)
    return Program(arguments=("-m", f"tests.benchmarks.rivals.{name}", *map(str, arguments), *limit), stop_after=stop_after)


def gridfare(*arguments: object, certified: bool = True) -> Program:
    """The program as a person runs it, from start to exit."""
    return Program(arguments=("-m", "broker.cli", *map(str, arguments)), accepted=(0,) if certified else (0, 3))


def stated(out: Path) -> Stated:
    """What the certificate of a result says."""
    return msgspec.json.decode((out / "certificate.json").read_bytes(), type=Stated)


def times(slow: Median, fast: Median) -> float:
    """How many times the CPU seconds one took of another."""
    return slow.cpu_seconds / fast.cpu_seconds


def same_welfare(medians: Medians) -> None:
    """Raises RuntimeError when two programs that came to an end disagree on the optimum by more than a millionth."""
    found = {label: median.told["welfare"] for label, median in medians.items() if "welfare" in median.told}
    most = max(found.values(), default=0.0)
    if most - min(found.values(), default=0.0) > max(1.0, most * 1e-6):
        raise RuntimeError(f"welfare differs: {found}")


@entry(
    "convex",
    what="the convex path from problem arrays to whole accelerators ÷ HiGHS given the whole programme's arrays",
    rival="HiGHS, its own choice of method",
    targets={"convex ÷ HiGHS, plain-2k": at_most(1.10)},
    minutes=4,
)
def convex(bench: Bench) -> Finding:
    """A size whose bare solve takes a little under a second, stated, and one that takes some seconds, judged."""
    figures: Figures = {}
    medians: Medians = {}
    for name in ("plain-1k", "plain-2k"):
        arrays = bench.file(f"{name}.npz")
        bench.race({"arrays": ours("programme", bench.world(name), arrays)}, runs=1)
        raced = bench.race({f"convex {name}": ours("convex", bench.world(name)), f"HiGHS {name}": rival("highs_bare", arrays)})
        same_welfare(raced)
        path, bare = raced.values()
        figures[f"convex ÷ HiGHS, {name}"] = times(path, bare)
        medians |= raced
    return Finding(figures=figures, medians=medians)


@entry(
    "dense",
    what="one slot of a thousand bids written as Gavel's policies are ÷ the convex path, both from arrays to awards, both by HiGHS",
    rival="a matrix variable a tier, a row a bid, a column a pool, through CVXPY",
    targets={"dense ÷ convex": at_least(20)},
    minutes=5,
)
def dense(bench: Bench) -> Finding:
    """The rival is stopped at its limit, which then stands for its time."""
    folder = bench.world("instant-1k")
    raced = bench.race({"convex": ours("convex", folder), "dense": rival("gavel_dense", folder, stop_after=DENSE_SECONDS)})
    same_welfare(raced)
    return Finding(figures={"dense ÷ convex": times(raced["dense"], raced["convex"])}, medians=raced)


@entry(
    "glop",
    what="GLOP on the arrays of ten thousand bids × 24 slots × 550 sites, stopped at 200 CPU seconds ÷ the auction on the network",
    rival="GLOP (OR-Tools), in its own process",
    targets={"GLOP ÷ auction": at_least(150), "certified gap, %": at_most(0.5)},
    minutes=6,
)
def glop(bench: Bench) -> Finding:
    """The auction's certified gap is that of the whole program run on the same directory."""
    folder, arrays, out = bench.world("plain-10k"), bench.file("plain-10k.npz"), bench.file("plain-10k-auction")
    bench.race({"arrays": ours("programme", folder, arrays)}, runs=1)
    raced = bench.race({"auction": ours("auction", folder, 0.005), "GLOP": rival("glop", arrays, stop_after=GLOP_SECONDS)})
    raced |= bench.race(
        {"gridfare clear": gridfare("clear", folder, "--out", out, "--path", "auction", "--gap", 0.005, "--parquet")}, runs=1
    )
    stopped = "GLOP was stopped before it had an answer" if raced["GLOP"].stopped else ""
    figures = {"GLOP ÷ auction": times(raced["GLOP"], raced["auction"]), "certified gap, %": stated(out).gap * PERCENT}
    return Finding(figures=figures, medians=raced, note=stopped)


@entry(
    "whole-100k",
    what="a hundred thousand bids × 550 sites × 24 slots: `gridfare clear` as a process, directory in, certified result out",
    rival="none; `exact` says how far from the best it is",
    targets={"CPU seconds": at_most(30), "peak MB": at_most(4096), "certified gap, %": at_most(0.2)},
    minutes=4,
)
def whole_100k(bench: Bench) -> Finding:
    """Everything counts: start, reading, clearing, certifying, writing."""
    folder, out = bench.world("plain-100k"), bench.file("plain-100k-auction")
    raced = bench.race({"auction": gridfare("clear", folder, "--out", out, "--path", "auction", "--parquet")})
    raced |= bench.race({"verify": gridfare("verify", folder, out)}, runs=1)
    auction = raced["auction"]
    figures = {"CPU seconds": auction.cpu_seconds, "peak MB": auction.peak_mb, "certified gap, %": stated(out).gap * PERCENT}
    return Finding(figures=figures, medians=raced)


@entry(
    "exact",
    what="the exact finish: from the compiled book to whole accelerators and both ends of every price, gap 0",
    rival="the auction, whose true gap it shows",
    targets={
        "CPU seconds, plain-10k": at_most(15),
        "gap, plain-10k": at_most(0),
        "CPU seconds, plain-100k": at_most(150),
        "gap, plain-100k": at_most(0),
        "true gap of the auction, plain-100k, %": at_most(0.05),
    },
    minutes=20,
)
def exact(bench: Bench) -> Finding:
    """The gap is the certificate's. The large book is finished once."""
    figures: Figures = {}
    medians: Medians = {}
    for name, runs in (("plain-10k", 5), ("plain-100k", 1)):
        folder, exactly, nearly = bench.world(name), bench.file(f"{name}-exact"), bench.file(f"{name}-auction")
        raced = bench.race({f"exact {name}": ours("exact", folder)}, runs=runs)
        for path, out in (("exact", exactly), ("auction", nearly)):
            whole = {f"gridfare clear {name}, {path}": gridfare("clear", folder, "--out", out, "--path", path, "--parquet")}
            raced |= bench.race(whole, runs=1)
        most = stated(exactly).welfare_micros
        figures[f"CPU seconds, {name}"] = raced[f"exact {name}"].cpu_seconds
        figures[f"gap, {name}"] = stated(exactly).gap
        figures[f"true gap of the auction, {name}, %"] = (most - stated(nearly).welfare_micros) / most * PERCENT
        medians |= raced
    return Finding(figures=figures, medians=medians)


@entry(
    "certificate",
    what="certifying ÷ clearing, in one process",
    targets={"certificate ÷ clearing, auction": at_most(0.05), "certificate ÷ clearing, exact": at_most(0.05)},
    minutes=8,
)
def certificate(bench: Bench) -> Finding:
    """On a hundred thousand bids, by either path."""
    figures: Figures = {}
    medians: Medians = {}
    for path in ("auction", "exact"):
        raced = bench.race({f"clear by {path}": ours("clear", bench.world("plain-100k"), path)}, runs=3 if path == "auction" else 1)
        clearing = raced[f"clear by {path}"]
        figures[f"certificate ÷ clearing, {path}"] = clearing.told["certifying"] / clearing.cpu_seconds
        medians |= raced
    return Finding(figures=figures, medians=medians)


@entry(
    "reclear",
    what="clearing again when a hundredth of the bids is gone and another has come ÷ clearing cold, both from the compiled book",
    rival="the same auction from nothing",
    targets={"again ÷ cold": at_most(0.05), "gap again ÷ gap cold": at_most(1.0)},
    minutes=5,
)
def reclear(bench: Bench) -> Finding:
    """A hundred thousand bids. The clearing before was held at half the gap that is asked for, which costs it half as much again, once."""
    raced = bench.race({"reclear": ours("reclear", bench.world("plain-100k"))}, runs=3)
    told = raced["reclear"].told
    figures = {
        "again ÷ cold": raced["reclear"].cpu_seconds / max(told["cold"], 1e-9),
        "gap again ÷ gap cold": told["gap"] / max(told["gap_cold"], 1e-9),
        "gap again, %": told["gap"] * PERCENT,
        "gap before, %": told["gap_before"] * PERCENT,
    }
    return Finding(figures=figures, medians=raced)


@entry(
    "greedy",
    what="welfare of the market ÷ of serving bids in turn: the best of five orders, and the cheapest offer first as aggregators do",
    rival="two greedy markets that keep the same limits",
    targets={f"÷ best greedy, {name}": at_least(1.05) for name in ("plain-10k", "scarce-10k", "tiers-10k")},
    minutes=4,
)
def greedy(bench: Bench) -> Finding:
    """Optimal welfare, by the exact path."""
    figures: Figures = {}
    medians: Medians = {}
    for name in ("plain-10k", "scarce-10k", "tiers-10k", "home-10k"):
        raced = bench.race(
            {f"market {name}": ours("clear", bench.world(name), "exact"), f"greedy {name}": rival("greedy", bench.world(name))}, runs=1
        )
        market, turns = (median.told for median in raced.values())
        figures[f"÷ best greedy, {name}"] = market["welfare"] / max(1.0, turns["best"])
        figures[f"÷ greedy by worth, {name}"] = market["welfare"] / max(1.0, turns["by worth"])
        figures[f"÷ cheapest first, {name}"] = market["welfare"] / max(1.0, turns["cheapest"])
        medians |= raced
    return Finding(figures=figures, medians=medians)


@entry(
    "blocks",
    what="books with blocks: five hundred blocks alone, and a hundred thousand bids of which a fifth are blocks",
    rival="the bound of branch and bound, and of the relaxation",
    targets={"gap to best bound, blocks-500, %": at_most(0.5), "CPU seconds, blocks-500": at_most(60), "gap, blocks-100k, %": at_most(0.5)},
    minutes=15,
)
def blocks(bench: Bench) -> Finding:
    """The gap to the best known bound is to what branch and bound claims, the other to the bound the prices prove."""
    figures: Figures = {}
    medians: Medians = {}
    for name in ("blocks-500", "blocks-100k"):
        out = bench.file(f"{name}-auto")
        raced = bench.race({name: gridfare("clear", bench.world(name), "--out", out, "--gap", 0.005, "--parquet", certified=False)}, runs=1)
        found = stated(out)
        claimed = found.bound_integer_micros or found.bound_micros
        figures[f"gap to best bound, {name}, %"] = (claimed - found.welfare_micros) / max(1, claimed) * PERCENT
        figures[f"gap, {name}, %"] = found.gap * PERCENT
        figures[f"CPU seconds, {name}"] = raced[name].cpu_seconds
        medians |= raced
    return Finding(figures=figures, medians=medians)


@entry("throughput", what="bid × pool × slot triples decided a second, and accelerator-slots assigned a second", targets={}, minutes=3)
def throughput(bench: Bench) -> Finding:
    """On a hundred thousand bids: compiling alone, then clearing alone."""
    folder = bench.world("plain-100k")
    raced = bench.race({"compile": ours("compile", folder), "clear": ours("clear", folder, "auction")}, runs=3)
    compiled, cleared = raced["compile"], raced["clear"]
    figures = {
        "millions of arcs decided a second": compiled.told["decided"] / compiled.cpu_seconds / 1e6,
        "awards a second": cleared.told["awards"] / cleared.cpu_seconds,
        "accelerator-slots assigned a second": cleared.told["assigned"] / cleared.cpu_seconds,
    }
    return Finding(figures=figures, medians=raced)


@entry("sizes", what="clearing and certifying by the path `auto` takes, as the book grows", targets={}, minutes=3)
def sizes(bench: Bench) -> Finding:
    """From a hundred bids to ten thousand."""
    figures: Figures = {}
    medians: Medians = {}
    for name in ("plain-100", "plain-1k", "plain-10k"):
        raced = bench.race({name: ours("clear", bench.world(name))}, runs=3)
        figures |= {f"clearing {name}, s": raced[name].cpu_seconds, f"certifying {name}, s": raced[name].told["certifying"]}
        medians |= raced
    return Finding(figures=figures, medians=medians)
