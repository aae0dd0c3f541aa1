"""Copies of closed usage: written once a close is, read by those that come after it.

A period that is closed never gets another row, so a copy of what was received in it stays right for ever. It is noted in an act which
file holds it; a crash before that note leaves the period to be read from the store, and the next close writes the copy. No
file is read or written while a transaction is open.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import msgspec
import polars as pl
import structlog

from broker.clock import Clock
from broker.files.archive import UsageArchive
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.settlements import ClosedPeriod, KeptUsage, SettlementRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.acts import SEGMENT, Act, By
from contracts.periods import Segment
from contracts.terms.errors import BadInput, StaleToken

log = structlog.get_logger(__name__)


class SegmentDesk(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps the segments of one market; without an archive there are none, and everything is read from the store."""

    sessions: Sessions
    archive: UsageArchive | None
    clock: Clock

    async def kept(self, *, before: int) -> KeptUsage | None:
        """The usage received up to the last of the first periods whose segments are all there; None where not even one is.

        before   the period that is settled: those that come earlier are looked at
        Raises BadInput for a segment that is not as it was written.
        """
        if self.archive is None:
            return None
        frames: list[pl.DataFrame] = []
        until: datetime | None = None
        for closed, history in await self._closed():
            rows = await self._rows(history) if closed.period < before else None
            if rows is None:
                break
            frames.append(rows)
            until = closed.closes_at
        return KeptUsage(rows=pl.concat(frames), until=until) if until else None

    async def write(self, *, actor: str) -> None:
        """Copy every closed period that has no segment. One that cannot be written is left to the next close, and said in the log."""
        if self.archive is None:
            return
        since: datetime | None = None
        for closed, history in await self._closed():
            if not await self._holds(history):
                async with unit_of_work(self.sessions) as work:
                    rows = await SettlementRepository(work).received(closed.closes_at, since=since)
                try:
                    segment = await asyncio.to_thread(self.archive.write, closed.period, rows)
                except BadInput as refusal:
                    log.warning("segment not written", period=closed.period, refusal=str(refusal))
                    return
                act = SEGMENT.next(str(closed.period), history, act="written", by=By(actor, self.clock.now()), facts=segment)
                with suppress(StaleToken):  # another run has noted the same rows
                    async with unit_of_work(self.sessions) as work:
                        await ActRepository(work).append(act)
            since = closed.closes_at

    async def _closed(self) -> list[tuple[ClosedPeriod, Sequence[Act]]]:
        async with unit_of_work(self.sessions) as work:
            histories = await ActRepository(work).histories(SEGMENT.kind)
            return [(each, histories.get(str(each.period), [])) for each in await SettlementRepository(work).closed()]

    async def _rows(self, history: Sequence[Act]) -> pl.DataFrame | None:
        return await asyncio.to_thread(self._there.read, history[-1].told(Segment)) if history else None

    async def _holds(self, history: Sequence[Act]) -> bool:
        return bool(history) and await asyncio.to_thread(self._there.holds, history[-1].told(Segment))

    @property
    def _there(self) -> UsageArchive:
        assert self.archive is not None, "without an archive nothing is kept"
        return self.archive
