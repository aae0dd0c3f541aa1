"""Corrections of the books: written off, given back, promised or converted by two people, never by one."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.finance_ports import Acts, Books
from broker.services.views import Caller
from contracts.acts import CORRECTION, Act, By, state
from contracts.events import Correction, correction_entry
from contracts.grants import Tranche, approved_tranches
from contracts.terms.errors import NotFound


class CorrectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A correction and where it stands: proposed, approved or rejected."""

    entry_id: str
    state: str
    proposed_by: str
    decided_by: str | None
    correction: Correction


class TrancheView(msgspec.Struct, frozen=True, kw_only=True):
    """A grant tranche that counts, millionths of a PF-day: given = used + expired + left, as of the last close."""

    entry_id: str
    account_id: str
    pledged_by: str
    valid_from: datetime
    valid_until: datetime
    given: int
    used: int
    expired: int
    left: int


class CorrectionService:
    """Proposes, approves and rejects. A proposal is a pending entry: it counts when somebody else has approved it."""

    def __init__(self, acts: Acts, books: Books, *, clock: Clock) -> None:
        self._acts = acts
        self._books = books
        self._clock = clock

    async def corrections(self, caller: Caller) -> list[CorrectionView]:
        """Every correction, by entry."""
        require(caller, "finance:read")
        return [_view(name, history) for name, history in (await self._acts.histories(CORRECTION.kind)).items()]

    async def tranches(self, caller: Caller) -> list[TrancheView]:
        """The caller's grant tranches, or everybody's for finance, by entry."""
        everyone = "finance:read" in caller.scopes
        found = approved_tranches(await self._acts.histories(CORRECTION.kind))
        posted = await self._books.by_subject("tranche")
        return [_tranche_view(each, posted) for each in found if everyone or each.account_id == caller.account_id]

    async def propose(self, correction: Correction, caller: Caller) -> CorrectionView:
        """Enter a correction as pending; once a key. Raises KeyReused where the key came with another one."""
        require(caller, "finance:write")
        return await self.enter(correction, actor=caller.account_id)

    async def enter(self, correction: Correction, *, actor: str) -> CorrectionView:
        """The same for somebody who was asked already."""
        now = self._clock.now()
        entry = correction_entry(correction, now)
        if await self._books.add_many([entry]):
            await self._acts.append(CORRECTION.next(entry.id, [], act="proposed", by=By(actor, now), facts=correction))
        return _view(entry.id, await self._acts.history(CORRECTION.kind, entry.id))

    async def approve(self, entry_id: str, caller: Caller) -> CorrectionView:
        """Let a correction count. Raises NotPermitted for who proposed it, NotFound, WrongState."""
        return await self._decide(entry_id, caller, act="approved")

    async def reject(self, entry_id: str, caller: Caller) -> CorrectionView:
        """Void a correction. Raises NotFound, WrongState."""
        return await self._decide(entry_id, caller, act="rejected")

    async def _decide(self, entry_id: str, caller: Caller, *, act: str) -> CorrectionView:
        require(caller, "finance:approve")
        history = await self._acts.history(CORRECTION.kind, entry_id)
        if not history:
            raise NotFound(f"no correction has the id {entry_id}", entry_id=entry_id)
        if state(history) != act or history[-1].actor != caller.account_id:
            by = By(caller.account_id, self._clock.now())
            await self._acts.append(CORRECTION.next(entry_id, history, act=act, by=by))
            await self._books.move(entry_id, "pending", to="posted" if act == "approved" else "voided")
        return _view(entry_id, await self._acts.history(CORRECTION.kind, entry_id))


def _view(entry_id: str, history: Sequence[Act]) -> CorrectionView:
    first, last = history[0], history[-1]
    return CorrectionView(
        entry_id=entry_id,
        state=last.act,
        proposed_by=first.actor,
        decided_by=last.actor if len(history) > 1 else None,
        correction=msgspec.convert(first.facts, Correction),
    )


def _tranche_view(tranche: Tranche, posted: Mapping[tuple[str, str], int]) -> TrancheView:
    used, expired = (posted.get((kind, tranche.id), 0) for kind in ("grant_used", "grant_expired"))
    return TrancheView(
        entry_id=tranche.id,
        account_id=tranche.account_id,
        pledged_by=tranche.pledged_by,
        valid_from=tranche.valid.start,
        valid_until=tranche.valid.end,
        given=tranche.micro_pf_days,
        used=used,
        expired=expired,
        left=tranche.micro_pf_days - used - expired,
    )
