"""The journal: written once, moved only along pending → posted | voided and posted → reversed."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func, update
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.rows import AccountRow, JournalEntryRow, LeaseRow, PostingRow, ProviderRow
from contracts.ageing import ReceivableMove
from contracts.journal import JournalEntry, Posting, State
from contracts.terms.errors import KeyReused, WrongState

# Statements have at most 32,767 values: an entry has seven, a posting six.
ENTRIES_AT_ONCE = 4_000
# A reversed entry counts as its reversal does: together they are nothing.
COUNTED = ("posted", "reversed")
T = TypeVar("T")


class JournalRepository:
    """Entries and their postings."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_many(self, entries: list[JournalEntry]) -> int:
        """Write entries, each once; returns how many were new.

        Raises KeyReused for an id that is there with other postings, or of another kind: an event has one meaning.
        """
        if not entries:
            return 0
        names = ("id", "kind", "state", "at", "subject", "reason")
        rows = [{name: getattr(entry, name) for name in names} | {"lines": len(entry.postings)} for entry in entries]
        new: set[str] = set()
        for part in _parts(rows):
            statement = insert(JournalEntryRow).values(part)
            new |= set(await self._session.scalars(statement.on_conflict_do_nothing().returning(col(JournalEntryRow.id))))
        lines = [
            {"entry_id": entry.id, "line": line, **{name: getattr(posting, name) for name in posting.__struct_fields__}}
            for entry in entries
            if entry.id in new
            for line, posting in enumerate(entry.postings)
        ]
        for part in _parts(lines):
            await self._session.execute(insert(PostingRow).values(part))
        await self._refuse_reuse([entry for entry in entries if entry.id not in new])
        return len(new)

    async def _refuse_reuse(self, entries: list[JournalEntry]) -> None:
        for part in _parts(entries):
            chosen = col(JournalEntryRow.id).in_([entry.id for entry in part])
            rows = list(await self._session.scalars(select(JournalEntryRow).where(chosen)))
            known = {entry.id: entry for entry in await self._entries(rows)}
            for entry in part:
                if entry.kind != known[entry.id].kind or entry.postings != known[entry.id].postings:
                    raise KeyReused(f"entry {entry.id} is there with another content; reverse it and write another", entry_id=entry.id)

    async def void(self, entry_ids: list[str]) -> int:
        """Void pending entries; returns how many moved."""
        return len(await self._moved(entry_ids, "pending", to="voided"))

    async def _moved(self, entry_ids: list[str], state: str, *, to: str) -> list[str]:
        moved: list[str] = []
        for part in _parts(entry_ids):
            chosen = col(JournalEntryRow.id).in_(part)
            statement = update(JournalEntryRow).where(chosen, col(JournalEntryRow.state) == state).values(state=to)
            moved += (await self._session.scalars(statement.returning(col(JournalEntryRow.id)))).all()
        return moved

    async def pending(self, kind: str, subjects: Iterable[str]) -> list[JournalEntry]:
        """Pending entries of a kind about these subjects, by id."""
        statement = select(JournalEntryRow).where(
            col(JournalEntryRow.kind) == kind, col(JournalEntryRow.subject).in_(list(subjects)), col(JournalEntryRow.state) == "pending"
        )
        rows = list(await self._session.scalars(statement.order_by(col(JournalEntryRow.id))))
        return await self._entries(rows)

    async def award_holds_over(self, moment: datetime) -> list[str]:
        """Pending award holds of bids none of whose leases runs past a moment: a settlement of everything before it replaces them."""
        running = select(LeaseRow.bid_id).where(col(LeaseRow.ends_at) > moment)
        statement = select(JournalEntryRow.id).where(
            col(JournalEntryRow.kind).in_(("award_hold", "grant_award_hold")),
            col(JournalEntryRow.state) == "pending",
            col(JournalEntryRow.subject).not_in(running),
        )
        return list(await self._session.scalars(statement.order_by(col(JournalEntryRow.id))))

    async def entries(self, *, kind: str | None = None, party: str | None = None) -> list[JournalEntry]:
        """Entries by time and id, of one kind or touching one party where given."""
        statement = select(JournalEntryRow)
        if kind is not None:
            statement = statement.where(col(JournalEntryRow.kind) == kind)
        if party is not None:
            touching = select(PostingRow.entry_id).where(col(PostingRow.party) == party)
            statement = statement.where(col(JournalEntryRow.id).in_(touching))
        rows = list(await self._session.scalars(statement.order_by(col(JournalEntryRow.at), col(JournalEntryRow.id))))
        return await self._entries(rows)

    async def owed_micros(self, account_id: str) -> int:
        """What an account has been invoiced and has not paid, less what it paid in advance."""
        return await self._sum(("receivable", "prepaid"), account_id, states=COUNTED)

    async def held_micros(self, account_id: str) -> int:
        """What pending holds keep of an account's credit."""
        return await self._sum(("hold",), account_id, states=("pending",))

    async def held_by_subject(self, subjects: list[str]) -> dict[str, int]:
        """Pending hold of each bid, micros."""
        statement = (
            select(JournalEntryRow.subject, func.sum(PostingRow.amount_micros))
            .join(PostingRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(JournalEntryRow.subject).in_(subjects), col(JournalEntryRow.state) == "pending", col(PostingRow.account) == "hold")
            .group_by(col(JournalEntryRow.subject))
        )
        return {subject: int(amount) for subject, amount in await self._session.execute(statement)}

    async def trial_balance(self) -> dict[str, int]:
        """Sum of all posted and reversed postings by currency: zero, or the books are broken."""
        statement = (
            select(PostingRow.currency, func.sum(PostingRow.amount_micros))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(JournalEntryRow.state).in_(COUNTED))
            .group_by(col(PostingRow.currency))
            .order_by(col(PostingRow.currency))
        )
        return {currency: int(amount) for currency, amount in await self._session.execute(statement)}

    async def by_party(self, account: str) -> dict[tuple[str, str], int]:
        """Posted balance of an account of the chart by (currency, party), those of 0 left out."""
        statement = (
            select(PostingRow.currency, PostingRow.party, func.sum(PostingRow.amount_micros))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(PostingRow.account) == account, col(JournalEntryRow.state).in_(COUNTED))
            .group_by(col(PostingRow.currency), col(PostingRow.party))
            .order_by(col(PostingRow.currency), col(PostingRow.party))
        )
        return {(currency, party): int(micros) for currency, party, micros in await self._session.execute(statement) if micros}

    async def by_subject(self, account: str) -> dict[tuple[str, str], int]:
        """Counted postings to an account of the chart by (kind of entry, subject), debit positive."""
        statement = (
            select(JournalEntryRow.kind, JournalEntryRow.subject, func.sum(PostingRow.amount_micros))
            .join(PostingRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(PostingRow.account) == account, col(JournalEntryRow.state).in_(COUNTED))
            .group_by(col(JournalEntryRow.kind), col(JournalEntryRow.subject))
        )
        return {(kind, subject): int(micros) for kind, subject, micros in await self._session.execute(statement)}

    async def receivable_moves(self) -> list[ReceivableMove]:
        """Every counted posting to a receivable, by account, time and entry."""
        statement = (
            select_columns(
                col(PostingRow.party),
                col(PostingRow.currency),
                col(JournalEntryRow.id),
                col(JournalEntryRow.at),
                col(PostingRow.amount_micros),
            )
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(PostingRow.account) == "receivable", col(JournalEntryRow.state).in_(COUNTED))
            .order_by(col(PostingRow.party), col(JournalEntryRow.at), col(JournalEntryRow.id))
        )
        return [
            ReceivableMove(account_id=party, currency=currency, entry_id=entry, at=at, micros=micros)
            for party, currency, entry, at, micros in await self._session.execute(statement)
        ]

    async def kept_back_since(self, moment: datetime, currency: str) -> dict[str, int]:
        """What payouts have kept back from providers since a moment, micros by provider."""
        statement = (
            select(PostingRow.party, func.sum(PostingRow.amount_micros))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(
                col(JournalEntryRow.kind) == "reserve",
                col(JournalEntryRow.at) >= moment,
                col(JournalEntryRow.state).in_(COUNTED),
                col(PostingRow.account) == "provider_payable",
                col(PostingRow.currency) == currency,
                col(PostingRow.amount_micros) > 0,
            )
            .group_by(col(PostingRow.party))
        )
        return {party: int(micros) for party, micros in await self._session.execute(statement)}

    async def entry(self, entry_id: str) -> JournalEntry | None:
        """One entry, or None."""
        row = await self._session.get(JournalEntryRow, entry_id)
        return (await self._entries([row]))[0] if row else None

    async def move(self, entry_id: str, state: State, *, to: State) -> None:
        """Move an entry along its states. Raises WrongState where it is not in the first."""
        if not await self._moved([entry_id], state, to=to):
            raise WrongState(f"entry {entry_id} is not {state}", entry_id=entry_id, state=state)

    async def affiliates(self) -> list[tuple[str, str]]:
        """Buyers and providers of one parent between whom a settlement has passed: (account, provider), in order."""
        pairs = (
            select(AccountRow.id, ProviderRow.id)
            .join(ProviderRow, col(ProviderRow.parent) == col(AccountRow.parent))
            .join(PostingRow, col(PostingRow.party) == col(ProviderRow.id))
            .join(JournalEntryRow, col(JournalEntryRow.id) == col(PostingRow.entry_id))
            .where(
                col(PostingRow.account) == "provider_payable",
                col(JournalEntryRow.kind) == "settlement",
                col(JournalEntryRow.subject).startswith(col(AccountRow.id).concat(":"), autoescape=False),
            )
            .distinct()
            .order_by(col(AccountRow.id), col(ProviderRow.id))
        )
        return [(account, provider) for account, provider in await self._session.execute(pairs)]

    async def balances(self) -> list[tuple[str, str, int]]:
        """Posted balance of each chart account: (account, currency, micros), by account."""
        statement = (
            select(PostingRow.account, PostingRow.currency, func.sum(PostingRow.amount_micros))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(JournalEntryRow.state).in_(COUNTED))
            .group_by(col(PostingRow.account), col(PostingRow.currency))
            .order_by(col(PostingRow.account), col(PostingRow.currency))
        )
        return [(account, currency, int(amount)) for account, currency, amount in await self._session.execute(statement)]

    async def _sum(self, accounts: tuple[str, ...], party: str, *, states: tuple[str, ...]) -> int:
        statement = (
            select(func.coalesce(func.sum(PostingRow.amount_micros), 0))
            .join(JournalEntryRow, col(PostingRow.entry_id) == col(JournalEntryRow.id))
            .where(col(PostingRow.account).in_(accounts), col(PostingRow.party) == party, col(JournalEntryRow.state).in_(states))
        )
        return int((await self._session.scalars(statement)).one())

    async def _entries(self, rows: list[JournalEntryRow]) -> list[JournalEntry]:
        lines: dict[str, list[Posting]] = {}
        for part in _parts(rows):
            statement = select(PostingRow).where(col(PostingRow.entry_id).in_([row.id for row in part]))
            for row in await self._session.scalars(statement.order_by(col(PostingRow.entry_id), col(PostingRow.line))):
                lines.setdefault(row.entry_id, []).append(
                    Posting(account=row.account, party=row.party, currency=row.currency, amount_micros=row.amount_micros)
                )
        return [
            JournalEntry(
                id=row.id,
                kind=row.kind,
                state=row.state,  # type: ignore[arg-type]
                at=row.at,
                subject=row.subject,
                reason=row.reason,
                postings=tuple(lines[row.id]),
            )
            for row in rows
        ]


def _parts(things: list[T]) -> Iterator[list[T]]:
    """So many at once as one statement carries."""
    return (things[first : first + ENTRIES_AT_ONCE] for first in range(0, len(things), ENTRIES_AT_ONCE))
