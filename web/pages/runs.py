"""*What will you run?*: a kind of work and the size of its model fill in what a search needs, with the arithmetic beside it.

The search's address says what was filled in (`filled`), so that what is changed by hand afterwards stays changed.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

import msgspec

from contracts.terms.errors import BadInput
from contracts.terms.workloads import MILLIONS_MAX, WORKLOADS, Needs, Workload, WorkloadName, needs
from web.formats import quantity
from web.i18n import gettext, later, ngettext
from web.pages.order_form import Fields

RUN_FIELDS = ("run", "size", "filled")
# What is filled in, and so replaced when another kind of work is chosen.
FILLED_IN = ("memory_gb_min", "quantity", "hours", "tier", "cursor")
SIZE = "7"
BILLION = 1000
KINDS: Mapping[WorkloadName, str] = {
    "adapters": later("Fine-tune with adapters (LoRA)"),
    "tuning": later("Fine-tune all weights"),
    "serving": later("Serve a model"),
    "batch": later("Run a model over a batch"),
    "training": later("Train from scratch"),
    "simulation": later("Render or simulate"),
}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of work and the size of its model, in millions of parameters."""

    name: WorkloadName
    millions: int

    @property
    def work(self) -> Workload:
        """The figures of its kind."""
        return WORKLOADS[self.name]

    @property
    def mark(self) -> str:
        """What says that a form was filled in from it."""
        return f"{self.name} {self.millions}"


def run_of(given: Fields) -> Run | None:
    """What is to be run; None where nothing is said. Raises BadInput for a kind of work or a size that is none."""
    name = (given.get("run") or [""])[-1]
    if not name:
        return None
    if name not in WORKLOADS:
        raise BadInput(gettext("what will you run is one of the kinds of work in the form"), found=name)
    return Run(name=name, millions=_millions((given.get("size") or [SIZE])[-1]))


def filled_in(given: Fields) -> str | None:
    """The address of a search filled in for what is to be run; None where it is already, or nothing is said. Raises BadInput."""
    run = run_of(given)
    if run is None or run.mark in given.get("filled", ()):
        return None
    found = needs(run.work, run.millions)
    kept = [(name, value) for name, values in given.items() if name not in (*RUN_FIELDS, *FILLED_IN) for value in values]
    made = [
        ("run", run.name),
        ("size", f"{Decimal(run.millions) / BILLION:f}"),
        ("filled", run.mark),
        ("memory_gb_min", str(found.memory_each_gb)),
        ("quantity", str(found.accelerators)),
        ("hours", str(found.hours)),
        ("tier", run.work.tier),
    ]
    return f"/find?{urlencode([*made, *kept])}"


def arithmetic(run: Run) -> list[str]:
    """How the figures of what is to be run were found, a sentence each."""
    found = needs(run.work, run.millions)
    return [_memory(run, found), _time(run, found)]


def _memory(run: Run, found: Needs) -> str:
    if run.work.memory_gb:
        return gettext("A scene or a mesh that fits %(memory)s GB.", memory=found.memory_gb)
    return gettext(
        "%(size)s billion parameters × %(bytes)s bytes = %(memory)s GB: %(count)s × %(each)s GB.",
        size=f"{Decimal(run.millions) / BILLION:f}",
        bytes=f"{Decimal(run.work.tenths_of_bytes) / 10:f}",
        memory=quantity(found.memory_gb),
        count=quantity(found.holders),
        each=quantity(found.memory_each_gb),
    )


def _time(run: Run, found: Needs) -> str:
    if not run.work.operations:
        return gettext("A day of it.") if run.name == "serving" else gettext("A night of it.")
    return ngettext(
        "%(tokens)s million tokens × %(operations)s operations a parameter, at %(share)s %% of the peak: %(num)s hour on %(count)s.",
        "%(tokens)s million tokens × %(operations)s operations a parameter, at %(share)s %% of the peak: %(num)s hours on %(count)s.",
        num=found.hours,
        tokens=quantity(found.tokens_millions),
        operations=run.work.operations,
        share=run.work.peak_percent,
        count=quantity(found.accelerators),
    )


def _millions(text: str) -> int:
    try:
        millions = Decimal(text.replace(",", ".")) * BILLION
    except InvalidOperation as error:
        raise BadInput(gettext("the size of a model is a number of billions, such as 13"), found=text) from error
    if not millions.is_finite() or not 1 <= millions <= MILLIONS_MAX:
        raise BadInput(gettext("the size of a model is between 0.001 and 1,000 billion parameters"), found=text)
    return int(millions)
