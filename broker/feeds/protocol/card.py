"""The report card: every clause of the specification, kept or not, with what was found."""

from collections.abc import Callable
from typing import Literal

import msgspec

from broker.feeds.protocol.broker_clauses import BROKER_CLAUSES
from broker.feeds.protocol.provider_clauses import PROVIDER_CLAUSES, TOGETHER_CLAUSES
from broker.feeds.protocol.stage import ClauseBroken, Sides

Part = Literal["broker", "provider", "together"]
Clause = Callable[[Sides], None]
CLAUSES: tuple[tuple[Part, Clause], ...] = (
    *(("broker", clause) for clause in BROKER_CLAUSES),
    *(("provider", clause) for clause in PROVIDER_CLAUSES),
    *(("together", clause) for clause in TOGETHER_CLAUSES),
)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One clause: who keeps it, its name, its law in a sentence, and what was found if it is not kept."""

    part: Part
    name: str
    law: str
    found: str = ""


def report_card(sides: Sides) -> tuple[Mark, ...]:
    """Every clause against fresh sides, in the order of the specification."""
    return tuple(_marked(part, clause, sides=sides) for part, clause in CLAUSES)


def _marked(part: Part, clause: Clause, *, sides: Sides) -> Mark:
    mark = Mark(part=part, name=clause.__name__, law=(clause.__doc__ or "").strip())
    try:
        clause(sides)
    except ClauseBroken as broken:
        return msgspec.structs.replace(mark, found=str(broken))
    except Exception as fault:  # noqa: BLE001 (a side under test may break in any way; that is what the card is for)
        return msgspec.structs.replace(mark, found=f"it broke: {type(fault).__name__}: {fault}")
    return mark
