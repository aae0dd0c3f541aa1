"""The report card: every clause of the specification, kept or not, with what was found."""

from collections.abc import Callable
from typing import Literal

import msgspec

from broker.feeds.protocol.broker_clauses import BROKER_CLAUSES
from broker.feeds.protocol.provider_clauses import PROVIDER_CLAUSES, TOGETHER_CLAUSES
from broker.feeds.protocol.stage import ClauseBroken, Sides
from contracts.feed.messages import VERSION

Part = Literal["broker", "provider", "together"]
Clause = Callable[[Sides], None]
CLAUSES: tuple[tuple[Part, Clause], ...] = (
    *(("broker", clause) for clause in BROKER_CLAUSES),
    *(("provider", clause) for clause in PROVIDER_CLAUSES),
    *(("together", clause) for clause in TOGETHER_CLAUSES),
)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One clause: who keeps it, its name, its law in a sentence, what was found if it is not kept, why it was not tried if it was not."""

    part: Part
    name: str
    law: str
    found: str = ""
    untried: str = ""

    @property
    def verdict(self) -> str:
        """The mark in a word."""
        return "BROKEN" if self.found else "untried" if self.untried else "kept"


def report_card(sides: Sides) -> tuple[Mark, ...]:
    """Every clause against fresh sides, in the order of the specification."""
    return tuple(marked(part, clause, sides=sides) for part, clause in CLAUSES)


def marked(part: Part, clause: Clause, *, sides: Sides) -> Mark:
    """One clause against fresh sides; whatever it raises is what was found."""
    mark = Mark(part=part, name=clause.__name__, law=(clause.__doc__ or "").strip())
    try:
        clause(sides)
    except ClauseBroken as broken:
        return msgspec.structs.replace(mark, found=str(broken))
    except Exception as fault:  # noqa: BLE001 (a side under test may break in any way; that is what the card is for)
        return msgspec.structs.replace(mark, found=f"it broke: {type(fault).__name__}: {fault}")
    return mark


def card_text(card: tuple[Mark, ...]) -> str:
    """The card as a page of Markdown: a line a clause, and how many were kept."""
    cells = ((mark.part, mark.name.replace("_", " "), mark.verdict, mark.found or mark.untried or mark.law) for mark in card)
    rows = "".join(f"| {' | '.join(row)} |\n" for row in cells)
    title = f"# Report card of the feed protocol, version {VERSION}"
    return f"{title}\n\n| side | clause | verdict | law, or what was found |\n|---|---|---|---|\n{rows}\n{summary(card)}\n"


def summary(card: tuple[Mark, ...]) -> str:
    """How many clauses were kept, broken and not tried."""
    counts = {verdict: sum(mark.verdict == verdict for mark in card) for verdict in ("kept", "BROKEN", "untried")}
    if counts["kept"] == len(card):
        return f"All {len(card)} clauses are kept."
    return f"{counts['kept']} of {len(card)} clauses are kept, {counts['BROKEN']} broken, {counts['untried']} not tried."
