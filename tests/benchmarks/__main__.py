"""`make bench`: every entry of the register, or those named, measured in processes of their own.

python -m tests.benchmarks [NAME …] [--quick] [--runs 5] [--keep] [--list]
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.clock import SystemClock
from tests.benchmarks import (  # noqa: F401  (their entries put themselves on the register)
    catalogue_entries,
    clearing_entries,
    feed_entries,
    ingest_entries,
    portal_entries,
    quoting_entries,
    settlement_entries,
)
from tests.benchmarks.keeping import Day, keep, kept, shown, took
from tests.benchmarks.measuring import ROOT, machine
from tests.benchmarks.registry import REGISTRY, Bench, Entry, Finding

MISSED = 1
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Entries to measure; all of them unless named.")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny worlds, one run, nothing judged: does every entry still run?")]
Runs = Annotated[int, typer.Option("--runs", min=1, help="Runs of each program, in turn with its rivals; the median counts.")]
Keep = Annotated[bool, typer.Option("--keep", help="Add what was found to infra/benchmarks/.")]
Listed = Annotated[bool, typer.Option("--list", help="Say what there is, and measure nothing.")]
Work = Annotated[Path | None, typer.Option("--work", help="Directory for worlds and results, kept; a temporary one unless named.")]


def bench(
    names: Names = None, quick: Quick = False, runs: Runs = 5, keep_found: Keep = False, listed: Listed = False, work: Work = None
) -> None:
    """Measure, say, and keep. Exit code 1 when a target is missed or an entry cannot be measured."""
    console = Console(highlight=False, soft_wrap=True)
    chosen = _chosen(names or [])
    if listed:
        for entry in chosen:
            console.print(f"[bold]{entry.name}[/] (about {entry.minutes:g} min) {escape(entry.what)}; rival: {escape(entry.rival)}")
        return
    about = machine()
    console.print(f"{about['processor']}, {about['cores']} cores, load {about['load']}; {1 if quick else runs} runs each", style="dim")
    with tempfile.TemporaryDirectory(prefix="gridfare-bench-") as temporary:
        stage, sound = Bench(work or Path(temporary), runs=runs, quick=quick), True
        for entry in chosen:
            about = machine()
            try:
                finding = entry.measure(stage)
            except (RuntimeError, ImportError) as fault:
                console.print(f"[bold]{entry.name}[/]: [red]could not be measured[/]: {escape(str(fault))}")
                sound = False
                continue
            sound = _tell(entry, finding, console=console, judged=not quick) and sound
            if keep_found and not quick:
                found: Day = {entry.name: kept(entry, finding, commit=_commit(), runs=runs, machine=about)}
                keep(found, date=SystemClock().now().date().isoformat())
    raise typer.Exit(0 if sound else MISSED)


def _chosen(names: list[str]) -> list[Entry]:
    unknown = [name for name in names if name not in REGISTRY]
    if unknown:
        raise typer.BadParameter(f"no entry is called {', '.join(unknown)}; there are {', '.join(REGISTRY)}")
    return [REGISTRY[name] for name in names] or list(REGISTRY.values())


def _tell(entry: Entry, finding: Finding, *, console: Console, judged: bool) -> bool:
    """Say what an entry found; whether every target was met."""
    console.print(f"[bold]{entry.name}[/] {escape(entry.what)}")
    for label, median in finding.medians.items():
        console.print(f"    {label}: {took(median)} CPU s, {median.peak_mb:,.0f} MB", style="dim")
    sound = True
    for name, figure in finding.figures.items():
        target = entry.targets.get(name)
        met = target is None or not judged or target.met(figure)
        verdict = "" if target is None else f" (target {target})" if met else f" [bold red]misses the target {target}[/]"
        console.print(f"  {name}: {shown(figure)}{verdict}")
        sound = sound and met
    if finding.note:
        console.print(f"  {escape(finding.note)}", style="dim")
    return sound


def _commit() -> str:
    """The commit measured; `+` when files were changed since."""
    short = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{short}{'+' if changed else ''}"


if __name__ == "__main__":
    typer.run(bench)
