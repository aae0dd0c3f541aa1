"""What is measured: entries by name, each a function that runs programs and says what came out against its targets.

    @entry("glop-10k", what="…", rival="…", targets={"GLOP ÷ auction": at_least(150)})
    def glop_10k(bench: Bench) -> Finding:
        medians = bench.race({"auction": …, "GLOP": …})
        return Finding(figures={"GLOP ÷ auction": …}, medians=medians)

A figure without a target is stated, not judged. In the quick mode every world is tiny and nothing is judged: it shows that
an entry still runs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from broker.files.market import write_market
from broker.world import shipped_book
from contracts.terms.time import utc
from pricing.simulation.generator import generate
from pricing.simulation.spec import WorldSpec
from pricing.simulation.suite import SUITE
from tests.benchmarks.measuring import Median, Program, race

START = utc("2027-01-04T00:00:00Z")
QUICK = {"bids": 40, "core_sites": 3, "edge_sites": 3}
QUICK_SLOTS = 4


class Target(msgspec.Struct, frozen=True):
    """A figure's limit, from above or from below."""

    limit: float
    most: bool

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.limit:g}"

    def met(self, figure: float) -> bool:
        """Whether a figure keeps it."""
        return figure <= self.limit if self.most else figure >= self.limit


def at_most(limit: float) -> Target:
    """The figure may not be larger."""
    return Target(limit, most=True)


def at_least(limit: float) -> Target:
    """The figure may not be smaller."""
    return Target(limit, most=False)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry found: its figures by name, what each program took, and anything a reader should know."""

    figures: dict[str, float]
    medians: dict[str, Median] = {}
    note: str = ""


class Bench:
    """Where an entry finds its worlds and has its programs run; everything it writes is below one directory."""

    def __init__(self, folder: Path, *, runs: int, quick: bool = False) -> None:
        self.runs, self.quick, self._folder = 1 if quick else runs, quick, folder

    def race(self, programs: Mapping[str, Program], *, runs: int | None = None) -> dict[str, Median]:
        """Run programs in turn, each `runs` times (those asked for unless said), and take medians."""
        return race(programs, runs=self.runs if runs is None else min(runs, self.runs))

    def world(self, name: str) -> Path:
        """The market directory of a world of the suite, made when first asked for; a tiny one in the quick mode."""
        folder = self._folder / name
        if not folder.exists():
            seed_world = shipped_book(START)
            write_market(folder, generate(seed_world, spec=self._spec(name), seed=SUITE[name].seed), parquet=True)
        return folder

    def file(self, name: str) -> Path:
        """A path below the directory, for what a program writes."""
        return self._folder / name

    def _spec(self, name: str) -> WorldSpec:
        spec = msgspec.structs.replace(SUITE[name].spec, start=START)
        return msgspec.structs.replace(spec, **QUICK, slots=min(spec.slots, QUICK_SLOTS)) if self.quick else spec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is measured. `minutes` is about what all its runs take on two cores."""

    name: str
    what: str
    rival: str
    targets: dict[str, Target]
    minutes: float
    measure: Callable[[Bench], Finding]


REGISTRY: dict[str, Entry] = {}
Measure = Callable[[Bench], Finding]


def entry(name: str, *, what: str, targets: dict[str, Target], rival: str = "none", minutes: float = 1) -> Callable[[Measure], Measure]:
    """Put a function on the register under a name. Raises ValueError for a name taken."""

    def put(measure: Measure) -> Measure:
        if name in REGISTRY:
            raise ValueError(f"two entries are called {name}")
        REGISTRY[name] = Entry(name=name, what=what, rival=rival, targets=targets, minutes=minutes, measure=measure)
        return measure

    return put
