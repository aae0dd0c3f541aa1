"""What the services of finance need of a store, as protocols. All work inside the caller's transaction; lists have a stated order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from contracts.acts import Act
from contracts.ageing import ReceivableMove
from contracts.close import Reconciliation
from contracts.journal import JournalEntry, State
from contracts.metering import CounterReading, MeterPair
from contracts.terms.time import Period


class Acts(Protocol):
    """Who did what."""

    async def history(self, kind: str, subject: str) -> list[Act]:
        """The acts about one subject, by sequence."""
        ...

    async def histories(self, kind: str) -> dict[str, list[Act]]:
        """Every subject of a kind with its acts."""
        ...

    async def append(self, act: Act) -> Act:
        """Write the next act. Raises StaleToken where another run has written one of that number."""
        ...


class Books(Protocol):
    """The journal, as corrections and receivables need it."""

    async def add_many(self, entries: list[JournalEntry]) -> int:
        """Write entries, each once. Raises KeyReused for an id that is there with another content."""
        ...

    async def entry(self, entry_id: str) -> JournalEntry | None:
        """One entry, or None."""
        ...

    async def move(self, entry_id: str, state: State, *, to: State) -> None:
        """Move an entry along its states. Raises WrongState where it is not in the first."""
        ...

    async def receivable_moves(self) -> list[ReceivableMove]:
        """Every counted posting to a receivable, by account, time and entry."""
        ...

    async def by_subject(self, account: str) -> dict[tuple[str, str], int]:
        """Counted postings to an account of the chart by (kind of entry, subject), debit positive."""
        ...

    async def by_party(self, account: str) -> dict[tuple[str, str], int]:
        """Posted balance of an account of the chart by (currency, party)."""
        ...


class Meters(Protocol):
    """Readings of buyers' own meters."""

    async def keep(self, readings: list[CounterReading]) -> int:
        """Keep new readings; returns how many were new. Raises KeyReused for a known span with another count."""
        ...

    async def pairs(self, month: Period) -> list[MeterPair]:
        """Readings that began in a month, each with what the provider reported, by lease and start."""
        ...


class Sums(Protocol):
    """What must agree in the books."""

    async def checks(self, held: Mapping[str, int] | None) -> list[Reconciliation]:
        """Every sum that must agree with another; `held` are the processor's cents by currency, None where there is none."""
        ...


class Closes(Protocol):
    """When months were closed."""

    async def closed_at(self, period: int) -> datetime | None:
        """Until when what arrived counted for a finalised period; None while it is open."""
        ...
