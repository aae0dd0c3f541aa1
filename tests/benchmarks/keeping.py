"""Results that outlast the run: a JSON file a day below `infra/benchmarks/`, and one page made from all of them."""

from pathlib import Path

import msgspec

from tests.benchmarks.measuring import ROOT, Median
from tests.benchmarks.registry import REGISTRY, Entry, Finding

KEPT = ROOT / "infra" / "benchmarks"
PAGE = "README.md"
HEADING = """# Benchmark results

Written by `make bench`; how each figure is measured is in [the manual](../docs/benchmarks.md). Ratios are of CPU seconds, user and
system, all threads, medians of several runs in processes of their own; a figure without a target is stated, not judged.
"""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as measured once."""

    commit: str
    runs: int
    machine: dict[str, str | float]
    figures: dict[str, float]
    targets: dict[str, str]
    medians: dict[str, Median]
    note: str = ""


Day = dict[str, Kept]


def kept(entry: Entry, finding: Finding, *, commit: str, runs: int, machine: dict[str, str | float]) -> Kept:
    """A finding with all that makes it worth reading later."""
    return Kept(
        commit=commit,
        runs=runs,
        machine=machine,
        figures=finding.figures,
        targets={name: str(target) for name, target in entry.targets.items()},
        medians=finding.medians,
        note=finding.note,
    )


def keep(found: Day, *, date: str, folder: Path = KEPT) -> None:
    """Add entries to a day's file, each in place of what the day had of it, and write the page again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{date}.json"
    before = msgspec.json.decode(path.read_bytes(), type=Day) if path.exists() else {}
    path.write_bytes(msgspec.json.format(msgspec.json.encode({**before, **found}, order="sorted"), indent=1) + b"\n")
    (folder / PAGE).write_text(page(folder), encoding="utf-8")


def page(folder: Path = KEPT) -> str:
    """The latest figure of everything, then every day's."""
    days = {path.stem: msgspec.json.decode(path.read_bytes(), type=Day) for path in sorted(folder.glob("*.json"), reverse=True)}
    latest: dict[str, tuple[str, Kept]] = {}
    for date, day in days.items():
        for name, found in day.items():
            latest.setdefault(name, (date, found))
    parts = [HEADING, "## Latest\n", "| entry | figure | target | measured | | on |", "|---|---|---|---|---|---|"]
    known = [name for name in REGISTRY if name in latest] + sorted(latest.keys() - REGISTRY.keys())
    for name in known:
        date, found = latest[name]
        parts += [f"| {name} | {figure} | {target} | {value} | {met} | {date} |" for figure, target, value, met in _lines(found)]
    notes = [f"- **{name}**: {latest[name][1].note}" for name in known if latest[name][1].note]
    parts += ["", *notes, "", "## What each program took\n"]
    parts += ["| entry | program | CPU s | of process | peak MB | runs |", "|---|---|---|---|---|---|"]
    for name in known:
        parts += [
            f"| {name} | {label} | {took(median)} | {median.whole:.1f} | {median.peak_mb:,.0f} | {median.runs} |"
            for label, median in latest[name][1].medians.items()
        ]
    parts += ["", "## History", ""]
    for date, day in days.items():
        machines = sorted({_machine(found) for found in day.values()})
        parts += [f"### {date}\n", *(f"{words}  " for words in machines), ""]
        parts += ["| entry | figure | measured | commit |", "|---|---|---|---|"]
        for name, found in day.items():
            parts += [f"| {name} | {figure} | {value} | {found.commit} |" for figure, _, value, _ in _lines(found)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def took(median: Median) -> str:
    """CPU seconds, and how far apart the runs were."""
    low, high = median.spread
    if median.stopped:
        return f"> {median.cpu_seconds:.0f}, stopped"
    return f"{median.cpu_seconds:.2f} ({low:.2f}–{high:.2f})" if median.runs > 1 else f"{median.cpu_seconds:.2f}"


def shown(figure: float) -> str:
    """A figure in as many digits as mean something."""
    if figure and abs(figure) < 0.01:
        return f"{figure:.1e}"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"


def _lines(found: Kept) -> list[tuple[str, str, str, str]]:
    """figure, target, value, whether it was met."""
    lines = []
    for name, figure in found.figures.items():
        words = found.targets.get(name, "")
        met = ""
        if words:
            sign, limit = words.split()
            met = "met" if (figure <= float(limit) if sign == "≤" else figure >= float(limit)) else "**missed**"
        lines.append((name, words or "stated", shown(figure), met))
    return lines


def _machine(found: Kept) -> str:
    about = found.machine
    return f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, Python {about['python']}; load before: {about['load']}."
