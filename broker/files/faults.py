"""What is wrong with a directory of files, cell by cell, told all at once.

A reader collects faults and goes on, so that whoever sent the files can mend them in one go; the first
twenty are named. Rows are counted from 1, the header not counted.
"""

import itertools
from collections.abc import Iterable, Mapping

import msgspec

from contracts.terms.errors import BadInput

FAULTS_KEPT = 1000
FAULTS_NAMED = 20


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that cannot be read as what it claims to be: where, what was found, what would do."""

    message: str
    file: str
    row: int | None = None
    column: str | None = None
    found: str | None = None
    would_do: str | None = None

    @classmethod
    def of(cls, refusal: BadInput, *, file: str) -> "Fault":
        """A refusal as a fault of a file."""
        facts = {name: fact for name, fact in refusal.facts.items() if name in cls.__struct_fields__ and fact is not None}
        row = facts.pop("row", None)
        texts = {name: str(fact) for name, fact in facts.items() if name != "file"}
        return cls(message=refusal.message, file=file, row=row if isinstance(row, int) else None, **texts)

    def error(self) -> BadInput:
        """The fault as a refusal."""
        facts = {name: getattr(self, name) for name in ("file", "row", "column", "found", "would_do")}
        return BadInput(self.message, **{name: fact for name, fact in facts.items() if fact is not None})


class Findings:
    """The faults and warnings of one reading, in the order they were met."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def fault(self, message: str, **place: str | int | None) -> None:
        """Note a fault; the reading goes on."""
        self.faults.append(Fault(message=message, **place))  # type: ignore[arg-type]

    def take(self, refusals: Iterable[BadInput], *, files: Mapping[str, str]) -> None:
        """Note what checks refuse, up to a thousand, in the files the tables came from: table → file name."""
        self.faults += [Fault.of(each, file=files[str(each.facts["file"])]) for each in itertools.islice(refusals, FAULTS_KEPT)]

    def warn(self, message: str) -> None:
        """Note something left out that does no harm."""
        self.warnings.append(message)

    def stop_if_faulty(self) -> None:
        """Raise BadInput naming every fault so far (the first twenty), or return."""
        if not self.faults:
            return
        if len(self.faults) == 1:
            raise self.faults[0].error()
        named = [str(fault.error()) for fault in self.faults[:FAULTS_NAMED]]
        more = len(self.faults) - len(named)
        if more:
            named.append(f"and {more} more of the kind")
        raise BadInput(f"{len(self.faults)} faults:\n  " + "\n  ".join(named), file=None, faults=len(self.faults))
