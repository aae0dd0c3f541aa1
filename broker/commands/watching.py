"""A bar for runs that take longer than a person waits; none where nobody sees it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.files.usage_parts import Progress as Watcher
from broker.files.usage_parts import silent


@contextmanager
def watched() -> Iterator[Watcher]:
    """A watcher that draws one bar a stage on standard error, gone when it is done; a silent one where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {}

        def watcher(stage: str, done: int, *, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=of)
            bars.update(tasks[stage], completed=done)

        yield watcher
